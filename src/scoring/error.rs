//! The one error of scoring: what is wrong, in which field, and what to do.

/// What is wrong with a record, a bundle or a request. `field` names the raw column where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScoringError {
    pub message: String,
    pub field: Option<String>,
    pub hint: Option<String>,
}

impl ScoringError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), field: None, hint: None }
    }

    /// Names the raw column at fault.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
