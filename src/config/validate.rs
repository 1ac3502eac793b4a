//! Checks that need more than one value: names that must exist, addresses, keys that must differ.

use std::collections::HashMap;

use jiff::civil::Date;
use url::Url;

use super::problem::suggestion;
use super::sense;
use super::settings::{Settings, StoreKind};
use crate::domain::connection::{Connection, Mode, Purpose};
use crate::domain::hours::Window;
use crate::domain::id::{LineId, WorkspaceId};
use crate::domain::ledger;
use crate::domain::phone;
use crate::domain::rate::Limit;

/// Pairs of key and sentence.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub problems: Vec<(String, String)>,
    pub warnings: Vec<(String, String)>,
}

impl Found {
    pub fn wrong(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push((key.into(), message.into()));
    }
    pub fn doubtful(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push((key.into(), message.into()));
    }
}

/// A key shorter than this can be guessed.
const SHORTEST_KEY: usize = 16;

/// Looks at everything; nothing stops at the first problem. `today` tells whether days off lie behind us; without it nobody asks.
pub(super) fn check(settings: &Settings, today: Option<Date>) -> Found {
    let mut found = Found::default();
    instance(settings, &mut found);
    lines(settings, &mut found);
    let mut hook_keys = HashMap::new();
    for connection in &settings.connections {
        connection_names(connection, settings, &mut found);
        connection_values(connection, &mut found);
        connection_times(connection, &mut found);
        sense::connection(connection, settings, &mut found);
        connection_hooks(connection, &mut hook_keys, &mut found);
    }
    keys(settings, &mut found);
    sense::instance(settings, today, &mut found);
    found
}

fn instance(settings: &Settings, found: &mut Found) {
    match &settings.server.public_url {
        None => found.doubtful("server.public_url", "not set: CRMs and the dialer can reach this server only where they share its network"),
        Some(url) => match web_address(url) {
            Err(message) => found.wrong("server.public_url", message),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => found.wrong("server.public_url", "must not have a query or a fragment"),
            Ok(url) if url.scheme() == "http" && !is_local(&url) => {
                found.doubtful("server.public_url", "is http: keys in webhook addresses can be read on the way; use https");
            }
            Ok(_) => {}
        },
    }
    match web_address(&settings.dialer.url) {
        Err(message) => found.wrong("dialer.url", message),
        Ok(url) if !url.path().ends_with('/') => found.wrong("dialer.url", "needs its slash at the end; without it the dialer answers with a redirect"),
        Ok(url) if url.scheme() == "http" && !is_local(&url) => {
            found.doubtful("dialer.url", "is http: the lines' secret keys can be read on the way; use https")
        }
        Ok(_) => {}
    }
    if let Some(file) = settings.dialer.ca_file.as_ref().filter(|file| !file.is_file()) {
        found.wrong("dialer.ca_file", format!("there is no file {}", file.display()));
    }
    if settings.store.kind == StoreKind::Postgres && settings.store.url.as_ref().is_none_or(|url| url.is_empty()) {
        found.wrong("store.url", "is needed for kind = \"postgres\"");
    }
    for (key, zero) in [
        ("dialer.concurrency", settings.dialer.concurrency == 0),
        ("dialer.max_unsent", settings.dialer.max_unsent == 0),
        ("dialer.timeout", settings.dialer.timeout.is_zero()),
        ("dialer.slot_timeout", settings.dialer.slot_timeout.is_zero()),
        ("dialer.report_deadline", settings.dialer.report_deadline.is_zero()),
        ("outbound.timeout", settings.outbound.timeout.is_zero()),
        ("monitor.look_every", settings.monitor.look_every.is_zero()),
        ("write_back.attempts", settings.write_back.attempts == 0),
        ("write_back.give_up_after", settings.write_back.give_up_after.is_zero()),
        ("write_back.concurrency", settings.write_back.concurrency == 0),
        ("server.max_body_bytes", settings.server.max_body_bytes == 0),
        ("calls.expire_interactive", settings.calls.expire_interactive.is_zero()),
        ("calls.expire_automation", settings.calls.expire_automation.is_zero()),
        ("calls.max_age", settings.calls.max_age.is_zero()),
    ] {
        if zero {
            found.wrong(key, "must be more than zero");
        }
    }
    if settings.dialer.report_deadline < settings.dialer.slot_timeout {
        found.wrong("dialer.report_deadline", "must not be shorter than slot_timeout");
    }
    for workspace in &settings.workspaces {
        id("workspaces", workspace.id.as_str(), found);
    }
}

