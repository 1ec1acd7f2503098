//! How long the parts of a run took: a tree for `run.json`, and the same as events for whoever listens (`--log`).
//!
//! Events name verbs, cells, files and counts; never a cell of the data, for it may be about a person.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::cells::Timing;

/// One part of the work, and what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    pub name: String,
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Timed>,
}

/// Times the verbs of a run, one after the other.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    parts: Vec<Timed>,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { started: Instant::now(), parts: Vec::new() }
    }

    /// Does the work of a verb.
    pub fn verb<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        tracing::debug!(verb = name, "begins");
        let done = work();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(verb = name, seconds, "done");
        self.parts.push(Timed { name: name.into(), seconds, parts: Vec::new() });
        done
    }

    /// What the last verb was made of.
    pub fn made_of(&mut self, cells: &[Timing]) {
        if let Some(last) = self.parts.last_mut() {
            let part =
                |timing: &Timing| Timed { name: timing.cell.clone(), seconds: timing.seconds, parts: Vec::new() };
            last.parts = cells.iter().map(part).collect();
        }
    }

    /// The whole tree, up to now.
    pub fn tree(self, name: &str) -> Timed {
        Timed { name: name.into(), seconds: self.started.elapsed().as_secs_f64(), parts: self.parts }
    }
}
