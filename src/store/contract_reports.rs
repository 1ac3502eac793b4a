//! Reports that come while an older one is being written back or forwarded.

use bytes::Bytes;

use super::contract::*;
use super::*;
use crate::domain::call::{Call, Forward};
use crate::domain::report::Report;
use crate::domain::write_back::{KindState, Status, WriteBack};

#[tokio::test]
async fn a_report_during_a_write_back_keeps_the_task() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    f.store.report(T0, id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    assert!(f.store.take_tasks(TaskKind::WriteBack, at(19), 1).unwrap().is_empty(), "a report settles");
    assert_eq!(f.store.take_tasks(TaskKind::WriteBack, at(20), 1).unwrap().len(), 1);
    let later = AfterReport { body_digest: "d2".into(), ..after() };
    f.store.report(at(21), id, Bytes::from("{ }"), Some(Report::default()), later).await.unwrap();
    assert!(f.store.take_tasks(TaskKind::WriteBack, at(60), 1).unwrap().is_empty(), "never two at once");
    let learnt = WriteBack { status: Status::Logged, ..WriteBack::default() };
    f.store.finish_write_back(at(22), id, Written { version: 1, learnt: learnt.clone(), ..Written::default() }).await.unwrap();
    assert_eq!(f.call(id).write_back.status, Status::Waiting);
    assert_eq!(f.store.take_tasks(TaskKind::WriteBack, at(41), 1).unwrap().len(), 1);
    f.store.finish_write_back(at(42), id, Written { version: 2, learnt, ..Written::default() }).await.unwrap();
    assert_eq!((f.call(id).write_back.status, f.store.backlog(TaskKind::WriteBack)), (Status::Logged, 0));
}

#[tokio::test]
async fn a_report_during_a_forward_keeps_the_task() {
    let f = Fixture::new();
    let forward = Forward { url: "https://shop.example.vn/".into(), call_id: "17".into() };
    let call = Box::new(Call { forward: Some(forward), ..call(1) });
    let Made::Call(id) = f.store.create_call(T0, NewCall { call, idempotency: None, max_queued: None }).await.unwrap() else { panic!("it is a call") };
    let claim = f.store.next_calls(T0, 1).claims[0].clone();
    assert!(matches!(f.store.begin_placing(T0, claim, gate()).await.unwrap(), Begun::Go(_)));
    f.store.report(at(1), id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    assert_eq!(f.store.take_tasks(TaskKind::Forward, at(1), 1).unwrap().len(), 1);
    let later = AfterReport { body_digest: "d2".into(), ..after() };
    f.store.report(at(2), id, Bytes::from("{ }"), Some(Report::default()), later).await.unwrap();
    f.store.finish_forward(id, 1, attempt(1), NextTry::Done).await.unwrap();
    assert_eq!(f.store.take_tasks(TaskKind::Forward, at(3), 1).unwrap().len(), 1, "the newer report is still to be sent");
    f.store.finish_forward(id, 2, attempt(2), NextTry::Done).await.unwrap();
    assert_eq!(f.store.backlog(TaskKind::Forward), 0);
}

#[tokio::test]
async fn a_new_report_gets_attempts_of_its_own_after_an_older_one_was_given_up() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let failed = || {
        let kind = KindState { failed: Some("status 400".into()), entry: Some("e1".into()), ..KindState::default() };
        WriteBack { status: Status::Failed, kinds: [("call".to_owned(), kind)].into() }
    };
    let given_up = |f: &Fixture| f.call(id).write_back.kinds["call"].failed.is_some();
    f.store.report(T0, id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    assert_eq!(f.store.take_tasks(TaskKind::WriteBack, at(20), 1).unwrap().len(), 1);
    f.store.finish_write_back(at(20), id, Written { version: 1, learnt: failed(), ..Written::default() }).await.unwrap();
    assert!(given_up(&f));
    f.store.report(at(30), id, Bytes::from("{ }"), Some(Report::default()), AfterReport { body_digest: "d2".into(), ..after() }).await.unwrap();
    assert!(!given_up(&f));
    // The third comes while the second is being given up.
    assert_eq!(f.store.take_tasks(TaskKind::WriteBack, at(50), 1).unwrap().len(), 1);
    f.store.report(at(51), id, Bytes::from("{  }"), Some(Report::default()), AfterReport { body_digest: "d3".into(), ..after() }).await.unwrap();
    f.store.finish_write_back(at(52), id, Written { version: 2, learnt: failed(), ..Written::default() }).await.unwrap();
    assert!(!given_up(&f) && f.call(id).write_back.status == Status::Waiting);
    assert_eq!(f.call(id).write_back.kinds["call"].entry.as_deref(), Some("e1"), "what was made is still known");
}

#[tokio::test]
async fn a_new_report_does_not_hide_that_an_earlier_process_may_have_written_back() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    f.store.report(T0, id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    let f = f.reopened();
    let later = AfterReport { body_digest: "d2".into(), ..after() };
    f.store.report(at(1), id, Bytes::from("{ }"), Some(Report::default()), later).await.unwrap();
    let task = f.store.take_tasks(TaskKind::WriteBack, at(60), 1).unwrap().remove(0);
    assert!(task.epoch < f.store.epoch());
}
