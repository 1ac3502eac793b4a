//! `[receive.map]`, `[lookup.map]` and `[maps.NAME]`: which field is found where.

use serde::Deserialize;

use super::value::{At, ValueSpec};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapSpec {
    /// The one of `[maps]` this begins with.
    pub like: Option<At<String>>,
    pub event_id: Option<At<ValueSpec>>,
    pub occurred_at: Option<OccurredAtSpec>,
    pub priority: Option<At<ValueSpec>>,
    pub record_type: Option<At<ValueSpec>>,
    pub record_id: Option<At<ValueSpec>>,
    pub owner: Option<At<ValueSpec>>,
    pub phone: Option<At<ValueSpec>>,
    pub name: Option<At<ValueSpec>>,
    pub gender: Option<GenderSpec>,
    pub info: Option<At<ValueSpec>>,
    pub consent: Option<At<ValueSpec>>,
    pub note: Option<At<ValueSpec>>,
}

impl MapSpec {
    /// This map's entries, and the other's where it has none.
    #[must_use]
    pub fn over(&self, below: &MapSpec) -> MapSpec {
        let pick = |own: &Option<At<ValueSpec>>, other: &Option<At<ValueSpec>>| own.clone().or_else(|| other.clone());
        MapSpec {
            like: None,
            event_id: pick(&self.event_id, &below.event_id),
            occurred_at: self.occurred_at.clone().or_else(|| below.occurred_at.clone()),
            priority: pick(&self.priority, &below.priority),
            record_type: pick(&self.record_type, &below.record_type),
            record_id: pick(&self.record_id, &below.record_id),
            owner: pick(&self.owner, &below.owner),
            phone: pick(&self.phone, &below.phone),
            name: pick(&self.name, &below.name),
            gender: self.gender.clone().or_else(|| below.gender.clone()),
            info: pick(&self.info, &below.info),
            consent: pick(&self.consent, &below.consent),
            note: pick(&self.note, &below.note),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OccurredAtSpec {
    pub value: At<ValueSpec>,
    pub unit: String,
    /// Of a pattern without offset; UTC where absent.
    pub zone: Option<At<ValueSpec>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenderSpec {
    pub value: At<ValueSpec>,
    /// The one of `[tables]` whose words become male, female and company.
    pub table: Option<At<String>>,
    #[serde(default)]
    pub male: Vec<String>,
    #[serde(default)]
    pub female: Vec<String>,
    #[serde(default)]
    pub company: Vec<String>,
}
