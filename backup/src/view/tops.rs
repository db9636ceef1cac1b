//! The nodes that stand in no snapshot: links and folders of the view's own.

use super::names::{BY_TIME, LATEST, Named};
use super::nodes::{self, Key, Node, What};
use std::path::Path;

/// The folder of times.
pub(super) fn by_time() -> (Key, Node) {
    let key = Key::Named(nodes::ROOT, BY_TIME.to_vec());
    let node = Node {
        what: What::Times,
        parent: nodes::ROOT,
        root: nodes::ROOT,
        path: "/by-time".into(),
    };
    (key, node)
}

/// The link to the newest snapshot. Its number follows from where it leads, so that nobody takes an older one for it.
pub(super) fn latest(named: &Named) -> (Key, Node) {
    let name = [LATEST, b"/", named.short.as_bytes()].concat();
    let target = named.short.clone().into_bytes();
    link(Key::Named(nodes::ROOT, name), target, nodes::ROOT, named)
}

/// A link in the folder of times, which is `ino`.
pub(super) fn time_link(ino: u64, named: &Named) -> (Key, Node) {
    let target = [b"../", named.short.as_bytes()].concat();
    let name = [named.time.as_bytes(), b"/", &target].concat();
    link(Key::Named(ino, name), target, ino, named)
}

fn link(key: Key, target: Vec<u8>, parent: u64, named: &Named) -> (Key, Node) {
    let node = Node {
        what: What::Link(target, named.snapshot.time),
        parent,
        root: nodes::ROOT,
        path: Path::new("/").join(&named.short),
    };
    (key, node)
}
