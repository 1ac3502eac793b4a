//! Signatures made by others: senders' own libraries, their documentation, stock tools.

use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{MANIFEST, NOTE, delivery, folder, params, sample};
use crate::domain::event::Delivery;
use crate::domain::time::Time;
use crate::plugin::load::load;
use crate::plugin::{Plugin, Variant, VerifyError};

/// One receive variant per way to sign.
const SCHEMES: &[(&str, &str)] = &[
    (
        "hmac_time",
        r#"kind = "hmac"
message = ["method", "uri_decoded", "body", "header:x-sender-request-timestamp"]
header = "X-Sender-Signature-v3"
encoding = "base64"
timestamp = { header = "x-sender-request-timestamp", unit = "ms", tolerance = "5m" }"#,
    ),
    (
        "hash_all",
        r#"kind = "hash"
message = ["secret", "method", "uri", "body"]
header = "X-Sender-Signature"
encoding = "hex"
if_header = { name = "X-Sender-Signature-Version", value = "v2" }"#,
    ),
    (
        "hash_body",
        r#"kind = "hash"
message = ["secret", "body"]
header = "X-Sender-Signature"
encoding = "hex"
if_header = { name = "X-Sender-Signature-Version", value = "v1" }"#,
    ),
    ("prefixed_hex", "kind = \"hmac\"\nheader = \"Signature\"\nencoding = \"base64_of_prefixed_hex\"\nprefix = \"{{param.phone_field}}:\""),
    ("prefixed_raw", "kind = \"hmac\"\nheader = \"X-Sig\"\nencoding = \"base64_of_prefixed_raw\"\nprefix = \"{{param.phone_field}}:\""),
    ("standard", "kind = \"standard_webhooks\""),
    ("prefix_base64", "kind = \"hmac\"\nheader = \"X-Sig\"\nencoding = \"base64\"\nprefix = \"sha256=\""),
    ("base64", "kind = \"hmac\"\nheader = \"X-Sig\"\nencoding = \"base64\""),
    ("prefix_hex", "kind = \"hmac\"\nheader = \"X-Sig\"\nencoding = \"hex\"\nprefix = \"sha256=\""),
    ("hex", "kind = \"hmac\"\nheader = \"X-Sig\"\nencoding = \"hex\""),
    ("token", "kind = \"token\"\nheader = \"Authorization\"\nprefix = \"Bearer \""),
    ("token_query", "kind = \"token\"\nquery = \"key\""),
    ("basic", "kind = \"basic\"\nuser = \"crm\""),
];

fn plugin() -> Plugin {
    let variants: String = SCHEMES
        .iter()
        .map(|(name, scheme)| {
            format!("\n[[receive]]\nname = \"{name}\"\n[[receive.verify]]\nsecret = \"{{{{param.secret}}}}\"\n{scheme}\n[receive.map]\nphone = \"$.phone\"\n")
        })
        .collect();
    load("sample", folder(&format!("{MANIFEST}{variants}"), NOTE)).unwrap()
}

#[derive(Deserialize)]
struct Vector {
    scheme: String,
    secret: String,
    #[serde(default)]
    id: String,
    method: String,
    uri: String,
    headers: BTreeMap<String, String>,
    body: String,
    at: i64,
    expected: String,
}

impl Vector {
    fn delivery(&self) -> Delivery {
        Delivery {
            method: self.method.clone(),
            uri: self.uri.clone(),
            tail: String::new(),
            query: String::new(),
            headers: self.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect(),
            body: Bytes::from(self.body.clone()),
            received_at: Time(self.at),
        }
    }
}

/// Whether it is believed, without the name of what held.
fn check(plugin: &Plugin, variant: &Variant, delivery: &Delivery, params: &crate::plugin::Params) -> Result<(), VerifyError> {
    plugin.verify(variant, delivery, None, params).map(|_| ())
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap()
}

#[test]
fn what_others_signed_is_believed_and_what_was_changed_is_not() {
    let plugin = plugin();
    for vector in vectors() {
        let variant = plugin.variant(&vector.scheme).unwrap();
        let own = params(&[("secret", &format!("not-this {}", vector.secret)), ("phone_field", &vector.id)]);
        let mut delivery = vector.delivery();
        let result = check(&plugin, variant, &delivery, &own);
        assert_eq!(result.is_ok(), vector.expected == "accept", "{} {:?} {result:?}", vector.scheme, vector.headers);
        if result.is_err() {
            continue;
        }
        assert!(check(&plugin, variant, &delivery, &params(&[("secret", "other")])).is_err());
        delivery.body = Bytes::from(format!("{} ", vector.body));
        assert_eq!(check(&plugin, variant, &delivery, &own), Err(VerifyError::Mismatch));
        delivery.headers.clear();
        assert_eq!(check(&plugin, variant, &delivery, &own), Err(VerifyError::Missing));
    }
}

