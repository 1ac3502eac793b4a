//! The promises, as figures: what was acknowledged, what the phone dialled, what stands in the CRM, and that it adds up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use callbridge::domain::call::{Call, Origin, State};
use callbridge::domain::item::Outcome;
use callbridge::domain::write_back::Status;

use super::load::Ledger;
use super::records::{Records, Sums};
use super::table::Table;
use super::world::{REPORTED_AGAIN, World};

/// Everything there is to judge.
pub struct Evidence<'a> {
    pub world: &'a World,
    pub ledger: &'a Ledger,
    pub sums: &'a Sums,
    pub records: &'a Records,
    /// When the process was killed or the disk cut, in ms since 1970.
    pub kills: &'a [i64],
}

/// Fills the table with every promise.
pub fn judge(evidence: &Evidence<'_>, table: &mut Table) {
    acknowledged(evidence, table);
    dialled(evidence, table);
    never_seen(evidence, table);
    written(evidence, table);
    forwarded(evidence, table);
    fetched(evidence, table);
    adds_up(evidence, table);
}

fn by_id(records: &Records) -> HashMap<String, &Call> {
    records.calls.iter().map(|call| (call.id.to_string(), call)).collect()
}

/// Promise 1.
fn acknowledged(evidence: &Evidence<'_>, table: &mut Table) {
    let Evidence { ledger, records, .. } = evidence;
    table.tell("requests sent", ledger.sent as usize);
    table.tell("webhooks acknowledged", ledger.acknowledged.len());
    table.tell("drop-in calls acknowledged", ledger.drop_ins.len());
    for (status, times) in &ledger.others {
        table.tell(&format!("other answers: {status}"), *times as usize);
    }
    let calls = by_id(records);
    let settled = |event: &&String| {
        let Some(items) = records.events.get(*event) else { return false };
        let has_outcome = |outcome: &Outcome| match outcome {
            Outcome::Called { call } => calls.contains_key(&call.to_string()),
            Outcome::Waiting => false,
            _ => true,
        };
        !items.is_empty() && items.iter().all(|item| has_outcome(&item.outcome))
    };
    let lost: Vec<String> = ledger.acknowledged.iter().filter(|event| !settled(event)).cloned().collect();
    table.none("acknowledged webhooks without a call or a recorded outcome", &lost);
    let theirs: HashSet<&str> = records.calls.iter().filter_map(|c| c.forward.as_ref()).map(|f| f.call_id.as_str()).collect();
    let lost: Vec<String> = ledger.drop_ins.iter().filter(|id| !theirs.contains(id.as_str())).cloned().collect();
    table.none("acknowledged drop-in calls without a call", &lost);
    table.tell("API calls acknowledged", ledger.asked.len());
    let lost: Vec<String> = ledger.asked.iter().filter(|id| !calls.contains_key(*id)).cloned().collect();
    table.none("acknowledged API calls without a call", &lost);
}

/// Promise 2.
fn dialled(evidence: &Evidence<'_>, table: &mut Table) {
    let calls = by_id(evidence.records);
    let seen = evidence.world.phone.calls();
    let totals = evidence.world.phone.totals();
    table.tell("calls dialled", totals.dialled as usize);
    let twice: Vec<String> = seen.iter().filter(|(_, c)| c.dialled > 1).map(|(id, _)| id.clone()).collect();
    table.none("call ids dialled twice", &twice);
    table.tell("put off by the dialer with 429 or 2222", seen.values().map(|c| c.put_off as usize).sum());
    table.tell("… asked again after that", seen.values().filter(|c| c.asked > 1).count());
    // Only a call that the dialer put off may be asked for once more, each time once.
    let twice = seen.iter().filter(|(_, c)| c.asked > 1 + c.put_off).map(|(id, c)| format!("{id} asked {} times, put off {} times", c.asked, c.put_off));
    table.none("call ids asked again though not put off", &twice.collect::<Vec<_>>());
    let strangers: Vec<String> = seen.keys().filter(|id| calls.get(*id).is_none_or(|c| c.placing_at.is_none())).cloned().collect();
    table.none("dialled without the intent on disk", &strangers);
    table.at_most("most calls on one phone at once", totals.most_at_once, 2);
}

