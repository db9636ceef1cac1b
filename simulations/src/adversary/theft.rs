//! Rebuilding a challenged shard from those of k others. It asks the others, who serve nobody
//! without the owner's leave; and were it given their bytes, what it rebuilds without the owner's
//! mask key is not the shard, since each position is masked by itself. `docs/protocol.md` §3.2.
//!
//! Everything but the owner's keys is given to it: which segment a shard belongs to, the code, the
//! roots of all positions and who holds them.

use crate::jobs;
use crate::net::Kind;
use crate::queue::Happening;
use crate::world::World;
use larder_coding::layout::Code;
use larder_coding::shards::rebuild_shards;
use larder_engine::OpId;
use larder_engine::io::{Outcome, PutError};
use larder_engine::wire::{BulkHeader, ReadCap};
use larder_keys::VaultKeys;
use larder_proofs::{Challenge, Commitment, Plan};
use larder_types::{ContractId, Millis, SegmentId, ShardRoot};
use serde::Serialize;
use std::io::Cursor;
use std::sync::Arc;

/// It tries so many shards of a challenge: one that is missing is enough to fail.
const TRIES: usize = 2;
/// How long it waits for an answer, and how long the leave that it forges holds.
const PATIENCE: Millis = Millis(60_000);

/// What became of its tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Thefts {
    /// Shards of others that it asked for under a leave of its own making.
    pub asked: u64,
    /// Times it was refused.
    pub refused: u64,
    /// Times it was served.
    pub served: u64,
    /// Shards that it tried to rebuild from k others' bytes, which it was given.
    pub tried: u64,
    /// Those that it got.
    pub rebuilt: u64,
    /// Those that the owner's mask key gets from the same bytes.
    pub rebuilt_by_owner: u64,
}

/// A missing shard, and all that is known of its segment.
#[derive(Debug)]
struct Puzzle {
    keeper: usize,
    segment: SegmentId,
    code: Code,
    shard_len: u64,
    position: u16,
    root: ShardRoot,
    /// The other positions: root, and the contract that it lies under.
    others: Vec<(u16, ShardRoot, ContractId)>,
}

/// The owner's leave and the shard's bytes, position by position.
type Sources = Vec<(u16, Cursor<Arc<[u8]>>)>;

impl World {
    /// Answers a challenge if what is missing for it can be rebuilt.
    pub(super) fn regenerate(
        &mut self,
        i: usize,
        challenge: &Challenge,
        commitment: &Commitment,
    ) -> Option<Vec<u8>> {
        let missing: Vec<(ShardRoot, u64)> = Plan::new(commitment, challenge)
            .ok()?
            .shards()
            .map(|leaf| (leaf.root, leaf.chunks))
            .filter(|(root, _)| self.nodes[i].disk.intact(root).is_none())
            .take(TRIES)
            .collect();
        for (root, chunks) in missing {
            let puzzle = self.puzzle(&root)?;
            self.ask_others(i, &puzzle);
            let bytes = self.rebuild(i, &puzzle)?;
            self.nodes[i].disk.store(root, chunks, bytes);
        }
        jobs::answer(&self.nodes[i], challenge, commitment).0.ok()
    }

    fn puzzle(&self, root: &ShardRoot) -> Option<Puzzle> {
        let mut rows = self.checkers.repair.rows();
        let (keeper, segment, row) = rows.find(|(_, _, row)| row.roots.contains(root))?;
        let position = row.roots.iter().position(|r| r == root)?;
        let places = (0..).zip(row.roots.iter().zip(&row.holders));
        let others = places
            .filter(|(j, _)| usize::from(*j) != position)
            .filter_map(|(j, (root, holder))| Some((j, *root, (*holder)?)));
        Some(Puzzle {
            keeper,
            segment: *segment,
            code: row.code,
            shard_len: row.shard_len,
            position: u16::try_from(position).ok()?,
            root: *root,
            others: others.collect(),
        })
    }

