//! Policies per folder: how safe what lies below a path is kept, and what of it is left out.
//!
//! The class of a path is that of the longest policy path that it lies at or below. What is left
//! out adds up: every policy at, above or below a backed up path counts, deeper ones after those
//! above them, so that a `!glob` of a folder takes back what one above it left out.
//!
//! A backup makes one snapshot for each class that its paths have, the highest first. A folder
//! below a backed up path whose policy asks for *more* is in both: in a snapshot of its own class,
//! and in that of the path, which costs nothing more, because what a higher class holds is never
//! stored again in a lower one. A folder that asks for *less* stays with the path above it, unless
//! it is backed up by itself. So nothing is ever kept less safe than was asked, and the snapshot
//! made last holds everything.

use larder_types::Class;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What holds at and below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The path; absolute.
    pub path: PathBuf,
    /// How safe.
    pub class: Option<Class>,
    /// What is left out, as in `.gitignore`; without a leading slash at any depth below the path.
    pub excludes: Vec<String>,
}

/// What is backed up as one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its class.
    pub class: Class,
    /// The paths in it.
    pub paths: Vec<PathBuf>,
    /// What is left out, later ones first.
    pub excludes: Vec<String>,
}

/// The class of `path`, if a policy says one.
#[must_use]
pub fn class_of(policies: &[Policy], path: &Path) -> Option<Class> {
    let above = policies.iter().filter(|p| path.starts_with(&p.path));
    let said = above.filter_map(|p| Some((p.path.components().count(), p.class?)));
    said.max_by_key(|(depth, _)| *depth).map(|(_, class)| class)
}

/// The snapshots that a backup of `paths` comes to, the highest class first. `class`: what was
/// asked for; then there is one. `there` says whether a policy's own path exists.
#[must_use]
pub fn parts(
    policies: &[Policy],
    paths: &[PathBuf],
    class: Option<Class>,
    there: impl Fn(&Path) -> bool,
) -> Vec<Part> {
    let mut by_class: BTreeMap<Class, Vec<PathBuf>> = BTreeMap::new();
    let mut put = |class: Class, path: &Path| {
        let paths = by_class.entry(class).or_default();
        if !paths.iter().any(|p| p == path) {
            paths.push(path.to_owned());
        }
    };
    for path in paths {
        let own = class
            .or_else(|| class_of(policies, path))
            .unwrap_or_default();
        put(own, path);
        if class.is_none() {
            for (class, below) in dearer(policies, path, own) {
                if there(below) {
                    put(class, below);
                }
            }
        }
    }
    let parts = by_class.into_iter().rev();
    parts
        .map(|(class, paths)| Part {
            class,
            excludes: excludes(policies, &paths),
            paths,
        })
        .collect()
}

/// The policies below `path` that ask for more than everything above them does.
fn dearer<'a>(
    policies: &'a [Policy],
    path: &'a Path,
    own: Class,
) -> impl Iterator<Item = (Class, &'a Path)> {
    let below = move |p: &&Policy| p.path.starts_with(path) && p.path != path;
    policies.iter().filter(below).filter_map(move |it| {
        let class = it.class?;
        let between = policies.iter().filter(below);
        let above = between.filter(|p| it.path.starts_with(&p.path) && p.path != it.path);
        let most = above.filter_map(|p| p.class).fold(own, Class::max);
        (class > most).then_some((class, it.path.as_path()))
    })
}

/// What a backup of `paths` leaves out, later ones first.
#[must_use]
pub fn excludes(policies: &[Policy], paths: &[PathBuf]) -> Vec<String> {
    let touches = |policy: &&Policy| {
        let meets =
            |path: &PathBuf| path.starts_with(&policy.path) || policy.path.starts_with(path);
        paths.iter().any(meets)
    };
    let mut touching: Vec<&Policy> = policies.iter().filter(touches).collect();
    touching.sort_by_key(|policy| policy.path.components().count());
    let globs = touching.iter();
    globs
        .flat_map(|policy| {
            policy
                .excludes
                .iter()
                .map(|glob| scoped(&policy.path, glob))
        })
        .collect()
}

