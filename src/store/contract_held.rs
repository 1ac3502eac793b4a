//! What every store must do about refused deliveries that a person may let in: few, sealed, whole, each taken once.

use std::time::Duration;

use bytes::Bytes;

use super::contract::{Fixture, at, event};
use super::*;
use crate::domain::event::Event;
use crate::domain::id::{EventId, WorkspaceId};
use crate::error::Code;

const WEEK: u64 = 7 * 86_400;

fn body(n: u8) -> Bytes {
    // More than two pieces, the last one not full.
    format!("{n}:secret-body;").repeat(1_700).into()
}

fn sent(n: u8) -> Event {
    let body_bytes = u32::try_from(body(n).len()).unwrap();
    Event { query: format!("n={n}"), body_bytes, received_at: at(u64::from(n)), ..event(n) }
}

async fn refuse(f: &Fixture, n: u8) -> EventId {
    let sent = sent(n);
    let rejected = Rejected {
        at: sent.received_at,
        workspace: WorkspaceId::default(),
        connection: "c".into(),
        code: Code::StaleSignature,
        detail: String::new(),
        method: "POST".into(),
        body_bytes: u64::from(sent.body_bytes),
        excerpt: "1".into(),
        held: Some(sent.id),
        let_in: None,
    };
    let id = sent.id;
    f.store.reject(rejected, Some((sent, body(n)))).await.unwrap();
    id
}

async fn let_in(f: &Fixture, id: EventId, secs: u64) -> Changed {
    f.store.change(at(secs), "lan".into(), Change::LetIn { delivery: id }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_in_is_the_event_it_would_have_been_once() {
    let f = Fixture::new();
    let id = refuse(&f, 1).await;
    let f = f.reopened();
    assert!(f.store.event(id).unwrap().is_none());
    assert_eq!(let_in(&f, id, 60).await, Changed::Ok);
    let found = f.store.event(id).unwrap().unwrap();
    assert_eq!((found.query.as_str(), found.let_in, found.received_at), ("n=1", Some(at(60)), at(1)));
    assert_eq!(f.store.body(id).unwrap(), body(1));
    assert_eq!(f.store.take_tasks(TaskKind::Map, at(60), 10).unwrap().len(), 1);
    assert!(matches!(let_in(&f, id, 61).await, Changed::Denied(_)));
    assert_eq!((f.counter("events"), f.counter("rejected.stale_signature")), (1, 1));
    assert_eq!(let_in(&f, EventId([9; 16]), 61).await, Changed::NotFound);
    // What was let in is an event now: nothing of it is dropped with the list.
    assert_eq!(f.store.prune(at(2 * WEEK)).await.unwrap(), 0);
    assert_eq!(f.store.body(id).unwrap(), body(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn few_are_kept_and_not_for_long() {
    let f = Fixture::new();
    let first = refuse(&f, 1).await;
    for n in 2..=101 {
        refuse(&f, n).await;
    }
    let listed = f.store.rejected(usize::MAX).unwrap();
    assert_eq!((listed.len(), listed[0].at), (100, at(101)), "newest first");
    assert_eq!(let_in(&f, first, 200).await, Changed::NotFound);
    assert_eq!(let_in(&f, EventId([2; 16]), 200).await, Changed::Ok);
    assert_eq!(f.store.prune(at(WEEK + 50)).await.unwrap(), 48, "3 to 50");
    assert_eq!(let_in(&f, EventId([50; 16]), WEEK + 50).await, Changed::NotFound);
    assert_eq!(let_in(&f, EventId([51; 16]), WEEK + 50).await, Changed::Ok);
    assert_eq!(f.store.rejected(usize::MAX).unwrap().len(), 100, "the lines stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_body_lies_sealed() {
    let f = Fixture::new();
    refuse(&f, 1).await;
    let db = f.dir.path().join("s").join("db");
    drop(f.store);
    std::thread::sleep(Duration::from_millis(50));
    let bytes = std::fs::read(db).unwrap();
    assert!(!bytes.windows(11).any(|w| w == b"secret-body") && bytes.windows(15).any(|w| w == b"stale_signature"));
}
