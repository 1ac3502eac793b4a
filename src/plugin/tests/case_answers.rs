//! What a case says that senders are told, and what it shows of the connect button; vectors of each scheme.

use super::{MANIFEST, NOTE, folder};
use crate::plugin::Plugin;
use crate::plugin::load::load;

const CASE: &str = r#"
title = "What senders are told"
clock = "2026-11-22T03:20:30Z"
[parameters]
site = "https://crm.example.vn"
token = "t"
[expect]
outcome = "called"
"#;
const ANSWERS: &str = r#"
[expect.answers]
stored = { status = 200, body = "{}" }
unknown_key = 404
too_large = 413
over_limit = { status = 429, retry_after = "10000" }
cannot_store = { status = 503, retry_after = "10" }
paused = 404
"#;
const WEBHOOK: &str = "POST /hooks/a/b HTTP/1.1\r\nHost: bridge.example.vn\r\n\r\n[{\"id\":\"7\",\"phone\":\"+84912345678\",\"owner\":\"u1\"}]";
const CONNECT: &str = r#"
[[auth.login]]
path = "/token"
form = { grant_type = "refresh_token", refresh_token = "{{token.refresh_token}}" }
store = { access_token = "$.access_token", refresh_token = "$.refresh_token", expires_in = "$.expires_in" }

[connect]
path = "/authorize"
query = { client_id = "me" }
[connect.token]
path = "/token"
form = { grant_type = "authorization_code", code = "{{connect.code}}", redirect_uri = "{{connect.redirect_uri}}", code_verifier = "{{connect.verifier}}" }
store = { access_token = "$.access_token", refresh_token = "$.refresh_token", expires_in = "$.expires_in" }
"#;
const AGREED: &str = ">>>\nGET /api/authorize?client_id=me&response_type=code&redirect_uri=https%3A%2F%2Fbridge.example.vn%2Foauth%2Fcase%2Fcallback&state=state-of-the-case&code_challenge=T1sifTFNtsiy0bV0EeBCDEFlIE8kED4PvmghT5tI1Io&code_challenge_method=S256 HTTP/1.1\nHost: crm.example.vn\n<<<\nHTTP/1.1 302 Found\nLocation: https://bridge.example.vn/oauth/case/callback?code=c1&state=state-of-the-case\n===\n";
const TOKENS: &str = ">>>\nPOST /api/token HTTP/1.1\n\ngrant_type=authorization_code&code=c1&redirect_uri=https%3A%2F%2Fbridge.example.vn%2Foauth%2Fcase%2Fcallback&code_verifier=verifier-of-the-case-0123456789-0123456789-0\n<<<\nHTTP/1.1 200 OK\n\n{\"access_token\":\"a1\",\"refresh_token\":\"r1\",\"expires_in\":3600}\n";