/// A policy's glob as one over absolute paths. A set of globs, `@builds`, has no place of its own.
#[must_use]
pub fn scoped(at: &Path, glob: &str) -> String {
    let (bang, rest) = glob
        .strip_prefix('!')
        .map_or(("", glob), |rest| ("!", rest));
    if rest.starts_with(['/', '@']) {
        return glob.to_owned();
    }
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    let rest = rest.strip_prefix("**/").unwrap_or(rest);
    let base = at.to_string_lossy();
    let base = literal(base.trim_end_matches('/'));
    format!("{bang}{base}/**/{rest}")
}

/// A path as a glob that matches only itself.
#[must_use]
pub fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(
            c,
            '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!' | '#' | ' '
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(path: &str, class: Option<Class>, excludes: &[&str]) -> Policy {
        Policy {
            path: path.into(),
            class,
            excludes: excludes.iter().map(|&glob| glob.to_owned()).collect(),
        }
    }

    fn shown(policies: &[Policy], paths: &[&str], class: Option<Class>) -> Vec<String> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let there = |path: &Path| !path.ends_with("gone");
        let parts = parts(policies, &paths, class, there).into_iter();
        let paths = |part: &Part| {
            let paths = part.paths.iter().map(|p| p.display().to_string());
            paths.collect::<Vec<_>>().join(" ")
        };
        parts
            .map(|p| format!("{} {}", p.class, paths(&p)))
            .collect()
    }

    #[test]
    fn the_longest_path_that_it_lies_below_gives_the_class() {
        let all = [
            policy("/", Some(Class::Low), &[]),
            policy("/home/me", Some(Class::High), &[]),
            policy("/home/me/src", None, &["target/"]),
            policy("/home/me/src/old", Some(Class::Normal), &[]),
        ];
        let of = |path: &str| class_of(&all, Path::new(path));
        assert_eq!(of("/etc"), Some(Class::Low));
        assert_eq!(of("/home/me"), Some(Class::High));
        assert_eq!(of("/home/melanie"), Some(Class::Low));
        assert_eq!(of("/home/me/src/a"), Some(Class::High));
        assert_eq!(of("/home/me/src/old/b"), Some(Class::Normal));
        assert_eq!(class_of(&all[1..], Path::new("/etc")), None);
    }

    #[test]
    fn one_snapshot_a_class_and_the_last_one_holds_everything() {
        let all = [
            policy("/h", Some(Class::Normal), &[]),
            policy("/h/photos", Some(Class::High), &[]),
            policy("/h/photos/raw", Some(Class::Normal), &[]),
            policy("/h/photos/wedding", Some(Class::Critical), &[]),
            policy("/h/downloads", Some(Class::Low), &[]),
            policy("/h/gone", Some(Class::Critical), &[]),
        ];
        assert_eq!(
            shown(&all, &["/h"], None),
            ["critical /h/photos/wedding", "high /h/photos", "normal /h"]
        );
        assert_eq!(
            shown(&all, &["/h/downloads", "/x"], None),
            ["normal /x", "low /h/downloads"]
        );
        assert_eq!(shown(&all, &["/h", "/x"], Some(Class::Low)), ["low /h /x"]);
        let twice = shown(&all, &["/h/photos", "/h/photos/wedding"], None);
        assert_eq!(twice, ["critical /h/photos/wedding", "high /h/photos"]);
        assert_eq!(shown(&[], &["/a", "/b"], None), ["normal /a /b"]);
    }

    #[test]
    fn what_is_left_out_adds_up_and_deeper_ones_come_later() {
        let all = [
            policy("/h/src", None, &["!keep.o", "/h/src/big"]),
            policy("/", None, &["*.o"]),
            policy("/other", None, &["*.x"]),
            policy("/h/a [b]", None, &["build/out"]),
        ];
        let of = |path: &str| excludes(&all, &[path.into()]);
        let below = "/h/a\\ \\[b\\]/**/build/out";
        assert_eq!(
            of("/h"),
            ["/**/*.o", "!/h/src/**/keep.o", "/h/src/big", below]
        );
        assert_eq!(
            of("/h/src/deep"),
            ["/**/*.o", "!/h/src/**/keep.o", "/h/src/big"]
        );
    }
}
