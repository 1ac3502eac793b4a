//! Two lines and two connections, and the rules that a sequence switches between.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use callbridge::domain::call::{Call, Origin};
use callbridge::domain::connection::{Connection, Mode, Purpose};
use callbridge::domain::holiday::Calendar;
use callbridge::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use callbridge::domain::phone::{Phone, normalise};
use callbridge::domain::pool::{Pool, PoolId};
use callbridge::domain::rate::Gcra;
use callbridge::domain::rule::{Policy, Waits};
use callbridge::domain::schedule::LinePolicy;
use callbridge::domain::time::Time;
use callbridge::pipeline::wish;

/// An hour before summer time ends in Berlin, in the evening of a Saturday.
pub const START: Time = Time(1_792_886_400_000);
pub const SLOT: Duration = Duration::from_secs(300);
pub const DEADLINE: Duration = Duration::from_secs(7200);
pub const SETTLE: Duration = Duration::from_secs(3);
pub const LEASE: Duration = Duration::from_secs(90);
/// How long the dialer as a whole waits after a request that was not sent, and a line that was switched off.
pub const DIALER_PAUSE: Duration = Duration::from_secs(5);
pub const PAUSE_2116: Duration = Duration::from_secs(900);
pub const VARIANTS: usize = 4;
pub const LINE_VARIANTS: usize = 4;

/// What the file says about the lines.
pub fn lines(variant: usize) -> Vec<LinePolicy> {
    let line = |id: &str, rate: Option<&str>, max_in_flight| LinePolicy {
        id: id.into(),
        workspace: WorkspaceId::default(),
        rate: rate.map(|rate| Gcra::new(rate.parse().unwrap(), 2)),
        max_in_flight,
        monthly_quota: None,
        paused: false,
    };
    let mut lines = vec![line("l0", Some("6/min"), 1), line("l1", None, 2)];
    match variant {
        0 => {}
        1 => lines[1].monthly_quota = Some(2),
        2 => lines[1].paused = true,
        _ => (lines[0].max_in_flight, lines[1].max_in_flight, lines[0].monthly_quota) = (3, 1, Some(4)),
    }
    lines
}

/// Which lines the calls of a connection may go over.
pub fn lines_of(connection: usize) -> Vec<LineId> {
    if connection == 0 { vec!["l0".into(), "l1".into()] } else { vec!["l1".into()] }
}

pub fn pools() -> Vec<Pool> {
    (0..2).map(|n| Pool::first(PoolId::Connection(connection(n)), lines_of(n))).collect()
}

pub fn connection(n: usize) -> ConnectionId {
    ConnectionId::new(["c0", "c1"][n])
}

/// The rules of both connections. The second one has hours in a zone with summer time; the first one's are what a sequence changes.
pub fn policies(variant: usize) -> HashMap<ConnectionId, Arc<Policy>> {
    let mut first = Connection::new(connection(0), "p");
    first.max_per_number = Some("2/24h".parse().unwrap());
    first.max_new_calls = "4/h".parse().unwrap();
    match variant {
        0 => {}
        1 => first.hours = vec!["Mon-Fri 08:00-17:30".parse().unwrap(), "Sun 06:00-09:00".parse().unwrap()],
        2 => first.purpose = Purpose::Advertising,
        _ => first.mode = Mode::Off,
    }
    let mut second = Connection::new(connection(1), "p");
    second.time_zone = "Europe/Berlin".into();
    second.hours = vec!["02:15-02:50".parse().unwrap(), "08:00-20:00".parse().unwrap()];
    second.max_new_calls = "off".parse().unwrap();
    second.max_per_number = Some(if variant == 0 { "off" } else { "1/12h" }.parse().unwrap());
    let calendar = Calendar::read("vietnam").unwrap();
    [first, second].iter().map(|c| (c.id.clone(), Arc::new(Policy::of(c, None, &calendar, Waits::default())))).collect()
}

pub fn phone(n: usize) -> Phone {
    normalise(&format!("091234567{n}")).unwrap()
}

/// A wish as the pipeline writes it.
pub fn call(n: u32, connection_n: usize, phone_n: usize, click: bool, policy: &Policy, now: Time) -> Call {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    let mut call = wish::blank(CallId(id), WorkspaceId::default(), Origin::Api { key: "model".into() }, phone(phone_n), now, now);
    call.connection = Some(connection(connection_n));
    call.interactive = click;
    call.consent = Some(true);
    call.expires_at = policy.expires(click, now, now);
    call
}
