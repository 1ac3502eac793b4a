//! Modes, tables, requests, answers and logins, on a small plugin of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Map, Value as Json, json};

use crate::domain::record::{Customer, RecordRef};
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;
use crate::plugin::context::{CallFacts, WriteBack};
use crate::plugin::jwt::Jwt;
use crate::plugin::load::{Files, LoadError, load};
use crate::plugin::manifest::JwtAlgorithm;
use crate::plugin::note::Note;
use crate::plugin::template::{Escape, Template};
use crate::plugin::{Learnt, LoginError, LookupContext, LookupOutcome, MapContext, Mapped, Params, Piece, Plugin, names};

const MANIFEST: &str = include_str!("../testdata/outbound.toml");
const CALL: &str = r#"{ "result": {{json (table "result" "no_answer")}}, "by": "{{#if mode.oauth}}oauth{{else}}key{{/if}}", "word": {{json event.word}} }"#;
const NOW: Time = Time(1_795_338_022_000);

fn files(manifest: &str) -> Files {
    [("plugin.toml", manifest), ("templates/call.json.hbs", CALL), ("templates/change.graphql", "mutation { x }")]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into()
}

fn plugin() -> Plugin {
    load("outbound", files(MANIFEST)).unwrap()
}

fn broken(from: &str, to: &str) -> LoadError {
    assert!(MANIFEST.contains(from), "{from}");
    load("outbound", files(&MANIFEST.replacen(from, to, 1))).unwrap_err()
}

fn params(plugin: &Plugin, given: &[(&str, &str)]) -> Params {
    let given = [("site", "https://crm.example.vn"), ("api_key", "k"), ("refresh_token", "r1")].iter().chain(given);
    plugin.with_defaults(&given.map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect())
}

fn context(old: &str) -> Json {
    let (record, customer) = (RecordRef { kind: "lead".to_owned(), id: "7".to_owned() }, Customer::default());
    let kept = [("word".to_owned(), "w".to_owned())].into();
    let call = CallFacts { id: "call_0123456789abcdefghjkmnpqrs".to_owned(), kept, ..CallFacts::default() };
    let parts = WriteBack { record: &record, owner: None, customer: &customer, call: &call, report: None, language: "vi" };
    parts.context(&Note::from_text("Xin chào & hẹn"), "note", None, &json!({"read": {"old": old}}).as_object().unwrap().clone())
}

fn compose(plugin: &Plugin, params: &Params, kind: &str, step: usize) -> Outbound {
    let request = &plugin.kind(kind, params).unwrap().create[step].request;
    plugin.compose(request, &context(""), params, &BTreeMap::new(), NOW).unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Bytes::from(body.to_owned()), ..Answer::default() }
}

fn header<'a>(request: &'a Outbound, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[test]
fn blocks_are_there_in_their_modes_only() {
    let plugin = plugin();
    let (key, oauth) = (params(&plugin, &[]), params(&plugin, &[("way", "oauth"), ("token.access_token", "t"), ("token.api_domain", "https://eu.example.vn")]));
    let request = compose(&plugin, &key, "call", 0);
    assert_eq!((request.url.as_str(), header(&request, "X-Key"), header(&request, "Authorization")), ("https://crm.example.vn/v1/calls", Some("k"), None));
    assert_eq!(serde_json::from_slice::<Json>(&request.body).unwrap(), json!({"result": 6, "by": "key", "word": "w"}));
    let request = compose(&plugin, &oauth, "call", 0);
    assert_eq!((request.url.as_str(), header(&request, "Authorization")), ("https://eu.example.vn/calls", Some("Own-Word t")));
    assert!(String::from_utf8_lossy(&request.body).contains("\"by\": \"oauth\""));
    assert_eq!((plugin.kind("note", &key).unwrap().create.len(), plugin.kind("note", &oauth).unwrap().create.len()), (2, 1));
    // What is asked for in one mode is not missing in the other.
    let given = |way: &str| BTreeMap::from([("site".to_owned(), "https://a.vn".to_owned()), ("way".to_owned(), way.to_owned())]);
    assert_eq!(plugin.check_params(&given("key")), ["the parameter `api_key` is missing"]);
    assert_eq!(plugin.check_params(&given("oauth")), ["the parameter `refresh_token` is missing"]);
}

