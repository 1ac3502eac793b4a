//! Records that were written once must be readable for ever: one file per kind and version under `tests/data/golden`.
//!
//! A kind without a file gets one, and the test fails until it is committed. A file is never changed.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::codec;
use super::task::Task;
use super::verbs::{Attempt, Rejected};
use crate::domain::call::Call;
use crate::domain::event::Event;
use crate::domain::item::Item;
use crate::domain::schedule::{Brakes, LineState};

/// The file as a record of version 1; every value in it must survive being read and written by this program.
fn reads<T: Serialize + DeserializeOwned>(name: &str, first: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/golden/v1/{name}.json"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        std::fs::write(&path, serde_json::to_string_pretty(first).unwrap() + "\n").unwrap();
        panic!("{} was written: commit it", path.display());
    };
    let golden: Value = serde_json::from_str(&text).unwrap();
    let mut bytes = vec![1u8];
    bytes.extend(golden.to_string().bytes());
    let record: T = codec::decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again: Value = serde_json::from_slice(&codec::encode(&record).unwrap()[1..]).unwrap();
    assert_kept(name, &golden, &again);
}

/// Nothing that was in the file may be lost; new fields may have come.
fn assert_kept(at: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                assert_kept(&format!("{at}.{key}"), value, new.get(key).unwrap_or(&Value::Null));
            }
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}

const CALL: &str = "call_01m83b8kh7er48ghp2hax2nk2p";
const EVENT: &str = "evt_01m83b8kh7er48ghp2hax2nk2p";

fn call() -> Value {
    json!({
        "id": CALL, "workspace": "main", "connection": "crm-1", "origin": {"kind": "item", "event": EVENT, "index": 0}, "state": "ended", "version": 5,
        "record": {"type": "Lead", "id": "6b02"}, "owner": "lan", "customer": {"phone": "0912 345 678", "name": "Lan", "gender": "female", "info": "hẹn"},
        "phone": "+84912345678", "lines": ["sales-1"], "line": "sales-1", "interactive": true, "wished_at": 1_795_338_022_000_i64,
        "created_at": 1_795_338_022_001_i64, "expires_at": 1_795_338_142_000_i64,
        "hold": {"code": "hold_backoff", "since": 1_795_338_022_002_i64, "until": 1_795_338_052_002_i64}, "ever_sent": true, "placings": 1,
        "system_errors": 1, "placing_at": 1_795_338_023_000_i64, "placed_at": 1_795_338_023_100_i64, "ended_at": 1_795_338_063_000_i64,
        "deadline": 1_795_345_223_000_i64, "refusal": "lost", "reason": "r",
        "report": {"call_id": CALL, "phone": "0912345678", "call_status": 1, "sim": "SIM 1", "call_duration": 42, "answer_duration": 31, "send_sms": true,
            "sms_content": "x", "response_status": 1, "notes": "n"},
        "reported_at": 1_795_338_063_000_i64, "report_digests": ["00ff"], "report_mismatch": true,
        "write_back": {"status": "pending", "kinds": {"note": {"steps": {"create": {"id": "7"}}, "entry": "7", "version": 1,
            "unclear": 1_795_338_064_000_i64, "corrected": true, "failed": "status 400"}}},
        "plugin_hash": "ab", "public_url": "https://bridge.example.vn", "forward": {"url": "https://a.example/cb", "call_id": "7"}, "labels": {"mode": "test"}
    })
}

#[test]
fn calls_of_every_version_are_read() {
    reads::<Call>("call", &call());
}

#[test]
fn events_and_items_of_every_version_are_read() {
    let event = json!({"id": EVENT, "workspace": "main", "connection": "crm-1", "variant": "record", "hook": "default", "method": "POST", "tail": "lead",
        "query": "a=b", "headers": [["content-type", "application/json"]], "body_bytes": 12, "received_at": 1_795_338_022_000_i64, "replays": 1, "items": 2});
    reads::<Event>("event", &event);
    let item = json!({"outcome": "refused", "code": "bad_phone", "detail": "d", "record": {"type": "Lead", "id": "1"}, "customer": {"phone": "1"},
        "at": 1_795_338_022_000_i64});
    reads::<Item>("item", &item);
}

#[test]
fn tasks_attempts_and_rejections_of_every_version_are_read() {
    let task = json!({"kind": "write_back", "subject": {"call": CALL}, "due": 1_795_338_022_000_i64, "tries": 2, "first_due": 1_795_338_021_000_i64, "epoch": 3,
        "connection": "crm-1"});
    reads::<Task>("task", &task);
    let attempt = json!({"id": "att_01m83b8kh7er48ghp2hax2nk2p", "write_back": {"kind": "note", "step": "create"}, "number": 1, "at": 1_795_338_022_000_i64,
        "duration_ms": 12, "status": 201, "class": "ok", "detail": "x", "next_at": 1_795_338_032_000_i64});
    reads::<Attempt>("attempt", &attempt);
    let rejected = json!({"at": 1_795_338_022_000_i64, "workspace": "main", "connection": "crm-1", "code": "bad_signature", "detail": "", "method": "POST",
        "body_bytes": 3, "excerpt": "abc"});
    reads::<Rejected>("rejected", &rejected);
}

#[test]
fn lines_and_brakes_of_every_version_are_read() {
    let line = json!({"arrival_ns": 5, "in_flight": {CALL: 1_795_338_022_000_i64},
        "pause": {"code": "dialer_2116", "since": 1_795_338_022_000_i64, "until": 1_795_338_922_000_i64, "by": "lan", "detail": "d"}, "month": "2026-11",
        "month_used": 7, "silent_since": 1_795_338_022_000_i64, "last_placing": 1_795_338_022_000_i64, "last_report": 1_795_338_022_000_i64});
    reads::<LineState>("line", &line);
    let brakes = json!({"stopped": {"by": "lan", "since": 1_795_338_022_000_i64, "reason": "r"},
        "dialer": {"code": "dialer_busy", "since": 1_795_338_022_000_i64, "until": 1_795_338_023_000_i64, "times": 2}});
    reads::<Brakes>("brakes", &brakes);
}

#[test]
fn a_record_of_a_newer_version_is_refused_with_a_sentence() {
    let error = codec::decode::<Value>(&[codec::VERSION + 1, b'{', b'}']).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
}
