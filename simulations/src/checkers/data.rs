//! What was told durable can be had, while no more holders are gone at once than its code bears:
//! enough of its shards lie intact on providers' disks, and such segments, one in eight at each
//! look and all of them at the end, are really decoded and compared with what was sealed. Besides:
//! what is read back by a keeper is what it sealed, and what is handed over is saved before long.
//!
//! A shard is *gone for a cause* if a machine that had it is gone for good, a byte of it flipped, a
//! cheating provider threw it away, or the ledger found its holder FAULTED. Only where more than n − k
//! are gone for a cause may a segment be lost; a shard that is gone without one excuses nothing.

use super::{Sight, Tally};
use crate::dice::DAY;
use crate::jobs::decoded;
use crate::keeper::content;
use crate::report::Checker;
use larder_coding::layout::Code;
use larder_ledger::Event;
use larder_types::{NodeId, SegmentId, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

/// What is handed over is durable after this many virtual milliseconds: its keeper or too many
/// providers may be away for a while.
const PATIENCE: u64 = 20 * DAY;
/// One segment in so many is decoded at each look.
const DECODED: usize = 8;

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
    /// Too many of its shards were gone at once.
    beyond: bool,
    coded: Option<Coded>,
}

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Data {
    segments: BTreeMap<SegmentId, Segment>,
    /// Which nodes have ever stored a shard.
    homes: BTreeMap<ShardRoot, Vec<usize>>,
    /// Shards of nodes that flipped or that a cheating provider threw away.
    broken: BTreeSet<(usize, ShardRoot)>,
    /// Providers that were ever FAULTED.
    faulted: BTreeSet<NodeId>,
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
            beyond: false,
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

    /// A provider took a shard in.
    pub(crate) fn stored(&mut self, node: usize, root: ShardRoot) {
        let homes = self.homes.entry(root).or_default();
        if !homes.contains(&node) {
            homes.push(node);
        }
        self.broken.remove(&(node, root));
    }

    /// Shards flipped on a disk, or were thrown away by a cheating provider.
    pub(crate) fn broken(&mut self, node: usize, roots: &[ShardRoot]) {
        self.broken.extend(roots.iter().map(|root| (node, *root)));
    }

    /// The ledger did something.
    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Faulted { provider, .. } = event {
            self.faulted.insert(*provider);
        }
    }

    /// A segment was told durable: it must be so from now on.
    pub(crate) fn durable(&mut self, sight: &Sight<'_>, id: SegmentId) {
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.durable = true;
        }
        self.look(sight, id, Look::Count);
    }

    /// Looks at every durable segment.
    pub(crate) fn checkpoint(&mut self, sight: &Sight<'_>) {
        self.rounds += 1;
        let rounds = self.rounds;
        for (i, id) in self.durables().into_iter().enumerate() {
            let decodes = (i + rounds).is_multiple_of(DECODED);
            self.look(sight, id, if decodes { Look::Decode } else { Look::Count });
        }
    }

    /// Decodes every durable segment.
    pub(crate) fn look_at_all(&mut self, sight: &Sight<'_>) {
        for id in self.durables() {
            self.look(sight, id, Look::Decode);
        }
    }

    fn durables(&self) -> Vec<SegmentId> {
        let durable = self.segments.iter().filter(|(_, s)| s.durable && !s.beyond);
        durable.map(|(id, _)| *id).collect()
    }

    fn look(&mut self, sight: &Sight<'_>, id: SegmentId, look: Look) {
        let Some(segment) = self.segments.get(&id) else {
            return;
        };
        let held = |root: &ShardRoot| {
            let homes = self.homes.get(root)?.iter();
            let living = homes.map(|i| &sight.nodes[*i]).filter(|n| !n.dead);
            living.filter_map(|n| n.disk.intact(root)).next()
        };
        let found = match look {
            Look::Count => counted(segment, held),
            Look::Decode => rebuilt(&id, segment, held, self.rounds),
        };
        let beyond = found.is_err() && self.is_beyond(sight, segment);
        self.reconstructable.check(found.is_ok() || beyond, || {
            let why = found.err().unwrap_or_default();
            format!("{}: segment {id}: {why}", sight.now.0)
        });
        if beyond && let Some(segment) = self.segments.get_mut(&id) {
            segment.beyond = true;
        }
    }

    /// Whether more than n − k shards are gone, each for a cause.
    fn is_beyond(&self, sight: &Sight<'_>, segment: &Segment) -> bool {
        let Some(coded) = &segment.coded else {
            return false;
        };
        let lost = coded.roots.iter().filter(|root| self.is_gone(sight, root));
        lost.count() > usize::from(coded.code.n() - coded.code.k())
    }

    /// Whether a shard is gone for a cause.
    fn is_gone(&self, sight: &Sight<'_>, root: &ShardRoot) -> bool {
        let homes = self.homes.get(root).map(Vec::as_slice).unwrap_or_default();
        let here = |i: &usize| !sight.nodes[*i].dead && sight.nodes[*i].disk.intact(root).is_some();
        let cause = |i: &usize| {
            let node = &sight.nodes[*i];
            node.dead || self.broken.contains(&(*i, *root)) || self.faulted.contains(&node.id)
        };
        !homes.iter().any(here) && homes.iter().any(cause)
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

    /// Whether more of a segment's shards were gone at once than its code bears.
    pub(crate) fn was_beyond(&self, id: &SegmentId) -> bool {
        self.segments.get(id).is_some_and(|s| s.beyond)
    }

    /// How many segments are lost because too many shards were gone at once.
    pub(crate) fn beyond(&self) -> u64 {
        self.segments.values().filter(|s| s.beyond).count() as u64
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

/// How closely a segment is looked at.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// Enough intact shards are there.
    Count,
    /// They decode to what was sealed.
    Decode,
}

/// Counts a segment's shards.
fn counted<'n>(
    segment: &Segment,
    held: impl Fn(&ShardRoot) -> Option<&'n Arc<[u8]>>,
) -> Result<(), String> {
    let Some(coded) = &segment.coded else {
        return Err("durable, but never coded".to_owned());
    };
    let held = coded
        .roots
        .iter()
        .filter(|root| held(root).is_some())
        .count();
    if held < usize::from(coded.code.k()) {
        return Err(format!("{held} shards left, {} needed", coded.code.k()));
    }
    Ok(())
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
            beyond: false,
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
