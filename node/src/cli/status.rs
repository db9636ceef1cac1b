//! `larder status`, `larder peers`, `larder invite`: the node itself.

use super::connect::{Asked, ask};
use super::exit::Failure;
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{
    Alert, Client, ConsensusStatus, Empty, NodeInfo, NodeStatus, ProviderStatus, Role, Severity,
};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;

pub(super) fn invite(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let invite = node.node_invite(&Empty {}).await?.invite;
        out.object(&json!({ "message_type": "summary", "invite": invite }))?;
        out.line(invite)
    })
}

pub(super) fn peers(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        for peer in all(|page| {
            let node = &node;
            async move { node.node_peers(&page).await }
        })
        .await?
        {
            out.object(&json!({
                "message_type": "peer",
                "peer_id": peer.peer_id,
                "address": peer.address,
                "agent": peer.agent,
                "rtt_micros": peer.rtt_micros,
            }))?;
            out.line(format_args!(
                "{}  {}  {}",
                peer.peer_id, peer.address, peer.agent
            ))?;
        }
        Ok(())
    })
}

pub(super) fn status(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let info = node.node_info(&Empty {}).await?;
        let status = node.node_status(&Empty {}).await?;
        let open = open_alerts(&node).await?;
        let mut object = object(&info, &status);
        object["alerts"] = json!(open);
        out.object(&object)?;
        let alerts = open
            .iter()
            .map(|alert| (word(alert), alert.message.clone()));
        lines(&info, &status)
            .into_iter()
            .chain(alerts)
            .try_for_each(|(name, value)| out.line(format_args!("{name:<10} {value}")))
    })
}

/// The alerts that are open, the worst first.
pub(super) async fn open_alerts(node: &Client) -> Result<Vec<Alert>, Failure> {
    let mut alerts = all(|page| async move { node.node_alerts(&page).await }).await?;
    alerts.retain(|alert| alert.cleared.is_none());
    Ok(alerts)
}

