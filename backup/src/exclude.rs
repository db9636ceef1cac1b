//! What a backup leaves out: caches, temporary files and trash that can be made again, and what
//! the user names, in gitignore's syntax over absolute paths (the `ignore` crate). A relative
//! glob matches at any depth. A backup's own roots are never left out.

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
}
