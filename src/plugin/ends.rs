//! `parameters.ends`: secrets that end by themselves, and when.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::Params;
use super::compile::{Compiler, parse_duration};
use super::manifest::{At, Manifest, Parameter, ParameterKind, Words};
use super::modes::{self, in_mode};
use super::plugin::Plugin;
use super::problem::did_you_mean;
use crate::domain::time::Time;

/// The token says it itself.
const JWT: &str = "jwt";

/// A secret that ends.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretEnd {
    /// Of the parameter.
    pub id: String,
    pub title: Words,
    pub at: Time,
    /// How long before that the admin is told.
    pub alarm: Duration,
}

/// What `ends` names must be there.
pub fn check(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<Parameter>) {
    let Some(ends) = &at.get_ref().ends else { return };
    if parse_duration(&ends.alarm).is_none() {
        c.error(at, format!("`{}` is not a duration such as 14d", ends.alarm));
    }
    if ends.on == JWT {
        return;
    }
    let dates = || manifest.parameters.iter().map(|p| p.get_ref()).filter(|p| p.kind == ParameterKind::Date).map(|p| p.id.as_str());
    if dates().any(|id| id == ends.on) {
        // The date is read for this.
        c.used_params.insert(ends.on.clone());
    } else {
        let hint = did_you_mean(&ends.on, dates().chain([JWT]));
        c.error(at, format!("`ends.on` is the id of a parameter of type date, or \"jwt\"; `{}` is neither{hint}", ends.on));
    }
}

impl Plugin {
    /// The secrets among these parameters whose end is known; a date is the whole day in the connection's zone.
    pub fn secret_ends(&self, params: &Params, zone: &str) -> Vec<SecretEnd> {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let text = |id: &str| params.get(id).map(|value| value.trim()).filter(|value| !value.is_empty());
        let end = |p: &Parameter| {
            let ends = p.ends.as_ref()?;
            let there = p.mode.as_ref().is_none_or(|of| in_mode(&of.0.iter().map(|name| modes::key(name)).collect::<Vec<_>>(), params));
            let secret = text(&p.id).filter(|_| there)?;
            let at = if ends.on == JWT { of_token(secret)? } else { of_date(text(&ends.on)?, &zone)? };
            Some(SecretEnd { id: p.id.clone(), title: p.title.clone(), at, alarm: parse_duration(&ends.alarm)? })
        };
        self.manifest.parameters.iter().filter_map(|p| end(p.get_ref())).collect()
    }
}

fn of_date(text: &str, zone: &TimeZone) -> Option<Time> {
    let start = text.parse::<Date>().ok()?.to_zoned(zone.clone()).ok()?;
    Some(Time(start.timestamp().as_millisecond()))
}

/// `exp` of a JSON Web Token, in seconds. Nothing of it is believed but that.
fn of_token(token: &str) -> Option<Time> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let seconds = serde_json::from_slice::<Json>(&payload).ok()?.get("exp")?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is cut to the largest")]
    Some(Time((seconds * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::load::load;

    const MANIFEST: &str = r#"
spec = 1
id = "ender"
name = "Ender"
[[parameters]]
id = "key"
title = { vi = "Mã", en = "Key" }
secret = true
ends = { on = "key_ends", alarm = "10d" }
[[parameters]]
id = "key_ends"
title = { vi = "Hết hạn", en = "Ends on" }
type = "date"
[[parameters]]
id = "token"
title = { vi = "Mã", en = "Token" }
secret = true
ends = { on = "jwt" }
[bases.api]
url = "https://crm.example.vn"
allow_hosts = ["crm.example.vn"]
[[auth]]
kind = "bearer"
token = "{{pick param.key param.token}}"
[[receive]]
name = "all"
[receive.map]
phone = "$.phone"
"#;

    fn folder(manifest: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
        [("plugin.toml".to_owned(), manifest.as_bytes().to_vec())].into()
    }

    #[test]
    fn a_date_and_a_token_say_when_a_secret_ends() {
        let plugin = load("ender", folder(MANIFEST)).unwrap();
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(r#"{"exp":1803000000}"#));
        let params = [("key", "k"), ("key_ends", "2027-02-20"), ("token", token.as_str())].map(|(id, value)| (id.to_owned(), value.to_owned()));
        let ends = plugin.secret_ends(&plugin.with_defaults(&params.into()), "Asia/Ho_Chi_Minh");
        assert_eq!(
            ends.iter().map(|end| (end.id.as_str(), end.at)).collect::<Vec<_>>(),
            [("key", Time::parse_rfc3339("2027-02-19T17:00:00Z").unwrap()), ("token", Time(1_803_000_000_000))]
        );
        assert_eq!(ends[0].alarm, Duration::from_secs(10 * 86_400));
        // A token that is none, a date that is missing: nothing is known, so nothing is said.
        let params = [("key", "k"), ("token", "plain-text")].map(|(id, value)| (id.to_owned(), value.to_owned()));
        assert_eq!(plugin.secret_ends(&plugin.with_defaults(&params.into()), "UTC"), []);
    }

    #[test]
    fn what_ends_names_must_be_a_date() {
        let error = load("ender", folder(&MANIFEST.replace("on = \"key_ends\"", "on = \"key_end\""))).unwrap_err();
        assert!(error.to_string().contains("did you mean `key_ends`"), "{error}");
    }
}
