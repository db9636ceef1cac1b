//! What a backup left out, and why: every entry is counted under the rule that named it, the first
//! paths of each rule are listed. An entry that is a folder stands for all that is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Paths listed of each rule.
const PATHS: usize = 10;
/// Rules told apart; whoever has more has a `.larderignore` in each of a thousand folders.
const RULES: usize = 1_000;

/// Why an entry was left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// One of [`crate::exclude::DEFAULTS`]: a cache, temporary files or trash.
    Default(String),
    /// One of [`crate::exclude::BUILDS`], which the user opted into.
    Build(String),
    /// A glob that the user named.
    Named(String),
    /// A line of a `.larderignore`.
    Ignored {
        /// The file.
        file: PathBuf,
        /// Its line.
        glob: String,
    },
    /// The contents of a folder with a valid `CACHEDIR.TAG`.
    CacheTag,
    /// A socket: only the program that made it can make it again.
    Socket,
    /// A folder of larder's own.
    Own,
    /// A file system that is a view of the kernel.
    View,
    /// Rules beyond the first thousand.
    Others,
}

impl Rule {
    /// What a person finds it by: the glob, or a word.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Default(glob) | Self::Build(glob) | Self::Named(glob) => glob,
            Self::Ignored { glob, .. } => glob,
            Self::CacheTag => "CACHEDIR.TAG",
            Self::Socket => "sockets",
            Self::Own => "larder's own",
            Self::View => "views of the kernel",
            Self::Others => "others",
        }
    }

    /// Why it leaves things out, in a few words.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Default(_) => "a cache, temporary or trash: can be made again".to_owned(),
            Self::Build(_) => "made by a build: asked for with @builds".to_owned(),
            Self::Named(_) => "asked for".to_owned(),
            Self::Ignored { file, .. } => format!("asked for in {}", file.display()),
            Self::CacheTag => "the folder's own tag calls it a cache".to_owned(),
            Self::Socket => "a socket works only with the program that made it".to_owned(),
            Self::Own => "the vault does not back itself up".to_owned(),
            Self::View => "the kernel makes it while it runs".to_owned(),
            Self::Others => "by more rules than are told apart".to_owned(),
        }
    }
}

/// What one rule left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The rule.
    pub rule: Rule,
    /// Of how many entries.
    pub count: u64,
    /// The first ten, as absolute paths.
    pub paths: Vec<PathBuf>,
}

/// What all rules left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt(BTreeMap<Rule, (u64, Vec<PathBuf>)>);

impl Receipt {
    pub(crate) fn note(&mut self, rule: Rule, path: &Path) {
        let is_new = !self.0.contains_key(&rule);
        let rule = if is_new && self.0.len() >= RULES {
            Rule::Others
        } else {
            rule
        };
        let (count, paths) = self.0.entry(rule).or_default();
        *count += 1;
        if paths.len() < PATHS {
            paths.push(path.to_owned());
        }
    }

    /// Rule by rule.
    pub(crate) fn omissions(self) -> Vec<Omission> {
        let each = self.0.into_iter();
        each.map(|(rule, (count, paths))| Omission { rule, count, paths })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_a_bounded_part_named() {
        let mut receipt = Receipt::default();
        for i in 0..3_000 {
            receipt.note(Rule::Named(format!("{i}")), Path::new("/x"));
            receipt.note(Rule::Socket, Path::new("/s"));
        }
        let all = receipt.omissions();
        assert_eq!(all.len(), RULES + 1);
        assert_eq!(all.iter().map(|o| o.count).sum::<u64>(), 6_000);
        assert!(all.iter().all(|o| o.paths.len() <= PATHS));
    }
}
