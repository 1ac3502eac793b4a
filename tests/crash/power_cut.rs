//! The power goes at random moments, under load: everything answered before is there afterwards.

use std::time::Instant;

use super::dice::Dice;
use super::disk::Disk;
use super::kill::{finish, now_ms};
use super::load::Load;
use super::server::{Options, Site};
use super::table::Table;
use super::world::World;

/// Cuts of one store; the next begins with an empty one, where other things can go wrong.
const CUTS_PER_STORE: usize = 10;

#[test]
fn power_cuts_lose_nothing_that_was_answered() {
    let _alone = super::alone();
    let cuts = super::number("CALLBRIDGE_CUTS", 20);
    let mut dice = Dice::new();
    let mut done = 0;
    while done < cuts {
        let folder = tempfile::tempdir().unwrap();
        let disk = match Disk::new(folder.path()) {
            Ok(disk) => disk,
            Err(why) => {
                assert!(
                    std::env::var("CALLBRIDGE_NO_POWER_CUTS").is_ok_and(|text| text == "1"),
                    "power cuts need root and loop devices: {why}\nWhere there are none, CALLBRIDGE_NO_POWER_CUTS=1 says that they are not tested"
                );
                println!("\n!!! NOT TESTED: power cuts need root and loop devices: {why}\n");
                return;
            }
        };
        let here = CUTS_PER_STORE.min(cuts - done);
        one_store(disk, folder.path(), here, &mut dice);
        done += here;
        println!("{done} of {cuts} power cuts");
    }
}

fn one_store(mut disk: Disk, folder: &std::path::Path, cuts: usize, dice: &mut Dice) {
    let world = World::start();
    let site = Site::new(&world, folder, &disk.mount.join("data"), &Options { report_deadline: "8s", ..Options::default() });
    let load = Load::start(&world, &site, dice);
    let (mut cut_at, mut slowest) = (Vec::new(), 0);
    for cut in 1..=cuts {
        let mut server = site.start(None);
        let knife = disk.knife();
        if dice.below(6) == 0 {
            std::thread::sleep(dice.millis(0, 150));
        } else {
            let start = server.wait_ready(&world).unwrap_or_else(|why| panic!("after cut {}: {why}\n{}", cut - 1, site.log_tail()));
            slowest = slowest.max(start.as_millis() as usize);
            std::thread::sleep(dice.millis(100, 600));
        }
        load.freeze();
        knife.cut();
        cut_at.push(now_ms());
        server.kill();
        disk.detach();
        disk.attach().unwrap();
        load.thaw();
    }
    let started = Instant::now();
    let ledger = load.stop(&world);
    let mut table = Table::default();
    table.tell("power cuts", cuts);
    table.tell("slowest start, ms", slowest);
    finish(&world, &site, &ledger, &cut_at, table, &format!("{cuts} power cuts of one store"));
    println!("drained and counted in {:.1} s", started.elapsed().as_secs_f64());
}
