//! Whether an item fits the trigger that the admin gave the connection. What only a look-up knows is tested after it.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::extract::Mapped;
use super::manifest::{At, LookupSpec, MapSpec};
use super::path;
use super::plugin::{Mapping, Plugin, Variant};
use super::problem::did_you_mean;
use super::value::{Value, text_of};
use crate::domain::trigger::{Test, TestOp, Trigger};

/// The fields of a map that a trigger may test.
const OF_THE_MAP: [&str; 9] = ["record_type", "record_id", "owner", "phone", "name", "gender", "info", "consent", "priority"];

/// What a trigger says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Yes,
    No,
    /// It depends on what a look-up will find.
    AfterLookup,
}

impl Plugin {
    /// Tests an item; `looked_up`: nothing more will be known of it.
    pub fn fits(&self, trigger: &Trigger, variant: &Variant, mapped: &Mapped, item: &Json, looked_up: bool) -> Fit {
        let one = |test: &Test| self.test(test, variant, mapped, item, looked_up);
        let mut all = Fit::Yes;
        for test in &trigger.all {
            match one(test) {
                Fit::No => return Fit::No,
                Fit::AfterLookup => all = Fit::AfterLookup,
                Fit::Yes => {}
            }
        }
        let any = trigger.any.iter().map(one).fold(if trigger.any.is_empty() { Fit::Yes } else { Fit::No }, |found, fit| match (found, fit) {
            (Fit::Yes, _) | (_, Fit::Yes) => Fit::Yes,
            (Fit::AfterLookup, _) | (_, Fit::AfterLookup) => Fit::AfterLookup,
            _ => Fit::No,
        });
        match any {
            Fit::No => Fit::No,
            Fit::AfterLookup => Fit::AfterLookup,
            Fit::Yes => all,
        }
    }

    fn test(&self, test: &Test, variant: &Variant, mapped: &Mapped, item: &Json, looked_up: bool) -> Fit {
        let found = value_of(&test.field, mapped, item);
        if found.is_empty() && !looked_up && test.op != TestOp::Changed && self.a_look_up_gives(&test.field) {
            return Fit::AfterLookup;
        }
        let changed = test.op == TestOp::Changed && has_changed(&test.field, variant, mapped);
        if test.holds(&found, changed) { Fit::Yes } else { Fit::No }
    }

    fn a_look_up_gives(&self, field: &str) -> bool {
        let gives = |lookup: &At<LookupSpec>| {
            let spec = lookup.get_ref();
            let like = spec.map.like.as_ref().and_then(|like| self.manifest.maps.get(like.get_ref()));
            spec.fields.contains_key(field) || maps(&spec.map, field) || like.is_some_and(|map| maps(map.get_ref(), field))
        };
        self.manifest.lookup.iter().any(gives)
    }

    /// What is wrong with a trigger for this plugin, in sentences.
    pub fn check_trigger(&self, trigger: &Trigger) -> Vec<String> {
        let fields: Vec<&str> = self.manifest.fields.iter().map(|field| field.get_ref().id.as_str()).chain(OF_THE_MAP).collect();
        let mut faults = Vec::new();
        for test in trigger.tests() {
            faults.extend(test.fault().map(|fault| format!("trigger: {fault}")));
            let field = test.field.as_str();
            if field.starts_with('$') {
                if let Err(error) = path::parse(field) {
                    faults.push(format!("trigger: `{field}` is not a JSONPath: {error}"));
                }
            } else if !fields.contains(&field) {
                let hint = did_you_mean(field, fields.iter().copied());
                faults.push(format!("trigger: the plugin `{}` has no field `{field}`{hint}", self.id()));
            }
            if test.op == TestOp::Changed && self.variants.iter().all(|variant| variant.changed.is_none()) {
                faults.push(format!("trigger: `changed` cannot be tested, `{}` does not say which fields changed", self.name()));
            }
        }
        faults
    }
}

/// The text of a field; `""` when it is empty.
fn value_of(field: &str, mapped: &Mapped, item: &Json) -> String {
    if field.starts_with('$') {
        let Ok(path) = path::parse(field) else { return String::new() };
        let pieces = path.query(item).all().into_iter().flat_map(|node| match node {
            Json::Array(list) => list.iter().collect(),
            one => vec![one],
        });
        return pieces.map(text_of).find(|text| !text.is_empty()).unwrap_or_default();
    }
    if let Some(own) = mapped.fields.get(field) {
        return own.clone();
    }
    match field {
        "record_type" => mapped.record.kind.clone(),
        "record_id" => mapped.record.id.clone(),
        "owner" => mapped.owner.clone().unwrap_or_default(),
        "phone" => mapped.customer.phone.clone(),
        "name" => mapped.customer.name.clone(),
        "gender" => mapped.customer.gender.and_then(|gender| Some(serde_json::to_value(gender).ok()?.as_str()?.to_owned())).unwrap_or_default(),
        "info" => mapped.customer.info.clone(),
        "consent" => mapped.consent.map(|consent| consent.to_string()).unwrap_or_default(),
        "priority" => if mapped.interactive { "interactive" } else { "automation" }.to_owned(),
        _ => String::new(),
    }
}

fn maps(map: &MapSpec, field: &str) -> bool {
    match field {
        "record_type" => map.record_type.is_some(),
        "record_id" => map.record_id.is_some(),
        "owner" => map.owner.is_some(),
        "phone" => map.phone.is_some(),
        "name" => map.name.is_some(),
        "gender" => map.gender.is_some(),
        "info" => map.info.is_some(),
        "consent" => map.consent.is_some(),
        "priority" => map.priority.is_some(),
        _ => false,
    }
}

/// Whether the sender says that a field changed: by its id here, or by the name that its path ends with there.
fn has_changed(field: &str, variant: &Variant, mapped: &Mapped) -> bool {
    let Some(changed) = &mapped.changed else { return false };
    let mut names = vec![field.to_owned()];
    if field.starts_with('$') {
        names.extend(path::parse(field).ok().and_then(|path| last_name(&path)));
    }
    if let Some(value) = variant.fields.get(field).or_else(|| in_map(&variant.map, field)) {
        last_names(value, &mut names);
    }
    changed.iter().any(|name| names.contains(name))
}

fn in_map<'a>(map: &'a Mapping, field: &str) -> Option<&'a Value> {
    match field {
        "record_type" => map.record_type.as_ref(),
        "owner" => map.owner.as_ref(),
        "phone" => map.phone.as_ref(),
        "name" => map.name.as_ref(),
        "gender" => map.gender.as_ref().map(|gender| &gender.value),
        "info" => map.info.as_ref(),
        "consent" => map.consent.as_ref(),
        _ => None,
    }
}

fn last_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Path(path) => names.extend(last_name(path.query())),
        Value::List(list) => list.iter().for_each(|value| last_names(value, names)),
        Value::If(value, _) => last_names(value, names),
        Value::Template(_) | Value::Param(_) => {}
    }
}

/// `$.properties.stage` and `$['properties']['stage']` end with `stage`.
fn last_name(path: &JsonPath) -> Option<String> {
    let text = path.to_string();
    let bare = text.trim_end_matches("[*]");
    let name = match bare.strip_suffix(']') {
        Some(inside) => inside.rsplit_once('[')?.1.trim_matches(['\'', '"']),
        None => bare.rsplit_once('.')?.1,
    };
    Some(name.to_owned()).filter(|name| !name.is_empty())
}
