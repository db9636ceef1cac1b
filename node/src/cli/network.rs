//! `larder network`: the rules of the network, and who makes its blocks.

use super::args::{NetworkCommand, PeerArg};
use super::connect::{Asked, ask};
use super::output::Out;
use larder_rpc::{ChangeKind, ChangeParams, Client, Consensus, Empty, Text, Validators};
use serde_json::json;
use std::path::Path;

pub(super) fn network(home: &Path, command: NetworkCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            NetworkCommand::Params => params(&node, out).await,
            NetworkCommand::Validators => tell(&node.network_validators(&Empty {}).await?, out),
            NetworkCommand::AddValidator { peer } => {
                approve(&node, ChangeKind::Add, peer, out).await
            }
            NetworkCommand::RemoveValidator { peer } => {
                approve(&node, ChangeKind::Remove, peer, out).await
            }
        }
    })
}

async fn params(node: &Client, out: Out) -> Asked {
    let params = node.ledger_params(&Empty {}).await?;
    let who = node.network_validators(&Empty {}).await?;
    let faucet = params.faucet.map(|grant| grant.0.to_string());
    out.object(&json!({
        "message_type": "summary",
        "network": params.network,
        "genesis": params.genesis,
        "start": params.start,
        "profile": params.profile,
        "consensus": who.consensus,
        "supply": params.supply.0.to_string(),
        "epoch_ms": params.epoch_ms,
        "slots": params.slots,
        "window_ms": params.window_ms,
        "challenges": params.challenges,
        "fee_ppm": params.fee_ppm,
        "burn_ppm": params.burn_ppm,
        "vesting_epochs": params.vesting_epochs,
        "min_term": params.min_term,
        "max_term": params.max_term,
        "capacity_step": params.capacity_step,
        "faucet": faucet,
    }))?;
    let lines = [
        (
            "network",
            format!("{} ({})", params.network, params.profile),
        ),
        ("genesis", params.genesis.to_string()),
        ("blocks", order(&who)),
        (
            "epoch",
            format!("{} ms, {} slots", params.epoch_ms, params.slots),
        ),
        (
            "proofs",
            format!(
                "{} draws each, within {} ms",
                params.challenges, params.window_ms
            ),
        ),
        (
            "pay",
            format!(
                "{} ppm fee, {} of them burned; vests after {} epochs",
                params.fee_ppm, params.burn_ppm, params.vesting_epochs
            ),
        ),
        (
            "terms",
            format!("{} to {} epochs", params.min_term, params.max_term),
        ),
        (
            "faucet",
            faucet.map_or_else(|| "none".to_owned(), |grant| format!("{grant} credits")),
        ),
    ];
    lines
        .into_iter()
        .try_for_each(|(name, value)| out.line(format_args!("{name:<8} {value}")))
}

async fn approve(node: &Client, change: ChangeKind, peer: PeerArg, out: Out) -> Asked {
    let params = ChangeParams {
        change,
        node: Text(peer.0),
    };
    let done = node.network_approve(&params).await?;
    out.object(&json!({
        "message_type": "summary",
        "change": change,
        "node": params.node,
        "tx": done.sent.tx,
        "status": done.sent.status,
        "height": done.sent.height,
        "acted": done.acted,
        "missing": done.missing,
    }))?;
    out.line(match (done.acted, done.sent.height, change) {
        (true, _, ChangeKind::Add) => "approved: it is a validator from the next block on".to_owned(),
        (true, _, ChangeKind::Remove) => "approved: it is none from the next block on".to_owned(),
        (false, Some(_), _) => format!(
            "approved by this validator; {} more needed: the others run the same command on their nodes",
            done.missing
        ),
        (false, None, _) => {
            "on its way: while this node runs, it goes on handing the approval in".to_owned()
        }
    })
}

fn order(who: &Validators) -> String {
    match who.consensus {
        Consensus::Solo => "solo: one validator, which can reorder, leave out and roll back".into(),
        Consensus::Bft => format!(
            "bft: {} validators, of which {} may fail or cheat",
            who.validators.len(),
            who.bears
        ),
    }
}

fn tell(who: &Validators, out: Out) -> Asked {
    for it in &who.validators {
        out.object(&json!({
            "message_type": "validator",
            "node": it.node,
            "peer_id": it.peer_id,
            "weight": it.weight,
            "bond": it.bond.0.to_string(),
            "missed": it.missed,
            "strikes": it.strikes,
        }))?;
        out.line(format_args!(
            "validator  {}  weight {}, bond {}, {} turns missed, {} strikes",
            it.peer_id, it.weight, it.bond.0, it.missed, it.strikes
        ))?;
    }
    for it in &who.candidates {
        out.object(&json!({
            "message_type": "candidate",
            "node": it.node,
            "peer_id": it.peer_id,
            "account": it.account,
            "bond": it.bond.0.to_string(),
        }))?;
        out.line(format_args!(
            "candidate  {}  bond {}",
            it.peer_id, it.bond.0
        ))?;
    }
    for it in &who.changes {
        out.object(&json!({
            "message_type": "change",
            "change": it.change,
            "node": it.node,
            "peer_id": it.peer_id,
            "approved": it.approved,
            "missing": it.missing,
        }))?;
        let verb = match it.change {
            ChangeKind::Add => "take in",
            ChangeKind::Remove => "take out",
        };
        out.line(format_args!(
            "to decide  {verb} {}: {} for it, {} more needed",
            it.peer_id,
            it.approved.len(),
            it.missing
        ))?;
    }
    out.object(&json!({
        "message_type": "summary",
        "consensus": who.consensus,
        "validators": who.validators.len(),
        "candidates": who.candidates.len(),
        "quorum": who.quorum,
        "bears": who.bears,
        "height": who.as_of.height,
    }))?;
    out.line(order(who))
}
