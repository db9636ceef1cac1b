//! Policies per folder as `config.toml` keeps them, `[[policy]]`: read when a backup begins, changed
//! through the RPC. What follows from them decides `larder_engine::policy`.

use crate::home::{Config, PolicyEntry};
use larder_backup::exclude::{GlobError, Globs};
use larder_engine::policy::{Policy, scoped};
use std::path::{Component, Path, PathBuf};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// Most policies: each backup looks at all of them.
pub const MAX_POLICIES: usize = 1_000;
/// Most patterns of one policy.
pub const MAX_EXCLUDES: usize = 1_000;

/// Why a policy cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The path is none that a backup could have.
    #[error("{0:?} is not an absolute path without `..`")]
    Path(String),
    /// A pattern that is none.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A set of patterns, for a part of the paths only.
    #[error("{0} holds for all paths: leave it out without --path")]
    Set(String),
    /// There are too many already.
    #[error("at most {MAX_POLICIES} paths have a policy: take one away (`larder class list`)")]
    Paths,
    /// It has too many patterns.
    #[error("at most {MAX_EXCLUDES} patterns a path: put some of them into fewer")]
    Excludes,
}

/// The policies that hold.
#[must_use]
pub fn of(config: &Config) -> Vec<Policy> {
    let all = config.policies.iter().map(|entry| Policy {
        path: entry.path.clone(),
        class: entry.class,
        excludes: entry.exclude.clone(),
    });
    all.collect()
}

/// A policy for `path` as it is kept.
///
/// # Errors
/// [`PolicyError`] if the path or a pattern is none.
pub fn entry(mut policy: PolicyEntry) -> Result<PolicyEntry, PolicyError> {
    policy.path = normal(&policy.path)?;
    if policy.exclude.len() > MAX_EXCLUDES {
        return Err(PolicyError::Excludes);
    }
    for glob in &policy.exclude {
        if glob.starts_with('@') && policy.path != Path::new("/") {
            return Err(PolicyError::Set(glob.clone()));
        }
        Globs::new([scoped(&policy.path, glob)]).map_err(|e| GlobError {
            glob: glob.clone(),
            ..e
        })?;
    }
    Ok(policy)
}

/// An absolute path without what only seems to be a part of it.
///
/// # Errors
/// [`PolicyError::Path`].
pub fn normal(path: &Path) -> Result<PathBuf, PolicyError> {
    let bad = || PolicyError::Path(path.display().to_string());
    let goes_up = path.components().any(|part| part == Component::ParentDir);
    if !path.is_absolute() || goes_up {
        return Err(bad());
    }
    Ok(path.components().collect())
}

/// Puts a policy into the file in place of the path's old one; an empty one takes it out. The list
/// stays in the order of its paths.
pub fn put(document: &mut DocumentMut, policy: &PolicyEntry) {
    let list = document
        .entry("policy")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(list) = list.as_array_of_tables_mut() else {
        return;
    };
    let path = policy.path.to_string_lossy();
    let is = |table: &Table| table.get("path").and_then(Item::as_str) == Some(path.as_ref());
    list.retain(|table| !is(table));
    if policy.class.is_some() || !policy.exclude.is_empty() {
        let mut table = Table::new();
        table["path"] = value(path.as_ref());
        if let Some(class) = policy.class {
            table["class"] = value(class.name());
        }
        if !policy.exclude.is_empty() {
            table["exclude"] = value(policy.exclude.iter().collect::<Array>());
        }
        list.push(table);
    }
    if list.is_empty() {
        document.remove("policy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ConfigFile;
    use larder_types::Class;
    use std::fs;

    const FILE: &str = "# mine\n[network]\ngenesis = \"g\"\nbootstrap = []\n";

    fn policy(path: &str, class: Option<Class>, exclude: &[&str]) -> PolicyEntry {
        PolicyEntry {
            path: path.into(),
            class,
            exclude: exclude.iter().map(|&glob| glob.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_set_is_read_again_and_what_is_empty_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.toml"), FILE).unwrap();
        let file = ConfigFile::of(dir.path());
        let put = |p: &PolicyEntry| file.edit(|document| put(document, p)).unwrap();
        let safe = policy("/a b", Some(Class::High), &["*.o", "!x"]);
        put(&policy("/a b", Some(Class::Low), &[]));
        put(&safe);
        put(&policy("/", None, &["tmp/"]));
        let kept = file.read().unwrap().policies;
        assert_eq!(kept, [safe, policy("/", None, &["tmp/"])]);
        put(&policy("/", None, &[]));
        put(&policy("/a b", None, &[]));
        let text = fs::read_to_string(file.path()).unwrap();
        assert_eq!(text, FILE);
    }

    #[test]
    fn what_no_backup_could_go_by_is_refused() {
        let of = |path: &str, glob: &str| entry(policy(path, None, &[glob]));
        assert_eq!(of("/a//b/./c/", "*").unwrap().path, Path::new("/a/b/c"));
        for path in ["a", "", "/a/../b"] {
            assert!(matches!(of(path, "*"), Err(PolicyError::Path(_))), "{path}");
        }
        assert!(of("/", "@builds").is_ok());
        let set = PolicyError::Set("@builds".to_owned());
        assert_eq!(of("/a", "@builds"), Err(set));
        let refused = of("/a", "a[b").unwrap_err();
        assert!(refused.to_string().contains("\"a[b\""), "{refused}");
    }
}
