//! Transcripts: a right one holds, a wrong one says where, and blessing makes it right.

use super::{MANIFEST, NOTE, folder};
use crate::plugin::Plugin;
use crate::plugin::load::load;

const CASE: &str = r#"
title = "A lead is called and gets its note"
clock = "2026-11-22T03:20:30Z"
[parameters]
site = "https://crm.example.vn"
token = "t"
[expect]
status = 200
outcomes = ["called", "ignored:own_write", "refused:missing_phone"]
body = "{}"
"#;
const WEBHOOK: &str = "POST /hooks/a/b HTTP/1.1\r\nHost: bridge.example.vn\r\n\r\n[{\"id\":\"7\",\"phone\":\"+84912345678\",\"owner\":\"u1\"},{\"by\":\"me\"},{\"id\":\"8\",\"owner\":\"u1\"}]";
const LOOKUP: &str =
    ">>>\nGET /api/leads/8?fields=phone, HTTP/1.1\nHost: crm.example.vn\nAuthorization: Bearer t\n\n<<<\nHTTP/1.1 200 OK\n\n{\"phone\": \"\"}\n";
const CALL: &str =
    r#"{"secretKey": "*", "customerPhone": "0912345678", "customerName": "", "customerGender": "", "customerInfo": "", "callId": "*", "apiCallbackUrl": "*"}"#;
const REPORT: &str = r#"{"CallDetail": {"AnswerDuration": 74, "CallDuration": 80, "ResponseStatus": 1}}"#;
const WRITE: &str = ">>>\nPOST /api/leads/7/notes HTTP/1.1\nHost: crm.example.vn\nX-Owner: *\n\n{\"text\": \"*\", \"seconds\": 74, \"owner\": \"u1\"}\n<<<\nHTTP/1.1 201 Created\n\n{\"id\": 12}\n";
const UPDATE: &str = ">>>\nPUT /api/notes/12 HTTP/1.1\n\n{\"text\": \"*\", \"seconds\": 74, \"owner\": \"u1\"}\n<<<\nHTTP/1.1 200 OK\n\n{}\n";

fn plugin(files: &[(&str, &str)]) -> Plugin {
    let mut all = folder(MANIFEST, NOTE);
    for (name, text) in files {
        all.insert(format!("cases/one/{name}"), text.as_bytes().to_vec());
    }
    load("sample", all).unwrap()
}

fn run(changed: &[(&str, &str)]) -> crate::plugin::case::CaseResult {
    let mut files = vec![
        ("case.toml", CASE),
        ("1-webhook.http", WEBHOOK),
        ("2-lookup.http", LOOKUP),
        ("3-call.json", CALL),
        ("4-report.json", REPORT),
        ("5-write-back.http", WRITE),
        ("6-report.json", REPORT),
        ("7-write-back.http", UPDATE),
    ];
    for (name, text) in changed {
        files.iter_mut().find(|(file, _)| file == name).unwrap().1 = text;
    }
    let plugin = plugin(&files);
    assert_eq!(plugin.case_names(), ["one"]);
    plugin.bless_case(&plugin.case("one").unwrap())
}

#[test]
fn a_right_transcript_holds_to_its_second_report() {
    assert_eq!(run(&[]).mismatches, Vec::<String>::new());
}

