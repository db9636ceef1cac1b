//! What the topmost folder of a view holds: a folder for each snapshot, named by as much of its id
//! as `larder snapshots` shows; `latest`; and `by-time`, where the same stand under their times.

use crate::snapshot::{Snapshot, SnapshotId};
use larder_types::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The link to the newest snapshot.
pub(super) const LATEST: &[u8] = b"latest";
/// The folder of links by time.
pub(super) const BY_TIME: &[u8] = b"by-time";
/// Letters of an id at least.
const SHORT: usize = 12;

/// A snapshot under its names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The folder's name.
    pub(super) short: String,
    /// The link's name in `by-time`: UTC, to the second.
    pub(super) time: String,
    pub(super) id: SnapshotId,
    pub(super) snapshot: Arc<Snapshot>,
}

/// Gives names to snapshots, which come oldest first.
pub(super) fn named(snapshots: Vec<(SnapshotId, Snapshot)>) -> Vec<Named> {
    let ids: Vec<String> = snapshots.iter().map(|(id, _)| id.to_string()).collect();
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let with_times = snapshots.into_iter().map(|(id, snapshot)| {
        let time = written(snapshot.time);
        let same = times.entry(time.clone()).or_default();
        *same += 1;
        let time = match *same {
            1 => time,
            several => format!("{time}-{several}"),
        };
        (id, Arc::new(snapshot), time)
    });
    let all = with_times.zip(&ids);
    all.map(|((id, snapshot, time), text)| Named {
        short: text[..distinct(&sorted, text)].to_owned(),
        time,
        id,
        snapshot,
    })
    .collect()
}

/// Letters that tell an id from its neighbours among all, sorted.
fn distinct(sorted: &[&str], id: &str) -> usize {
    let at = sorted.partition_point(|other| *other < id);
    let before = at.checked_sub(1).and_then(|i| sorted.get(i));
    let neighbours = before.into_iter().chain(sorted.get(at + 1));
    let common = neighbours.map(|other| {
        let both = id.bytes().zip(other.bytes());
        both.take_while(|(a, b)| a == b).count() + 1
    });
    common.max().unwrap_or(0).max(SHORT).min(id.len())
}

fn written(time: Time) -> String {
    let seconds = i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds);
    let text = moment.ok().and_then(|m| m.format(&Rfc3339).ok());
    // A time that no calendar has is still a name.
    text.unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use larder_types::{BlobId, Class};

    fn snapshot(first: u8, last: u8, time: u64) -> (SnapshotId, Snapshot) {
        let mut id = [first; 32];
        id[31] = last;
        let snapshot = Snapshot {
            time: Time(time),
            host: String::new(),
            tags: Vec::new(),
            paths: Vec::new(),
            class: Class::Normal,
            root: Content::default(),
            files: 0,
            dirs: 0,
            bytes: 0,
            errors: 0,
        };
        (BlobId(id), snapshot)
    }

    #[test]
    fn ids_are_as_long_as_needed_and_times_are_told_apart() {
        let at = 1_700_000_000_000;
        let all = vec![
            snapshot(1, 1, at),
            snapshot(9, 9, at + 999),
            snapshot(1, 2, at + 2_000),
        ];
        let full: Vec<String> = all.iter().map(|(id, _)| id.to_string()).collect();
        let named = named(all);
        let times: Vec<&str> = named.iter().map(|n| n.time.as_str()).collect();
        assert_eq!(
            times,
            [
                "2023-11-14T22:13:20Z",
                "2023-11-14T22:13:20Z-2",
                "2023-11-14T22:13:22Z"
            ]
        );
        assert_eq!(named[1].short, full[1][..SHORT]);
        assert_ne!(named[0].short, named[2].short);
        assert!(full[0].starts_with(&named[0].short) && full[2].starts_with(&named[2].short));
    }
}
