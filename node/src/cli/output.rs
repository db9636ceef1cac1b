//! What a command prints: plain lines for people, or one JSON object a line with a
//! `message_type`. Results go to stdout, errors and progress to stderr.

use super::exit::Failure;
use serde::Serialize;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

/// How a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Objects instead of lines.
    pub(crate) json: bool,
    /// Results and errors only.
    pub(crate) quiet: bool,
    /// More than usual.
    pub(crate) verbose: bool,
}

impl Out {
    /// A result for people.
    pub(crate) fn line(self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// A remark for people, left out with `-q`.
    pub(crate) fn remark(self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// A result for programs.
    pub(crate) fn object(self, value: &impl Serialize) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// A text that is the whole result either way, without a line's end added.
    pub(crate) fn raw(self, text: &[u8]) -> Result<(), Failure> {
        Ok(io::stdout().lock().write_all(text)?)
    }

    /// Trouble with one path among many.
    pub(crate) fn trouble(self, path: &str, reason: &str) {
        if self.json {
            let object = serde_json::json!({
                "message_type": "error", "path": path, "message": reason,
            });
            complain(&object);
        } else {
            complain(&format_args!("larder: {path}: {reason}"));
        }
    }

    /// Something that does not fail the command, but should be known.
    pub(crate) fn warn(self, text: impl fmt::Display) {
        if self.json {
            let object = serde_json::json!({
                "message_type": "error", "message": text.to_string(),
            });
            complain(&object);
        } else {
            complain(&format_args!("larder: {text}"));
        }
    }

    /// The last word of a command that failed.
    pub(crate) fn failed(self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        if self.json {
            let object = serde_json::json!({
                "message_type": "exit_error", "code": failure.exit, "message": failure.message,
            });
            complain(&object);
        } else {
            complain(&format_args!("larder: {}", failure.message));
        }
    }

    /// Something on the way, on stderr.
    pub(crate) fn note(self, text: impl fmt::Display) {
        if !self.quiet && !self.json {
            complain(&text);
        }
    }

    /// Whether a moving bar makes sense.
    pub(crate) fn bars(self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }
}

/// Writes a line to stderr. If even that fails there is nobody left to tell.
fn complain(text: &dyn fmt::Display) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
