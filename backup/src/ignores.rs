//! `.larderignore`: a file in any folder of a backup that says what below it is left out, as
//! `.gitignore` does for git (the `ignore` crate). The innermost file that says anything counts.
//! The files themselves are kept.

use crate::receipt::Rule;
use crate::walk::open_file;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fd::OwnedFd;
use std::io::{self, Read};
use std::path::Path;

/// The file's name.
pub(crate) const NAME: &[u8] = b".larderignore";
/// Bytes of it that are read: nobody writes more, and memory is bounded.
const MOST: u64 = 1 << 20;

/// The files on the way down to where a walk is.
#[derive(Debug, Default)]
pub(crate) struct Ignores(Vec<Gitignore>);

impl Ignores {
    /// Takes up the file in `dir`, whose path is `path`; also what is wrong with it. Lines that
    /// are no globs are passed over, and said.
    pub(crate) fn enter(&mut self, dir: &OwnedFd, path: &Path) -> Vec<String> {
        let (ignore, wrong) = match read(dir) {
            Ok(text) => parse(path, &text),
            Err(e) => (Gitignore::empty(), vec![e.to_string()]),
        };
        self.0.push(ignore);
        wrong
    }

    /// Leaves the folder that was entered last.
    pub(crate) fn leave(&mut self) {
        self.0.pop();
    }

    /// What they say of an entry: the rule that leaves it out, or `None` if it is taken back.
    pub(crate) fn says(&self, path: &Path, is_dir: bool) -> Option<Option<Rule>> {
        self.0
            .iter()
            .rev()
            .find_map(|ignore| match ignore.matched(path, is_dir) {
                Match::None => None,
                Match::Whitelist(_) => Some(None),
                Match::Ignore(glob) => Some(Some(Rule::Ignored {
                    file: ignore.path().join(".larderignore"),
                    glob: glob.original().to_owned(),
                })),
            })
    }
}

fn read(dir: &OwnedFd) -> io::Result<String> {
    let file = open_file(dir, NAME)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse(dir: &Path, text: &str) -> (Gitignore, Vec<String>) {
    let (mut builder, mut wrong) = (GitignoreBuilder::new(dir), Vec::new());
    builder.allow_unclosed_class(false);
    for (i, line) in text.lines().enumerate() {
        if let Err(e) = builder.add_line(None, line) {
            wrong.push(format!(
                "line {} is no glob, and leaves nothing out: {e}",
                i + 1
            ));
        }
    }
    let built = builder.build().map_err(|e| wrong.push(e.to_string()));
    (built.unwrap_or_else(|()| Gitignore::empty()), wrong)
}
