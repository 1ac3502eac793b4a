//! What arrives: public-key signatures, several proofs at once, hooks and answers.

use serde_json::{Map, json};

use super::{MANIFEST, NOTE, delivery, folder, params};
use crate::plugin::load::load;
use crate::plugin::trigger::Fit;
use crate::plugin::{MapContext, Plugin, Reply, Told, VerifyError};

const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA6BNWRhi+o2d9qC5UwSBT
iAjoYVdR5kSvImWVtUdp2M4nC9SHZ8C4R4kZDLNROMd0P9mRKfLVJFOwakZbg6Kd
Gl0tbJCMS53goUukhjYNcCIlGk4Nhw0s2j7TR6gpvh0il2feDqAV2OoxLeNo5Qc3
dT9LeKAO9E7ztmZfH8pL8DIVSv8MtTG1Z/6MXGtcRs1bZ62dqq/0r3TqDt+2k6aq
lOk6vXXxuqhHl6KoUHI44bqlR89qxvH/tGM4JCkPUFQ0VM1fq/nYMrGqZP42qAZ/
KObs/xDlRFHA7ISNxkrf6QlW66UaulDpekSX9jIIxXCHE4rPH7AuZxMJpopSsDAd
MQIDAQAB
-----END PUBLIC KEY-----";
/// Over `{"phone":"0912345678"}`, made with `openssl dgst -sha256 -sign`.
const RSA_SIGNATURE: &str = "NJ5zVndhPFh9K7FP30QmnAOEGg0B4RTrlz4ZkTuoGPKbgrCnY8OTl5P2g/HGVc3Pbn6kSNoTLFFeBg/ZBbSHKCXucfslBzyeJh3+c0WIDLfRCrxGmyg772w2Ch7lhX0/eh7ZMptb5+w675GweAiBFLB17QnC4AyR0ngxQKuUJv4jcJdEkLzaIt/+GnlsEqcGRLhhBkzX4iN7bjmY+PrEcW6ZgAqNrvEN+gag76gJP+6kGMrJ/Q8SAgZQ15WKmGS92EJwgWPsMxdf1hZRLq7AlZ/XEnQm/AedxVKKcJr+JlgfGzsoQW/HaclvMVXGQJRiyFWWxzoyKISamN2yXkY9Zg==";

