//! What a backup leaves out: caches, temporary files and trash that can be made again, and what
//! the user names, in gitignore's syntax over absolute paths (the `ignore` crate). A relative
//! glob matches at any depth. A backup's own roots are never left out. What the user names counts
//! before the `.larderignore` files, and these before the defaults: `!.cache` takes one back.

use crate::receipt::Rule;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::Path;

/// Left out unless `default_excludes` is off. Directories that hold a valid `CACHEDIR.TAG` lose
/// their contents as well.
pub const DEFAULTS: [&str; 20] = [
    ".cache/",
    "/**/Library/Caches/",
    "/tmp/",
    "/var/tmp/",
    "/var/cache/",
    "/proc/",
    "/sys/",
    "/dev/",
    "/run/",
    "/swapfile",
    "/**/.local/share/Trash/",
    ".Trash/",
    ".Trash-[0-9]*/",
    ".Trashes/",
    "$RECYCLE.BIN/",
    "System Volume Information/",
    ".thumbnails/",
    "lost+found/",
    ".fseventsd/",
    ".Spotlight-V100/",
];

/// What the exclude `@builds` stands for: what builds and package managers put beside sources and
/// make again, for hours if need be and only while the network has it; so nobody gets it unasked.
/// (Cargo's `target` has a `CACHEDIR.TAG`.)
pub const BUILDS: [&str; 14] = [
    "node_modules/",
    "bower_components/",
    "__pycache__/",
    "*.pyc",
    ".venv/",
    ".tox/",
    ".nox/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".gradle/",
    ".terraform/",
    ".next/",
    ".parcel-cache/",
];

/// The name of that set among excludes; a file of this name is `\@builds`.
const BUILDS_NAME: &str = "@builds";

/// What the first bytes of a `CACHEDIR.TAG` are (bford.info/cachedir).
pub const CACHEDIR_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// A glob that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a glob: {glob:?}: {reason}")]
pub struct GlobError {
    /// The glob as it was given.
    pub glob: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A set of globs over absolute paths.
#[derive(Debug, Clone)]
pub struct Globs(Gitignore);

impl Globs {
    /// The set of `globs`, later ones first; `!glob` takes back.
    ///
    /// # Errors
    /// [`GlobError`] names the one that does not parse.
    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Result<Self, GlobError> {
        let mut builder = GitignoreBuilder::new("/");
        builder.allow_unclosed_class(false);
        for glob in globs {
            let glob = glob.as_ref();
            builder
                .add_line(None, &at_any_depth(glob))
                .map_err(|e| refuse(glob, &e))?;
        }
        builder.build().map(Self).map_err(|e| refuse("", &e))
    }

    /// What the set says of the entry itself: the glob that leaves it out, or that takes it back.
    pub(crate) fn says(&self, path: &Path, is_dir: bool) -> Option<Verdict> {
        match self.0.matched(path, is_dir) {
            Match::None => None,
            Match::Ignore(glob) => Some(Verdict::Out(glob.original().to_owned())),
            Match::Whitelist(_) => Some(Verdict::In),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the entry itself matches; for a walk that goes down from above.
    #[must_use]
    pub fn matches(&self, path: &Path, is_dir: bool) -> bool {
        self.0.matched(path, is_dir).is_ignore()
    }
}

/// What a set of globs says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Left out, by this glob.
    Out(String),
    /// Taken back.
    In,
}

/// What the user named, and what is left out unasked.
#[derive(Clone, Debug)]
pub(crate) struct Excludes {
    named: Globs,
    builds: Globs,
    defaults: Globs,
}

impl Excludes {
    pub(crate) fn new(named: &[String], defaults: bool) -> Result<Self, GlobError> {
        let builds = named.iter().any(|glob| glob == BUILDS_NAME);
        let set = |is_on: bool, globs: &[&str]| Globs::new(globs.iter().filter(|_| is_on));
        Ok(Self {
            named: Globs::new(named.iter().filter(|glob| *glob != BUILDS_NAME))?,
            builds: set(builds, &BUILDS)?,
            defaults: set(defaults, &DEFAULTS)?,
        })
    }

