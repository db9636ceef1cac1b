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
        let held = |root: &ShardRoot| nodes.iter().find_map(|n| n.disk.shard(root));
        let found = rebuilt(&id, segment, held, rounds);
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
fn rebuilt<'n>(
    id: &SegmentId,
    segment: &Segment,
    held: impl Fn(&ShardRoot) -> Option<&'n Arc<[u8]>>,
    round: usize,
) -> Result<(), String> {
    let Some(coded) = &segment.coded else {
        return Err("durable, but never coded".to_owned());
    };
    let mut sources = Vec::new();
    for (j, root) in (0u16..).zip(&coded.roots) {
        if let Some(bytes) = held(root)
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

#[cfg(test)]
mod tests {
    use super::*;
    use larder_coding::shards::encode_segment;

    #[test]
    fn too_few_shards_wrong_bytes_and_other_content_are_noticed() {
        let (id, len, mask_key) = (SegmentId([1; 32]), 60_000, [2; 32]);
        let code = Code::new(4, 8, 6).unwrap();
        let mut sinks = vec![Vec::new(); 8];
        let mut source = Cursor::new(content(&id, len));
        let roots = encode_segment(code, &mask_key, &mut source, len, &mut sinks).unwrap();
        let mut disk: BTreeMap<ShardRoot, Arc<[u8]>> = roots
            .iter()
            .copied()
            .zip(sinks.into_iter().map(Arc::from))
            .collect();
        let coded = Coded {
            code,
            roots: roots.clone(),
            mask_key,
        };
        let segment = Segment {
            len,
            sealed: Time(0),
            durable: true,
            coded: Some(coded),
        };
        let other = SegmentId([9; 32]);
        for round in 0..8 {
            assert_eq!(rebuilt(&id, &segment, |r| disk.get(r), round), Ok(()));
        }
        assert!(rebuilt(&other, &segment, |r| disk.get(r), 0).is_err());
        for root in &roots[..4] {
            disk.remove(root);
        }
        assert_eq!(rebuilt(&id, &segment, |r| disk.get(r), 0), Ok(()));
        disk.insert(roots[7], Arc::from(vec![0; 16 << 10]));
        assert!(rebuilt(&id, &segment, |r| disk.get(r), 0).is_err());
    }
}
