//! `larder snapshots` and `larder ls`: what is kept.

use super::args::LsArgs;
use super::args::retention::SnapshotsArgs;
use super::connect::{Asked, ask};
use super::exit::Failure;
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{BrowseParams, Client, Entry, EntryKind, SnapshotsParams};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;

/// Splits `SNAPSHOT[:/PATH]`.
pub(super) fn split(what: &str) -> (String, Option<String>) {
    match what.split_once(":/") {
        Some((snapshot, path)) => (snapshot.to_owned(), Some(format!("/{path}"))),
        None => (what.to_owned(), None),
    }
}

pub(super) fn snapshots(home: &Path, args: &SnapshotsArgs, out: Out) -> Asked {
    ask(home, |node| async move {
        let snapshots = all(|page| {
            let node = &node;
            let wanted = SnapshotsParams {
                all: args.all,
                cursor: page.cursor,
                limit: page.limit,
            };
            async move { node.backup_list_snapshots(&wanted).await }
        });
        for it in snapshots.await? {
            out.object(&json!({
                "message_type": "snapshot",
                "snapshot": it.snapshot,
                "time": it.time,
                "host": it.host,
                "paths": it.paths,
                "tags": it.tags,
                "class": it.class,
                "files": it.files,
                "dirs": it.dirs,
                "bytes": it.bytes,
                "forgotten": it.forgotten,
            }))?;
            let (id, size) = (short(&it.snapshot), Bytes(it.bytes).to_string());
            let forgotten = match it.forgotten {
                None => "",
                Some(f) if f.undeletable => "  (forgotten: `larder undelete` brings it back)",
                Some(_) => "  (forgotten for good)",
            };
            out.line(format_args!(
                "{id}  {}  {:<9} {:>9} files {size:>10}  {}{forgotten}",
                it.time,
                it.class,
                it.files,
                it.paths.join(" ")
            ))?;
        }
        Ok(())
    })
}

/// Enough of an id to tell snapshots apart.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(super) fn ls(home: &Path, args: &LsArgs, out: Out) -> Asked {
    ask(home, |node| async move {
        let (snapshot, path) = split(&args.what);
        // Depth first; the stack holds folders still to be listed.
        let mut folders = vec![path];
        while let Some(path) = folders.pop() {
            let entries = browse(&node, &snapshot, path).await?;
            let mut below = Vec::new();
            for entry in entries {
                show(&entry, args.long, out)?;
                if args.recursive && entry.kind == EntryKind::Dir {
                    below.push(Some(entry.path));
                }
            }
            folders.extend(below.into_iter().rev());
        }
        Ok(())
    })
}

async fn browse(
    node: &Client,
    snapshot: &str,
    path: Option<String>,
) -> Result<Vec<Entry>, Failure> {
    let (snapshot, path) = (&snapshot, &path);
    let entries = all(|page| async move {
        node.backup_browse(&BrowseParams {
            snapshot: (*snapshot).to_owned(),
            path: path.clone(),
            cursor: page.cursor,
            limit: page.limit,
        })
        .await
    });
    Ok(entries.await?)
}

fn show(entry: &Entry, long: bool, out: Out) -> Result<(), Failure> {
    out.object(&json!({
        "message_type": "entry",
        "path": entry.path,
        "kind": entry.kind,
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "modified": entry.modified,
        "target": entry.target,
    }))?;
    if !long {
        return out.line(&entry.path);
    }
    let kind = match entry.kind {
        EntryKind::File => '-',
        EntryKind::Dir => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::Special => '?',
    };
    let target = entry
        .target
        .as_ref()
        .map_or_else(String::new, |t| format!(" -> {t}"));
    out.line(format_args!(
        "{kind}{:04o} {:>5} {:>5} {:>12} {}  {}{target}",
        entry.mode & 0o7777,
        entry.uid,
        entry.gid,
        entry.size,
        entry.modified,
        entry.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_may_carry_a_path() {
        let path = |p: &str| Some(p.to_owned());
        assert_eq!(split("latest"), ("latest".into(), None));
        assert_eq!(split("latest:/a/b"), ("latest".into(), path("/a/b")));
        assert_eq!(split("3f:/a:/b"), ("3f".into(), path("/a:/b")));
        assert_eq!(split("latest:/"), ("latest".into(), path("/")));
    }
}
