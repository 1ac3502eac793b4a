//! What an admin meets: defaults, layers, mistakes.

use std::path::PathBuf;
use std::time::Duration;

use super::load::DEFAULT_TOML;
use super::*;
use crate::domain::connection::Connection;
use crate::domain::line::LineSettings;

/// A directory with settings files, and the sources that name them.
struct Files {
    dir: tempfile::TempDir,
    sources: Sources,
}

fn files(texts: &[(&str, &str)]) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = Sources::default();
    for (name, text) in texts {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        if name.ends_with(".toml") {
            sources.files.push(path);
        }
    }
    Files { dir, sources }
}

impl Files {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems without the directory's name.
    fn problems(&self) -> Vec<String> {
        let prefix = format!("{}/", self.dir.path().display());
        let problems = load(&self.sources).expect_err("these settings are wrong").problems;
        let mut problems: Vec<String> = problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect();
        problems.sort();
        problems
    }
}

const LINE: &str = "[[lines]]\nid = \"sales-1\"\nsecret_key = \"key-of-sales-1\"\n";

#[test]
fn the_defaults_are_complete_and_sound() {
    let settings = Settings::built_in().unwrap();
    assert_eq!(settings.dialer.url, "https://api.goitudong.vn/campaign/callone/");
    assert_eq!(settings.dialer.slot_timeout, Duration::from_secs(300));
    assert_eq!(settings.store.reserve_mib, 64);
    assert!(settings.lines.is_empty() && settings.connections.is_empty());
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
}

#[test]
fn the_files_that_ship_load_without_a_warning() {
    for entry in std::fs::read_dir("config").unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("default.toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names = text.split("\"env:").skip(1).filter_map(|rest| rest.split('"').next());
        let env = names.map(|name| (name.to_owned(), format!("value-of-{name}-0123").replace('_', "-"))).collect();
        let settings = load(&Sources { files: vec![path.clone()], env, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.warnings, [], "{}", path.display());
        assert!(!settings.lines.is_empty());
    }
}

