//! A webhook is answered within a second even while a backlog drains: one CRM gives up after that.

use std::time::{Duration, Instant};

use callbridge::domain::id::LineId;
use callbridge::domain::line::LineSettings;
use callbridge::simulator::mood::Mood;
use callbridge::store::TaskKind;
use serde_json::json;

use super::bridge::{LINE_KEY, Setup};

const DELIVERIES: usize = 8;
const RECORDS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_within_a_second_while_a_backlog_drains() {
    let lines: Vec<LineId> = (0..40).map(|n| LineId::new(&format!("line-{n}"))).collect();
    let settings: Vec<LineSettings> = lines.iter().map(|id| LineSettings::new(id.clone(), LINE_KEY.into())).collect();
    let f = Setup::new(Mood::Answers)
        .pace(|p| (p.ring_secs, p.talk_secs) = (0.0, 0.0))
        .with(|s| s.lines = settings)
        .connection(|c| (c.lines, c.write_back, c.duplicate_window) = (lines, Vec::new(), Duration::ZERO))
        .start()
        .await;
    for delivery in 0..DELIVERIES {
        let records: Vec<_> = (0..RECORDS).map(|n| json!({"phone": format!("09{:08}", 10_000_000 + delivery * RECORDS + n), "id": n})).collect();
        assert_eq!(f.deliver(&json!(records)).await.status, 200);
    }
    let mut slowest = Duration::ZERO;
    let mut under_load = 0;
    for n in 0..100 {
        let busy = f.backlog(TaskKind::Map) > 0 || f.sim.totals().dialled < (DELIVERIES * RECORDS) as u64;
        under_load += u32::from(busy);
        let before = Instant::now();
        assert_eq!(f.deliver(&json!({"phone": "0912345678", "event_id": format!("e{n}")})).await.status, 200);
        slowest = slowest.max(before.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("{under_load} of 100 webhooks while {} calls drained; the slowest took {slowest:?}", DELIVERIES * RECORDS);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(under_load > 10, "the backlog was gone before anything was measured");
    f.until("everything is mapped", |f| (f.backlog(TaskKind::Map) == 0).then_some(())).await;
    f.finish().await;
}
