//! Answers of a CRM that say nothing: a maintenance page with 200, a correction without an answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::id::CallId;
use callbridge::domain::write_back::Status;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use serde_json::json;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd};
use super::wire;

const KEY: &str = "hook-key-of-the-unclear";
const RECEIVE: &str = r#"
[[receive]]
name = "one"

[receive.map]
record_type = "customer"
record_id = "$.id"
phone = "$.phone"

"#;
const PAGE: &str = "<html>We are back soon</html>";

/// A CRM that answers these to `METHOD /path` in turn, and then the last of them.
async fn crm(answers: &[(&'static str, &[(u16, &'static str)])]) -> FarEnd {
    let scripts: Vec<_> = answers.iter().map(|(line, all)| (*line, Mutex::new(all.iter().copied().collect::<VecDeque<_>>()))).collect();
    let scripts = Arc::new(scripts);
    FarEnd::start(move |request| {
        let line = format!("{} {}", request.method, request.path());
        let Some((_, script)) = scripts.iter().find(|(wanted, _)| *wanted == line) else { return (404, "{}".to_owned()) };
        let mut script = script.lock().unwrap();
        let (status, body) = if script.len() > 1 { script.pop_front() } else { script.front().copied() }.unwrap();
        (status, body.to_owned())
    })
    .await
}