fn with(more: &str) -> Plugin {
    load("sample", folder(&format!("{MANIFEST}\n{more}\n"), NOTE)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(more: &str) -> String {
    load("sample", folder(&format!("{MANIFEST}\n{more}\n"), NOTE)).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn an_rsa_signature_holds_for_its_key_and_its_body_only() {
    let plugin = with(
        "[[receive]]\nname = \"rsa\"\n[[receive.verify]]\nkind = \"rsa\"\npublic_key = \"{{param.secret}}\"\nheader = \"x-sig\"\nencoding = \"base64\"\n[receive.map]\nphone = \"$.phone\"",
    );
    let variant = plugin.variant("rsa").unwrap();
    let check = |key: &str, body: &str, signature: &str| {
        plugin.verify(variant, &delivery(&[("x-sig", signature)], body.to_owned()), None, &params(&[("secret", key)])).map(|_| ())
    };
    let body = r#"{"phone":"0912345678"}"#;
    let bare: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
    for key in [RSA.to_owned(), RSA.replace('\n', "\\n"), bare.clone(), format!("{RSA}\n{RSA}")] {
        assert_eq!(check(&key, body, RSA_SIGNATURE), Ok(()), "{key}");
    }
    assert_eq!(check(RSA, &format!("{body} "), RSA_SIGNATURE), Err(VerifyError::Mismatch));
    assert_eq!(check(&bare.replace("6BNW", "6BNX"), body, RSA_SIGNATURE), Err(VerifyError::Mismatch));
    for nonsense in ["", "AA==", "not base64!", &RSA_SIGNATURE[..40]] {
        assert!(check(RSA, body, nonsense).is_err(), "{nonsense}");
    }
    for key in ["MAA=", "MIIBIjAN", "MIX/////", "x"] {
        assert!(check(key, body, RSA_SIGNATURE).is_err(), "{key}");
    }
}

const BOTH: &str = r#"
[verify.key]
kind = "token"
header = "x-key"
secret = "{{param.secret}}"
[verify.org]
kind = "token"
body = "$.org"
secret = "{{param.phone_field}}"
first = 15
[verify.both]
kind = "all"
of = ["key", "org"]
[[receive]]
name = "both"
methods = ["PUT"]
verify = ["both"]
[receive.map]
phone = "$.phone"
"#;

#[test]
fn all_of_several_proofs_must_hold() {
    let plugin = with(BOTH);
    let variant = plugin.variant("both").unwrap();
    let own = params(&[("secret", "k3y k4y"), ("phone_field", "00D5g00000A1bCd")]);
    let check = |key: &str, body: &str| plugin.verify(variant, &delivery(&[("x-key", key)], body.to_owned()), None, &own);
    let right = r#"{"org":"00D5g00000A1bCdEAJ"}"#;
    assert_eq!(check("k4y", right).unwrap().0, "key + org");
    assert_eq!(check("k5y", right), Err(VerifyError::Mismatch));
    assert_eq!(check("k3y", r#"{"org":"00D5g00000ZZZZZ"}"#), Err(VerifyError::Mismatch));
    assert_eq!(check("k3y", "{}"), Err(VerifyError::Missing));
    assert_eq!(check("k3y", "not JSON"), Err(VerifyError::Missing));
    let none = params(&[("secret", "k3y"), ("phone_field", " ")]);
    assert!(plugin.verify(variant, &delivery(&[("x-key", "k3y")], right), None, &none).is_err(), "no secret is no proof");
}

#[test]
fn schemes_that_cannot_work_are_refused_with_their_reason() {
    for (more, said) in [
        ("[verify.a]\nkind = \"all\"\nof = []\n[[receive]]\nname = \"x\"\nverify = [\"a\"]\n[receive.map]\nphone = \"$.p\"", "of kind `all`"),
        ("[[receive]]\nname = \"x\"\nverify = [\"nowhere\"]\n[receive.map]\nphone = \"$.p\"", "no scheme `nowhere`"),
        (
            "[[receive]]\nname = \"x\"\n[[receive.verify]]\nkind = \"ed25519\"\nsecret = \"s\"\nheader = \"h\"\nencoding = \"hex\"\n[receive.map]\nphone = \"$.p\"",
            "no `public_key`",
        ),
        (
            "[[receive]]\nname = \"x\"\n[[receive.verify]]\nkind = \"token\"\nsecret = \"s\"\nheader = \"h\"\nfirst = 3\n[receive.map]\nphone = \"$.p\"",
            "nothing is proved",
        ),
        (
            "[[receive]]\nname = \"x\"\n[[receive.verify]]\nkind = \"token\"\nsecret = \"s\"\nheader = \"h\"\nbody = \"$.x\"\n[receive.map]\nphone = \"$.p\"",
            "one of `header`",
        ),
        ("[[receive]]\nname = \"x\"\nselect = { hook = \"lead\" }\n[receive.map]\nphone = \"$.p\"", "no [[hooks]] called `lead`"),
        ("[[receive]]\nname = \"x\"\nloop_guard = { only_changed = [\"a\"] }\n[receive.map]\nphone = \"$.p\"", "needs receive.changed"),
        ("[[receive]]\nname = \"x\"\nfields = { stage = \"$.s\" }\n[receive.map]\nphone = \"$.p\"", "no [[fields]] with id `stage`"),
    ] {
        let told = refused(more);
        assert!(told.contains(said), "{more}\nwas to say {said}, says {told}");
    }
}

#[test]
fn a_variant_answers_in_its_own_words_and_templates_are_filled_in() {
    let plugin = with(
        "[[receive]]\nname = \"own\"\nmethods = [\"PUT\"]\n[receive.map]\nphone = \"$.p\"\n[receive.answers]\nstored = { status = 200, headers = { x-next = \"{{query.back}}\" }, body = '{\"id\":\"{{event.id}}\"}' }\nover_limit = { status = 503, retry_after = \"milliseconds\" }",
    );
    let own = plugin.variant("own");
    let told = Told { params: None, query: "back=%2Fthanks&x=1", event_id: "evt_1" };
    let stored = plugin.answer(own, Reply::Stored, told, None);
    assert_eq!((stored.status, stored.body.as_str()), (200, r#"{"id":"evt_1"}"#));
    assert_eq!(stored.headers, [("x-next".to_owned(), "/thanks".to_owned())]);
    assert_eq!(plugin.answer(own, Reply::Duplicate, told, None).body, r#"{"id":"evt_1"}"#, "a repeated delivery is as good as stored");
    let after = Some(std::time::Duration::from_millis(1500));
    let over = plugin.answer(own, Reply::OverLimit, told, after);
    assert_eq!((over.status, over.headers.last().unwrap().1.as_str()), (503, "1500"));
    let paused = plugin.answer(own, Reply::Paused, told, None);
    assert_eq!(paused.status, plugin.reply(Reply::UnknownKey, None).status);
}

#[test]
fn a_trigger_waits_for_what_only_a_look_up_knows() {
    let plugin = with(
        "[[fields]]\nid = \"stage\"\ntitle = { vi = \"x\", en = \"x\" }\n[[receive]]\nname = \"t\"\nmethods = [\"PUT\"]\nfields = { stage = \"$['deal stage']\" }\nchanged = { keys = \"$.old\" }\n[receive.map]\nrecord_id = \"$.id\"",
    );
    let variant = plugin.variant("t").unwrap();
    let item = json!({"id": 7, "deal stage": "call", "city": ["", "Huế"], "old": {"deal stage": "new"}});
    let own = params(&[]);
    let context = MapContext { params: &own, body: &item, query: "", headers: &[], lookups: &Map::new() };
    let mapped = plugin.map(variant, &Default::default(), &context).unwrap();
    let fits = |trigger: serde_json::Value, looked_up| plugin.fits(&serde_json::from_value(trigger).unwrap(), variant, &mapped, &item, looked_up);
    for test in [json!({"field": "stage", "value": "call"}), json!({"field": "stage", "op": "changed"}), json!({"field": "$.city", "value": "Huế"})] {
        assert_eq!(fits(json!({"all": [test]}), false), Fit::Yes, "{test}");
    }
    assert_eq!(
        fits(json!({"all": [{"field": "stage", "value": "call"}, {"field": "stage", "op": "changed"}, {"field": "$.city", "value": "Huế"}]}), false),
        Fit::Yes
    );
    assert_eq!(fits(json!({"any": [{"field": "stage", "value": "x"}, {"field": "$.city", "value": "y"}]}), false), Fit::No);
    assert_eq!(fits(json!({"all": [{"field": "owner", "op": "exists"}]}), false), Fit::AfterLookup);
    assert_eq!(fits(json!({"all": [{"field": "owner", "op": "exists"}]}), true), Fit::No);
    assert_eq!(fits(json!({"all": [{"field": "owner", "op": "exists"}, {"field": "stage", "value": "x"}]}), false), Fit::No);
    assert_eq!(fits(json!({}), false), Fit::Yes);
    let faults = plugin
        .check_trigger(&serde_json::from_value(json!({"all": [{"field": "stag", "value": "x"}, {"field": "$.[", "value": "x"}, {"field": "owner"}]})).unwrap());
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].contains("stage"), "{faults:?}");
}
