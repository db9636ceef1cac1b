//! The twenty-four words, and passphrases, as a user hands them over: a file, or typed where nobody sees them. They are
//! never printed here and never rest anywhere.

use super::args::UnlockArgs;
use super::exit::{FAILED, Failure, WRONG_WORDS};
use crate::home::is_sealed;
use larder_keys::{Seed, Words};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Words and the spaces between them are far shorter.
const LONGEST: u64 = 4 << 10;

/// What a verb takes its words from: a file, or the user.
pub(super) fn given(file: Option<&Path>) -> Result<Seed, Failure> {
    seed(&text(file)?)
}

/// The same, as they were handed over.
pub(super) fn text(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(path) => read(path),
        None => ask(),
    }
}

/// What the words stand for.
pub(super) fn seed(words: &str) -> Result<Seed, Failure> {
    parse(words).map(|words| words.seed())
}

/// The words themselves, if they are any.
pub(super) fn parse(words: &str) -> Result<Words, Failure> {
    let wrong = |e| {
        Failure::new(
            WRONG_WORDS,
            format_args!("{e}; check the words and their order"),
        )
    };
    Words::parse(words).map_err(wrong)
}

/// The words in a file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|e| {
            Failure::new(
                FAILED,
                format_args!("cannot read the words in {}: {e}", path.display()),
            )
        })
}

/// A passphrase in a file, without the line's end; or as typed, unseen.
pub(super) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    prompted(file, "The passphrase (it is not shown): ")
}

/// A passphrase that is to hold from now on: typed unseen, it is typed twice.
pub(super) fn new_passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let first = prompted(file, "The new passphrase (it is not shown): ")?;
    if file.is_none() && io::stdin().is_terminal() {
        let second = prompted(None, "The same once more: ")?;
        if *first != *second {
            let why = "the two are not the same: nothing has changed, try again";
            return Err(Failure::new(FAILED, why));
        }
    }
    Ok(first)
}

/// What opens a home: nothing where it lies in the clear, or nobody gave anything.
pub(super) fn of_home(
    home: &Path,
    unlock: &UnlockArgs,
) -> Result<Option<Zeroizing<String>>, Failure> {
    if !is_sealed(home) {
        return Ok(None);
    }
    // Who is no terminal may keep standard input open for ever, or have meant it for something else.
    if unlock.passphrase_file.is_none() && !io::stdin().is_terminal() {
        return Ok(None);
    }
    let text = passphrase(unlock.passphrase_file.as_deref())?;
    Ok((!text.is_empty()).then_some(text))
}

/// A passphrase as functions take it.
pub(super) fn shown(passphrase: Option<&Zeroizing<String>>) -> Option<&str> {
    passphrase.map(|text| text.as_str())
}

fn prompted(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|e| {
                let why = format_args!("cannot read the passphrase in {}: {e}", path.display());
                Failure::new(FAILED, why)
            })?,
        None => unseen(prompt)?,
    };
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// The words as typed, unseen; or all of standard input where that is no terminal.
fn ask() -> Result<Zeroizing<String>, Failure> {
    unseen("The 24 words, in order (they are not shown): ")
}

fn unseen(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let mut words = Zeroizing::new(String::with_capacity(512));
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().take(LONGEST).read_to_string(&mut words)?;
        return Ok(words);
    }
    write!(io::stderr(), "{prompt}")?;
    let unseen = Unseen::begin()?;
    stdin.read_line(&mut words)?;
    drop(unseen);
    writeln!(io::stderr())?;
    Ok(words)
}

/// A terminal that does not show what is typed, until dropped. Ctrl-C still ends the process; the
/// shell then sets the terminal right, as after any program.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO);
        now.local_modes
            .insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(io::stdin(), OptionalActions::Flush, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // If even that fails, `stty sane` helps.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}
