//! What a case can expect beside an outcome: a quiet time, priority, consent, a refusal, an answer that says nothing.

use crate::plugin::Plugin;
use crate::plugin::load::load;

const MANIFEST: &str = r#"
spec = 1
id = "expects"
name = "Expects"
[[parameters]]
id = "site"
title = { vi = "Địa chỉ", en = "Address" }
[bases.api]
url = "{{param.site}}"
allow_hosts = ["*"]
[[receive]]
name = "one"
[receive.map]
record_type = "$.type"
record_id = "$.id"
phone = "$.phone"
consent = "$.consent"
priority = [{ value = "interactive", if = [{ value = "$.priority", to = "interactive" }] }, "automation"]
[receive.loop_guard]
quiet = "2m"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "client_id"
[[write_back.note.create]]
name = "create"
path = "/notes"
body = "note.json.hbs"
store = { id = "{{uuid call.id}}" }
"#;
const NOTE: &str = r#"{ "of": {{json (int record.id)}} }"#;
const CASE: &str = r#"
title = "A wish, its echo, a press"
clock = "2026-11-22T03:20:30Z"
later = "1m"
[parameters]
site = "https://crm.example.vn"
[expect]
outcomes = ["called", "ignored:own_write", "called"]
priority = "automation"
consent = true
"#;
const REPORT: &str = r#"{"CallDetail": {"AnswerDuration": 74, "CallDuration": 80, "ResponseStatus": 1}}"#;
const WRITE: &str = ">>>\nPOST /notes HTTP/1.1\n\n{\"of\": 7}\n<<<\nHTTP/1.1 204 No Content\n";

fn webhook(kind: &str, id: &str, more: &str) -> String {
    format!(
        "POST /hooks/a/b HTTP/1.1\nHost: bridge.example.vn\nContent-Type: application/json\n\n{{\"type\": \"{kind}\", \"id\": \"{id}\", \"phone\": \"0912345678\"{more}}}"
    )
}

fn plugin(note: &str, files: &[(&str, &str)]) -> Plugin {
    let manifest = [("plugin.toml".to_owned(), MANIFEST.as_bytes().to_vec()), ("templates/note.json.hbs".to_owned(), note.as_bytes().to_vec())];
    let case = files.iter().map(|(name, text)| (format!("cases/one/{name}"), text.as_bytes().to_vec()));
    load("expects", manifest.into_iter().chain(case).collect()).unwrap()
}

/// The mismatches of a case with these files; its first delivery is one of lead 7 with consent.
fn mismatches(case: &str, files: &[(&str, &str)]) -> Vec<String> {
    let first = webhook("lead", "7", ", \"consent\": true");
    let mut all = vec![("case.toml", case), ("1-webhook.http", first.as_str())];
    all.extend_from_slice(files);
    let plugin = plugin(NOTE, &all);
    plugin.run_case(&plugin.case("one").unwrap()).mismatches
}

#[test]
fn what_we_wrote_makes_its_record_quiet_and_what_is_pressed_is_a_wish() {
    let (echo, press) = (webhook("lead", "7", ", \"noted\": 1"), webhook("lead", "7", ", \"priority\": \"interactive\""));
    let written = [("4-report.json", REPORT), ("5-write-back.http", WRITE)];
    let run = |case: &str, echo: &str| mismatches(case, &[&written[..], &[("6-webhook.http", echo), ("7-webhook.http", press.as_str())]].concat());
    assert_eq!(run(CASE, &echo), Vec::<String>::new());
    let called = ["expected called, ignored:own_write, called, found called, called, called"];
    assert_eq!(run(CASE, &webhook("deal", "7", ", \"noted\": 1")), called, "another record");
    assert_eq!(run(&CASE.replace("1m", "121s"), &echo), called, "later than the quiet time");
    assert_eq!(run(CASE, &webhook("lead", "7", ", \"priority\": \"interactive\", \"n\": 1")), called, "pressed");
    // Nothing was written yet.
    let before = mismatches(CASE, &[&written[..], &[("2-webhook.http", echo.as_str()), ("3-webhook.http", press.as_str())]].concat());
    assert_eq!(before, called);
}