#[test]
fn a_wrong_transcript_says_where() {
    for (file, from, to, said) in [
        ("case.toml", "status = 200", "status = 202", "the CRM was to be told 202, it is told 200"),
        ("case.toml", "body = \"{}\"", "body = \"[]\"", "the body that the CRM is told $: expected [], found {}"),
        ("case.toml", "ignored:own_write", "called", "expected called, called"),
        ("2-lookup.http", "leads/8", "leads/9", "look-up lead: expected GET /api/leads/9"),
        ("3-call.json", "0912345678", "0987654321", "3-call.json: call $.customerPhone: expected \"0987654321\""),
        ("5-write-back.http", "\"seconds\": 74", "\"seconds\": 1", "body $.seconds: expected 1, found 74"),
        ("5-write-back.http", "crm.example.vn", "evil.vn", "header host"),
        ("7-write-back.http", "notes/12", "notes/13", "7-write-back.http:1: write-back note update: expected PUT /api/notes/13"),
        ("5-write-back.http", "<<<", "<<< retry 30s", "the answer is read as done, the case says retry 30s"),
    ] {
        let original = [("case.toml", CASE), ("2-lookup.http", LOOKUP), ("3-call.json", CALL), ("5-write-back.http", WRITE), ("7-write-back.http", UPDATE)];
        let text = original.iter().find(|(name, _)| *name == file).unwrap().1.replace(from, to);
        let result = run(&[(file, text.as_str())]);
        assert!(result.mismatches.iter().any(|m| m.contains(said)), "{said}: {:?}", result.mismatches);
        // What blessing writes holds, whatever stood there before.
        if file != "case.toml" {
            let blessed: Vec<(&str, &str)> = result.blessed.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!(run(&blessed).mismatches, Vec::<String>::new());
        }
    }
}

#[test]
fn what_is_wrong_with_a_case_is_told_with_file_line_and_the_right_word() {
    let files = |case: &str, lookup: &'static str| plugin(&[("case.toml", case), ("1-webhook.http", WEBHOOK), ("2-lookup.http", lookup)]);
    let read = |case: &str, lookup: &'static str| files(case, lookup).case("one").unwrap_err();
    let line = |of: &str| CASE.lines().position(|line| line.starts_with(of)).unwrap() + 1;
    let said = read(&CASE.replacen("clock", "clok", 1), LOOKUP);
    assert!(
        said.starts_with(&format!("cases/one/case.toml:{}: error: unknown field `clok`", line("clock"))) && said.contains("did you mean `clock`?"),
        "{said}"
    );
    let said = read(&CASE.replace("ignored:own_write", "ignord:own_write"), LOOKUP);
    assert!(said.starts_with(&format!("cases/one/case.toml:{}: error: there is no outcome `ignord`", line("outcomes"))), "{said}");
    let said = read(CASE, "\n>>>\nGET / HTTP/1.1\n<<< retyr\nHTTP/1.1 200 OK\n");
    assert!(said.starts_with("2-lookup.http:2: `<<< retyr`: there is no word `retyr` (did you mean `retry`?)"), "{said}");
    let gaps: Vec<String> = files(&CASE.replacen("token =", "tokn =", 1), LOOKUP).gaps().iter().map(ToString::to_string).collect();
    assert!(gaps.iter().any(|gap| gap.starts_with("cases/one/case.toml: warning: the plugin `sample` has no parameter `tokn`")), "{gaps:?}");
}

#[test]
fn what_the_connections_rules_say_is_seen_by_its_templates() {
    let files = |case: &str| {
        let template = r#"{ "text": "{{note.text}}", "seconds": {{json report.answer_seconds}}, "owner": {{json after.stage}} }"#;
        let mut all = folder(MANIFEST, template);
        for (name, text) in
            [("case.toml", case), ("1-webhook.http", WEBHOOK), ("2-lookup.http", LOOKUP), ("4-report.json", REPORT), ("5-write-back.http", WRITE)]
        {
            all.insert(format!("cases/one/{name}"), text.as_bytes().to_vec());
        }
        let plugin = load("sample", all).unwrap();
        plugin.run_case(&plugin.case("one").unwrap()).mismatches
    };
    assert_eq!(files(&CASE.replace("[expect]", "[after]\nstage = \"u1\"\n[expect]")), Vec::<String>::new());
    assert!(files(CASE)[0].contains("$.owner: expected \"u1\", found null"));
}

#[test]
fn the_same_delivery_again_is_one_call() {
    let again = CASE
        .replace("[parameters]", "repeat = 2\n[parameters]")
        .replace("\"refused:missing_phone\"]", "\"refused:missing_phone\", \"ignored:duplicate\", \"ignored:own_write\", \"ignored:duplicate\"]");
    assert_eq!(run(&[("case.toml", &again)]).mismatches, Vec::<String>::new());
}