    /// Opens a stream to k others, with a leave that its own key signed.
    fn ask_others(&mut self, i: usize, puzzle: &Puzzle) {
        let until = self.now.after(PATIENCE);
        for (_, root, contract) in puzzle.others.iter().take(puzzle.code.k().into()) {
            let Some((_, provider, _)) = self.chain.state.contract(contract) else {
                continue;
            };
            let me = &self.nodes[i].me;
            let (reader, key) = (self.nodes[i].id, &me.ledger_key);
            let cap = ReadCap::sign(*contract, *root, reader, until, key, &me.genesis);
            let Some(token) = self.call(i, OpId(0), Kind::Theft, &provider, until) else {
                return;
            };
            self.tally(i, |thefts| thefts.asked += 1);
            if let Some(to) = self.index.get(&provider).copied() {
                let stream = Happening::Stream {
                    from: i,
                    token,
                    to,
                    header: BulkHeader::Read(cap),
                };
                self.later(Millis(1), stream);
            }
        }
    }

    /// What came of a stream.
    pub(crate) fn stolen(&mut self, i: usize, outcome: &Outcome) {
        match outcome {
            Outcome::Got(Ok(())) => self.tally(i, |thefts| thefts.served += 1),
            Outcome::Got(Err(PutError::Refused(_))) => self.tally(i, |thefts| thefts.refused += 1),
            // Nobody was there to ask.
            Outcome::Got(Err(_))
            | Outcome::Response(_)
            | Outcome::Encoded(_)
            | Outcome::Put(_)
            | Outcome::Decoded(_)
            | Outcome::Rebuilt(_)
            | Outcome::Proved(_)
            | Outcome::Submitted(_) => {}
        }
    }

    /// The shard from k others' bytes, whoever has them, with keys that it can think of.
    fn rebuild(&mut self, i: usize, puzzle: &Puzzle) -> Option<Arc<[u8]>> {
        let sources = self.sources(puzzle)?;
        self.tally(i, |thefts| thefts.tried += 1);
        let keeper = self.nodes[puzzle.keeper].keeper.as_ref()?;
        let owners = keeper.keys.mask_key(&puzzle.segment);
        if puzzle.solve(&owners, sources.clone()).is_some() {
            self.tally(i, |thefts| thefts.rebuilt_by_owner += 1);
        }
        let vault = VaultKeys::from_root(&crate::dice::derive(self.options.seed, "vault", i));
        let own = vault.mask_key(&puzzle.segment);
        let guesses = [[0; 32], puzzle.segment.0, *own];
        let found = guesses
            .iter()
            .find_map(|key| puzzle.solve(key, sources.clone()))?;
        self.tally(i, |thefts| thefts.rebuilt += 1);
        Some(found)
    }

    fn sources(&self, puzzle: &Puzzle) -> Option<Sources> {
        let k = usize::from(puzzle.code.k());
        let bytes = |root| self.nodes.iter().find_map(|node| node.disk.intact(root));
        let held = puzzle.others.iter();
        let sources: Sources = held
            .filter_map(|(j, root, _)| Some((*j, Cursor::new(Arc::clone(bytes(root)?)))))
            .take(k)
            .collect();
        (sources.len() == k).then_some(sources)
    }

    fn tally(&mut self, i: usize, count: impl FnOnce(&mut Thefts)) {
        if let Some(cheat) = &mut self.nodes[i].cheat {
            count(&mut cheat.thefts);
        }
    }
}

impl Puzzle {
    /// The shard, if this mask key gives it.
    fn solve(&self, mask_key: &[u8; 32], mut sources: Sources) -> Option<Arc<[u8]>> {
        let mut sink = [Vec::new()];
        let roots = rebuild_shards(
            self.code,
            mask_key,
            &mut sources,
            self.shard_len,
            &[self.position],
            &mut sink,
        );
        let [bytes] = sink;
        (roots.ok()?.first() == Some(&self.root)).then(|| Arc::from(bytes))
    }
}
