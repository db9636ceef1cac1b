//! Bodies of blocks that are not decided on: in memory with the state after them, and on the disk
//! before the engine hears of them, so that what it voted for is there after a crash. Only those of
//! the next height are kept. `docs/protocol.md` §3.8.

use super::parts::Whole;
use larder_ledger::{Block, State, Verified};
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
    /// The state after it; `None` while it is computed.
    pub(super) next: Option<Box<State>>,
}

/// The blocks of the next height.
#[derive(Debug, Default)]
pub(super) struct Bodies(BTreeMap<BlockHash, Body>);

impl Bodies {
    pub(super) fn insert(&mut self, body: Body) {
        self.0.insert(body.block.get().hash(), body);
    }

    pub(super) fn get(&self, block: &BlockHash) -> Option<&Body> {
        self.0.get(block)
    }

    pub(super) fn get_mut(&mut self, block: &BlockHash) -> Option<&mut Body> {
        self.0.get_mut(block)
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
    let mut file = File::create(path(&dir, &whole.block))?;
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

/// Deletes the bodies of a height that is over, but those of the next.
pub(super) fn drop_below(dir: &Path, height: u64) -> io::Result<()> {
    load(dir, height).map(drop)
}

fn hash(bytes: &[u8]) -> Option<BlockHash> {
    codec::decode::<Block>(bytes).ok().map(|block| block.hash())
}

fn path(dir: &Path, block: &BlockHash) -> PathBuf {
    dir.join(block.to_string())
}
