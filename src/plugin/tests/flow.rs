//! The way of a delivery through the engine.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::{delivery, params, sample};
use crate::domain::record::Gender;
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;
use crate::error::Code;
use crate::plugin::names;
use crate::plugin::{Learnt, LookupContext, LookupOutcome, MapContext, Mapped, Params, Piece, Reply};

fn map(item: &Json, own: &Params) -> Mapped {
    let plugin = sample();
    let lookups = Map::new();
    let context = MapContext { params: own, body: item, query: "", headers: &[], lookups: &lookups };
    plugin.map(plugin.variant("list").unwrap(), &Piece::default(), &context).unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Bytes::from(body.to_owned()), ..Answer::default() }
}

#[test]
fn the_first_variant_that_fits_is_taken_and_the_body_is_read_only_if_needed() {
    let plugin = sample();
    let list = delivery(&[], "  [{}]");
    let list = plugin.select(&list, &Params::new()).unwrap();
    assert_eq!((list.variant.name.as_str(), list.body.is_some()), ("list", false));
    let form = delivery(&[], "lead[phone]=0912+345+678&lead[tags][]=a&lead[tags][]=b&x=1&x=2");
    let form = plugin.select(&form, &Params::new()).unwrap();
    assert_eq!(form.variant.name, "form");
    assert_eq!(form.body.unwrap(), json!({"lead": {"phone": "0912 345 678", "tags": ["a", "b"]}, "x": ["1", "2"]}));
    assert_eq!(plugin.select(&delivery(&[], "a=b"), &Params::new()).unwrap_err(), Code::NoVariant);
    let mut get = delivery(&[], "");
    get.method = "GET".to_owned();
    assert_eq!(plugin.select(&get, &Params::new()).unwrap_err(), Code::MethodNotAllowed);
}

#[test]
fn an_item_becomes_fields() {
    let item = json!({"id": 7, "mobile": " ", "phone": "0912345678", "last": "Nguyễn Thị", "first": "Lan", "owner": "u1", "consent": false,
        "at": "2026-11-22 03:20:30", "gender": "Chị"});
    let mapped = map(&item, &params(&[]));
    assert_eq!((mapped.record.kind.as_str(), mapped.record.id.as_str()), ("lead", "7"));
    assert_eq!((mapped.customer.phone.as_str(), mapped.customer.name.as_str()), ("0912345678", "Nguyễn Thị Lan"));
    assert_eq!((mapped.customer.gender, mapped.consent), (Some(Gender::Female), Some(false)));
    assert_eq!(mapped.occurred_at, Time::parse_rfc3339("2026-11-22T03:20:30Z"));
    assert_eq!(mapped.event_id, map(&item, &params(&[])).event_id);
    assert_eq!(map(&json!({"id": 7, "by": "me"}), &params(&[])).ignored, Some("own_write"));
    assert_eq!(map(&json!({"id": 7}), &params(&[])).customer.name, "");
}

#[test]
fn a_parameter_can_point_at_a_field() {
    let item = json!({"id": 7, "Số ĐT 2": "0987654321", "phone": "0912345678"});
    assert_eq!(map(&item, &params(&[("phone_field", "$['Số ĐT 2']")])).customer.phone, "0987654321");
    assert_eq!(map(&item, &params(&[("phone_field", "$.none")])).customer.phone, "0912345678");
}