fn lines(settings: &Settings, found: &mut Found) {
    let mut seen: HashMap<&str, &LineId> = HashMap::new();
    for line in &settings.lines {
        let at = |key: &str| format!("lines.{}.{key}", line.id);
        id("lines", line.id.as_str(), found);
        workspace(&line.workspace, settings, &at("workspace"), found);
        if line.secret_key.is_empty() {
            found.wrong(at("secret_key"), "is empty");
        } else if let Some(other) = seen.insert(line.secret_key.expose(), &line.id) {
            found.wrong(at("secret_key"), format!("is also the one of line `{other}`; one phone is one line"));
        }
        if line.monthly_quota == Some(0) {
            found.doubtful(at("monthly_quota"), "is 0: this line never calls; leave it out for no limit of ours");
        }
        if line.burst == 0 {
            found.wrong(at("burst"), "must be 1 or more");
        }
        if line.max_in_flight == 0 {
            found.wrong(at("max_in_flight"), "must be 1 or more");
        } else if line.max_in_flight > 1 {
            found.doubtful(at("max_in_flight"), "a phone makes one call at a time; more is for a line that stands for several");
        }
    }
}

fn connection_names(connection: &Connection, settings: &Settings, found: &mut Found) {
    let at = |key: &str| format!("connections.{}.{key}", connection.id);
    id("connections", connection.id.as_str(), found);
    workspace(&connection.workspace, settings, &at("workspace"), found);
    if connection.plugin.is_empty() {
        found.wrong(at("plugin"), "is empty; see `callbridge plugin list`");
    }
    if connection.lines.is_empty() && connection.mode != Mode::Off {
        found.doubtful(at("lines"), "names no line: its calls will wait");
    }
    for name in &connection.lines {
        line(name, &connection.workspace, settings, &at("lines"), found);
    }
    for (owner, name) in &connection.owners {
        line(name, &connection.workspace, settings, &at("owners"), found);
        if !connection.lines.contains(name) {
            found.wrong(at("owners"), format!("gives owner {owner} the line `{name}`, which is not among `lines`"));
        }
    }
}

fn connection_values(connection: &Connection, found: &mut Found) {
    let at = |key: &str| format!("connections.{}.{key}", connection.id);
    if jiff::tz::TimeZone::get(&connection.time_zone).is_err() {
        found.wrong(
            at("time_zone"),
            format!("`{}` is not a time zone; write one such as Asia/Ho_Chi_Minh{}", connection.time_zone, zone_like(&connection.time_zone)),
        );
    }
    for (i, one) in connection.hours.iter().enumerate() {
        for other in connection.hours.iter().skip(i + 1).filter(|other| one.overlaps(**other)) {
            found.doubtful(at("hours"), format!("`{one}` and `{other}` overlap; calls go while either is open"));
        }
    }
    if connection.max_per_number.and_then(Limit::rate).is_some_and(|rate| rate.period > ledger::LONGEST_CAP) {
        found.wrong(at("max_per_number"), "looks back further than 31 days; placings are not remembered longer for it");
    }
    if connection.mode == Mode::Test && connection.test_phone.is_none() {
        found.doubtful(at("test_phone"), "is not set while mode is \"test\": nothing is dialled, every call is refused with test_mode");
    }
    if let Some(Err(error)) = connection.test_phone.as_deref().map(phone::normalise) {
        found.wrong(at("test_phone"), error.to_string());
    }
    if let Some(Err(message)) = connection.base_url.as_deref().map(web_address) {
        found.wrong(at("base_url"), message);
    }
    for (name, url) in &connection.base_urls {
        if let Err(message) = web_address(url) {
            found.wrong(format!("{}.{name}", at("base_urls")), message);
        }
    }
    let mut kinds = connection.write_back.clone();
    kinds.sort();
    kinds.dedup();
    if kinds.len() < connection.write_back.len() {
        found.wrong(at("write_back"), "names the same kind twice");
    }
    if connection.purpose == Purpose::Advertising {
        let says = "is \"advertising\": an ordinary SIM may not be used for advertising calls (Decree 91/2020, Art. 13: only a registered brand name), \
                    whatever hours and cap are kept to; care, confirmations and call-backs that were asked for are \"care\"";
        found.doubtful(at("purpose"), says);
        if !vietnams_clock(&connection.time_zone) {
            found.wrong(at("time_zone"), "the hours of advertising calls are Vietnam's (Decree 91/2020): leave it at Asia/Ho_Chi_Minh");
        }
        if !connection.calling_hours().iter().all(|window| window.within(Window::ADVERTISING)) {
            found.doubtful(at("hours"), "Decree 91/2020 allows advertising calls only between 08:00 and 17:00 unless the customer agreed otherwise");
        }
        let once_a_day = |limit: Limit| limit.rate().is_some_and(|rate| rate.count == 1 && rate.period.as_secs() >= 86_400);
        if !once_a_day(connection.calls_per_number()) {
            found.doubtful(at("max_per_number"), "Decree 91/2020 allows one advertising call to a number in 24 hours unless the customer agreed otherwise");
        }
    }
}

/// Whether a zone shows Vietnam's time the whole year. One that is not known is told elsewhere.
fn vietnams_clock(zone: &str) -> bool {
    let Ok(zone) = jiff::tz::TimeZone::get(zone) else { return true };
    [1, 7].iter().all(|month| jiff::civil::date(2026, *month, 1).to_zoned(zone.clone()).is_ok_and(|at| at.offset() == jiff::tz::offset(7)))
}