    /// The rule by which an entry is left out; `ignored` is what `.larderignore` files say of it.
    pub(crate) fn rule(
        &self,
        path: &Path,
        is_dir: bool,
        ignored: impl FnOnce() -> Option<Option<Rule>>,
    ) -> Option<Rule> {
        let said = |globs: &Globs, rule: fn(String) -> Rule| {
            globs.says(path, is_dir).map(|verdict| match verdict {
                Verdict::Out(glob) => Some(rule(glob)),
                Verdict::In => None,
            })
        };
        said(&self.named, Rule::Named)
            .or_else(ignored)
            .or_else(|| said(&self.builds, Rule::Build))
            .or_else(|| said(&self.defaults, Rule::Default))
            .flatten()
    }
}

fn refuse(glob: &str, error: &ignore::Error) -> GlobError {
    GlobError {
        glob: glob.to_owned(),
        reason: error.to_string(),
    }
}

/// gitignore anchors a glob with a slash in its middle; a person who writes `build/out` means any.
fn at_any_depth(glob: &str) -> String {
    let (bang, rest) = glob.strip_prefix('!').map_or(("", glob), |r| ("!", r));
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    let anchored = rest.starts_with('/') || rest.starts_with("**/");
    if anchored || !rest.trim_end_matches('/').contains('/') {
        format!("{bang}{rest}")
    } else {
        format!("{bang}**/{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn globs_match_as_people_mean_them() {
        let globs = Globs::new([
            "*.o",
            "build/out",
            "/home/u/big",
            "only/",
            "*.log",
            "!keep.log",
        ])
        .unwrap();
        for (path, is_dir, want) in [
            ("/a/b/x.o", false, true),
            ("/x/build/out", true, true),
            ("/home/u/big", false, true),
            ("/mnt/home/u/big", false, false),
            ("/a/only", true, true),
            ("/a/only", false, false),
            ("/a/b.log", false, true),
            ("/a/keep.log", false, false),
        ] {
            assert_eq!(globs.matches(Path::new(path), is_dir), want, "{path}");
        }
        assert!(globs.matches(Path::new(OsStr::from_bytes(b"/\xff/\n.o")), false));
        assert!(Globs::new(["a[b"]).is_err());
    }

    #[test]
    fn the_defaults_parse_and_spare_what_people_wrote() {
        let globs = Globs::new(DEFAULTS).unwrap();
        assert!(Globs::new(BUILDS).is_ok());
        for (path, want) in [
            ("/home/u/.cache", true),
            ("/home/u/.local/share/Trash", true),
            ("/media/d/.Trash-1000", true),
            ("/home/u/cache", false),
            ("/home/u/tmp", false),
            ("/home/u/work", false),
        ] {
            assert_eq!(globs.matches(Path::new(path), true), want, "{path}");
        }
    }

    #[test]
    fn what_is_named_counts_before_what_is_usual() {
        let named = ["!.cache".to_owned(), "*.iso".to_owned()];
        let rule = |excludes: &Excludes, path: &str, is_dir| {
            excludes.rule(Path::new(path), is_dir, || None)
        };
        let plain = Excludes::new(&[], true).unwrap();
        let cache = Rule::Default(".cache/".to_owned());
        assert_eq!(rule(&plain, "/u/.cache", true), Some(cache));
        let some = Excludes::new(&named, true).unwrap();
        assert_eq!(rule(&some, "/u/.cache", true), None);
        let iso = Rule::Named("*.iso".to_owned());
        assert_eq!(rule(&some, "/u/a.iso", false), Some(iso));
        // Nobody loses what a build made without having asked for it.
        assert_eq!(rule(&some, "/u/node_modules", true), None);
        let builds = Excludes::new(&["@builds".to_owned()], true).unwrap();
        let modules = Rule::Build("node_modules/".to_owned());
        assert_eq!(rule(&builds, "/u/node_modules", true), Some(modules));
        assert_eq!(rule(&builds, "/u/@builds", true), None);
    }
}
