//! Transcripts of subscriptions: what is asked, in which order, what is kept, and what no case shows.

use super::{MANIFEST, NOTE, folder};
use crate::plugin::Plugin;
use crate::plugin::load::load;

const SUBSCRIBE: &str = r#"
[[subscribe]]
name = "all"
title = { vi = "Tất cả", en = "All" }
secret = "hex"
[subscribe.find]
path = "/hooks"
items = "$.data[*]"
match = [{ value = "$.url", to = "{{hook.url}}" }]
store = { id = "$.id" }
[subscribe.create]
path = "/hooks"
json = { url = "{{hook.url}}", key = "{{subscription.all.secret}}" }
store = { id = "$.id", expires_in = ["$.lives", ""] }
[subscribe.delete]
method = "DELETE"
path = "/hooks/{{url subscription.all.id}}"
"#;
const HEAD: &str = "title = \"t\"\nclock = \"2026-11-22T03:20:30Z\"\n";
const PARAMS: &str = "[parameters]\nsite = \"https://crm.example.vn\"\ntoken = \"t\"\n";
const NONE: &str = ">>>\nGET /api/hooks HTTP/1.1\n<<<\nHTTP/1.1 200 OK\n\n{\"data\": []}\n===\n";
const OURS: &str = ">>>\nGET /api/hooks HTTP/1.1\n<<<\nHTTP/1.1 200 OK\n\n{\"data\": [{\"id\": 1, \"url\": \"https://else.vn\"}, {\"id\": 5, \"url\": \"https://bridge.example.vn/hooks/case/key\"}]}\n===\n";
const LOST: &str =
    ">>>\nPOST /api/hooks HTTP/1.1\n\n{\"url\": \"https://bridge.example.vn/hooks/case/key\", \"key\": \"*\"}\n<<< retry\nHTTP/1.1 502 Bad Gateway\n===\n";
const DELETE: &str = ">>>\nDELETE /api/hooks/5 HTTP/1.1\n<<<\nHTTP/1.1 204 No Content\n===\n";

/// A making that is answered.
fn made() -> String {
    let key = "0".repeat(64);
    format!(
        ">>>\nPOST /api/hooks HTTP/1.1\nHost: crm.example.vn\nAuthorization: Bearer t\n\n{{\"url\": \"https://bridge.example.vn/hooks/case/key\", \"key\": \"{key}\"}}\n<<<\nHTTP/1.1 201 Created\n\n{{\"id\": 5, \"lives\": 60}}\n===\n"
    )
}

fn plugin(case: &str, pairs: &str) -> Plugin {
    let mut files = folder(&format!("{MANIFEST}\n{SUBSCRIBE}"), NOTE);
    files.insert("cases/one/case.toml".to_owned(), case.as_bytes().to_vec());
    files.insert("cases/one/0-subscribe.http".to_owned(), pairs.as_bytes().to_vec());
    load("sample", files).unwrap()
}

/// What does not hold of a case that does `deeds` and ends so.
fn faults(deeds: &str, expect: &str, pairs: &[&str]) -> Vec<String> {
    let plugin = plugin(&format!("{HEAD}subscribe = {deeds}\n{PARAMS}\n[expect]\n{expect}"), &pairs.concat());
    plugin.run_case(&plugin.case("one").unwrap()).mismatches
}

const NOTHING_WRONG: Vec<String> = Vec::new();

#[test]
fn a_subscription_is_made_looked_after_and_deleted() {
    let kept = "outcome = \"subscribed\"\n[expect.subscription.all]\nid = \"5\"\nexpires_in = \"60\"\nends_at = \"2026-11-22T03:21:30Z\"\n";
    assert_eq!(faults("[\"make\"]", kept, &[NONE, &made()]), NOTHING_WRONG);
    assert_eq!(faults("[\"make\", \"check\"]", kept, &[NONE, &made(), OURS]), NOTHING_WRONG);
    assert_eq!(faults("[\"make\", \"delete\"]", "outcome = \"unsubscribed\"\n[expect.subscription.all]\n", &[NONE, &made(), DELETE]), NOTHING_WRONG);
    // No longer in the list, it is made again; without a request that renews, renewing is making it anew.
    assert_eq!(faults("[\"make\", \"check\"]", kept, &[NONE, &made(), NONE, NONE, &made()]), NOTHING_WRONG);
    assert_eq!(faults("[\"make\", \"renew\"]", kept, &[NONE, &made(), DELETE, NONE, &made()]), NOTHING_WRONG);
    // One of another time is deleted; one of a request whose answer was lost is taken.
    assert_eq!(faults("[\"make\"]", kept, &[OURS, DELETE, &made()]), NOTHING_WRONG);
    assert_eq!(faults("[\"make\", \"make\"]", "outcome = \"subscribed\"", &[NONE, LOST, OURS]), NOTHING_WRONG);
    assert_eq!(faults("[\"make\"]", "outcome = \"waiting\"", &[NONE, LOST]), NOTHING_WRONG);
}

#[test]
fn a_wrong_transcript_says_where() {
    let first = |faults: Vec<String>| faults.join(" · ");
    let other_id = first(faults("[\"make\"]", "outcome = \"subscribed\"\n[expect.subscription.all]\nid = \"6\"\n", &[NONE, &made()]));
    assert!(other_id.contains("of the subscription `all` is kept"), "{other_id}");
    let unasked = first(faults("[\"make\"]", "outcome = \"subscribed\"", &[&made()]));
    assert!(unasked.contains("subscribe `all` find: expected POST /api/hooks, found GET /api/hooks"), "{unasked}");
    let left = first(faults("[\"make\"]", "outcome = \"subscribed\"", &[NONE, &made(), DELETE]));
    assert!(left.contains("0-subscribe.http: 1 request(s) of the subscriptions were not made"), "{left}");
    let class = first(faults("[\"make\"]", "outcome = \"subscribed\"", &[NONE, &LOST.replace("<<< retry", "<<<")]));
    assert!(class.contains("is read as retry") && class.contains("expected subscribed, found waiting"), "{class}");
}

#[test]
fn a_request_of_a_subscription_without_a_case_is_a_gap() {
    let gaps = |deeds: &str, pairs: &[&str]| {
        let plugin = plugin(&format!("{HEAD}subscribe = {deeds}\n{PARAMS}\n[expect]\noutcome = \"subscribed\""), &pairs.concat());
        plugin.gaps().iter().map(ToString::to_string).filter(|gap| gap.contains("subscribe")).collect::<Vec<_>>()
    };
    let made_only = gaps("[\"make\"]", &[NONE, &made()]);
    assert_eq!(made_only.len(), 1, "{made_only:?}");
    assert!(made_only[0].contains("no case asks what subscribe `all` delete asks"), "{made_only:?}");
    assert!(gaps("[\"make\", \"delete\"]", &[NONE, &made(), DELETE]).is_empty());
}
