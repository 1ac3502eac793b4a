//! Every note text in both languages, as a salesperson reads it.

use serde_json::{Map, Value as Json, json};

use crate::domain::record::{Customer, RecordRef};
use crate::domain::report::Report;
use crate::domain::time::Time;
use crate::error::Code;
use crate::plugin::context::{CallFacts, ReportFacts, WriteBack};
use crate::plugin::note::{NoteKind, Notes};

fn call(language: &str, code: Option<Code>) -> CallFacts {
    let at = |text: &str| Time::parse_rfc3339(text);
    CallFacts {
        id: "call_0000000000000000000000000".into(),
        line: "sales-1".into(),
        line_name: "Sales, chị Hoa".into(),
        created_at: at("2026-11-23T02:00:00Z"),
        placed_at: at("2026-11-23T02:00:05Z"),
        reason: code.map(|code| code.sentence(language).to_owned()),
        advice: code.map(|code| code.advice(language).to_owned()),
        ..CallFacts::default()
    }
}

fn text(kind: NoteKind, language: &str, call: &CallFacts, report: Option<&Report>) -> String {
    let (record, customer) = (RecordRef::default(), Customer { phone: "0912345678".into(), name: "Lan".into(), ..Customer::default() });
    let report = report.map(|report| ReportFacts { report, call_seconds: report.call_duration, answer_seconds: report.answer_duration, version: 1 });
    let parts = WriteBack { record: &record, owner: None, customer: &customer, call, report, language };
    Notes::shipped().render(kind, language, None, &parts.for_note()).unwrap().text
}

/// One page: each kind with what its calls usually bring.
fn page(language: &str) -> String {
    let full = Report {
        sim: "SIM 1".into(),
        call_duration: 95,
        answer_duration: 74,
        send_sms: true,
        sms_content: "Cảm ơn chị Lan.".into(),
        response_status: 1,
        notes: "Hẹn gọi lại chiều mai.".into(),
        ..Report::default()
    };
    let short = Report { sim: "SIM 2".into(), response_status: 3, ..Report::default() };
    let mut page = String::new();
    for kind in NoteKind::ALL {
        let (code, report) = match kind {
            NoteKind::Answered => (None, Some(&full)),
            NoteKind::NoAnswer | NoteKind::Unreachable | NoteKind::Unknown => (None, Some(&short)),
            NoteKind::Refused => (Some(Code::BadPhone), None),
            NoteKind::Expired => (Some(Code::Expired), None),
            NoteKind::Cancelled => (Some(Code::Cancelled), None),
            NoteKind::Lost => (Some(Code::Lost), None),
        };
        page += &format!("--- {}\n{}\n\n", kind.as_str(), text(kind, language, &call(language, code), report));
    }
    let again = CallFacts { round: Some(2), again_at: Time::parse_rfc3339("2026-11-23T04:00:05Z"), ..call(language, None) };
    page += &format!("--- no_answer, with more calls\n{}\n\n", text(NoteKind::NoAnswer, language, &again, Some(&short)));
    let test = CallFacts { test: true, test_phone: Some("0987654321".into()), ..call(language, None) };
    page += &format!("--- answered, a test\n{}\n", text(NoteKind::Answered, language, &test, Some(&full)));
    page
}

#[test]
fn notes_in_vietnamese() {
    insta::assert_snapshot!(page("vi"));
}

#[test]
fn notes_in_english() {
    insta::assert_snapshot!(page("en"));
}

#[test]
fn a_value_of_a_rule_that_is_not_there_is_empty() {
    let template = crate::plugin::note::check("{{after.stage}}|{{after.other}}").unwrap();
    let facts = CallFacts { after: Map::from_iter([("stage".to_owned(), Json::from("lost"))]), ..CallFacts::default() };
    let (record, customer) = (RecordRef::default(), Customer::default());
    let context = |call: &CallFacts| WriteBack { record: &record, owner: None, customer: &customer, call, report: None, language: "vi" }.for_note();
    let render = |context: Json| Notes::shipped().render(NoteKind::Lost, "vi", Some(&template), &context).unwrap().text;
    assert_eq!((render(context(&facts)), render(context(&CallFacts::default()))), ("lost|".into(), "|".into()));
    assert_eq!(context(&CallFacts::default())["after"], json!(null));
}
