//! The environment. Nothing else in callbridge reads it.

use crate::failpoint;

/// The value of an environment variable; absent where it is not text.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every variable that is text.
pub(super) fn all() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Arms the failure point that a test named in `CALLBRIDGE_FAIL`; nothing in a release build.
pub fn arm_failpoint() {
    if let Some(text) = env("CALLBRIDGE_FAIL") {
        failpoint::arm(&text);
    }
}
