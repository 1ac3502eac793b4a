//! What a plugin says about an answer of its CRM reaches the admin, in the connection's language: of look-ups, polls, subscriptions and logins.

use callbridge::domain::connection::Language;
use callbridge::domain::item::Outcome;
use callbridge::simulator::mood::Mood;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd};
use super::wire;

const KEY: &str = "hook-key-of-the-spoken";
const MANIFEST: &str = r#"
[[responses]]
status = [403]
class = "give_up"
say = { vi = "Tài khoản thiếu quyền", en = "The account lacks a right" }

[[poll]]
name = "leads"
variant = "one"
every = "1m"
path = "/all"
items = "$[*]"

[[subscribe]]
name = "hooks"
title = { vi = "Lead", en = "Leads" }

[subscribe.create]
path = "/hooks"
json = { url = "{{hook.url}}" }
store = { id = "$.id" }
"#;

async fn bridge(dir: &std::path::Path, crm: &FarEnd, language: Language) -> Fixture {
    far_end::plugin(dir, "spoken", &[MANIFEST, far_end::ONE, far_end::LOOKUP].concat());
    let mut connection = connection("spoken", "spoken", KEY, &[("site", &crm.url())]);
    connection.language = language;
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

async fn is_said(language: Language, sentence: &str) {
    let dir = tempfile::tempdir().unwrap();
    let crm = FarEnd::start(|_| (403, r#"{"code": "NO_RIGHT"}"#.to_owned())).await;
    let f = bridge(dir.path(), &crm, language).await;
    let answer = wire::post(&f.address, &format!("/hooks/spoken/{KEY}"), &["Content-Type: application/json"], br#"{"id": "7"}"#).await;
    assert_eq!(answer.status, 202);
    let outcomes = f.outcomes().await;
    assert!(matches!(&outcomes[..], [Outcome::Failed { detail, .. }] if detail == sentence), "{outcomes:?}");
    f.run_due().await;
    for source in f.sources() {
        assert_eq!(source.problem.as_deref(), Some(sentence), "{:?}", source.key);
    }
    assert_eq!(f.sources().len(), 2);
    f.finish().await;
}

#[tokio::test]
async fn a_vietnamese_admin_reads_vietnamese() {
    is_said(Language::Vi, "Tài khoản thiếu quyền").await;
}

#[tokio::test]
async fn an_english_one_reads_english() {
    is_said(Language::En, "The account lacks a right").await;
}