#[test]
fn priority_and_consent_are_those_of_the_first_that_is_called() {
    let case = CASE.replace(r#", "ignored:own_write", "called""#, "");
    assert_eq!(mismatches(&case, &[]), Vec::<String>::new());
    let wrong = case.replace("\"automation\"", "\"interactive\"").replace("consent = true", "consent = false");
    assert_eq!(mismatches(&wrong, &[]), [r#"expected the priority "interactive", found "automation""#, "expected the consent false, found true"]);
}

#[test]
fn a_refusal_of_a_template_is_expected_or_a_fault() {
    let case = CASE.replace(r#", "ignored:own_write", "called""#, "").replace("consent = true", "");
    let name = webhook("lead", "seven", "");
    let run = |case: &str, delivery: &str, files: &[(&str, &str)]| {
        let plugin = plugin(NOTE, &[&[("case.toml", case), ("1-webhook.http", delivery), ("4-report.json", REPORT)], files].concat());
        plugin.run_case(&plugin.case("one").unwrap()).mismatches
    };
    let found = run(&case, &name, &[("5-write-back.http", "")]);
    assert!(found.len() == 1 && found[0].contains("`seven` is not an integer"), "{found:?}");
    let expected = format!("{case}fault = \"is not an integer\"\n");
    assert_eq!(run(&expected, &name, &[("5-write-back.http", "")]), Vec::<String>::new());
    let right = webhook("lead", "7", "");
    assert_eq!(run(&expected, &right, &[("5-write-back.http", WRITE)]), ["no template and no mapping refused with `is not an integer`"]);
}

#[test]
fn a_page_is_read_as_no_success_and_the_step_is_made_again() {
    let case = CASE.replace(r#", "ignored:own_write", "called""#, "");
    let page = WRITE.replace("HTTP/1.1 204 No Content\n", "HTTP/1.1 200 OK\nContent-Type: text/html; charset=utf-8\n\n<body>We are back soon</body>\n");
    let run = |write: &str| mismatches(&case, &[("4-report.json", REPORT), ("5-write-back.http", write)]);
    assert_eq!(run(&[&page.replace("<<<\n", "<<< unreadable\n"), "===\n", WRITE].concat()), Vec::<String>::new());
    let found = run(&page);
    assert!(found.iter().any(|m| m.contains("is a web page")), "{found:?}");
    // PHP calls every text HTML.
    assert_eq!(run(&page.replace("<body>We are back soon</body>", "OK")), Vec::<String>::new());
    assert!(run(&WRITE.replace("<<<\n", "<<< unreadable\n")).iter().any(|m| m.contains("the case says unreadable")), "a success is no page");
}

#[test]
fn what_stands_without_quotes_is_told_with_its_file_and_line() {
    let warned = |note: &str| plugin(note, &[]).warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warned(NOTE), Vec::<String>::new());
    let found = warned("{\n  \"of\": {{record.id}}\n}");
    assert!(found.iter().any(|w| w.starts_with("templates/note.json.hbs:2") && w.contains("{{json (int record.id)}}")), "{found:?}");
}

#[test]
fn a_step_that_changes_another_record_says_which() {
    let whole = |path: &str, more: &str, guard: &str| {
        let manifest = MANIFEST
            .replace("priority = [", "name = \"$.name\"\npriority = [")
            .replace("[receive.loop_guard]\nquiet = \"2m\"", guard)
            .replace("name = \"one\"", "name = \"one\"\nkeep = { customer = \"$.customer\" }")
            .replace("path = \"/notes\"", &format!("path = \"{path}\"\n{more}"));
        let files = [("plugin.toml".to_owned(), manifest.into_bytes()), ("templates/note.json.hbs".to_owned(), NOTE.as_bytes().to_vec())];
        match load("expects", files.into_iter().collect()) {
            Ok(plugin) => plugin.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        }
    };
    let (guard, customer) = ("[receive.loop_guard]\nquiet = \"2m\"", "/customers/{{url event.customer}}");
    let writes = "writes = [{ type = \"customer\", id = \"{{event.customer}}\" }, { type = \"shop\", id = \"$.event.customer\" }]";
    assert_eq!(whole(customer, writes, guard), "");
    let said = whole(customer, "", guard);
    assert!(said.contains("`writes = { type"), "{said}");
    assert_eq!(whole("/leads/{{url record.id}}/{{url event.customer}}", "", guard), "", "the record itself");
    assert_eq!(whole(customer, "", ""), "", "nothing is quiet there");
    let said = whole(customer, writes, "");
    assert!(said.contains("no variant has a `quiet` time"), "{said}");
    let said = whole(customer, &writes.replace("event.customer}}", "event.custmer}}"), guard);
    assert!(said.contains("did you mean `customer`?"), "{said}");
    let said = whole(customer, &writes.replace("$.event.customer", "$.event.custmer"), guard);
    assert!(said.contains("custmer"), "{said}");
    let said = whole(customer, &format!("reads = true\n{writes}"), guard);
    assert!(said.contains("only reads"), "{said}");
}