/// The commented lists of `default.toml` as if they were not comments.
fn documented_lists() -> String {
    let lists = DEFAULT_TOML.split("# [[lines]]").nth(1).unwrap();
    let is_setting = |line: &&str| {
        let rest = line.strip_prefix("# ").unwrap_or("");
        rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let lines = format!("# [[lines]]\n{lists}");
    lines.lines().filter(is_setting).map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect()
}

#[test]
fn every_option_of_the_lists_is_explained_and_its_example_loads() {
    let text = documented_lists().replace("\"file:notes/answered.hbs\"", "\"x\"").replace("workspace = \"main\"", "");
    let text = text.replace("origins = []", "origins = [\"https://shop.example.vn\"]").replace("https://…", "https://auth.example.vn");
    let mut given = files(&[("all.toml", &text)]);
    for name in ["LINE_SALES_1", "HOOK_HUBSPOT", "HUBSPOT_TOKEN", "HOOK_LEAD", "HOOK_LEAD_SECRET", "ERP_KEY", "GATEWAY_SHOP", "TELEGRAM_TOKEN"] {
        given = given.env(name, &format!("value-of-{name}-0123").replace('_', "-"));
    }
    let settings = given.load();
    let (line, connection) = (&settings.lines[0], &settings.connections[0]);
    for (list, shown) in [
        ("[[lines]]", serde_json::to_value(line).unwrap()),
        ("[[connections]]", serde_json::to_value(connection).unwrap()),
        ("[[connections.hooks]]", serde_json::to_value(&connection.hooks[0]).unwrap()),
        ("[[api_keys]]", serde_json::to_value(&settings.api_keys[0]).unwrap()),
        ("[[gateway_keys]]", serde_json::to_value(&settings.gateway_keys[0]).unwrap()),
        ("[[alerts]]", serde_json::to_value(&settings.alerts[0]).unwrap()),
        ("[[workspaces]]", serde_json::to_value(&settings.workspaces[0]).unwrap()),
    ] {
        let block = DEFAULT_TOML.split(&format!("# {list}")).nth(1).unwrap();
        let block = &block[..block.find("\n\n").unwrap_or(block.len())];
        for key in shown.as_object().unwrap().keys().filter(|key| *key != "hooks") {
            assert!(block.contains(&format!("\n# {key} = ")) || block.contains(&format!(".{key}]")), "{list} does not explain {key}");
        }
    }
    // What the comments call the default is the default.
    let plain = Connection::new(connection.id.clone(), &connection.plugin);
    let same =
        Connection { owner_wait: connection.owner_wait, inbound_rate: connection.inbound_rate, max_new_calls: connection.max_new_calls, ..plain.clone() };
    assert_eq!(same, plain);
    assert_eq!(
        (connection.mode, connection.purpose, connection.line_choice, connection.language),
        (plain.mode, plain.purpose, plain.line_choice, plain.language)
    );
    assert_eq!((&connection.write_back, connection.duplicate_window, &connection.time_zone), (&plain.write_back, plain.duplicate_window, &plain.time_zone));
    assert_eq!(connection.calls_per_number(), plain.calls_per_number());
    let line_plain = LineSettings::new("sales-1".into(), line.secret_key.clone());
    assert_eq!((line.burst, line.max_in_flight, line.paused), (line_plain.burst, line_plain.max_in_flight, line_plain.paused));
}

#[test]
fn later_files_and_the_environment_win_and_lists_merge_by_id() {
    let given = files(&[
        ("a.toml", "[dialer]\ntimeout = \"20s\"\nsettle = \"1s\"\n[[lines]]\nid = \"sales-1\"\nsecret_key = \"one\"\nrate = \"6/min\"\n[[lines]]\nid = \"sales-2\"\nsecret_key = \"two\"\n"),
        ("b.toml", "[dialer]\ntimeout = \"30s\"\n[[lines]]\nid = \"sales-1\"\nburst = 3\n"),
    ])
    .env("CALLBRIDGE__DIALER__TIMEOUT", "40s")
    .env("CALLBRIDGE__DIALER__CONCURRENCY", "3")
    .env("CALLBRIDGE__DIALER__RETRY_503", "true")
    .env("CALLBRIDGE__STORE__PATH", "00123");
    let settings = given.load();
    assert_eq!((settings.dialer.timeout, settings.dialer.settle), (Duration::from_secs(40), Duration::from_secs(1)));
    assert_eq!((settings.dialer.concurrency, settings.dialer.retry_503, settings.store.path), (3, true, PathBuf::from("00123")));
    assert_eq!(settings.lines.len(), 2);
    assert_eq!((settings.lines[0].burst, settings.lines[0].secret_key.expose(), settings.lines[0].rate.is_some()), (3, "one", true));
}

#[test]
fn a_directory_is_read_by_name_and_ids_keep_their_case_and_dashes() {
    let given = files(&[
        ("10-lines.toml", LINE),
        ("20.toml", "[[connections]]\nid = \"shop\"\nplugin = \"generic\"\nlines = [\"sales-1\"]\n[connections.parameters]\nApi_Key = \"x\"\n"),
    ]);
    let sources = Sources { dirs: vec![given.dir.path().to_owned()], ..Sources::default() };
    let settings = load(&sources).unwrap();
    assert_eq!(settings.connections[0].parameters["Api_Key"].expose(), "x");
}

#[test]
fn references_are_followed_and_missing_ones_named() {
    let given = files(&[
        (
            "a.toml",
            "[[lines]]\nid = \"a\"\nsecret_key = \"env:KEY_A\"\nburst = \"env:BURST\"\nrate = \"6/min\"\n[[lines]]\nid = \"b\"\nsecret_key = \"file:b.key\"\n",
        ),
        ("b.key", "from-a-file\n"),
    ]);
    let settings = given.env("KEY_A", "00123").env("BURST", "4").load();
    assert_eq!((settings.lines[0].secret_key.expose(), settings.lines[0].burst), ("00123", 4));
    assert_eq!(settings.lines[1].secret_key.expose(), "from-a-file");

    let given = files(&[("a.toml", "[[lines]]\nid = \"a\"\nsecret_key = \"env:NOT_THERE\"\n")]);
    assert_eq!(given.problems(), ["a.toml:3: lines.a.secret_key: the environment variable NOT_THERE is not set"]);
}

#[test]
fn every_mistake_is_told_at_once_with_place_key_and_the_right_word() {
    let text = "[dialer]\ntimeuot = \"10s\"\nsettle = \"3 bananas\"\nretry_503 = \"maybe\"\n[serverr]\nx = 1\n[[lines]]\nid = \"sales-1\"\nsecret_key = 5\n\n[[connections]]\nid = \"shop\"\nplugin = \"p\"\nmode = \"tset\"\nhours = [\"Mon-Fri 08:00-17:00\", \"Mon\"]\nlines = \"sales-1\"\n";
    let problems = files(&[("a.toml", text)]).problems();
    let expected = [
        "a.toml:2: dialer.timeuot: unknown key; did you mean `timeout`?",
        "a.toml:3: dialer.settle: `3 bananas` is not a length of time; write a number and a unit, such as 500ms, 10s, 5m, 2h or 14d",
        "a.toml:4: dialer.retry_503: expected true or false",
        "a.toml:6: serverr: unknown key; did you mean `server`?",
        "a.toml:9: lines.sales-1.secret_key: expected text in quotes, found a number (texts need quotes)",
        "a.toml:14: connections.shop.mode: `tset` is not a choice here; did you mean `test`?",
    ];
    for line in expected {
        assert!(problems.iter().any(|p| p == line), "{line}\nnot in\n{}", problems.join("\n"));
    }
    assert!(problems.iter().any(|p| p.contains("connections.shop.lines: expected a list, found text")), "{}", problems.join("\n"));
    assert!(problems.iter().any(|p| p.contains("connections.shop.hours.1: `Mon` is not a calling window")), "{}", problems.join("\n"));
    assert_eq!(problems.len(), 8, "{}", problems.join("\n"));
}

#[test]
fn a_wrong_name_in_the_environment_is_named() {
    let given = files(&[]).env("CALLBRIDGE__SERVER__LISTENN", "x").env("CALLBRIDGE__LINES__A__RATE", "1/s").env("CALLBRIDGE__OUTBOUND__ALLOW_NETWORKS", "::1");
    let problems = given.problems().join("\n");
    assert!(problems.contains("environment variable CALLBRIDGE__SERVER__LISTENN: server.listenn: unknown key; did you mean `listen`?"), "{problems}");
    assert!(problems.contains("CALLBRIDGE__LINES__A__RATE: lines.a.rate: the environment reaches single values only"), "{problems}");
    assert!(problems.contains("outbound.allow_networks: the environment reaches single values only"), "{problems}");
}

#[test]
fn unreadable_files_are_named_with_the_line() {
    let problems = files(&[("a.toml", "[dialer]\ntimeout = \n")]).problems();
    assert!(problems[0].starts_with("a.toml:2: "), "{problems:?}");
    let problems = files(&[("a.toml", "[[lines]]\nsecret_key = \"x\"\n[[lines]]\nid = \"a\"\nsecret_key = \"y\"\n[[lines]]\nid = \"a\"\n")]).problems();
    assert_eq!(problems[0], "a.toml:1: lines: an entry of this list needs `id = \"…\"`");
    assert!(problems[1].starts_with("a.toml:6: lines: `a` is here twice"), "{problems:?}");
    assert!(problems[1].ends_with("a.toml:3); entries of one file need different ids"), "{problems:?}");
    let problems = load(&Sources { files: vec!["/nowhere/x.toml".into()], ..Sources::default() }).unwrap_err().to_string();
    assert!(
        problems.contains("/nowhere/x.toml: the settings file cannot be read: there is no such file or folder. `callbridge config example > /nowhere/x.toml`"),
        "{problems}"
    );
}

#[test]
fn names_that_must_exist_and_keys_that_must_differ() {
    let text = format!(
        "{LINE}[dialer]\nurl = \"https://api.example.vn/callone\"\n[[connections]]\nid = \"shop\"\nplugin = \"p\"\nlines = [\"sales-2\"]\nhook_key = \"0123456789abcdef\"\ntime_zone = \"Asia/Hanoi2\"\nbase_url = \"shop.example\"\n[[connections]]\nid = \"Lead\"\nplugin = \"p\"\nworkspace = \"acme\"\nhook_key = \"0123456789abcdef\"\ntest_phone = \"113\"\n"
    );
    let problems = files(&[("a.toml", &text)]).problems().join("\n");
    for part in [
        "a.toml:5: dialer.url: needs its slash at the end",
        "a.toml:9: connections.shop.lines: there is no line `sales-2`; did you mean `sales-1`?",
        "connections.shop.time_zone: `Asia/Hanoi2` is not a time zone",
        "connections.shop.base_url: is not a web address",
        "connections.Lead.id: must be 1 to 64 characters",
        "connections.Lead.workspace: there is no workspace `acme`",
        "is the same key as connections.",
        "connections.Lead.test_phone: service, emergency and short numbers are never dialled",
    ] {
        assert!(problems.contains(part), "{part}\nnot in\n{problems}");
    }
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let text = format!(
        "[server]\npublic_url = \"http://bridge.example.vn\"\n{LINE}[[connections]]\nid = \"shop\"\nplugin = \"p\"\nlines = [\"sales-1\"]\nhook_key = \"short\"\npurpose = \"advertising\"\nhours = [\"07:00-20:00\"]\nmax_per_number = \"off\"\n"
    );
    let found = files(&[("a.toml", &text)]).load().warnings;
    assert!(found.iter().any(|w| w.key == "connections.shop.purpose" && w.message.contains("ordinary SIM")), "{found:?}");
    let warnings: Vec<String> = found.iter().map(|w| w.key.clone()).collect();
    assert_eq!(
        warnings,
        ["server.public_url", "connections.shop.purpose", "connections.shop.hours", "connections.shop.max_per_number", "connections.shop.hook_key"]
    );
}

#[test]
fn hours_zones_and_holidays_that_cannot_be_meant_are_told() {
    let connection = |lines: &str| format!("[[connections]]\nid = \"c\"\nplugin = \"p\"\nhook_key = \"hook-key-0123456789\"\nmode = \"off\"\n{lines}\n");
    for (lines, part) in [
        ("hours = [\"Mon 17:00-08:00\"]", "ends before it begins"),
        ("hours = [\"Mo 08:00-17:00\"]", "is not a day of the week"),
        ("hours = [\"Mon 08:00-25:00\"]", "is not a calling window"),
        ("time_zone = \"Asia/Ho_Chi_Min\"", "did you mean `Asia/Ho_Chi_Minh`?"),
        ("time_zone = \"GMT+7\"", "`GMT+7` is not a time zone; write one such as Asia/Ho_Chi_Minh, which is +07:00; an offset has no name of its own"),
        ("max_per_number = \"3/40d\"", "31 days"),
        ("max_per_number = \"3 a day\"", "is not a rate"),
    ] {
        let problems = files(&[("a.toml", &connection(lines))]).problems().join("\n");
        assert!(problems.contains(part) && problems.contains("connections.c."), "{part}\nnot in\n{problems}");
    }
    let problems = files(&[("a.toml", "[calls]\nholidays = \"vietnm\"\n")]).problems().join("\n");
    assert!(problems.contains("calls.holidays") && problems.contains("is not a calendar"), "{problems}");
    let own = files(&[("a.toml", "[calls]\nholidays = \"file:own.days\"\n"), ("own.days", "[[holidays]]\ndays = \"2027-01-02..2027-01-03\"\n")]);
    assert_eq!(own.load().calls.holidays.days.len(), 1);
    let overlap = files(&[("a.toml", &connection("hours = [\"Mon-Fri 08:00-12:00\", \"Wed 11:00-13:00\"]"))]).load();
    assert!(overlap.warnings.iter().any(|w| w.key == "connections.c.hours" && w.message.contains("overlap")), "{:?}", overlap.warnings);
}

#[test]
fn each_of_several_bad_windows_is_told_by_its_own_place() {
    let connection = "[[connections]]\nid = \"c\"\nplugin = \"p\"\nmode = \"off\"\nhours = [\"x\", \"Mon 08:00-12:00\", \"y\", \"env:NOT_SET\", \"z\"]\n";
    let problems = files(&[("a.toml", connection)]).problems().join("\n");
    for key in ["hours.0: `x`", "hours.2: `y`", "hours.3: the environment variable NOT_SET", "hours.4: `z`"] {
        assert!(problems.contains(&format!("connections.c.{key}")), "{key}\nnot in\n{problems}");
    }
}

#[test]
fn settings_by_which_no_call_could_ever_go_are_told() {
    let with = |lines: &str, line_more: &str| {
        format!("{LINE}{line_more}[[connections]]\nid = \"c\"\nplugin = \"p\"\nlines = [\"sales-1\"]\nhook_key = \"hook-key-0123456789\"\n{lines}\n")
    };
    for (lines, part) in [
        ("max_age = \"0s\"", "c.max_age: must be more than zero"),
        ("expire_automation = \"0s\"", "c.expire_automation: must be more than zero"),
        ("after = [{ again = { in = \"2h\", times = 0 } }]", "c.after.0.again.times: must be 1 to 100"),
        ("after = [{}, { again = { in = \"2h\", times = 4000000 } }]", "c.after.1.again.times"),
        ("after = [{ again = { in = \"20d\" } }]", "c.after.0.again.in: is not shorter than `max_age`"),
    ] {
        let problems = files(&[("a.toml", &with(lines, ""))]).problems().join("\n");
        assert!(problems.contains(part), "{part}\nnot in\n{problems}");
    }
    let text = with("line_choice = \"owner\"\nafter = [{ set = { stage = \"won\" } }]", "monthly_quota = 0\n");
    let warnings: Vec<String> = files(&[("a.toml", &text)]).load().warnings.iter().map(|w| w.key.clone()).collect();
    for key in ["lines.sales-1.monthly_quota", "connections.c.line_choice", "connections.c.after.0.set"] {
        assert!(warnings.iter().any(|w| w == key), "{key} not in {warnings:?}");
    }
    let told = |lines: &str| files(&[("a.toml", &with(lines, ""))]).load().warnings.iter().any(|w| w.key == "connections.c.after.0.again.in");
    let rule = |purpose: &str, wait: &str| format!("purpose = \"{purpose}\"\nafter = [{{ again = {{ in = \"{wait}\" }} }}]");
    assert!(told(&rule("advertising", "2h")), "one call a day, and the next one is promised in two hours");
    assert!(!told(&rule("advertising", "24h")) && !told(&rule("care", "2h")) && !told(&format!("{}\nmax_per_number = \"3/24h\"", rule("advertising", "2h"))));
}

/// The warnings of one connection with these lines, and of a line with more.
fn warned(connection: &str, line: &str, rest: &str) -> Vec<String> {
    let text =
        format!("{LINE}{line}[[connections]]\nid = \"c\"\nplugin = \"p\"\nlines = [\"sales-1\"]\nhook_key = \"hook-key-0123456789\"\n{connection}\n{rest}");
    let files = files(&[("a.toml", &text)]);
    let prefix = format!("{}/", files.dir.path().display());
    files.load().warnings.iter().map(|warning| warning.to_string().replace(&prefix, "")).filter(|text| !text.contains(": server.public_url: ")).collect()
}

#[test]
fn what_does_nothing_or_more_than_was_meant_is_told_with_file_and_key() {
    for (connection, line, rest, part) in [
        ("owners = { 7 = \"sales-1\" }", "", "", "a.toml:9: connections.c.owners: has no effect without line_choice = \"owner\""),
        ("", "burst = 3\n", "", "a.toml:4: lines.sales-1.burst: has no effect without `rate`"),
        ("after = [{ interest = [\"interested\"] }]", "", "", "a.toml:9: connections.c.after.0: does nothing"),
        ("", "", "[[connections.after]]\n", "connections.c.after.0: does nothing"),
        ("after = [{ do_not_call = true }]", "", "", "connections.c.after.0.do_not_call: has neither `disposition` nor `interest`: everybody"),
        ("after = [{ again = { in = \"2h\" } }]", "", "", "connections.c.after.0.again: has neither `disposition` nor `interest`"),
        ("after = [{ disposition = [\"no_answer\"], again = { in = \"0s\" } }]", "", "", "connections.c.after.0.again.in: is zero"),
        (
            "after = [{ interest = [\"not_interested\"], again = { in = \"2h\" } }]\nlearn_do_not_call = true",
            "",
            "",
            "connections.c.after.0.again: never calls anybody: `learn_do_not_call`",
        ),
        ("expire_automation = \"30d\"", "", "", "connections.c.expire_automation: is 30d, but no call waits longer than `max_age` (14d)"),
        ("", "", "[[gateway_keys]]\nname = \"g\"\nkey = \"gateway-key-0123456\"\nlines = [\"sales-1\"]\nmax_queued = 0\n", "gateway_keys.g.max_queued: is 0"),
    ] {
        let warnings = warned(connection, line, rest);
        assert!(warnings.len() == 1 && warnings[0].contains(part), "{part}\nis not all of\n{}", warnings.join("\n"));
    }
    for (connection, line) in [
        ("owners = { 7 = \"sales-1\" }\nline_choice = \"owner\"", "rate = \"6/min\"\nburst = 3\n"),
        ("after = [{ disposition = [\"no_answer\"], again = { in = \"2h\" } }]\nwrite_back = [\"field\"]", "burst = 1\n"),
        ("after = [{ set = { seen = \"yes\" } }]\nwrite_back = [\"field\"]", ""),
    ] {
        assert_eq!(warned(connection, line, ""), Vec::<String>::new(), "{connection}");
    }
}

#[test]
fn a_calendar_without_days_or_of_a_year_that_is_over_is_told() {
    let told = |calendar: &str, days: &str, today: &str| {
        let text = format!("[calls]\nholidays = \"{calendar}\"\n");
        let mut given = files(&[("a.toml", &text), ("own.days", days)]);
        given.sources.today = Some(today.parse().unwrap());
        let warnings: Vec<String> = given.load().warnings.into_iter().filter(|w| w.key == "calls.holidays").map(|w| w.to_string()).collect();
        assert!(warnings.iter().all(|warning| warning.contains("a.toml:2: calls.holidays: ")), "{warnings:?}");
        warnings.concat()
    };
    let own = "[[holidays]]\ndays = \"2026-12-31\"\n";
    assert!(told("file:own.days", "# to be filled in\n", "2026-11-23").contains("names no day"));
    assert!(told("file:own.days", own, "2027-01-01").contains("the last day off is 2026-12-31, and it is 2027"));
    assert_eq!((told("file:own.days", own, "2026-12-31"), told("off", "", "2030-01-01"), told("vietnam", "", "2027-12-31")), Default::default());
    assert!(told("vietnam", "", "2040-01-01").contains("newer callbridge"));
}

#[test]
fn explain_tells_where_values_come_from_and_no_secret() {
    let given = files(&[("a.toml", &format!("{LINE}[store]\nurl = \"postgres://u:hidden@db/x\"\n[[connections]]\nid = \"c\"\nplugin = \"p\"\nhook_key = \"env:HOOK\"\n[connections.parameters]\nurl = \"hidden-too\"\n"))])
        .env("CALLBRIDGE__DIALER__TIMEOUT", "7s");
    let rows = explain(&given.sources).unwrap();
    let row = |key: &str| rows.iter().find(|row| row.key == key).map(|row| (row.value.as_str(), row.from.rsplit('/').next().unwrap()));
    assert_eq!(row("dialer.timeout"), Some(("\"7s\"", "environment variable CALLBRIDGE__DIALER__TIMEOUT")));
    assert_eq!(row("dialer.settle"), Some(("\"3s\"", "built in")));
    assert_eq!(row("lines.sales-1.secret_key"), Some(("[secret]", "a.toml:3")));
    assert_eq!(row("connections.c.hook_key"), Some(("\"env:HOOK\"", "a.toml:9")));
    let all = format!("{rows:?}");
    assert!(!all.contains("hidden") && !all.contains("key-of-sales"), "{all}");
}

#[test]
fn settings_are_printed_without_secrets() {
    let settings = files(&[("a.toml", LINE)]).load();
    let printed = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
    assert!(!printed.contains("key-of-sales-1"));
    assert_eq!(settings.secret_values(), ["key-of-sales-1"]);
}

#[test]
fn a_secret_that_is_not_set_is_one_problem_and_the_store_is_known_all_the_same() {
    let text = format!(
        "[store]\npath = \"/var/lib/bridge\"\n{}rate = \"env:NO_RATE\"\n[[connections]]\nid = \"shop\"\nplugin = \"generic\"\nhook_key = \"env:NO_HOOK\"\nbase_url = \"env:NO_BASE\"\nlines = [\"sales-1\"]\n",
        LINE.replace("key-of-sales-1", "env:NO_KEY")
    );
    let files = files(&[("c.toml", &text)]);
    let problems = files.problems();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.contains("is not set")), "{problems:#?}");
    assert_eq!(store(&files.sources).unwrap().path, PathBuf::from("/var/lib/bridge"));
}
