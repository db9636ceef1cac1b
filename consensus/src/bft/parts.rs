//! A block's body on its way: cut into parts, and put together again from whatever order they come
//! in. Bounded for each sender and in all, so that no validator can fill another's memory.
//! `docs/protocol.md` §3.8.

use super::context::Part;
use larder_types::{BlockHash, NodeId};
use std::collections::BTreeMap;

/// Bytes of a part: far below what gossip carries, and few enough that the first is on its way
/// before the last is cut.
pub(super) const PART: usize = 128 << 10;
/// Most bytes of an encoded block: 1 MiB of transactions, 2 MiB of evidence, and what they are
/// wrapped in; the rest is for verdicts, a few bytes for each provider.
pub(super) const MAX_BLOCK: usize = 6 << 20;
/// Most parts of a block.
const MAX_PARTS: usize = MAX_BLOCK.div_ceil(PART);
/// Blocks of which one sender may have parts here: its own of this round, and one passed on.
const PER_SENDER: usize = 2;
/// Bytes of all unfinished blocks: more than any number of honest proposers needs.
const MAX_HELD: usize = 8 * MAX_BLOCK;
/// Heights above the head whose parts are kept: those of the next block may come before the head
/// is known here.
pub(super) const HEIGHTS: u64 = 2;

/// Cuts an encoded block into parts, for one round.
pub(super) fn cut(
    height: u64,
    (round, valid_round): (u32, Option<u32>),
    block: BlockHash,
    bytes: &[u8],
) -> Vec<Part> {
    let pieces: Vec<&[u8]> = bytes.chunks(PART).collect();
    let count = u32::try_from(pieces.len()).expect("a block has few parts");
    let part = |(index, bytes): (u32, &&[u8])| Part {
        height,
        round,
        valid_round,
        block,
        index,
        count,
        bytes: bytes.to_vec(),
    };
    (0..count).zip(&pieces).map(part).collect()
}

/// A block's encoding that is whole, and the round for which it came; unchecked otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) height: u64,
    pub(super) round: u32,
    pub(super) valid_round: Option<u32>,
    pub(super) block: BlockHash,
    pub(super) bytes: Vec<u8>,
}

/// Which block, from whom, for which round.
type Key = (u64, NodeId, u32, BlockHash);

#[derive(Debug)]
struct Unfinished {
    valid_round: Option<u32>,
    pieces: Vec<Option<Vec<u8>>>,
    missing: usize,
}

/// Blocks that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Collector {
    blocks: BTreeMap<Key, Unfinished>,
    held: usize,
}

impl Collector {
    /// Takes a part that `from`, a validator, published, with the ledger at `head`: the whole block
    /// if it was the last one missing.
    pub(super) fn take(&mut self, head: u64, from: NodeId, part: Part) -> Option<Whole> {
        let count = usize::try_from(part.count).ok()?;
        let index = usize::try_from(part.index).ok()?;
        let ahead = part.height.checked_sub(head)?;
        let is_sound = (1..=HEIGHTS).contains(&ahead)
            && (1..=MAX_PARTS).contains(&count)
            && index < count
            && part.bytes.len() <= PART;
        if !is_sound || self.held + part.bytes.len() > MAX_HELD {
            return None;
        }
        let key = (part.height, from, part.round, part.block);
        if !self.blocks.contains_key(&key) && self.of(part.height, from) >= PER_SENDER {
            self.drop_oldest(part.height, from);
        }
        let block = self.blocks.entry(key).or_insert_with(|| Unfinished {
            valid_round: part.valid_round,
            pieces: vec![None; count],
            missing: count,
        });
        let place = block.pieces.get_mut(index)?;
        if place.is_some() || block.valid_round != part.valid_round {
            return None;
        }
        self.held += part.bytes.len();
        *place = Some(part.bytes);
        block.missing -= 1;
        if block.missing > 0 {
            return None;
        }
        let block = self.remove(&key)?;
        Some(Whole {
            height: part.height,
            round: part.round,
            valid_round: part.valid_round,
            block: part.block,
            bytes: block.pieces.into_iter().flatten().flatten().collect(),
        })
    }

