//! The workspace as cargo sees it on this machine.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::process::Command;

/// What `cargo metadata` says for this machine's target.
pub(crate) fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(larder_tests::root().join("Cargo.toml"))
        .other_options(vec!["--filter-platform".to_owned(), host()])
        .exec()
        .expect("cargo knows its own workspace")
}

/// The target that rustc builds for when it is not told otherwise.
fn host() -> String {
    let said = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc is here");
    let text = String::from_utf8(said.stdout).expect("rustc speaks UTF-8");
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc says its host").to_owned()
}

/// The folder that a workspace package lives in: `types`, `node`, ….
pub(crate) fn folder(package: &Package) -> String {
    let dir = package
        .manifest_path
        .parent()
        .expect("a manifest lies in a folder");
    dir.file_name().expect("which has a name").to_owned()
}

/// The names of the packages that `package` depends on directly, not only in its tests.
pub(crate) fn direct(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dep| dep.kind == DependencyKind::Normal)
        .map(|dep| dep.name.clone())
        .collect()
}