/// A kind whose entry can be looked for among those of the record.
const SEARCHABLE: &str = r#"identity = "searchable"

[write_back.note.find]
path = "/leads/{{url record.id}}/notes"
items = "$.notes[*]"
match = [{ value = "$.text", op = "contains", to = "{{call.id}}" }]
id = "$.id"
store = { version = "$.version" }
"#;
const LIMITED: &str =
    ">>>\nPOST /api/leads/7/notes HTTP/1.1\n\n*\n<<< retry 1500ms\nHTTP/1.1 400 Bad Request\nRetry-After: 1500\n\n{\"code\": \"LIMIT\"}\n===\n";
const BROKEN_OFF: &str = ">>>\nPOST /api/leads/7/notes HTTP/1.1\n\n*\n<<< retry\nHTTP/1.1 502 Bad Gateway\n===\n";

fn searched(answer: &str, then: &str) -> Vec<String> {
    let found = format!(">>>\nGET /api/leads/7/notes HTTP/1.1\n<<<\nHTTP/1.1 200 OK\n\n{answer}\n===\n");
    let mut all = folder(&MANIFEST.replacen("identity = \"none\"\n", SEARCHABLE, 1), NOTE);
    let pairs = format!("{LIMITED}{BROKEN_OFF}{found}{then}");
    let case = CASE.replace("\"ignored:own_write\", \"refused:missing_phone\"", "\"ignored:own_write\"");
    let webhook = WEBHOOK.replace(",{\"id\":\"8\",\"owner\":\"u1\"}", "");
    for (name, text) in [("case.toml", &case), ("1-webhook.http", &webhook), ("4-report.json", &REPORT.to_owned()), ("5-write-back.http", &pairs)] {
        all.insert(format!("cases/one/{name}"), text.as_bytes().to_vec());
    }
    let plugin = load("sample", all).unwrap();
    plugin.run_case(&plugin.case("one").unwrap()).mismatches
}

#[test]
fn a_run_that_was_stopped_goes_on_and_looks_for_what_may_be_there() {
    let ours = r#"{"notes": [{"id": 11, "text": "call_other", "version": 1}, {"id": 12, "text": "… call_00000000000000000000000000", "version": 3}]}"#;
    assert_eq!(searched(ours, UPDATE), Vec::<String>::new(), "found: nothing is made, and it is brought up to date");
    let others = r#"{"notes": [{"id": 11, "text": "call_other"}]}"#;
    assert_eq!(searched(others, WRITE), Vec::<String>::new(), "not found: made again");
    assert!(searched(others, "")[0].contains("this request is not in the case"));
}

/// A 500 that the plugin reads as a matter for the admin may hide an entry all the same.
#[test]
fn a_broken_answer_of_any_class_is_looked_after() {
    let rule = "\n[[responses]]\nstatus = [500]\nclass = \"misconfigured\"\n";
    let mut all = folder(&format!("{}{rule}", MANIFEST.replacen("identity = \"none\"\n", SEARCHABLE, 1)), NOTE);
    let broken = ">>>\nPOST /api/leads/7/notes HTTP/1.1\n\n*\n<<< misconfigured\nHTTP/1.1 500 Internal Server Error\n===\n";
    let found = ">>>\nGET /api/leads/7/notes HTTP/1.1\n<<<\nHTTP/1.1 200 OK\n\n{}\n===\n";
    let (case, webhook) =
        (CASE.replace(", \"ignored:own_write\", \"refused:missing_phone\"", ""), WEBHOOK.replace(",{\"by\":\"me\"},{\"id\":\"8\",\"owner\":\"u1\"}", ""));
    let pairs = format!("{broken}{found}{WRITE}");
    for (name, text) in [("case.toml", &case), ("1-webhook.http", &webhook), ("4-report.json", &REPORT.to_owned()), ("5-write-back.http", &pairs)] {
        all.insert(format!("cases/one/{name}"), text.as_bytes().to_vec());
    }
    let plugin = load("sample", all).unwrap();
    assert_eq!(plugin.run_case(&plugin.case("one").unwrap()).mismatches, Vec::<String>::new());
}

