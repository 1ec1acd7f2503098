//! The time of day, for what a platform must tell: when an activation began and when its deadline is.
//!
//! No result of learning or scoring may depend on it; hence the one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[allow(clippy::disallowed_methods)]
pub fn epoch_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