/// `placing` is written just before its own request: few calls can have the one without the other.
fn never_seen(evidence: &Evidence<'_>, table: &mut Table) {
    let kills = evidence.kills.len();
    let mut per_kill: BTreeMap<usize, usize> = BTreeMap::new();
    let unclear = evidence.records.calls.iter().filter(|c| matches!(c.state, State::Unconfirmed | State::Lost));
    let (mut never, mut unreported) = (0, 0);
    for call in unclear {
        if evidence.world.phone.call(&call.id.to_string()).asked > 0 {
            unreported += 1;
            continue;
        }
        never += 1;
        let at = call.placing_at.map_or(0, |t| t.0);
        *per_kill.entry(evidence.kills.partition_point(|kill| *kill < at)).or_default() += 1;
    }
    table.tell("lost: dialled, but no report came through", unreported);
    table.at_most("unconfirmed or lost though the dialer never saw them", never, 2 * kills);
    table.at_most("… the most of them in one kill", per_kill.values().copied().max().unwrap_or_default(), 2);
}

/// Promise 3, and the way back.
fn written(evidence: &Evidence<'_>, table: &mut Table) {
    let entries = evidence.world.crm.entries_by_call();
    let mut doubled: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut missing, mut reported) = (Vec::new(), 0);
    for call in &evidence.records.calls {
        let Some(connection) = call.connection.as_ref().map(|c| c.as_str()) else { continue };
        let id = call.id.to_string();
        let entries = entries.get(&id).copied().unwrap_or_default();
        if entries > 1 {
            doubled.entry(connection).or_default().push(format!("{id} has {entries} entries"));
        }
        let was_reported = evidence.world.phone.call(&id).reports_sent > 0;
        reported += usize::from(was_reported);
        if was_reported && (call.state != State::Ended || entries == 0 || call.write_back.status != Status::Logged) {
            missing.push(format!("{id} of {connection}: {:?}, {entries} entries, {:?}", call.state, call.write_back));
        } else if call.state == State::Ended && entries == 0 {
            missing.push(format!("{id} of {connection} ended without an entry: {:?}", call.write_back));
        }
    }
    table.tell("calls reported", reported);
    table.tell("entries in the CRM", entries.values().sum());
    corrected(evidence, table, &entries);
    table.none("reported calls that were not written back", &missing);
    for connection in ["searchable", "by-client-id"] {
        table.none(&format!("doubled entries: {connection}"), doubled.get(connection).map_or(&[], Vec::as_slice));
    }
    table.at_most("doubled entries: plain", doubled.get("plain").map_or(0, Vec::len), evidence.kills.len());
}

/// Calls that were reported twice with other content: where an entry cannot be changed, one correction stands beside it.
fn corrected(evidence: &Evidence<'_>, table: &mut Table, entries: &BTreeMap<String, usize>) {
    let again = evidence.records.calls.iter().filter(|call| call.phone.national() == REPORTED_AGAIN && call.report_digests.len() > 1);
    let (mut corrections, mut missing) = (0, Vec::new());
    let mut doubled: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for call in again {
        let Some(connection) = call.connection.as_ref().map(|c| c.as_str()).filter(|c| *c != "plain") else { continue };
        let count = |what: &str| entries.get(&format!("{}-{what}", call.id)).copied().unwrap_or_default();
        let (logs, more) = (count("log"), count("again"));
        corrections += more;
        // What came before the entry was made is in the entry.
        let shown_at_once = call.write_back.kinds.get("call").is_some_and(|kind| !kind.corrected);
        if logs == 0 || (more == 0 && !shown_at_once) {
            missing.push(format!("{} of {connection}: {logs} entries, {more} corrections, {:?}", call.id, call.write_back));
        }
        if logs > 1 || more > 1 {
            doubled.entry(connection).or_default().push(format!("{}: {logs} entries, {more} corrections", call.id));
        }
    }
    table.tell("corrections in the CRM", corrections);
    table.none("calls reported again that were not corrected", &missing);
    for connection in ["searchable", "by-client-id"] {
        table.none(&format!("doubled corrections: {connection}"), doubled.get(connection).map_or(&[], Vec::as_slice));
    }
}

