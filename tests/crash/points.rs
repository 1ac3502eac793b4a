//! The program ends at every named failure point at least once, in a world that really passes each.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use callbridge::failpoint::{self, Step};

use super::dice::Dice;
use super::kill::{finish, now_ms};
use super::load::Load;
use super::server::{Options, Site};
use super::table::Table;
use super::world::World;

const SIGABRT: i32 = 6;
/// The rarest need a deadline to run out; on a busy machine a queue in front of them as well.
const PATIENCE: Duration = Duration::from_secs(45);

#[test]
fn every_failure_point_is_survived() {
    let _alone = super::alone();
    let points = failpoint::points();
    for step in Step::ALL {
        let around = step.around();
        assert!(points.contains(&around.before) && points.contains(&around.after), "the step {} has no failure points", step.name());
    }
    let mut dice = Dice::new();
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&world, folder.path(), &folder.path().join("data"), &Options { snapshots: "700ms", ..Options::default() });
    let load = Load::start(&world, &site, &mut dice);
    let (mut killed, mut missed) = (Vec::new(), Vec::new());
    for point in &points {
        match die_at(&site, point, &mut dice) {
            Ok(took) => println!("{point:<26} ended there after {:>5} ms", took.as_millis()),
            Err(why) => {
                println!("{point:<26} {why}");
                missed.push(format!("{point}: {why}"));
            }
        }
        killed.push(now_ms());
        // A while without a fault, so that the next point finds the usual bustle.
        let mut server = site.start(None);
        server.wait_ready(&world).unwrap_or_else(|why| panic!("after {point}: {why}\n{}", site.log_tail()));
        std::thread::sleep(dice.millis(50, 200));
        server.kill();
        killed.push(now_ms());
    }
    let ledger = load.stop(&world);
    let mut table = Table::default();
    table.tell("failure points", points.len());
    table.none("failure points that were not reached", &missed);
    finish(&world, &site, &ledger, &killed, table, "Every failure point");
}

/// Starts with the point armed and waits for the end there.
fn die_at(site: &Site, point: &str, dice: &mut Dice) -> Result<Duration, String> {
    let said = |log: &str| log.matches(&format!("failure point {point}: the process ends here")).count();
    let before = said(&std::fs::read_to_string(&site.log).unwrap_or_default());
    // What happens once per start, every ten seconds, or only while a queue grows, is met once.
    let rare = ["open.", "prune.", "snapshot.", "want_sources.", "fetch_event.", "finish_source.", "change_alerts."];
    let often = !rare.iter().any(|name| point.starts_with(name));
    let passing = if often { 1 + dice.below(3) } else { 1 };
    let started = Instant::now();
    let mut server = site.start(Some(&format!("{point}:{passing}")));
    let status = server.wait_exit(PATIENCE);
    let after = said(&std::fs::read_to_string(&site.log).unwrap_or_default());
    match status {
        None => Err(format!("was not passed {passing} times within {PATIENCE:?}")),
        Some(status) if status.signal() != Some(SIGABRT) || after != before + 1 => Err(format!("the process ended otherwise: {status}")),
        Some(_) => Ok(started.elapsed()),
    }
}