const fn word(alert: &Alert) -> &'static str {
    match alert.severity {
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

fn object(info: &NodeInfo, status: &NodeStatus) -> serde_json::Value {
    json!({
        "message_type": "summary",
        "ready": status.ready,
        "network": info.network,
        "genesis": info.genesis,
        "profile": info.profile,
        "node": info.node,
        "peer_id": info.peer_id,
        "account": info.account,
        "roles": info.roles,
        "height": status.height,
        "epoch": status.epoch,
        "peers": status.peers,
        "offers": status.offers,
        "balance": status.balance.0.to_string(),
        "jobs": status.jobs,
        "consensus": {
            "kind": status.consensus.kind,
            "seated": status.consensus.seated,
            "votes": status.consensus.votes,
            "stands": status.consensus.stands,
            "validators": status.consensus.validators,
            "validators_reached": status.consensus.validators_reached,
            "last_block": status.consensus.last_block,
            "last_block_age_ms": status.consensus.last_block_age_ms,
        },
        "snapshots": status.keeper.snapshots,
        "segments": status.keeper.segments,
        "bytes_stored": status.keeper.bytes_stored,
        "contracts": status.keeper.contracts,
        "segments_below_full": status.keeper.segments_below_full,
        "repairing": status.keeper.repairing,
        "head_holders": status.keeper.head_holders,
        "provider": status.provider.as_ref().map(provider_object),
    })
}

fn provider_object(provider: &ProviderStatus) -> serde_json::Value {
    json!({
        "quota": provider.quota,
        "contracted": provider.contracted,
        "used": provider.used,
        "shards": provider.shards,
        "contracts": provider.contracts,
        "price": provider.price.0.to_string(),
        "region": provider.region,
        "operator": provider.operator,
        "passed": provider.passed,
        "missed": provider.missed,
        "earned": provider.earned.0.to_string(),
        "damaged": provider.damaged,
        "declared": provider.declared,
        "faulted": provider.faulted,
        "taking": provider.taking,
        "refuses": provider.refuses,
        "volume_trouble": provider.volume_trouble,
        "proof_ms": provider.proof_ms,
        "slot_opens": provider.slot_opens,
        "slot_closes": provider.slot_closes,
        "strikes": provider.strikes,
        "misses_in_a_row": provider.misses_in_a_row,
        "misses_left": provider.misses_left,
    })
}

fn lines(info: &NodeInfo, status: &NodeStatus) -> Vec<(&'static str, String)> {
    let roles: Vec<_> = info.roles.iter().copied().map(role).collect();
    let state = if status.ready { "ready" } else { "starting" };
    let keeper = status.keeper;
    let mut lines = vec![
        ("node", format!("{state}, {}", roles.join(", "))),
        ("network", format!("{} ({})", info.network, info.profile)),
        ("account", info.account.to_string()),
        ("balance", format!("{} credits", status.balance.0)),
        (
            "chain",
            format!("block {}, epoch {}", status.height, status.epoch),
        ),
        ("blocks", blocks(&status.consensus)),
        (
            "market",
            format!("{} peers, {} offers", status.peers, status.offers),
        ),
        (
            "kept",
            format!(
                "{} snapshots, {} segments, {} with providers under {} contracts",
                keeper.snapshots,
                keeper.segments,
                Bytes(keeper.bytes_stored),
                keeper.contracts
            ),
        ),
    ];
    if keeper.segments_below_full > 0 {
        lines.push((
            "repair",
            format!(
                "{} segments below full redundancy, {} being repaired: `larder repairs` shows them",
                keeper.segments_below_full, keeper.repairing
            ),
        ));
    }
    if let Some(provider) = &status.provider {
        lines.push((
            "provides",
            format!(
                "{} of {}, {} shards under {} contracts",
                Bytes(provider.used),
                Bytes(provider.quota),
                provider.shards,
                provider.contracts
            ),
        ));
        lines.push((
            "earned",
            format!(
                "{} credits for {} proofs, {} missed",
                provider.earned.0, provider.passed, provider.missed
            ),
        ));
        if let (Some(opens), Some(closes)) = (provider.slot_opens, provider.slot_closes) {
            let took = provider.proof_ms;
            let took = took.map_or_else(String::new, |ms| format!(", takes about {ms} ms"));
            lines.push(("proof", format!("due from {opens} to {closes}{took}")));
        }
        if provider.strikes > 0 {
            let (strikes, row, left) = (
                provider.strikes,
                provider.misses_in_a_row,
                provider.misses_left,
            );
            let so = format!("{strikes} in 30 epochs, {row} in a row; FAULTED after {left} more");
            lines.push(("strikes", so));
        }
        for trouble in &provider.volume_trouble {
            lines.push(("VOLUME", trouble.clone()));
        }
        if let Some(why) = &provider.refuses {
            lines.push(("REFUSES", why.clone()));
        }
        if provider.damaged > 0 {
            let (damaged, declared) = (provider.damaged, provider.declared);
            let lost = format!("{damaged} shards found damaged, {declared} declared lost");
            lines.push(("losses", lost));
        }
        if provider.faulted {
            let so = "takes nothing new until all of its contracts are closed";
            lines.push(("FAULTED", so.to_owned()));
        }
    }
    lines
}

/// This node's part in making blocks, and how fresh they are.
fn blocks(consensus: &ConsensusStatus) -> String {
    let part = match (consensus.votes, consensus.seated, consensus.stands) {
        (true, _, _) => "this node makes them",
        (false, true, _) => "this node is a validator and does NOT vote",
        (false, false, true) => "this node is a candidate",
        (false, false, false) => "this node follows",
    };
    format!(
        "{part}; {} of {} validators reached, the newest is {} s old",
        consensus.validators_reached,
        consensus.validators,
        consensus.last_block_age_ms / 1_000
    )
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Keeper => "keeper",
        Role::Provider => "provider",
        Role::Validator => "validator",
    }
}