#[test]
fn what_comes_in_has_modes_too() {
    let plugin = plugin();
    let (key, oauth) = (params(&plugin, &[]), params(&plugin, &[("way", "oauth"), ("client_secret", "s")]));
    let plain = super::delivery(&[], r#"{"id": 1}"#);
    let variant = plugin.variant("one").unwrap();
    assert!(plugin.verify(variant, &plain, None, &key).is_ok(), "this way of signing in has no such secret");
    assert!(plugin.verify(variant, &plain, None, &oauth).is_err());
    assert!(plugin.verify(variant, &super::delivery(&[("x-secret", "s")], ""), None, &oauth).is_ok());
    let hello = crate::domain::event::Delivery { tail: "hello".to_owned(), ..plain };
    assert!(plugin.handshake(&hello, &key).is_none() && plugin.handshake(&hello, &oauth).is_some());
}

#[test]
fn a_time_without_a_zone_is_read_in_the_one_that_is_written() {
    let (plugin, lookups) = (plugin(), Map::new());
    let own = params(&plugin, &[]);
    let item = json!({"id": 1, "at": "2026-11-22 10:20:30"});
    let context = MapContext { params: &own, body: &item, query: "", headers: &[], lookups: &lookups };
    let mapped = plugin.map(plugin.variant("one").unwrap(), &Piece::default(), &context).unwrap();
    assert_eq!(mapped.occurred_at, Time::parse_rfc3339("2026-11-22T03:20:30Z"));
}

#[test]
fn a_host_from_a_login_must_be_one_of_the_base() {
    let plugin = plugin();
    let oauth = params(&plugin, &[("way", "oauth"), ("token.access_token", "t"), ("token.api_domain", "https://evil.vn")]);
    let request = &plugin.kind("call", &oauth).unwrap().create[0].request;
    assert!(plugin.compose(request, &context(""), &oauth, &BTreeMap::new(), NOW).unwrap_err().to_string().contains("allow_hosts"));
}

#[test]
fn bodies_are_written_as_the_crm_wants_them() {
    let plugin = plugin();
    let (key, oauth) = (params(&plugin, &[]), params(&plugin, &[("way", "oauth")]));
    let form = compose(&plugin, &oauth, "note", 0);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&form.body).into_owned().collect();
    assert_eq!(pairs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["element", "note[text]"], "what is empty is left out");
    assert_eq!((pairs[1].1.as_str(), header(&form, "content-type")), ("Xin chào & hẹn", Some("application/x-www-form-urlencoded")));
    assert!(serde_json::from_str::<Json>(&pairs[0].1).is_ok(), "JSON inside a field of a form");
    let parts = compose(&plugin, &key, "field", 0);
    let boundary = header(&parts, "content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
    let expected = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na & \"b\"\r\n--{boundary}--\r\n");
    assert_eq!(String::from_utf8_lossy(&parts.body), expected);
    let nothing = compose(&plugin, &key, "field", 1);
    assert_eq!((nothing.method.as_str(), &nothing.body[..], header(&nothing, "content-type")), ("POST", &b"{}"[..], Some("application/json")));
    assert_eq!(serde_json::from_slice::<Json>(&compose(&plugin, &key, "field", 2).body).unwrap(), json!({"query": "mutation { x }", "variables": {"id": "7"}}));
}

#[test]
fn the_admins_own_lines_lie_on_top_of_a_table() {
    let plugin = plugin();
    let own = params(&plugin, &[("stages", "NO_ANSWER = later\nbusy = b")]);
    assert!(String::from_utf8_lossy(&compose(&plugin, &own, "call", 0).body).contains("\"result\": \"later\""));
    assert_eq!(plugin.check_params(&own).iter().filter(|fault| fault.contains("stages")).count(), 0);
}

