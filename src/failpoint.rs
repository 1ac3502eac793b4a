//! Named points at which a test may kill the process, to prove that nothing is lost there.
//!
//! Compiled only with debug assertions; a release build does nothing here. `config` reads `CALLBRIDGE_FAIL=<name>:<n>` and
//! calls [`arm`]; the process ends, without unwinding or flushing, when the point is passed for the n-th time.

/// Passes the point `name`; ends the process if the test armed it and this is the chosen passing.
#[inline]
pub fn hit(name: &str) {
    #[cfg(debug_assertions)]
    armed::hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Passes the point `<step>.<side>` without making the name when nothing is armed.
#[inline]
pub fn hit_step(step: &str, side: &str) {
    #[cfg(debug_assertions)]
    if armed::is_armed() {
        armed::hit(&format!("{step}.{side}"));
    }
    #[cfg(not(debug_assertions))]
    let _ = (step, side);
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

    pub fn is_armed() -> bool {
        ARMED.get().is_some()
    }

    pub fn hit(name: &str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}
