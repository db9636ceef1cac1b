//! What a node opens before it runs: its own consensus, the places of its shards.

use super::{AppError, RESERVE};
use crate::chain::Chain;
use crate::home::{Home, now};
use crate::shards::{Known, VolumeConfig, Volumes};
use larder_consensus::{Clock, Solo};
use larder_engine::Provide;
use larder_ledger::Proposer;
use larder_ledger::mempool::Limits;
use larder_types::Bytes;
use std::sync::Arc;

pub(super) fn validate(
    home: &Home,
    chain: &Chain,
) -> Result<larder_consensus::solo::Spawned, AppError> {
    let bls = home.keys.bls.clone();
    let state = chain.ledger().read().0.clone();
    let proposer =
        Proposer::new(home.keys.node.clone(), bls, &state).map_err(|_| AppError::NotValidator)?;
    let clock: Clock = Arc::new(now);
    Ok(Solo::spawn(proposer, state, Limits::default(), clock))
}

pub(super) fn open_shards(
    home: &Home,
    (provide, added): (Option<&Provide>, Vec<VolumeConfig>),
    known: &Known,
) -> Result<Option<Volumes>, AppError> {
    let quota = match provide {
        Some(provide) => provide.quota,
        // What was promised is still served, though nothing new is taken.
        None if home.dir.join("shards").exists() || !known.is_empty() => Bytes(0),
        None => return Ok(None),
    };
    Ok(Some(Volumes::open(
        &home.dir,
        added,
        (quota, RESERVE),
        known,
    )?))
}
