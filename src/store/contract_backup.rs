//! The store as files: backups, restores, and what cannot be opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::contract::*;
use super::*;
use crate::domain::id::{EventId, WorkspaceId};
use crate::secrets::Keyring;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_restores_to_a_store_that_adds_up() {
    let f = Fixture::new();
    // Something to copy, so that much is written meanwhile.
    for n in 1..=100 {
        f.event(n).await;
    }
    let (store, copied) = (f.store.clone(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&copied);
    let load = tokio::spawn(async move {
        let (mut made, numbers) = (0, (101..=250u8).take_while(|_| !over.load(Ordering::SeqCst)));
        for n in numbers {
            let event = event(n);
            store.accept(T0, event.clone(), Bytes::from_static(b"{}")).await.unwrap();
            store.finish_map(T0, event.id, vec![mapped(n, 0)]).await.unwrap();
            made += 1;
        }
        made
    });
    while f.store.queued() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (backup, before) = (f.dir.path().join("backup"), f.store.queued());
    let rows = f.store.snapshot(&backup).await.unwrap();
    copied.store(true, Ordering::SeqCst);
    assert!(rows > 0);
    assert!(load.await.unwrap() > before + 1, "calls were made while it was copied");
    let to = f.dir.path().join("restored");
    let key = |n| Arc::new(Keyring::new([n; 32], &[]));
    let error = sled::restore(&backup, &to, key(7), T0).expect_err("another key").to_string();
    assert!(error.contains("--key") && !to.exists(), "{error}");
    let keys = Arc::new(Keyring::of_file(&f.dir.path().join("s")).unwrap());
    sled::restore(&backup, &to, Arc::clone(&keys), T0).unwrap();
    let restored = SledStore::open(sled::Options { keys: Some(keys), ..sled::Options::new(&to) }).unwrap();
    assert_eq!(restored.instance_key(), f.store.instance_key());
    let counters = restored.stats(&WorkspaceId::default()).unwrap().counters;
    let get = |name: &str| counters.get(name).copied().unwrap_or(0);
    assert!(get("events") >= get("items"));
    assert_eq!(get("items"), get("items.called"));
    assert_eq!(usize::try_from(get("calls.state.queued")).unwrap(), restored.queued());
    // Events are copied before calls, counters last: those made meanwhile would miss something.
    for call in restored.queued_after(None, 1000).unwrap() {
        assert!(restored.event(EventId(call.id.0)).unwrap().is_some(), "{} has its event", call.id);
    }
    assert_eq!(restored.brakes().stopped.unwrap().by, "restore");
    assert!(sled::verify(&backup).is_ok());
    let whole = std::fs::read(&backup).unwrap();
    std::fs::write(&backup, &whole[..whole.len() / 2]).unwrap();
    assert!(sled::verify(&backup).is_err());
}

#[test]
fn a_store_that_cannot_be_opened_is_left_alone_and_the_way_back_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("conf"), b"no configuration at all").unwrap();
    std::fs::write(path.join("db"), vec![0xA5; 100_000]).unwrap();
    let snapshots = sled::snapshot_folder(&path);
    std::fs::create_dir_all(&snapshots).unwrap();
    std::fs::write(snapshots.join("20261123-010203-000.callbridge"), b"x").unwrap();
    let error = SledStore::open(sled::Options::new(&path)).err().expect("it must not open").to_string();
    assert!(error.contains("callbridge restore") && error.contains("20261123-010203-000.callbridge"), "{error}");
    assert_eq!(std::fs::read(path.join("db")).unwrap(), vec![0xA5; 100_000]);
}

#[test]
fn a_torn_first_start_and_a_torn_snapshot_do_not_stop_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("conf"), b"").unwrap();
    std::fs::write(path.join("snap.0000000000000001.generating"), b"torn").unwrap();
    assert!(SledStore::open(sled::Options::new(&path)).is_ok());
    assert!(!path.join("snap.0000000000000001.generating").exists());
}

#[test]
fn a_second_process_gets_a_clear_sentence() {
    let f = Fixture::new();
    let error = SledStore::open(sled::Options::new(&f.dir.path().join("s"))).err().expect("one process per directory").to_string();
    assert!(error.contains("in use by another"), "{error}");
}

#[test]
fn a_store_that_another_process_has_is_left_alone_and_opens_when_it_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(SledStore::open(sled::Options::new(&path)).unwrap());
    // Opens when those threads have let go.
    drop(SledStore::open(sled::Options::new(&path)).unwrap());
    let log = std::fs::File::open(path.join("db")).unwrap();
    while rustix::fs::flock(&log, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let growing = path.join("snap.0000000000000001.generating");
    std::fs::write(&growing, b"the other process writes it").unwrap();
    let error = SledStore::open(sled::Options::new(&path)).err().expect("it is in use").to_string();
    assert!(error.contains("in use by another callbridge process") && growing.exists(), "{error}");
    let ends = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(log);
    });
    assert!(SledStore::open(sled::Options::new(&path)).is_ok() && !growing.exists());
    ends.join().unwrap();
}
