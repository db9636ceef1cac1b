//! Bodies of blocks that are not decided on: in memory with the state after them, and on the disk
//! before the engine hears of them, so that what it voted for is there after a crash. Only those of
//! the next height are kept. `docs/protocol.md` §3.8.

use super::parts::Whole;
use larder_ledger::{Block, Header, State, Verified};
use larder_types::{BlockHash, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder within the record of votes.
const DIR: &str = "bodies";

/// A block that may become final.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) block: Verified<Block>,
    /// Whether we vote for it. Others may make it final all the same.
    pub(super) is_approved: bool,
    /// The newest round for which it was sent here.
    pub(super) round: u32,
    pub(super) valid_round: Option<u32>,
    /// The state after it.
    pub(super) next: Box<State>,
}

/// Blocks that one proposer may have here for one round: one, and one more if it lies.
const PER_ROUND: usize = 2;
/// Rounds after the present one whose blocks are kept: others may be a little ahead.
const ROUNDS_AHEAD: u32 = 2;

/// The blocks of the next height.
#[derive(Debug, Default)]
pub(super) struct Bodies(BTreeMap<BlockHash, Body>);

impl Bodies {
    pub(super) fn insert(&mut self, body: Body) {
        self.0.insert(body.block.get().hash(), body);
    }

    /// Whether a proposer's block may be kept besides those that are here, in a round of ours: so that
    /// none fills our memory. One that is not kept comes again as a final one, if it becomes that.
    pub(super) fn has_room(&self, header: &Header, round: u32) -> bool {
        let made = (header.proposer, header.round);
        let headers = self.0.values().map(|body| &body.block.get().header);
        let same = headers.filter(|other| (other.proposer, other.round) == made);
        header.round <= round.saturating_add(ROUNDS_AHEAD) && same.count() < PER_ROUND
    }

    pub(super) fn get(&self, block: &BlockHash) -> Option<&Body> {
        self.0.get(block)
    }

    pub(super) fn remove(&mut self, block: &BlockHash) -> Option<Body> {
        self.0.remove(block)
    }

    /// Those that were sent for a round.
    pub(super) fn of_round(&self, round: u32) -> impl Iterator<Item = &Body> {
        self.0.values().filter(move |body| body.round == round)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    height: u64,
    round: u32,
    valid_round: Option<u32>,
    #[serde(with = "serde_bytes")]
    block: Vec<u8>,
}

/// Writes a body, durably.
pub(super) fn keep(dir: &Path, whole: &Whole) -> io::Result<()> {
    let kept = Kept {
        height: whole.height,
        round: whole.round,
        valid_round: whole.valid_round,
        block: whole.bytes.clone(),
    };
    let dir = dir.join(DIR);
    let mut file = File::create(path(&dir, whole.height, &whole.block))?;
    file.write_all(&codec::encode(&kept))?;
    file.sync_data()?;
    File::open(&dir)?.sync_all()
}

/// The bodies of a height that are on the disk; others, and broken ones, are deleted. Makes the
/// folder.
pub(super) fn load(dir: &Path, height: u64) -> io::Result<Vec<Whole>> {
    let dir = dir.join(DIR);
    fs::create_dir_all(&dir)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        let kept = codec::decode::<Kept>(&fs::read(&path)?).ok();
        let whole = kept
            .filter(|kept| kept.height == height)
            .and_then(|kept| Some((hash(&kept.block)?, kept)));
        match whole {
            Some((block, kept)) => found.push(Whole {
                height,
                round: kept.round,
                valid_round: kept.valid_round,
                block,
                bytes: kept.block,
            }),
            None => fs::remove_file(&path)?,
        }
    }
    Ok(found)
}

/// Deletes the bodies of heights that are over, below `height`.
pub(super) fn drop_below(dir: &Path, height: u64) -> io::Result<()> {
    for entry in fs::read_dir(dir.join(DIR))? {
        let entry = entry?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.split_once('-'));
        let of = of.and_then(|(of, _)| of.parse::<u64>().ok());
        if of.is_none_or(|of| of < height) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> Option<BlockHash> {
    codec::decode::<Block>(bytes).ok().map(|block| block.hash())
}

/// Named by height, so that those that are over are found without reading them.
fn path(dir: &Path, height: u64, block: &BlockHash) -> PathBuf {
    dir.join(format!("{height}-{block}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bft::tests::{bls, genesis, key};
    use larder_ledger::mempool::Limits;
    use larder_ledger::{Mempool, ProofsPool, Proposer};
    use larder_types::Millis;

    /// A block that the one validator makes so long after the earliest time.
    fn made(round: u32, later: u64) -> Verified<Block> {
        let state = genesis(1);
        let now = state.earliest_block().after(Millis(later));
        let (mempool, pool) = (Mempool::new(Limits::default()), ProofsPool::new(now));
        let proposer = Proposer::candidate(key(0), bls(0));
        proposer.make(&state, &mempool, &pool, round, now).unwrap()
    }

    fn body(round: u32, later: u64) -> Body {
        Body {
            block: made(round, later),
            is_approved: true,
            round,
            valid_round: None,
            next: Box::new(genesis(1)),
        }
    }

    #[test]
    fn a_proposer_fills_nobodys_memory() {
        let mut bodies = Bodies::default();
        for later in 0..2 {
            assert!(bodies.has_room(&made(0, later).get().header, 0));
            bodies.insert(body(0, later));
        }
        assert!(!bodies.has_room(&made(0, 2).get().header, 0), "the third");
        assert!(
            bodies.has_room(&made(1, 2).get().header, 0),
            "another round"
        );
        assert!(!bodies.has_room(&made(3, 2).get().header, 0), "far ahead");
        assert!(bodies.has_room(&made(3, 2).get().header, 1));
    }

    #[test]
    fn bodies_of_the_next_height_are_found_again_and_others_deleted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path(), 1).unwrap(), []);
        let whole = |later| {
            let block = made(0, later).into_inner();
            Whole {
                height: 1,
                round: 4,
                valid_round: Some(2),
                block: block.hash(),
                bytes: codec::encode(&block),
            }
        };
        let (one, other) = (whole(0), whole(1));
        keep(dir.path(), &one).unwrap();
        keep(dir.path(), &other).unwrap();
        let mut found = load(dir.path(), 1).unwrap();
        found.sort_by_key(|found| found.block != one.block);
        assert_eq!(found, [one, other]);
        // One that was cut off.
        let torn = dir.path().join(DIR).join("torn");
        fs::write(&torn, b"half").unwrap();
        assert_eq!(load(dir.path(), 1).unwrap().len(), 2);
        assert!(!torn.exists());
        drop_below(dir.path(), 1).unwrap();
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), 2);
        drop_below(dir.path(), 2).unwrap();
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), 0);
    }
}
