//! How a command ends: the exit codes that scripts rely on, and one line that names the mend.

use larder_rpc::ClientError;
use std::fmt;
use std::io;

/// Failed.
pub(crate) const FAILED: u8 = 1;
/// Used wrongly.
pub(crate) const USAGE: u8 = 2;
/// Done in part: some files could not be read or restored.
pub(crate) const IN_PART: u8 = 3;
/// No such home or vault.
pub(crate) const NO_HOME: u8 = 10;
/// Wrong passphrase or words.
pub(crate) const WRONG_WORDS: u8 = 12;
/// Saved, but below the class's durability.
pub(crate) const BELOW_CLASS: u8 = 20;
/// No quota, credit or peers.
pub(crate) const NO_PEERS: u8 = 21;
/// Damage found.
pub(crate) const DAMAGE: u8 = 22;
/// Interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: u8,
    /// One line that names the mend; empty: nothing to say.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: u8, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }

    /// The same, of a stage of something longer. What has nothing to say stays silent.
    pub(crate) fn of_stage(self, stage: &str) -> Self {
        if self.message.is_empty() {
            return self;
        }
        Self::new(self.exit, format_args!("{stage}: {}", self.message))
    }

    /// An exit code that says what was already told in the summary.
    pub(crate) fn silent(exit: u8) -> Self {
        Self::new(exit, "")
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<io::Error> for Failure {
    /// A reader that has seen enough (`larder ls | head`) is no failure to speak of.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::silent(0)
        } else {
            Self::new(FAILED, error)
        }
    }
}
