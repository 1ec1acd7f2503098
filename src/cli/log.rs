//! `--log`: what the work says of itself while it lasts, line by line on standard error, as text or as JSON.
//!
//! Only events of this program: libraries below it know nothing that a person could want here.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use super::args::{LogFormat, LogLevel};

/// Starts the log of this process, once.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_target("fraudml", level);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // Fails only where a log was started before.
    let _ = match format {
        LogFormat::Text => registry().with(ours).with(lines).try_init(),
        LogFormat::Json => registry().with(ours).with(lines.json()).try_init(),
    };
}
