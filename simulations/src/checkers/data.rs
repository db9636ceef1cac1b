//! What was told durable can be had: from the shards on providers' disks, with their right roots,
//! every such segment is really decoded and compared with what was sealed. Besides: what is read
//! back by a keeper is what it sealed, and what is handed over is saved before long.

use super::Tally;
use crate::dice::DAY;
use crate::jobs::decoded;
use crate::keeper::content;
use crate::node::Node;
use crate::report::Checker;
use larder_coding::layout::Code;
use larder_types::{SegmentId, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

/// What is handed over is durable after this many virtual milliseconds: its keeper or too many
/// providers may be away for a while.
const PATIENCE: u64 = 20 * DAY;

#[derive(Debug)]
struct Coded {
    code: Code,
    roots: Vec<ShardRoot>,
    mask_key: [u8; 32],
}

#[derive(Debug)]
struct Segment {
    len: u64,
    sealed: Time,
    durable: bool,
    coded: Option<Coded>,
}

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Data {
    segments: BTreeMap<SegmentId, Segment>,
    /// Shards that a lazy provider threw away: their loss is no one's broken promise but its own.
    cheated: BTreeSet<ShardRoot>,
    rounds: usize,
    reconstructable: Tally,
    equal: Tally,
    saved: Tally,
}

impl Data {
    /// A keeper sealed a segment.
    pub(crate) fn sealed(&mut self, now: Time, id: SegmentId, len: u64) {
        let segment = Segment {
            len,
            sealed: now,
            durable: false,
            coded: None,
        };
        self.segments.insert(id, segment);
    }

    /// A segment was coded into shards with these roots.
    pub(crate) fn coded(
        &mut self,
        id: SegmentId,
        code: Code,
        roots: &[ShardRoot],
        mask_key: [u8; 32],
    ) {
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.coded = Some(Coded {
                code,
                roots: roots.to_vec(),
                mask_key,
            });
        }
    }

    /// A segment was told durable: it must be so from now on.
    pub(crate) fn durable(&mut self, now: Time, id: SegmentId, nodes: &[Node]) {
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.durable = true;
        }
        self.look(now, id, nodes);
    }

    /// A lazy provider threw these away.
    pub(crate) fn cheated(&mut self, roots: &[ShardRoot]) {
        self.cheated.extend(roots);
    }

    /// Looks at every durable segment.
    pub(crate) fn checkpoint(&mut self, now: Time, nodes: &[Node]) {
        self.rounds += 1;
        let ids: Vec<SegmentId> = self
            .segments
            .iter()
            .filter(|(_, s)| s.durable)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.look(now, id, nodes);
        }
    }

    fn look(&mut self, now: Time, id: SegmentId, nodes: &[Node]) {
        let rounds = self.rounds;
        let Some(segment) = self.segments.get(&id) else {
            return;
        };
        let found = rebuilt(&id, segment, nodes, rounds);
        self.reconstructable.check(found.is_ok(), || {
            let why = found.err().unwrap_or_default();
            format!("{}: segment {id}: {why}", now.0)
        });
    }

    /// A keeper read a segment back.
    pub(crate) fn read_back(&mut self, now: Time, id: &SegmentId, bytes: Option<&[u8]>) {
        let Some(segment) = self.segments.get(id) else {
            return;
        };
        let same = bytes == Some(&content(id, segment.len)[..]);
        self.equal.check(same, || {
            format!("{}: segment {id} came back as something else", now.0)
        });
    }

    /// The run ends: is everything saved that had the time?
    pub(crate) fn overdue(&mut self, now: Time) {
        for (id, segment) in &self.segments {
            let waited = now.since(segment.sealed).0;
            if segment.durable || waited > PATIENCE {
                self.saved.check(segment.durable, || {
                    format!("segment {id} waits since {} days", waited / DAY)
                });
            }
        }
    }

    /// What it found.
    pub(crate) fn findings(&self) -> Vec<Checker> {
        vec![
            self.reconstructable.finding("reconstructable"),
            self.equal.finding("restored equal"),
            self.saved.finding("saved before long"),
        ]
    }
}

/// Decodes a segment from what providers hold; another choice of positions in each round.
fn rebuilt(id: &SegmentId, segment: &Segment, nodes: &[Node], round: usize) -> Result<(), String> {
    let Some(coded) = &segment.coded else {
        return Err("durable, but never coded".to_owned());
    };
    let mut sources = Vec::new();
    for (j, root) in (0u16..).zip(&coded.roots) {
        let held = nodes.iter().find_map(|n| n.disk.shard(root));
        if let Some(bytes) = held
            && blake3::hash(bytes).as_bytes() == &root.0
        {
            sources.push((j, Cursor::new(Arc::clone(bytes))));
        }
    }
    let (held, needed) = (sources.len(), usize::from(coded.code.k()));
    if held < needed {
        return Err(format!("{held} shards left, {needed} needed"));
    }
    sources.rotate_left(round % held);
    sources.truncate(needed);
    let got = decoded(coded.code, &coded.mask_key, &mut sources, segment.len)
        .map_err(|e| format!("{e:?}"))?;
    if got == content(id, segment.len) {
        Ok(())
    } else {
        Err("decodes to something else".to_owned())
    }
}