#[test]
fn look_ups_run_for_what_is_missing_and_fill_only_that() {
    let (plugin, own) = (sample(), params(&[]));
    let item = json!({"id": "7", "phone": "0912345678"});
    let (mut mapped, mut lookups, mut done) = (map(&item, &own), Learnt::default(), BTreeSet::new());
    let lookup = plugin.next_lookup(&mapped, &LookupContext { params: &own, item: &item, learnt: &lookups }, &done).unwrap().unwrap();
    assert_eq!(plugin.apply_lookup(lookup, &answer(404, ""), &mut mapped, &own, &item, &mut lookups, Time(0)), LookupOutcome::NotThereYet);
    let found = answer(200, r#"{"phone": "0900000000", "owner": {"id": "u9"}}"#);
    assert_eq!(plugin.apply_lookup(lookup, &found, &mut mapped, &own, &item, &mut lookups, Time(0)), LookupOutcome::Applied);
    assert_eq!((mapped.customer.phone.as_str(), mapped.owner.as_deref()), ("0912345678", Some("u9")));
    done.insert(lookup.name.clone());
    assert!(plugin.next_lookup(&mapped, &LookupContext { params: &own, item: &item, learnt: &lookups }, &done).unwrap().is_none());
    let html = plugin.apply_lookup(lookup, &answer(200, "<html>"), &mut mapped, &own, &item, &mut lookups, Time(0));
    assert!(matches!(html, LookupOutcome::Failed { verdict: Verdict::Misconfigured, .. }));
}

#[test]
fn answers_of_the_crm_mean_what_the_plugin_says() {
    let (plugin, own) = (sample(), params(&[]));
    let request = &plugin.kind("note", &own).unwrap().create[0].request;
    let verdict = |answer: &Answer| plugin.verdict(request, &own, answer, Time(0));
    let after = |seconds| Verdict::Retry { after: Some(Duration::from_secs(seconds)) };
    let with = |mut a: Answer, value: &str| {
        a.headers.push(("retry-after".to_owned(), value.to_owned()));
        a
    };
    assert_eq!(verdict(&with(answer(400, r#"{"code":"LIMIT"}"#), "3000")), (after(3), Some(("Quá giới hạn".to_owned(), "Over the limit".to_owned()))));
    assert_eq!(verdict(&answer(400, "{}")).0, Verdict::GiveUp);
    assert_eq!(verdict(&with(answer(503, ""), "7")).0, after(7));
    assert_eq!(verdict(&with(answer(429, ""), "Thu, 01 Jan 1970 00:01:00 GMT")).0, after(60));
    assert_eq!(verdict(&with(answer(429, ""), "-1")).0, Verdict::Retry { after: None });
    for (status, right) in [(201, Verdict::Done), (401, Verdict::Misconfigured), (410, Verdict::Gone), (409, Verdict::GiveUp), (302, Verdict::Misconfigured)] {
        assert_eq!(verdict(&answer(status, "")).0, right);
    }
}

#[test]
fn the_crm_is_told_in_its_own_way() {
    let plugin = sample();
    assert_eq!(plugin.reply(Reply::Stored, None).body, "{}");
    assert_eq!(plugin.reply(Reply::Duplicate, None).status, 200);
    assert_eq!(plugin.reply(Reply::CannotStore, Some(Duration::from_millis(1500))).headers, [("retry-after".to_owned(), "2".to_owned())]);
    assert_eq!(plugin.reply(Reply::OverLimit, Some(Duration::from_millis(1500))).headers, [("retry-after".to_owned(), "1500".to_owned())]);
    assert_eq!(plugin.reply(Reply::UnknownKey, None).status, 404);
}

#[test]
fn what_a_step_stores_must_be_in_its_answer() {
    let plugin = sample();
    let step = &plugin.kind("note", &params(&[])).unwrap().create[0];
    let stored = |body: &str| plugin.stored(step, &answer(200, body), &Json::Null, &params(&[]));
    assert_eq!(stored(r#"{"id": 12}"#).unwrap()["id"], "12");
    assert!(stored("{}").is_err() && stored("").is_err());
}

#[test]
fn the_real_context_has_exactly_the_declared_names() {
    use crate::domain::record::{Customer, RecordRef};
    use crate::plugin::context::{CallFacts, WriteBack};
    use crate::plugin::note::Note;
    let (record, customer, call) = (RecordRef::default(), Customer::default(), CallFacts::default());
    let parts = WriteBack { record: &record, owner: None, customer: &customer, call: &call, report: None, language: "vi" };
    let real = parts.context(&Note::default(), "note", None, &Map::new());
    let declared = names::write_back(&names::params([]), sample().manifest(), &std::collections::BTreeMap::new()).data(true);
    fn keys(json: &Json) -> Json {
        match json {
            Json::Object(map) => map
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "param" | "captured"))
                .map(|(name, value)| (name.clone(), keys(value)))
                .collect::<Map<_, _>>()
                .into(),
            _ => Json::Null,
        }
    }
    assert_eq!(keys(&real), keys(&declared));
}