fn plugin(manifest: &str, files: &[(&str, &str)]) -> Plugin {
    let mut all = folder(manifest, NOTE);
    all.extend(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    load("sample", all).unwrap()
}

fn told(manifest: &str, case: &str) -> Vec<String> {
    let plugin = plugin(manifest, &[("cases/one/case.toml", case), ("cases/one/1-webhook.http", WEBHOOK)]);
    plugin.run_case(&plugin.case("one").unwrap()).mismatches
}

fn gaps(plugin: &Plugin) -> String {
    plugin.gaps().iter().map(|gap| format!("{gap}\n")).collect()
}

#[test]
fn a_case_says_what_the_sender_is_told_above_the_limit_and_with_a_wrong_key() {
    let case = format!("{CASE}{ANSWERS}");
    assert_eq!(told(MANIFEST, &case), Vec::<String>::new());
    let none = MANIFEST.replace("name = \"list\"\n", "name = \"list\"\nsender_retries = \"none\"\n");
    for (manifest, case, said) in [
        (MANIFEST.replace("status = 429", "status = 503"), case.clone(), "answers.over_limit: expected 429, found 503"),
        (MANIFEST.replace("milliseconds\" }", "seconds\" }"), case.clone(), "expected the Retry-After `10000`, found `10`"),
        (MANIFEST.to_owned(), case.replace("404\ntoo", "410\ntoo"), "answers.unknown_key: expected 410, found 404"),
        (MANIFEST.to_owned(), case.replace("{ status = 503, retry_after = \"10\" }", "503"), "answers.cannot_store: expected the Retry-After none, found `10`"),
        (MANIFEST.to_owned(), case.replace("body = \"{}\"", "headers = { x-y = \"z\" }"), "answers.stored: expected the header x-y `z`, found none"),
        (none.clone(), case.clone(), "this is \"stored\" and not refused"),
        (MANIFEST.to_owned(), case.replace("{ status = 429, retry_after = \"10000\" }", "\"stored\""), "the sender is refused with 429"),
        (MANIFEST.to_owned(), case.replace("paused = 404", "paused = \"stord\""), "`stord` is no status"),
    ] {
        let found = told(&manifest, &case);
        assert!(found.iter().any(|fault| fault.contains(said)), "{said}: {found:?}");
    }
    assert_eq!(told(&none, &case.replace("{ status = 429, retry_after = \"10000\" }", "\"stored\"")), Vec::<String>::new());
}

#[test]
fn words_for_senders_that_no_case_says_are_a_gap() {
    let said = |case: &str| gaps(&plugin(MANIFEST, &[("cases/one/case.toml", case), ("cases/one/1-webhook.http", WEBHOOK)]));
    let line = |text: &str| MANIFEST.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    let bare = said(CASE);
    for text in ["stored = ", "over_limit = "] {
        assert!(bare.contains(&format!("plugin.toml:{}: warning: no case says what a sender is told here", line(text))), "{bare}");
    }
    assert!(!said(&format!("{CASE}{ANSWERS}")).contains("sender"), "{}", said(&format!("{CASE}{ANSWERS}")));
    assert!(said(&format!("{CASE}{}", ANSWERS.replace(", body = \"{}\"", ""))).contains("stored = {"), "the body is a part of it");
    let none = MANIFEST.replace("name = \"list\"\n", "name = \"list\"\nsender_retries = \"none\"\n");
    let said = gaps(&plugin(&none, &[]));
    assert!(said.contains("no case says what the sender of `list` is told above the limit"), "{said}");
}

#[test]
fn a_case_presses_connect_and_says_what_it_gives() {
    let manifest = MANIFEST.replace("token = \"{{param.token}}\"\n", CONNECT);
    assert_ne!(manifest, MANIFEST);
    let manifest = manifest.replace("[[parameters]]\nid = \"token\"", "[[parameters]]\nid = \"unused\"");
    let case = CASE.replace("token = \"t\"\n", "unused = \"u\"\n").replace("outcome = \"called\"", "outcome = \"connected\"");
    let gives = "[expect.token]\naccess_token = \"a1\"\nrefresh_token = \"r1\"\nends_at = \"2026-11-22T04:20:30Z\"\n";
    let run = |case: &str, pairs: &str| {
        let plugin = plugin(&manifest, &[("cases/one/case.toml", case), ("cases/one/0-connect.http", pairs)]);
        plugin.bless_case(&plugin.case("one").unwrap())
    };
    let (whole, pairs) = (format!("{case}{gives}"), format!("{AGREED}{TOKENS}"));
    let right = run(&whole, &pairs);
    assert_eq!(right.mismatches, Vec::<String>::new());
    assert!(right.blessed["0-connect.http"].contains("code_verifier=verifier-of-the-case"), "{:?}", right.blessed);
    assert_eq!(run(&whole, &right.blessed["0-connect.http"]).mismatches, Vec::<String>::new());
    for (case, pairs, said) in [
        (whole.clone(), pairs.replace("grant_type=", "grand_type="), "connect.token: body"),
        (whole.clone(), pairs.replace("client_id=me", "client=me"), "connect: expected GET"),
        (case.clone(), pairs.clone(), "connecting gives the tokens"),
        (whole.replace("04:20", "05:20"), pairs.clone(), "connecting gives the tokens"),
        (whole.clone(), pairs.replace("code=c1&state=", "code=c1&state=other-"), "has state=state-of-the-case"),
        (whole.clone(), AGREED.replace("code=c1&", "error=access_denied&"), "expected connected, found not_connected"),
        (whole.clone(), AGREED.to_owned(), "connect.token: this request is not in the case"),
        (whole.clone(), pairs.replace("HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request"), "the answer is read as misconfigured"),
    ] {
        let found = run(&case, &pairs).mismatches;
        assert!(found.iter().any(|fault| fault.contains(said)), "{said}: {found:?}");
    }
    let asked = run(&format!("{case}{gives}[expect.answers]\nunknown_key = 410\n"), &pairs).mismatches;
    assert!(asked.iter().any(|fault| fault.contains("no sender is told anything")), "{asked:?}");
    let refused = TOKENS.replace("<<<", "<<< misconfigured").replace("HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request");
    assert_eq!(run(&case.replace("\"connected\"", "\"not_connected\""), &format!("{AGREED}{refused}")).mismatches, Vec::<String>::new());
    let said = gaps(&plugin(&manifest, &[]));
    assert!(said.contains("no case asks what connect asks") && said.contains("no case asks what connect.token asks"), "{said}");
    let said = gaps(&plugin(&manifest, &[("cases/one/case.toml", &whole), ("cases/one/0-connect.http", &pairs)]));
    assert!(!said.contains("what connect"), "{said}");
}

#[test]
fn tokens_that_have_ended_are_shown_only_where_the_plugin_waits_for_a_refusal() {
    let manifest = MANIFEST.replace("token = \"{{param.token}}\"\n", &CONNECT[..CONNECT.find("[connect]").unwrap()]);
    let manifest = manifest.replace("[[parameters]]\nid = \"token\"", "[[parameters]]\nid = \"unused\"");
    let lookup = ">>>\nGET /api/leads/7?fields=phone, HTTP/1.1\nAuthorization: Bearer old\n\n<<<\nHTTP/1.1 200 OK\n\n{\"phone\": \"0912345678\"}\n";
    let delivery = WEBHOOK.replace(",\"phone\":\"+84912345678\"", "");
    let run = |manifest: &str, ends: &str| {
        let case = CASE.replace("token = \"t\"\n", &format!("unused = \"u\"\n[token]\naccess_token = \"old\"\nrefresh_token = \"r\"\nends_at = \"{ends}\"\n"));
        let files = [("cases/one/case.toml", case.as_str()), ("cases/one/1-webhook.http", &delivery), ("cases/one/2-lookup.http", lookup)];
        let plugin = plugin(manifest, &files);
        plugin.run_case(&plugin.case("one").unwrap()).mismatches.join("\n")
    };
    let on_error = manifest.replace("kind = \"bearer\"", "kind = \"bearer\"\nrefresh = \"on_error\"");
    assert_eq!(run(&on_error, "2026-11-22T03:00:00Z"), "");
    assert_eq!(run(&manifest, "2026-11-22T04:00:00Z"), "");
    assert!(run(&manifest, "2026-11-22T03:00:00Z").contains("the plugin logs in here"), "{}", run(&manifest, "2026-11-22T03:00:00Z"));
}

#[test]
fn each_scheme_of_several_wants_a_vector_of_its_own_also_of_a_handshake() {
    let verify = "verify = [\"old\", \"new\"]\n";
    let scheme =
        |name: &str, header: &str| format!("[verify.{name}]\nkind = \"hmac\"\nsecret = \"{{{{param.secret}}}}\"\nheader = \"{header}\"\nencoding = \"hex\"\n");
    let handshake = "[[handshake]]\nname = \"hello\"\nselect = { query = { hello = \"1\" } }\nverify = [\"hello\"]\nanswer = { status = 204 }\n";
    let manifest = format!(
        "{}\n{}{}{}{handshake}",
        MANIFEST.replace("name = \"form\"\n", &format!("name = \"form\"\n{verify}")),
        scheme("old", "X-Old"),
        scheme("new", "X-New"),
        scheme("hello", "X-Hello")
    );
    let wrong = "00".repeat(32);
    let signed = {
        use hmac::Mac;
        let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"0123456789abcdef").unwrap();
        hex::encode(mac.finalize().into_bytes())
    };
    let vector = |variant: &str, header: &str, signature: &str, expected: &str| {
        format!(
            r#"{{"title": "x", "variant": "{variant}", "parameters": {{"secret": "0123456789abcdef"}}, "clock": "2026-11-22T03:20:30Z", "uri": "https://b.vn/h?hello=1", "headers": {{"{header}": "{signature}"}}, "expected": "{expected}"}}"#
        )
    };
    let said = |vectors: &[String]| {
        let plugin = plugin(&manifest, &[("vectors.json", &format!("[{}]", vectors.join(",")))]);
        (plugin.run_vectors().1, gaps(&plugin))
    };
    let all = [
        vector("form", "X-Old", &signed, "accept"),
        vector("form", "X-New", &signed, "accept"),
        vector("form", "X-New", &wrong, "reject"),
        vector("hello", "X-Hello", &signed, "accept"),
        vector("hello", "X-Hello", &wrong, "reject"),
    ];
    let (faults, whole) = said(&all);
    assert_eq!(faults, Vec::<String>::new());
    for name in ["old", "new", "hello"] {
        assert!(!whole.contains(&format!("`{name}` accepts")), "{whole}");
    }
    assert!(said(&all[1..]).1.contains("no vector shows that `old` accepts a right signature"), "{}", said(&all[1..]).1);
    assert!(said(&all[..3]).1.contains("no vector shows that `hello` accepts a right signature"), "{}", said(&all[..3]).1);
    assert!(!said(&[vector("hello", "X-Hello", &wrong, "accept")]).0.is_empty(), "a handshake's vector is run");
}