#[test]
fn an_old_delivery_with_a_right_signature_is_stale_not_wrong() {
    let plugin = plugin();
    for scheme in ["hmac_time", "standard"] {
        let vector = vectors().into_iter().find(|v| v.scheme == scheme).unwrap();
        let (variant, own) = (plugin.variant(scheme).unwrap(), params(&[("secret", &vector.secret)]));
        for (shift, stale) in [(300_000, false), (-300_000, false), (301_000, true), (-301_000, true)] {
            let mut delivery = vector.delivery();
            delivery.received_at = Time(vector.at + shift);
            let expected = if stale { Err(VerifyError::Stale { by: Duration::from_secs(301) }) } else { Ok(()) };
            assert_eq!(check(&plugin, variant, &delivery, &own), expected);
        }
    }
}

#[test]
fn tokens_and_passwords_are_compared_whole() {
    let (plugin, own) = (plugin(), params(&[("secret", "old n3w")]));
    let token = |value: &str| check(&plugin, plugin.variant("token").unwrap(), &delivery(&[("authorization", value)], ""), &own);
    assert_eq!((token("Bearer n3w"), token("Bearer old")), (Ok(()), Ok(())));
    assert_eq!(token("Bearer old n3w"), Ok(()), "it may as well be one with a space in it");
    for wrong in ["Bearer n3", "Bearer n3wx", "n3w", "Bearer oldn3w", "Bearer n3w old", "Bearer "] {
        assert_eq!(token(wrong), Err(VerifyError::Mismatch), "{wrong}");
    }
    let mut in_query = delivery(&[], "");
    in_query.query = "a=1&key=n3w".to_owned();
    assert_eq!(check(&plugin, plugin.variant("token_query").unwrap(), &in_query, &own), Ok(()));
    let basic = |value: &str| check(&plugin, plugin.variant("basic").unwrap(), &delivery(&[("authorization", value)], ""), &own);
    assert_eq!(basic("Basic Y3JtOm4zdw=="), Ok(()));
    assert_eq!(basic("Basic Y3JtOm4zdx=="), Err(VerifyError::Mismatch));
}

#[test]
fn a_secret_of_words_of_which_each_could_be_guessed_is_told() {
    let plugin = plugin();
    let told = |secret: &str| plugin.check_params(&params(&[("secret", secret)])).iter().any(|fault| fault.contains("`secret` holds white space"));
    assert!(told("open sesame") && told("0123456789abcdef\nnew"));
    for fine in ["sesame", " sesame ", "0123456789abcdef fedcba9876543210"] {
        assert!(!told(fine), "{fine}");
    }
}

#[test]
fn without_its_secret_only_an_optional_scheme_is_left_out() {
    let (plugin, none) = (plugin(), params(&[]));
    assert_eq!(check(&plugin, plugin.variant("list").unwrap(), &delivery(&[], "[]"), &none), Ok(()));
    assert_eq!(check(&plugin, plugin.variant("list").unwrap(), &delivery(&[], "[]"), &params(&[("secret", "s")])), Err(VerifyError::Missing));
    for (name, _) in SCHEMES {
        let signed = delivery(&[("x-sig", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"), ("authorization", "Bearer ")], "");
        assert!(check(&plugin, plugin.variant(name).unwrap(), &signed, &none).is_err(), "{name}");
    }
}

#[test]
fn select_and_verify_cost_microseconds() {
    use hmac::Mac;
    let (plugin, own) = (sample(), params(&[("secret", "0123456789abcdef0123456789abcdef")]));
    let body = format!("[{{\"id\":\"1\",\"text\":\"{}\"}}]", "x".repeat(570));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"0123456789abcdef0123456789abcdef").unwrap();
    mac.update(body.as_bytes());
    mac.update(b"1795338022000");
    let signature = hex::encode(mac.finalize().into_bytes());
    let signed = delivery(&[("content-type", "application/json"), ("x-signature", &signature), ("x-time", "1795338022000")], body);
    let rounds = 2_000;
    let before = Instant::now();
    for _ in 0..rounds {
        let selected = plugin.select(&signed, &own).unwrap();
        assert_eq!(check(&plugin, selected.variant, &signed, &own), Ok(()));
    }
    let each = before.elapsed() / rounds;
    eprintln!("select and verify: {each:?}");
    // Unoptimised and on a busy machine; it is a few microseconds in a release build.
    assert!(each < Duration::from_micros(200), "{each:?}");
}
