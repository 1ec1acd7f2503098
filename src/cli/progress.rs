//! Progress on a terminal: one bar per unit of work, with rate and time left, on standard error; and the wish to stop.
//!
//! Where standard error is no terminal, or with `--quiet`, `--no-progress`, no bars are drawn; notes still are, unless
//! `--quiet`. The first Ctrl-C (or SIGTERM) asks the work to stop where it can be continued; the second, or a loop that
//! does not look up in time, ends at once. That loses no more than kill -9 does: what is published stays.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::diagnostics::{self, Failure};
use super::printer::Printer;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};

/// Exit code of a process that was told to stop, as shells have it.
const INTERRUPTED: i32 = 130;
/// How long work may take to come to a safe point.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Draws what long work reports.
pub struct Bars {
    printer: Printer,
    multi: MultiProgress,
    drawn: bool,
    /// By unit, in the order of [`slot`].
    bars: [RwLock<Option<ProgressBar>>; 4],
    interrupted: Arc<AtomicBool>,
}

impl Bars {
    /// Bars if a person looks on, and the signal handlers. At most once per process.
    pub fn start(printer: Printer, no_progress: bool) -> Result<Bars> {
        let drawn = stderr().is_terminal() && !no_progress && !printer.quiet;
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let multi = MultiProgress::with_draw_target(target);
        let interrupted = Arc::new(AtomicBool::new(false));
        let (asked, shown) = (Arc::clone(&interrupted), multi.clone());
        let handler = move || {
            if asked.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED);
            }
            shown.suspend(|| printer.note("stopping at the next safe point; once more ends at once"));
            let shown = shown.clone();
            std::thread::spawn(move || {
                std::thread::sleep(PATIENCE);
                let failure = Failure::Error(Error::interrupted());
                let _ = shown.suspend(|| diagnostics::report(&failure, printer));
                std::process::exit(INTERRUPTED);
            });
        };
        ctrlc::set_handler(handler).map_err(|error| Error::failed(format!("can't listen for Ctrl-C: {error}")))?;
        Ok(Bars { printer, multi, drawn, bars: Default::default(), interrupted })
    }

    fn slot(&self, unit: Unit) -> &RwLock<Option<ProgressBar>> {
        let [cells, rows, trees, epochs] = &self.bars;
        match unit {
            Unit::Cells => cells,
            Unit::Rows => rows,
            Unit::Trees => trees,
            Unit::Epochs => epochs,
        }
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let unit = match unit {
        Unit::Cells => "cells",
        Unit::Rows => "rows",
        Unit::Trees => "trees",
        Unit::Epochs => "epochs",
    };
    let template = format!("{{msg:40!}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{rate}}, {{eta}} left");
    // The template is fixed; were it wrong, a plain bar would do.
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let _ = write!(text, "{}", rate(state.per_sec()));
        })
        .progress_chars("=> ")
}

/// Three digits at most: `48.5/s`, `310k/s`; slow work in seconds for one.
fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.1}M/s", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k/s", rate / 1e3),
        rate if rate >= 100.0 => format!("{rate:.0}/s"),
        rate if rate >= 1.0 => format!("{rate:.1}/s"),
        rate if rate > 0.0 => format!("{:.1} s each", 1.0 / rate),
        _ => "-/s".to_owned(),
    }
}

impl Drop for Bars {
    /// Work that stopped half-way leaves no bars behind.
    fn drop(&mut self) {
        for unit in [Unit::Cells, Unit::Rows, Unit::Trees, Unit::Epochs] {
            self.end(unit);
        }
    }
}

impl Progress for Bars {
    fn begin(&self, unit: Unit, label: &str, total: u64) {
        if !self.drawn {
            return;
        }
        let bar = self.multi.add(ProgressBar::new(total).with_style(style(unit)).with_message(label.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(500));
        let previous = self.slot(unit).write().unwrap_or_else(PoisonError::into_inner).replace(bar);
        if let Some(previous) = previous {
            previous.finish_and_clear();
        }
    }

    fn advance(&self, unit: Unit, by: u64) {
        if let Some(bar) = self.slot(unit).read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            bar.inc(by);
        }
    }

    fn end(&self, unit: Unit) {
        if let Some(bar) = self.slot(unit).write().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    fn say(&self, line: &str) {
        self.multi.suspend(|| self.printer.note(line));
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rates_are_short() {
        let shown = [0.0, 0.25, 48.514, 310.0, 99_949.0, 2_500_000.0].map(rate);
        assert_eq!(shown, ["-/s", "4.0 s each", "48.5/s", "310/s", "100k/s", "2.5M/s"]);
    }
}