fn forwarded(evidence: &Evidence<'_>, table: &mut Table) {
    let forwards = evidence.world.forwards.lock().unwrap();
    let ended = evidence.records.calls.iter().filter(|c| matches!(c.origin, Origin::DropIn { .. }) && c.state == State::Ended);
    let theirs = ended.filter_map(|c| c.forward.as_ref()).map(|f| f.call_id.clone());
    let missing: Vec<String> = theirs.filter(|id| !forwards.contains_key(id)).collect();
    table.none("reported drop-in calls that were not forwarded", &missing);
}

/// What we fetched ourselves: the cursor moves only with the event, so none is skipped and none comes twice.
fn fetched(evidence: &Evidence<'_>, table: &mut Table) {
    let fetch = &evidence.world.fetch;
    let (served, taken) = (fetch.served.load(Ordering::SeqCst), fetch.taken.lock().unwrap());
    let mut calls: HashMap<&str, usize> = HashMap::new();
    for call in evidence.records.calls.iter().filter(|call| call.customer.info.starts_with("fetched-")) {
        *calls.entry(call.customer.info.as_str()).or_default() += 1;
    }
    table.tell("records fetched", calls.len());
    let numbers = |wrong: &dyn Fn(u32) -> bool| (1..=served).filter(|n| wrong(*n)).map(|n| format!("fetched-{n}")).collect::<Vec<_>>();
    let times = |n: u32| calls.get(format!("fetched-{n}").as_str()).copied().unwrap_or(0);
    // The last one may have been given to a process that did not live to keep it.
    table.none("fetched records without a call", &numbers(&|n| n < served && times(n) == 0));
    table.none("fetched records called twice", &numbers(&|n| times(n) > 1));
    table.none("fetched records that the CRM was not told of", &numbers(&|n| times(n) == 1 && !taken.contains_key(&n)));
    table.none("records that the CRM was told of too early", &numbers(&|n| times(n) == 0 && taken.contains_key(&n)));
}

/// Promise 5: the counters among themselves, and against a recount of every record.
fn adds_up(evidence: &Evidence<'_>, table: &mut Table) {
    let Evidence { sums, records, .. } = evidence;
    let count = |name: &str| sums.get(name).copied().unwrap_or_default();
    let under = |prefix: &str| sums.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<i64>();
    table.equal("events = deliveries on disk", count("events"), records.event_records as i64);
    // Which of the unanswered ones were stored nobody can know: between what was acknowledged and what was sent at all.
    let fetched = records.events.keys().filter(|id| id.starts_with("fetched-")).count();
    let theirs = records.event_records - fetched;
    table.at_most("deliveries acknowledged beyond the events on disk", evidence.ledger.acknowledged.len().saturating_sub(theirs), 0);
    table.at_most("events on disk beyond the deliveries sent", theirs.saturating_sub(evidence.ledger.webhooks as usize), 0);
    table.at_most("events fetched beyond the records served", fetched.saturating_sub(evidence.world.fetch.served.load(Ordering::SeqCst) as usize), 0);
    table.equal("items = called + ignored + refused + failed + waiting", count("items"), under("items."));
    table.equal("items.called = calls from items", count("items.called"), count("calls.origin.item"));
    table.equal("calls by origin = calls by state", under("calls.origin."), under("calls.state."));
    table.equal("calls = call records", under("calls.state."), records.calls.len() as i64);
    table.equal("items = item records", count("items"), records.events.values().map(|items| items.len() as i64).sum());
    let mut recount: BTreeMap<String, i64> = BTreeMap::new();
    for item in records.events.values().flatten() {
        *recount.entry(format!("items.{}", item.outcome.counter())).or_default() += 1;
    }
    for call in &records.calls {
        *recount.entry(format!("calls.state.{}", call.state.as_str())).or_default() += 1;
        *recount.entry(format!("calls.origin.{}", call.origin.as_str())).or_default() += 1;
    }
    let counted = sums.iter().filter(|(name, n)| **n != 0 && ["items.", "calls.state.", "calls.origin."].iter().any(|p| name.starts_with(p)));
    let counted: BTreeMap<String, i64> = counted.map(|(name, n)| (name.clone(), *n)).collect();
    for (name, n) in &recount {
        table.equal(name, *n, counted.get(name).copied().unwrap_or_default());
    }
    table.equal("nothing is counted that is not there", counted.len() as i64, recount.len() as i64);
    table.equal("drop-in calls that wait", under("drop_in.queued."), 0);
    table.at_most("slots still taken", records.in_flight, 0);
}