/// Times in which no call could ever go.
fn connection_times(connection: &Connection, found: &mut Found) {
    let own = [("expire_interactive", connection.expire_interactive), ("expire_automation", connection.expire_automation), ("max_age", connection.max_age)];
    for (key, time) in own {
        if time.is_some_and(|time| time.is_zero()) {
            found.wrong(format!("connections.{}.{key}", connection.id), "must be more than zero: every call would be over before it is placed");
        }
    }
}

/// The zone that was meant, if one is near.
fn zone_like(zone: &str) -> String {
    // The nearest name of an offset is another offset, and whoever writes `GMT+7` must not be told of `GMT+0`.
    if ["GMT", "UTC", "+", "-"].iter().any(|sign| zone.to_ascii_uppercase().starts_with(sign)) {
        return format!("{}; an offset has no name of its own", if zone.contains('7') { ", which is +07:00" } else { "" });
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Some(suggestion(zone, &known)).filter(|hint| hint.starts_with("; did")).unwrap_or_default()
}

fn connection_hooks(connection: &Connection, seen: &mut HashMap<String, String>, found: &mut Found) {
    let mut names: HashMap<String, ()> = HashMap::new();
    for (i, hook) in connection.all_hooks().into_iter().enumerate() {
        let alone = i == 0 && connection.hook_key.is_some();
        let at = if alone { format!("connections.{}.hook_key", connection.id) } else { format!("connections.{}.hooks.{}.hook_key", connection.id, hook.name) };
        let key = hook.hook_key.expose();
        if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) || matches!(key, "" | "." | "..") {
            found.wrong(&at, "is part of an address: use letters, digits, - and _ only, and at least one");
        } else if key.len() < SHORTEST_KEY {
            found.doubtful(&at, format!("is short enough to be guessed; use {SHORTEST_KEY} characters or more"));
        }
        if let Some(other) = seen.insert(key.to_owned(), at.clone()) {
            found.wrong(&at, format!("is the same key as {other}; every webhook address needs its own"));
        }
        if names.insert(hook.name.clone(), ()).is_some() {
            found.wrong(&at, format!("the name `{}` is taken by another hook of this connection", hook.name));
        }
    }
}

fn keys(settings: &Settings, found: &mut Found) {
    let mut seen: HashMap<&str, String> = HashMap::new();
    let api = settings.api_keys.iter().map(|key| (format!("api_keys.{}", key.name), &key.key, &key.workspace));
    let gateway = settings.gateway_keys.iter().map(|key| (format!("gateway_keys.{}", key.name), &key.key, &key.workspace));
    for (at, key, own) in api.chain(gateway) {
        workspace(own, settings, &format!("{at}.workspace"), found);
        if key.is_empty() {
            found.wrong(format!("{at}.key"), "is empty");
        } else if key.expose().len() < SHORTEST_KEY {
            found.doubtful(format!("{at}.key"), format!("is short enough to be guessed; use {SHORTEST_KEY} characters or more"));
        }
        if let Some(other) = seen.insert(key.expose(), at.clone()) {
            found.wrong(format!("{at}.key"), format!("is the same key as the one of {other}"));
        }
    }
    for key in &settings.gateway_keys {
        let at = |name: &str| format!("gateway_keys.{}.{name}", key.name);
        for name in &key.lines {
            line(name, &key.workspace, settings, &at("lines"), found);
        }
        for origin in key.origins.iter().filter(|origin| *origin != "*") {
            match web_address(origin) {
                Ok(url) if url.path() == "/" && !origin.ends_with('/') => {}
                _ => found.wrong(at("origins"), format!("`{origin}` is not an origin; write https://shop.example.vn, without a path")),
            }
        }
    }
}

fn id(list: &str, id: &str, found: &mut Found) {
    let good = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)) && (1..=64).contains(&id.len());
    if !good {
        found.wrong(format!("{list}.{id}.id"), "must be 1 to 64 characters of a-z 0-9 - _");
    }
}

fn workspace(own: &WorkspaceId, settings: &Settings, at: &str, found: &mut Found) {
    let known: Vec<&str> = settings.workspaces.iter().map(|w| w.id.as_str()).chain(["main"]).collect();
    if !known.contains(&own.as_str()) {
        found.wrong(at, format!("there is no workspace `{own}`{}", suggestion(own.as_str(), &known)));
    }
}

fn line(name: &LineId, own: &WorkspaceId, settings: &Settings, at: &str, found: &mut Found) {
    match settings.lines.iter().find(|line| line.id == *name) {
        Some(line) if line.workspace == *own => {}
        Some(line) => found.wrong(at, format!("the line `{name}` belongs to workspace `{}`, not to `{own}`", line.workspace)),
        None => {
            let known: Vec<&str> = settings.lines.iter().map(|line| line.id.as_str()).collect();
            found.wrong(at, format!("there is no line `{name}`{}", suggestion(name.as_str(), &known)));
        }
    }
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a web address ({error}); write https://…"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("is not a web address; write https://…".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user name or password".to_owned());
    }
    Ok(url)
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
