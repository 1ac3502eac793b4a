//! SIGKILL at random moments, under load, also while the program starts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::dice::Dice;
use super::equations::{Evidence, judge};
use super::load::{Ledger, Load};
use super::records::{drain, read};
use super::server::{Options, Site};
use super::table::Table;
use super::world::World;

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[test]
fn kills_at_random_lose_nothing_and_dial_nobody_twice() {
    let _alone = super::alone();
    let kills = super::number("CALLBRIDGE_KILLS", 100);
    let mut dice = Dice::new();
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&world, folder.path(), &folder.path().join("data"), &Options::default());
    let load = Load::start(&world, &site, &mut dice);
    let started = Instant::now();
    let (mut killed, mut starts) = (Vec::new(), Vec::new());
    for kill in 1..=kills {
        let mut server = site.start(None);
        if dice.below(10) == 0 {
            std::thread::sleep(dice.millis(0, 150));
        } else {
            starts.push(server.wait_ready(&world).unwrap_or_else(|why| panic!("{why}\n{}", site.log_tail())));
            std::thread::sleep(dice.millis(50, 400));
        }
        killed.push(now_ms());
        server.kill();
        if kill % 20 == 0 || kill == kills {
            println!("{kill} of {kills} kills, {} webhooks acknowledged, {:.0} s", load.acknowledged(), started.elapsed().as_secs_f64());
        }
    }
    let ledger = load.stop(&world);
    let put_off = world.phone.calls().values().any(|call| call.put_off > 0);
    assert!(put_off || kills < 100, "no call met 429 or 2222: the way back to the queue was not tried");
    let mut table = Table::default();
    table.tell("kills", kills);
    table.tell("slowest start, ms", starts.iter().max().map_or(0, |t| t.as_millis() as usize));
    finish(&world, &site, &ledger, &killed, table, &format!("{kills} kills"));
}

/// Lets everything come to its end, then asks everybody.
pub fn finish(world: &World, site: &Site, ledger: &Ledger, kills: &[i64], mut table: Table, title: &str) {
    let mut server = site.start(None);
    server.wait_ready(world).unwrap_or_else(|why| panic!("{why}\n{}", site.log_tail()));
    world.fetch.closed.store(true, std::sync::atomic::Ordering::SeqCst);
    // What is left grows with the length of the series.
    let drained = drain(world, site, Duration::from_secs(180 + kills.len() as u64)).unwrap_or_else(|why| panic!("{why}\n{}", site.log_tail()));
    server.stop();
    let records = read(site);
    judge(&Evidence { world, ledger, sums: &drained, records: &records, kills }, &mut table);
    let log = std::fs::read_to_string(&site.log).unwrap_or_default();
    // Where a disk goes away under it, sled panics, and the store must live through that. Anything else is a fault of ours.
    let (theirs, ours): (Vec<String>, Vec<String>) =
        log.lines().filter(|line| line.contains(" panicked at ")).map(str::to_owned).partition(|l| l.contains("/sled-"));
    table.none("panics", &ours);
    table.tell("panics of sled that were survived", theirs.len());
    let broken = table.print(title);
    assert!(broken.is_empty(), "not as promised: {broken:#?}");
}
