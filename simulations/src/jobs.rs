//! The pool's work, done by the pure functions over a node's disk.

use crate::disk::Disk;
use crate::node::Node;
use larder_coding::layout::Code;
use larder_coding::shards::{decode_segment, encode_segment, rebuild_shards};
use larder_engine::io::JobError;
use larder_proofs::{Challenge, Commitment, ProveError, prove};
use larder_types::{SegmentId, ShardRoot};
use std::io::Cursor;
use std::sync::Arc;

fn damaged(why: impl std::fmt::Display) -> JobError {
    JobError::Damaged(why.to_string())
}

/// Codes a segment in the spool into n masked shards beside it.
///
/// # Errors
/// If the segment is not there, or cannot be coded.
pub(crate) fn encode(
    node: &mut Node,
    segment: &SegmentId,
    code: Code,
) -> Result<Vec<ShardRoot>, JobError> {
    let keeper = node
        .keeper
        .as_ref()
        .ok_or_else(|| damaged("no vault here"))?;
    let content = node
        .disk
        .spool
        .get(segment)
        .ok_or_else(|| damaged("no such segment"))?;
    let mut sinks = vec![Vec::new(); usize::from(code.n())];
    let roots = encode_segment(
        code,
        &keeper.keys.mask_key(segment),
        &mut Cursor::new(content),
        content.len() as u64,
        &mut sinks,
    )
    .map_err(damaged)?;
    let shards = (0..).zip(sinks.into_iter().map(Arc::from)).collect();
    node.disk.coded.insert(*segment, shards);
    Ok(roots)
}

/// Decodes a segment from fetched shards into the fetch folder.
///
/// # Errors
/// If a shard is not there, or too few are.
pub(crate) fn decode(
    node: &mut Node,
    segment: &SegmentId,
    code: Code,
    len: u64,
    positions: &[u16],
) -> Result<(), JobError> {
    let keeper = node
        .keeper
        .as_ref()
        .ok_or_else(|| damaged("no vault here"))?;
    let mut sources = fetched(&node.disk, segment, positions)?;
    let content = decoded(code, &keeper.keys.mask_key(segment), &mut sources, len)?;
    node.disk.restored.insert(*segment, content);
    Ok(())
}

/// Rebuilds the shards of the missing positions (code, shard length, positions) from fetched ones,
/// into the spool.
///
/// # Errors
/// If a shard is not there, or too few are.
pub(crate) fn rebuild(
    node: &mut Node,
    segment: &SegmentId,
    (code, shard_len, missing): (Code, u64, &[u16]),
    positions: &[u16],
) -> Result<Vec<ShardRoot>, JobError> {
    let keeper = node
        .keeper
        .as_ref()
        .ok_or_else(|| damaged("no vault here"))?;
    let mask = keeper.keys.mask_key(segment);
    let mut sources = fetched(&node.disk, segment, positions)?;
    let mut sinks = vec![Vec::new(); missing.len()];
    let roots = rebuild_shards(code, &mask, &mut sources, shard_len, missing, &mut sinks)
        .map_err(damaged)?;
    let shards = missing
        .iter()
        .copied()
        .zip(sinks.into_iter().map(Arc::from));
    node.disk.coded.entry(*segment).or_default().extend(shards);
    Ok(roots)
}

type Fetched = (u16, Cursor<Arc<[u8]>>);

fn fetched(disk: &Disk, segment: &SegmentId, positions: &[u16]) -> Result<Vec<Fetched>, JobError> {
    let one = |j: &u16| {
        let bytes = disk.fetched.get(&(*segment, *j));
        let bytes = bytes.ok_or_else(|| damaged("a fetched shard is gone"))?;
        Ok((*j, Cursor::new(Arc::clone(bytes))))
    };
    positions.iter().map(one).collect()
}

/// The segment of `len` bytes that these shards hold.
///
/// # Errors
/// If they are too few.
pub(crate) fn decoded(
    code: Code,
    mask_key: &[u8; 32],
    sources: &mut [(u16, Cursor<Arc<[u8]>>)],
    len: u64,
) -> Result<Vec<u8>, JobError> {
    let mut sink = Cursor::new(Vec::new());
    decode_segment(code, mask_key, sources, len, &mut sink).map_err(damaged)?;
    Ok(sink.into_inner())
}

/// Answers a challenge from the disk; besides, the shard that is not what it was, if that is why
/// there is no answer.
pub(crate) fn answer(
    node: &Node,
    challenge: &Challenge,
    commitment: &Commitment,
) -> (Result<Vec<u8>, JobError>, Option<ShardRoot>) {
    let disk: &Disk = &node.disk;
    let made = prove(
        commitment,
        challenge,
        disk,
        &node.me.node_key,
        &node.me.genesis,
    );
    let bad = match &made {
        Err(
            ProveError::Read { shard, .. }
            | ProveError::BadOutboard { shard }
            | ProveError::Damaged { shard, .. },
        ) => Some(*shard),
        Ok(_) | Err(ProveError::Plan(_) | ProveError::OtherKey) => None,
    };
    (made.map_err(damaged), bad)
}
