//! The deployable steps by name: three stages and their fusion.

use super::error::ScoringError;

/// One deployable step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Transform,
    Encode,
    Predict,
    /// All three without the JSON between them.
    Pipeline,
}

impl Stage {
    pub const ALL: [Stage; 4] = [Stage::Transform, Stage::Encode, Stage::Predict, Stage::Pipeline];

    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Transform => "transform",
            Stage::Encode => "encode",
            Stage::Predict => "predict",
            Stage::Pipeline => "pipeline",
        }
    }

    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// A name that somebody gave: `None` if it says nothing (empty, `main`), an error if it is none of the four.
    pub fn named(name: &str) -> Result<Option<Stage>, ScoringError> {
        match (name.trim(), Stage::from_name(name.trim())) {
            ("" | "main", _) => Ok(None),
            (_, Some(stage)) => Ok(Some(stage)),
            (unknown, None) => {
                let unknown: String = unknown.chars().take(60).collect();
                let names = Stage::ALL.map(|stage| format!("`{}`", stage.as_str())).join(", ");
                Err(ScoringError::new(format!("unknown stage `{unknown}`: expected one of {names}")))
            }
        }
    }

    /// The stage that an action's name ends with (`/guest/fraud/encode`), if it does.
    pub fn of_action(action_name: &str) -> Option<Stage> {
        Stage::from_name(action_name.rsplit('/').next().unwrap_or_default())
    }
}
