//! The one error of training: its kind decides the exit code, the hint stands apart.

use crate::scoring::error::ScoringError;

/// What kind of failure: decides the exit code (1, 2, 3, 75, 130).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Environment, I/O or a bug: exit code 1.
    Failed,
    /// Usage, configuration, bad input data, changed bundle: exit code 2.
    Permanent,
    /// What was to be proved does not hold: exit code 3.
    Missed,
    /// A platform or a registry that is away or busy: worth a retry, exit code 75.
    Transient,
    /// Ctrl-C or SIGTERM; the next `train` continues: exit code 130.
    Interrupted,
}

/// Lower case, no final period; expected and found; the path always. `hint` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The input, the config or the bundle is wrong: trying again will not help.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Permanent, message)
    }

    /// The environment failed, or there is a bug.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// A proof that failed.
    pub fn missed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missed, message)
    }

    /// Trying again later may help.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted").hint("run the same command again to continue")
    }

    /// The same, said of a place; an interruption stays one.
    pub fn within(self, place: &str) -> Self {
        match self.kind {
            ErrorKind::Interrupted => self,
            _ => Self { message: format!("{place}: {}", self.message), ..self },
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ScoringError> for Error {
    fn from(error: ScoringError) -> Self {
        Self { kind: ErrorKind::Permanent, message: error.message, hint: error.hint }
    }
}

/// The system's words for an I/O error, in our style: lower case, without `(os error 2)`.
pub fn io_reason(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}