#[test]
fn a_look_up_asks_with_a_query_and_a_chain_has_an_end() {
    let (plugin, item) = (plugin(), json!({"id": "7"}));
    let own = params(&plugin, &[]);
    let (mut lookups, mut done) = (Learnt::default(), BTreeSet::new());
    let mut mapped = Mapped { record: RecordRef { kind: String::new(), id: "7".to_owned() }, ..Mapped::default() };
    let none = Learnt::default();
    let context = LookupContext { params: &own, item: &item, learnt: &none };
    let lookup = plugin.next_lookup(&mapped, &context, &done).unwrap().unwrap();
    let request = plugin.compose_lookup(lookup, &mapped, &context, &[], &BTreeMap::new(), NOW).unwrap();
    assert_eq!(request.url, "https://crm.example.vn/v1/people/7?fields=phone%2Cname");
    for empty in [answer(204, ""), answer(200, ""), answer(299, r#"{"items":[]}"#)] {
        let outcome = plugin.apply_lookup(lookup, &empty, &mut mapped, &own, &item, &mut lookups, NOW);
        assert_eq!(outcome, LookupOutcome::NotThereYet, "{}", empty.status);
    }
    done.insert(lookup.name.clone());
    assert!(plugin.next_lookup(&mapped, &context, &done).unwrap().is_none(), "one request at most");
}

#[test]
fn errors_inside_a_good_answer_and_patience_told_in_the_body_are_understood() {
    let plugin = plugin();
    let (key, oauth) = (params(&plugin, &[]), params(&plugin, &[("way", "oauth")]));
    let step = &plugin.kind("call", &key).unwrap().create[0];
    let verdict = |params: &Params, answer: &Answer| plugin.verdict(&step.request, params, answer, NOW).0;
    let limit = answer(200, &format!(r#"{{"error":"LIMIT","until":{}}}"#, NOW.0 + 3000));
    assert_eq!(verdict(&key, &limit), Verdict::Retry { after: Some(Duration::from_secs(3)) });
    assert_eq!(verdict(&key, &answer(409, "{}")), Verdict::Done, "the step's own rule");
    assert_eq!((verdict(&key, &answer(401, "")), verdict(&oauth, &answer(401, ""))), (Verdict::Misconfigured, Verdict::RefreshToken));
    let lookup = plugin.lookup("person").unwrap();
    assert_eq!(plugin.verdict(&lookup.request, &key, &limit, NOW).0, Verdict::Done, "the rule is for write-back only");
    assert_eq!(plugin.verdict(&lookup.request, &key, &answer(299, "{}"), NOW).0, Verdict::NotFound);
}

#[test]
fn a_login_keeps_what_a_new_answer_does_not_say_and_reads_errors_in_200() {
    let plugin = plugin();
    let own = params(&plugin, &[("way", "oauth"), ("client_secret", "s")]);
    let auth = plugin.auth_named("main", &own).unwrap();
    let login = auth.login.as_ref().unwrap();
    let run = |before: &BTreeMap<String, String>, body: &str, status: u16| {
        let mut run = plugin.log_in(login, &own, before, NOW).unwrap();
        let request = run.next(&BTreeMap::new()).unwrap().unwrap();
        assert_eq!(header(&request, "Authorization"), None, "a login shows no token");
        let sent = String::from_utf8_lossy(&request.body).into_owned();
        run.answer(&answer(status, body), NOW)?;
        assert!(run.next(&BTreeMap::new()).unwrap().is_none());
        Ok::<_, LoginError>((sent, run.done(NOW)))
    };
    let (sent, first) =
        run(&BTreeMap::new(), r#"{"access_token":"a1","refresh_token":"r2","expires_in":3600,"api_domain":"https://eu.example.vn"}"#, 200).unwrap();
    assert_eq!(sent, "client_secret=s&grant_type=refresh_token&refresh_token=r1");
    assert_eq!(first.ends_at, Some(NOW.plus(Duration::from_secs(3600))));
    assert!(first.good(login, NOW) && !first.good(login, NOW.plus(Duration::from_secs(3550))), "renewed a minute early");
    let (sent, second) = run(&first.values, r#"{"access_token":"a2"}"#, 200).unwrap();
    assert!(sent.ends_with("refresh_token=r2"), "{sent}");
    let kept: Vec<(&str, &str)> = second.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(kept, [("access_token", "a2"), ("api_domain", "https://eu.example.vn"), ("refresh_token", "r2")]);
    for (status, body, right) in [
        (200, r#"{"error":"invalid_code"}"#, Verdict::Misconfigured),
        (400, r#"{"error":"invalid_grant"}"#, Verdict::Misconfigured),
        (401, "", Verdict::Misconfigured),
        (503, "", Verdict::Retry { after: None }),
        (200, "{}", Verdict::Retry { after: None }),
        (200, "<html>back soon</html>", Verdict::Retry { after: None }),
        (200, r#"{"refresh_token":"r2","access_token":""}"#, Verdict::Retry { after: None }),
    ] {
        match run(&BTreeMap::new(), body, status) {
            Err(LoginError::Refused { verdict, .. }) => assert_eq!(verdict, right, "{status} {body}"),
            other => panic!("{status} {body}: {other:?}"),
        }
    }
}

/// Two requests: the second shows a digest of what the first was given.
#[test]
fn a_session_is_opened_with_a_digest_of_the_challenge() {
    let at = MANIFEST.find("[[auth.login]]").unwrap();
    let end = at + MANIFEST[at..].find("[limits]").unwrap();
    let login = r#"
[[auth.login]]
name = "challenge"
base = "accounts"
path = "/session"
query = { operation = "getchallenge", username = "{{param.refresh_token}}" }
store = { challenge = "$.result.token" }
[[auth.login]]
name = "login"
base = "accounts"
path = "/session"
form = { operation = "login", accessKey = "{{md5 (concat steps.challenge.challenge param.client_secret)}}" }
store = { access_token = "$.result.sessionName", api_domain = ["$.api_domain", ""] }
"#;
    let manifest = format!("{}{login}\n{}", &MANIFEST[..at], &MANIFEST[end..]).replace("start = { refresh_token = \"{{param.refresh_token}}\" }\n", "");
    let plugin = load("outbound", files(&manifest)).unwrap();
    let own = params(&plugin, &[("way", "oauth"), ("client_secret", "s")]);
    let auth = plugin.auth_named("main", &own).unwrap();
    let mut run = plugin.log_in(auth.login.as_ref().unwrap(), &own, &BTreeMap::new(), NOW).unwrap();
    let asked = run.next(&BTreeMap::new()).unwrap().unwrap();
    assert_eq!((asked.method.as_str(), asked.url.as_str()), ("GET", "https://crm.example.vn/session?operation=getchallenge&username=r1"));
    run.answer(&answer(200, r#"{"success":true,"result":{"token":"4d3e2f1a"}}"#), NOW).unwrap();
    let asked = run.next(&BTreeMap::new()).unwrap().unwrap();
    // printf %s 4d3e2f1as | md5sum
    assert_eq!(String::from_utf8_lossy(&asked.body), "accessKey=75ce3b5f568ac99d1bff466198803bec&operation=login");
    run.answer(&answer(200, r#"{"success":true,"result":{"sessionName":"s-7"}}"#), NOW).unwrap();
    assert!(run.next(&BTreeMap::new()).unwrap().is_none());
    let tokens = run.done(NOW);
    assert_eq!((tokens.values["access_token"].as_str(), tokens.ends_at), ("s-7", None));
}

#[test]
fn an_assertion_is_signed_as_its_receiver_checks_it() {
    let key = include_str!("../testdata/jwt-key.pem");
    let shape = names::params(["key"]);
    let text = |source: &str| Template::compile(source, Escape::Text, &shape).unwrap();
    let jwt =
        Jwt { algorithm: JwtAlgorithm::Rs256, key: text("{{param.key}}"), claims: vec![("iss".to_owned(), text("me"))], lifetime: Duration::from_secs(180) };
    let token = jwt.sign(&BTreeMap::from([("key".to_owned(), key.to_owned())]), NOW).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
    let claims: Json = serde_json::from_slice(&decode(signed.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(claims, json!({"iss": "me", "iat": 1_795_338_022, "exp": 1_795_338_202}));
    let der: String = key.lines().filter(|line| !line.starts_with("--")).collect();
    let pair = ring::signature::RsaKeyPair::from_der(&base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
    assert!(jwt.sign(&BTreeMap::from([("key".to_owned(), "no key".to_owned())]), NOW).is_err());
}

#[test]
fn faults_name_the_nearest_right_word() {
    for (from, to, said) in [
        ("mode = \"oauth\"\nurl", "mode = \"oath\"\nurl", "did you mean `oauth`?"),
        ("table = \"result\"", "table = \"reslt\"", "did you mean `result`?"),
        ("{{token.access_token}}", "{{token.acess_token}}", "did you mean `access_token`?"),
        ("graphql = \"change.graphql\"", "graphql = \"chnge.graphql\"", "did you mean `change.graphql`?"),
        ("json = { id = \"{{record.id}}\" }", "json = { id = \"{{record.id}}\" }\nauth = \"man\"", "did you mean `main`?"),
        ("for = [\"lookup\"]", "for = [\"lokup\"]", "did you mean `lookup`?"),
        ("{{event.word}}", "{{event.wrd}}", "did you mean `word`?"),
        ("unit = \"epoch_ms\"", "unit = \"epoch_m\"", "epoch_ms"),
        ("way\"\ntitle", "way\"\nmode = \"non\"\ntitle", "there is no mode `non`"),
    ] {
        let error = broken(from, to).to_string();
        assert!(error.contains(said), "{to}: {error}");
    }
}