#[test]
fn what_nothing_proves_is_a_gap() {
    let gaps = |changed: &[(&str, &str)]| plugin(changed).gaps().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let bare = gaps(&[("case.toml", CASE), ("1-webhook.http", WEBHOOK)]);
    assert!(bare.contains("templates/note.json.hbs: warning: no case sends"), "{bare}");
    assert!(bare.contains("rule says what it means (Over the limit)"), "{bare}");
    let line = |text: &str| MANIFEST.lines().position(|line| line == text).unwrap() + 1;
    for (at, said) in [
        ("name = \"create\"", "no case asks what write_back.note.create `create` asks"),
        ("name = \"update\"", "no case asks what write_back.note.update `update` asks"),
        ("name = \"form\"", "no case has a delivery that is taken by the variant form"),
    ] {
        assert!(bare.contains(&format!("plugin.toml:{}: warning: {said}", line(at))), "{said}: {bare}");
    }
    assert!(!bare.contains("lookup `lead`") && !bare.contains("variant list"), "{bare}");
    assert!(bare.contains("`list` accepts a right signature") && bare.contains("rejects a wrong"), "{bare}");
    let files = [("case.toml", CASE), ("1-webhook.http", WEBHOOK), ("2-lookup.http", LOOKUP), ("4-report.json", REPORT)];
    let limited = gaps(&[&files[..], &[("5-write-back.http", LIMITED.trim_end_matches("===\n"))]].concat());
    assert!(!limited.contains("templates/") && !limited.contains("Over the limit") && limited.contains("signature"), "{limited}");
}

#[test]
fn a_handshake_that_no_case_shakes_is_a_gap() {
    let handshake = "\n[[handshake]]\nname = \"hello\"\nselect = { query = { challenge = \"x\" } }\nanswer = { status = 200 }\n";
    let gaps = |delivery: &str| {
        let mut all = folder(&format!("{MANIFEST}{handshake}"), NOTE);
        let case = CASE.replace("outcomes = [\"called\", \"ignored:own_write\", \"refused:missing_phone\"]\nbody = \"{}\"", "outcome = \"handshake\"");
        for (name, text) in [("case.toml", case.as_str()), ("1-webhook.http", delivery)] {
            all.insert(format!("cases/one/{name}"), text.as_bytes().to_vec());
        }
        load("sample", all).unwrap().gaps().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let said = format!("plugin.toml:{}: warning: no case has a delivery that is taken by the handshake hello", MANIFEST.lines().count() + 3);
    assert!(gaps(WEBHOOK).contains(&said), "{}", gaps(WEBHOOK));
    let shaken = gaps("POST /hooks/a/b?challenge=x HTTP/1.1\r\nHost: bridge.example.vn\r\n\r\n{}");
    assert!(!shaken.contains("handshake"), "{shaken}");
}

#[test]
fn what_cannot_be_read_is_a_gap() {
    let unread = plugin(&[("case.toml", "outcom = 1"), ("1-webhook.http", WEBHOOK)]).gaps().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(unread.contains("cases/one: warning: ") && unread.contains("outcom"), "{unread}");
    let mut all = folder(MANIFEST, NOTE);
    all.insert("vectors.json".into(), b"[{]".to_vec());
    let unread = load("sample", all).unwrap().gaps().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(unread.contains("vectors.json:1: warning: "), "{unread}");
}

#[test]
fn a_scheme_that_nothing_verifies_by_is_a_gap() {
    let manifest = format!("{MANIFEST}\n[verify.forgotten]\nkind = \"token\"\nsecret = \"{{{{param.token}}}}\"\nheader = \"x-token\"\n");
    match load("sample", folder(&manifest, NOTE)) {
        Ok(plugin) => assert!(plugin.gaps().iter().any(|gap| gap.to_string().contains("nothing is verified by `forgotten`")), "{:?}", plugin.gaps()),
        Err(error) => panic!("{error}"),
    }
}
