//! Records that were written once must be readable for ever: one file per kind and version under `tests/data/golden`.
//!
//! A new version of a record gets new files beside the old ones. A file is never changed.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::codec;
use super::task::Task;
use super::verbs::{Attempt, Rejected};
use crate::domain::call::Call;
use crate::domain::dnc::{Note, Run};
use crate::domain::event::Event;
use crate::domain::item::Item;
use crate::domain::ledger::{Arrivals, NumberDay};
use crate::domain::schedule::{Brakes, LineState};
use crate::domain::source::Source;

/// The file as a record of version 1; every value in it must survive being read and written by this program.
fn reads<T: Serialize + DeserializeOwned>(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/golden/v1/{name}.json"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
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

#[test]
fn records_of_every_version_are_read() {
    reads::<Call>("call");
    reads::<Event>("event");
    reads::<Item>("item");
    reads::<Task>("task");
    reads::<Attempt>("attempt");
    reads::<Rejected>("rejected");
    reads::<Rejected>("rejected_held");
    reads::<LineState>("line");
    reads::<Brakes>("brakes");
    reads::<Source>("source");
    reads::<Arrivals>("arrivals");
    reads::<Note>("dnc_note");
}

/// Numbers and placings are kept as bytes, not as JSON: these bytes are for ever.
#[test]
fn packed_records_keep_their_form() {
    let run = [0, 7, 0, 0, 0, 1, 7, 207, 255, 255, 255, 255];
    assert_eq!(Run::read(&run), Run(vec![(7, 1), (1999, u32::MAX)]));
    assert_eq!(Run::read(&run).bytes(), run);
    let day = [[0, 0, 1, 162, 6, 34, 222, 48].as_slice(), &[9; 16]].concat();
    assert_eq!(NumberDay::read(&day).0, [(crate::domain::time::Time(1_795_399_278_128), crate::domain::id::CallId([9; 16]))]);
    assert_eq!(NumberDay::read(&day).bytes(), day);
}

#[test]
fn a_record_of_a_newer_version_is_refused_with_a_sentence() {
    let error = codec::decode::<Value>(&[codec::VERSION + 1, b'{', b'}']).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
}