    fn of(&self, height: u64, from: NodeId) -> usize {
        let keys = self.blocks.keys();
        keys.filter(|key| (key.0, key.1) == (height, from)).count()
    }

    /// A sender's newest rounds count.
    fn drop_oldest(&mut self, height: u64, from: NodeId) {
        let mut keys = self.blocks.keys();
        if let Some(key) = keys.find(|key| (key.0, key.1) == (height, from)).copied() {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Unfinished> {
        let block = self.blocks.remove(key)?;
        let bytes = block.pieces.iter().flatten().map(Vec::len);
        self.held -= bytes.sum::<usize>();
        Some(block)
    }

    /// Forgets what is not above the ledger's head.
    pub(super) fn prune(&mut self, head: u64) {
        let old: Vec<Key> = self.blocks.keys().copied().collect();
        for key in old.iter().filter(|key| key.0 <= head) {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: BlockHash = BlockHash([3; 32]);
    const A: NodeId = NodeId([1; 32]);
    const B: NodeId = NodeId([2; 32]);

    fn bytes() -> Vec<u8> {
        (0..PART * 2 + 5)
            .map(|i| (i % 251).to_le_bytes()[0])
            .collect()
    }

    fn parts(height: u64, round: u32) -> Vec<Part> {
        cut(height, (round, None), BLOCK, &bytes())
    }

    #[test]
    fn parts_in_any_order_and_twice_make_the_block_once() {
        let parts = parts(7, 1);
        assert_eq!(parts.len(), 3);
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut collector = Collector::default();
            let [first, second, last] = order.map(|i: usize| parts[i].clone());
            assert_eq!(collector.take(6, A, first.clone()), None);
            assert_eq!(collector.take(6, A, first), None, "twice");
            assert_eq!(collector.take(6, A, second), None);
            let whole = collector.take(6, A, last).unwrap();
            assert_eq!(whole.bytes, bytes());
            assert_eq!((whole.height, whole.round), (7, 1));
            assert_eq!((collector.held, collector.blocks.len()), (0, 0));
        }
    }

    #[test]
    fn two_senders_parts_do_not_mix() {
        let parts = parts(7, 1);
        let mut collector = Collector::default();
        collector.take(6, A, parts[0].clone());
        collector.take(6, A, parts[1].clone());
        let mut forged = parts[2].clone();
        forged.bytes = vec![0; 5];
        assert_eq!(collector.take(6, B, forged), None);
        assert_eq!(
            collector.take(6, A, parts[2].clone()).unwrap().bytes,
            bytes()
        );
    }

    #[test]
    fn what_a_sender_can_hold_here_is_bounded() {
        let mut collector = Collector::default();
        for round in 0..50 {
            collector.take(6, A, parts(7, round)[0].clone());
        }
        assert_eq!(collector.of(7, A), PER_SENDER);
        assert_eq!(collector.held, PER_SENDER * PART);
        for sender in 0..=255 {
            for height in 7..=8 {
                for part in &cut(height, (0, None), BLOCK, &vec![0; MAX_BLOCK])[1..] {
                    collector.take(6, NodeId([sender; 32]), part.clone());
                }
            }
        }
        assert!(collector.held <= MAX_HELD);
        collector.prune(8);
        assert_eq!((collector.held, collector.blocks.len()), (0, 0));
    }

    #[test]
    fn unsound_parts_are_dropped() {
        let good = parts(7, 0)[0].clone();
        let mut collector = Collector::default();
        let mut refuse = |head, change: &dyn Fn(&mut Part)| {
            let mut part = good.clone();
            change(&mut part);
            assert_eq!(collector.take(head, A, part), None);
            assert!(collector.blocks.is_empty());
        };
        refuse(7, &|_| {});
        refuse(4, &|_| {});
        refuse(6, &|part| part.count = 0);
        refuse(6, &|part| part.count = u32::MAX);
        refuse(6, &|part| part.index = 3);
        refuse(6, &|part| part.bytes = vec![0; PART + 1]);
    }
}
