//! Named points at which a test may kill the process, to prove that nothing is lost there.
//!
//! There is one before and after every durable step, every outbound send and every answer; [`points`] lists them all, and the
//! names exist only here. Compiled only with debug assertions; a release build does nothing here. `config` reads
//! `CALLBRIDGE_FAIL=<name>:<n>` and calls [`arm`]; the process ends, without unwinding or flushing, when the point is passed
//! for the n-th time.

/// The two points around something that must not be half done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    pub before: &'static str,
    pub after: &'static str,
}

macro_rules! around {
    ($name:literal) => {
        Around { before: concat!($name, ".before"), after: concat!($name, ".after") }
    };
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $step:ident = $name:literal),* $(,)?) => {
        /// Every durable step of a store. The committer takes no other, so none can be without its points.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Step { $($(#[doc = $doc])* $step),* }

        impl Step {
            pub const ALL: &[Step] = &[$(Step::$step),*];

            pub const fn name(self) -> &'static str {
                match self { $(Step::$step => $name),* }
            }

            pub const fn around(self) -> Around {
                match self { $(Step::$step => around!($name)),* }
            }
        }
    };
}

steps! {
    Accept = "accept",
    FinishMap = "finish_map",
    FinishLookup = "finish_lookup",
    CreateCall = "create_call",
    BeginPlacing = "begin_placing",
    EndPlacing = "end_placing",
    Report = "report",
    FinishWriteBack = "finish_write_back",
    FinishForward = "finish_forward",
    WantSources = "want_sources",
    /// An event that we fetched, with the place it came from.
    FetchEvent = "fetch_event",
    FinishSource = "finish_source",
    FinishAlert = "finish_alert",
    /// Alerts that were noticed outside of a step.
    ChangeAlerts = "change_alerts",
    Change = "change",
    Sweep = "sweep",
    Reject = "reject",
    /// Forgets what was remembered for a while.
    Prune = "prune",
    /// The end of a backup, between two groups.
    Snapshot = "snapshot",
}

/// The new epoch that every start writes.
pub const OPEN: Around = around!("open");
/// Inside a commit: written, handed to the system, on disk.
pub const COMMIT_APPLIED: &str = "commit.applied";
pub const COMMIT_FLUSHED: &str = "commit.flushed";
pub const COMMIT_SYNCED: &str = "commit.synced";
/// Requests that leave.
pub const DIALER_SEND: Around = around!("dialer.send");
pub const CRM_SEND: Around = around!("crm.send");
/// Answers that promise something.
pub const HOOKS_ANSWER: Around = around!("hooks.answer");
pub const CALLBACKS_ANSWER: Around = around!("callbacks.answer");
pub const CALLONE_ANSWER: Around = around!("callone.answer");
pub const CALLS_ANSWER: Around = around!("calls.answer");

/// Every point there is.
pub fn points() -> Vec<&'static str> {
    let pairs = Step::ALL.iter().map(|step| step.around()).chain([OPEN, DIALER_SEND, CRM_SEND, HOOKS_ANSWER, CALLBACKS_ANSWER, CALLONE_ANSWER, CALLS_ANSWER]);
    pairs.flat_map(|pair| [pair.before, pair.after]).chain([COMMIT_APPLIED, COMMIT_FLUSHED, COMMIT_SYNCED]).collect()
}

/// Passes the point `name`; ends the process if the test armed it and this is the chosen passing.
#[inline]
pub fn hit(name: &str) {
    #[cfg(debug_assertions)]
    armed::hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Arms one point from text like `accept.after:3`. Ignored in release builds and when it does not parse.
pub fn arm(text: &str) {
    #[cfg(debug_assertions)]
    armed::arm(text);
    #[cfg(not(debug_assertions))]
    let _ = text;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static ARMED: OnceLock<(String, AtomicI64)> = OnceLock::new();

    pub fn arm(text: &str) {
        let (name, n) = text.rsplit_once(':').unwrap_or((text, "1"));
        let n: i64 = n.parse().unwrap_or(1);
        let _ = ARMED.set((name.to_owned(), AtomicI64::new(n)));
    }

    pub fn hit(name: &str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // The test reads this to know that the process ended here and not by another fault.
            eprintln!("failure point {name}: the process ends here");
            std::process::abort();
        }
    }
}