/// A right that is missing is an admin's matter: the wish waits for it.
#[tokio::test]
async fn a_look_up_that_is_forbidden_waits_for_the_admin() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("GET /customers/91", &[(403, "{}"), (200, r#"{"phone": "0912345678"}"#)])]).await;
    let lookup = "[[lookup]]\nname = \"customer\"\npath = \"/customers/{{url record.id}}\"\n[lookup.map]\nphone = \"$.phone\"\n";
    let f = bridge(dir.path(), &crm, lookup).await;
    let answer = wire::post(&f.address, &format!("/hooks/unclear/{KEY}"), &["Content-Type: application/json"], br#"{"id": "91"}"#).await;
    assert_eq!(answer.status, 202);
    f.until("it was refused once", |_| (crm.requests().len() == 1).then_some(())).await;
    assert!(f.calls().is_empty());
    f.advance(Duration::from_secs(600)).await;
    f.until("a call", |f| f.calls().first().map(|call| call.id)).await;
    f.finish().await;
}

async fn bridge(dir: &std::path::Path, crm: &FarEnd, write_back: &str) -> Fixture {
    far_end::plugin(dir, "unclear", &[RECEIVE, write_back].concat());
    let connection = connection("unclear", "unclear", KEY, &[("site", &crm.url())]);
    let setup = Setup::new(Mood::Answers).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

/// Long enough for whatever waits.
async fn hours(f: &Fixture) {
    for _ in 0..4 {
        f.run_due().await;
        f.advance(Duration::from_secs(3600)).await;
    }
}

async fn called(f: &Fixture) -> CallId {
    let body = json!({"id": "91", "phone": "0912345678"}).to_string();
    let answer = wire::post(&f.address, &format!("/hooks/unclear/{KEY}"), &["Content-Type: application/json"], body.as_bytes()).await;
    assert_eq!(answer.status, 202);
    let id = f.until("a call", |f| f.calls().first().map(|call| call.id)).await;
    f.reaches(id, State::Ended).await;
    id
}

#[tokio::test]
async fn a_maintenance_page_is_no_empty_field() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("GET /customers/91", &[(200, PAGE), (200, r#"{"comments": "OLD HISTORY"}"#)]), ("PUT /customers/91", &[(200, "{}")])]).await;
    let f = bridge(
        dir.path(),
        &crm,
        r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Comments" }
identity = "marker"
[[write_back.note.create]]
name = "read"
path = "/customers/{{url record.id}}"
store = { old = ["$.comments", ""] }
done_if = [{ value = "{{steps.read.old}}", op = "contains", to = "{{call.id}}" }]
[[write_back.note.create]]
name = "append"
method = "PUT"
path = "/customers/{{url record.id}}"
json = { comments = "{{steps.read.old}} {{call.id}}" }
"#,
    )
    .await;
    let id = called(&f).await;
    f.until("the page was read", |f| f.attempts(id).into_iter().find(|a| a.class == "unreadable")).await;
    assert_eq!(crm.lines(), ["GET /customers/91"], "nothing is written over what was not read");
    f.advance(Duration::from_secs(600)).await;
    f.logged(id).await;
    let written = crm.requests().into_iter().find(|request| request.method == "PUT").unwrap().json();
    assert!(written["comments"].as_str().unwrap().starts_with("OLD HISTORY"), "{written}");
    f.finish().await;
}

#[tokio::test]
async fn a_maintenance_page_does_not_say_that_there_is_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("POST /notes", &[(500, "{}"), (201, r#"{"id": "2"}"#)]), ("GET /notes", &[(200, PAGE), (200, r#"{"id": "1"}"#)])]).await;
    let f = bridge(
        dir.path(),
        &crm,
        r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "searchable"
[[write_back.note.create]]
name = "create"
method = "POST"
path = "/notes"
json = { call = "{{call.id}}" }
store = { id = "$.id" }
[write_back.note.find]
path = "/notes"
id = "$.id"
"#,
    )
    .await;
    let id = called(&f).await;
    hours(&f).await;
    f.logged(id).await;
    assert_eq!(crm.lines(), ["POST /notes", "GET /notes", "GET /notes"]);
    f.finish().await;
}

/// A kind with one creating step, of this identity.
fn created(identity: &str) -> String {
    let find = if identity == "searchable" { "find = { path = \"/notes\", id = \"$.id\" }" } else { "" };
    format!(
        r#"
[write_back.note]
title = {{ vi = "Ghi chú", en = "Note" }}
identity = "{identity}"
{find}
[[write_back.note.create]]
name = "create"
path = "/notes"
json = {{ call = "{{{{call.id}}}}" }}
store = {{ id = "$.id" }}
"#
    )
}

#[tokio::test]
async fn a_maintenance_page_is_no_entry_that_was_made() {
    for page in [PAGE, r#"{"status": "maintenance"}"#] {
        for (found, lines) in [("{}", vec!["POST /notes", "GET /notes", "POST /notes"]), (r#"{"id": "1"}"#, vec!["POST /notes", "GET /notes"])] {
            let dir = tempfile::tempdir().unwrap();
            let answers = vec![(200, page), (201, r#"{"id": "2"}"#)].leak();
            let crm = crm(&[("POST /notes", answers), ("GET /notes", vec![(200, found)].leak())]).await;
            let f = bridge(dir.path(), &crm, &created("searchable")).await;
            let id = called(&f).await;
            f.until("the page was read", |f| f.attempts(id).into_iter().find(|a| a.class == "unreadable")).await;
            let alerts = f.alerts();
            assert!(alerts.iter().any(|alert| alert.is_open() && alert.code == Code::ConnectionFailing), "{alerts:?}");
            hours(&f).await;
            f.logged(id).await;
            assert_eq!(crm.lines(), lines);
            assert!(f.alerts().iter().all(|alert| !alert.is_open()));
            f.finish().await;
        }
    }
}

/// We chose the id, so nothing of the answer is kept; a page is no success all the same, also for the step behind it.
#[tokio::test]
async fn a_page_is_no_success_where_nothing_is_kept_of_it() {
    const KIND: &str = r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "client_id"
[[write_back.note.create]]
name = "create"
path = "/notes"
json = { id = "{{uuid call.id}}" }
store = { id = "{{uuid call.id}}" }
[[write_back.note.create]]
name = "link"
path = "/links"
json = { id = "{{uuid call.id}}" }
"#;
    for page in [PAGE, "\r\n<!DOCTYPE HTML><title>Login</title>"] {
        let dir = tempfile::tempdir().unwrap();
        let crm = crm(&[("POST /notes", vec![(200, page), (200, "OK")].leak()), ("POST /links", vec![(200, page), (204, "")].leak())]).await;
        let f = bridge(dir.path(), &crm, KIND).await;
        let id = called(&f).await;
        f.until("the page was read", |f| f.attempts(id).into_iter().find(|a| a.class == "unreadable")).await;
        hours(&f).await;
        f.logged(id).await;
        assert_eq!(crm.lines(), ["POST /notes", "POST /notes", "POST /links", "POST /links"]);
        f.finish().await;
    }
    // The manifest may say that a page is this CRM's way.
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("POST /notes", &[(200, PAGE)]), ("POST /links", &[(200, PAGE)])]).await;
    let f = bridge(dir.path(), &crm, &[KIND, "[[responses]]\nstatus = [200]\nclass = \"done\"\n"].concat()).await;
    let id = called(&f).await;
    hours(&f).await;
    f.logged(id).await;
    assert_eq!(crm.lines(), ["POST /notes", "POST /links"]);
    f.finish().await;
}

/// Nothing can be looked for: a person looks.
#[tokio::test]
async fn a_maintenance_page_where_nothing_can_be_looked_for_is_told_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("POST /notes", &[(200, PAGE), (201, r#"{"id": "2"}"#)])]).await;
    let f = bridge(dir.path(), &crm, &created("none")).await;
    let id = called(&f).await;
    f.until("it is given up", |f| f.calls().first().filter(|call| call.write_back.status == Status::Failed).cloned()).await;
    hours(&f).await;
    let failed = f.calls().remove(0).write_back.kinds["note"].failed.clone().unwrap();
    assert!(failed.contains("200") && crm.lines() == ["POST /notes"], "{failed} {:?}", crm.lines());
    assert!(f.alerts().iter().any(|alert| alert.is_open() && alert.code == Code::ConnectionFailing));
    assert_eq!(f.attempts(id).last().map(|attempt| attempt.class.clone()).as_deref(), Some("unreadable"));
    f.finish().await;
}

/// What the CRM calls done without a word is done.
#[tokio::test]
async fn a_success_without_a_word_is_a_success() {
    for (identity, status) in [("searchable", 204), ("none", 204), ("searchable", 201)] {
        let dir = tempfile::tempdir().unwrap();
        let crm = crm(&[("POST /notes", vec![(status, "")].leak()), ("GET /notes", &[(200, "{}")])]).await;
        let f = bridge(dir.path(), &crm, &created(identity)).await;
        let id = called(&f).await;
        hours(&f).await;
        f.logged(id).await;
        assert_eq!(crm.lines(), ["POST /notes"], "{identity} {status}");
        f.finish().await;
    }
}

#[tokio::test]
async fn a_correction_without_an_answer_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[("POST /notes", &[(201, r#"{"id": "1"}"#)]), ("POST /corrections", &[(502, ""), (201, "{}")])]).await;
    let f = bridge(
        dir.path(),
        &crm,
        r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "none"
[[write_back.note.create]]
name = "create"
method = "POST"
path = "/notes"
json = { call = "{{call.id}}" }
store = { id = "$.id" }
[[write_back.note.correction]]
name = "more"
method = "POST"
path = "/corrections"
json = { call = "{{call.id}}" }
"#,
    )
    .await;
    let id = called(&f).await;
    f.logged(id).await;
    assert_eq!(f.report(id, &json!({"CallDetail": {"AnswerDuration": 9, "CallDuration": 12, "ResponseStatus": 1, "Notes": "late"}})).await.status, 200);
    hours(&f).await;
    f.logged(id).await;
    assert_eq!(crm.lines(), ["POST /notes", "POST /corrections"]);
    f.finish().await;
}

const CORRECTED: &str = r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "searchable"
find = { path = "/notes", id = "$.id" }
correction_find = { path = "/corrections/{{url entry.correction}}", id = "$.id", wait = "10s" }
[[write_back.note.create]]
name = "create"
path = "/notes"
json = { call = "{{call.id}}" }
store = { id = "$.id" }
[[write_back.note.correction]]
name = "more"
path = "/corrections"
json = { call = "{{call.id}}", mark = "{{entry.correction}}" }
"#;

async fn reported_again(f: &Fixture, id: CallId) {
    f.logged(id).await;
    assert_eq!(f.report(id, &json!({"CallDetail": {"AnswerDuration": 9, "CallDuration": 12, "ResponseStatus": 1, "Notes": "late"}})).await.status, 200);
}

fn search_for(id: CallId) -> String {
    let id = id.to_string();
    format!("GET /corrections/%5Bcb-{}-note-2%5D", &id[id.len() - 10..])
}

/// A CRM whose search for a correction gives these answers in turn.
async fn corrected(creates: &'static [(u16, &'static str)], finds: &'static [(u16, &'static str)]) -> FarEnd {
    let turn = Arc::new((Mutex::new(creates.iter()), Mutex::new(finds.iter())));
    FarEnd::start(move |request| {
        let (status, body) = match (request.method.as_str(), request.path()) {
            ("POST", "/corrections") => *turn.0.lock().unwrap().next().unwrap_or(&(201, "{}")),
            ("GET", path) if path.starts_with("/corrections/") => *turn.1.lock().unwrap().next().unwrap_or(&(404, "{}")),
            _ => (201, r#"{"id": "1"}"#),
        };
        (status, body.to_owned())
    })
    .await
}

#[tokio::test]
async fn a_correction_without_an_answer_is_looked_for_and_sent_again_only_if_it_is_not_there() {
    for (finds, sent) in [(&[(200, r#"{"id": "7"}"#)], 1), (&[(200, "{}")], 2)] {
        let dir = tempfile::tempdir().unwrap();
        let crm = corrected(&[(502, "")], finds).await;
        let f = bridge(dir.path(), &crm, CORRECTED).await;
        let id = called(&f).await;
        reported_again(&f, id).await;
        hours(&f).await;
        f.logged(id).await;
        let mut lines = vec!["POST /notes".to_owned(), "POST /corrections".to_owned(), search_for(id)];
        lines.resize(lines.len() + sent - 1, "POST /corrections".to_owned());
        assert_eq!(crm.lines(), lines);
        f.finish().await;
    }
}

/// A process that ended may have sent it.
#[tokio::test]
async fn a_correction_that_an_earlier_process_may_have_sent_is_looked_for_not_before_the_search_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let crm = corrected(&[], &[(200, r#"{"id": "7"}"#)]).await;
    let mut f = bridge(dir.path(), &crm, CORRECTED).await;
    let id = called(&f).await;
    reported_again(&f, id).await;
    f.restart().await;
    f.advance(Duration::from_secs(9)).await;
    assert_eq!(crm.lines(), ["POST /notes"]);
    f.advance(Duration::from_secs(5)).await;
    f.logged(id).await;
    assert_eq!(crm.lines(), ["POST /notes".to_owned(), search_for(id)]);
    f.finish().await;
}

/// A second report comes between the crash and the next run: the first kind has work of its own then, and the doubt about the second remains.
#[tokio::test]
async fn what_may_have_been_sent_is_remembered_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(&[
        ("POST /logs", &[(201, r#"{"id": "1"}"#)]),
        ("PATCH /logs/1", &[(200, "{}")]),
        ("POST /notes", &[(429, "{}")]),
        ("GET /notes", &[(200, r#"{"id": "2"}"#)]),
        ("PATCH /notes/2", &[(200, "{}")]),
    ])
    .await;
    let kind = |name: &str, path: &str| {
        format!(
            r#"
[write_back.{name}]
title = {{ vi = "Mục", en = "Entry" }}
identity = "searchable"
find = {{ path = "/{path}", id = "$.id" }}
[[write_back.{name}.create]]
name = "create"
path = "/{path}"
json = {{ call = "{{{{call.id}}}}" }}
store = {{ id = "$.id" }}
[[write_back.{name}.update]]
name = "update"
method = "PATCH"
path = "/{path}/{{{{url entry.id}}}}"
json = {{ call = "{{{{call.id}}}}" }}
"#
        )
    };
    let mut f = bridge(dir.path(), &crm, &[kind("call", "logs"), kind("note", "notes")].concat()).await;
    let id = called(&f).await;
    f.until("the note was refused for now", |_| (crm.requests().len() == 2).then_some(())).await;
    f.restart().await;
    assert_eq!(f.report(id, &json!({"CallDetail": {"AnswerDuration": 9, "CallDuration": 12, "ResponseStatus": 1, "Notes": "late"}})).await.status, 200);
    hours(&f).await;
    f.logged(id).await;
    assert_eq!(crm.lines(), ["POST /logs", "POST /notes", "PATCH /logs/1", "GET /notes", "PATCH /notes/2"]);
    f.finish().await;
}
