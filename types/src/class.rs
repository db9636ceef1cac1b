//! Redundancy classes: what a folder is worth. A class is a target of annual loss per segment,
//! from which the code is chosen for the providers that there are. `docs/protocol.md` §4.3.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A redundancy class.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// At most 1e-2 a year.
    Low,
    /// At most 1e-3 a year.
    #[default]
    Normal,
    /// At most 1e-6 a year.
    High,
    /// At most 1e-9 a year.
    Critical,
}

/// A word that names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such class: {0:?} (low, normal, high or critical)")]
pub struct ParseClassError(String);

impl Class {
    /// Every class, weakest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The word users write.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = ParseClassError;
    fn from_str(s: &str) -> Result<Self, ParseClassError> {
        Self::ALL
            .into_iter()
            .find(|c| c.name() == s)
            .ok_or_else(|| ParseClassError(s.to_owned()))
    }
}
