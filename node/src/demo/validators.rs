//! The demo's validators: the founder's node is the first, the others put themselves forward and are
//! taken in, each by more than two thirds of those before it. Where the network bears it, one of them
//! is killed while shards are being repaired, and started again.

use super::fleet::{Node, Yard};
use super::network::{LOOK, Network, SETTLE};
use crate::cli::{FAILED, Failure, Out};
use larder_rpc::{ChangeKind, ChangeParams, Empty, Repairs, Text};
use larder_types::NodeId;
use std::time::Instant;

/// How a further validator's node is started.
const UP: [&str; 1] = ["--validate"];

/// Starts this many further validators and has them taken in, one after another.
pub(super) async fn gather(
    yard: &Yard,
    first: &Node,
    invite: &str,
    more: u16,
) -> Result<Vec<Node>, Failure> {
    let mut starting = Vec::new();
    for number in 2..=more.saturating_add(1) {
        let name = format!("validator-{number}");
        yard.init(&name, &["--join", invite])?;
        starting.push(yard.up(&name, &UP)?);
    }
    let mut waiting = Vec::new();
    for node in starting {
        waiting.push(node.ready().await?);
    }
    let mut seated: Vec<Node> = Vec::new();
    for candidate in waiting {
        until_candidate(first, &candidate).await?;
        let node = candidate.info.node.0;
        for voter in std::iter::once(first).chain(&seated) {
            if approve(voter, node).await? {
                break;
            }
        }
        until_votes(&candidate).await?;
        seated.push(candidate);
    }
    Ok(seated)
}

/// Waits until the ledger has it as a candidate.
async fn until_candidate(first: &Node, candidate: &Node) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let shown = first.client.network_validators(&Empty {}).await?;
        if shown
            .candidates
            .iter()
            .any(|c| c.node == candidate.info.node)
        {
            return Ok(());
        }
        late(deadline, candidate, "is no candidate")?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Approves; whether that was enough.
async fn approve(voter: &Node, node: NodeId) -> Result<bool, Failure> {
    let params = ChangeParams {
        change: ChangeKind::Add,
        node: Text(node),
    };
    Ok(voter.client.network_approve(&params).await?.acted)
}

/// Waits until it makes blocks.
pub(super) async fn until_votes(validator: &Node) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE;
    loop {
        if votes(validator).await? {
            return Ok(());
        }
        late(deadline, validator, "does not vote")?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the node says that it makes blocks, as the ledger's validator.
pub(super) async fn votes(node: &Node) -> Result<bool, Failure> {
    let status = node.client.node_status(&Empty {}).await?.consensus;
    Ok(status.votes && status.seated)
}

fn late(deadline: Instant, node: &Node, what: &str) -> Result<(), Failure> {
    if Instant::now() <= deadline {
        return Ok(());
    }
    let span = SETTLE.as_secs();
    Err(Failure::new(
        FAILED,
        format_args!("after {span} s {} {what}", node.name),
    ))
}

/// A validator's absence while shards are being repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// The network does not bear one.
    Never,
    /// It comes when the repair has begun.
    Ahead,
    /// It lasts until the repair has gone on, or for an epoch at most.
    Lasts {
        /// Shards rebuilt when it began.
        rebuilt: u64,
        /// Until when at most.
        until: Instant,
    },
    /// The validator is back.
    Over,
}

impl Outage {
    /// For a network of this many validators.
    pub(super) const fn of(validators: u16) -> Self {
        if validators >= 4 {
            Self::Ahead
        } else {
            Self::Never
        }
    }

    /// Kills the newest validator, or brings it back, if it is time.
    pub(super) async fn step(
        &mut self,
        net: &mut Network,
        repairs: &Repairs,
        out: Out,
    ) -> Result<(), Failure> {
        match *self {
            Self::Ahead if repairs.segments_below_full > 0 => {
                let Some(mut validator) = net.validators.pop() else {
                    return Ok(());
                };
                net.past_validators = net.past_validators.join(validator.kill()?);
                out.remark(format_args!("   killed {} meanwhile", validator.name))?;
                net.absent = Some(validator.name.clone());
                *self = Self::Lasts {
                    rebuilt: repairs.shards_repaired,
                    until: Instant::now() + net.epoch,
                };
                Ok(())
            }
            Self::Lasts { rebuilt, until }
                if repairs.shards_repaired > rebuilt || Instant::now() > until =>
            {
                self.end(net, out).await
            }
            Self::Never | Self::Ahead | Self::Lasts { .. } | Self::Over => Ok(()),
        }
    }

    /// Brings the validator back if it is away, and waits until it votes.
    pub(super) async fn end(&mut self, net: &mut Network, out: Out) -> Result<(), Failure> {
        let Some(name) = net.absent.take() else {
            return Ok(());
        };
        let validator = net.yard.up(&name, &UP)?.ready().await?;
        until_votes(&validator).await?;
        out.remark(format_args!("   {name} is back and votes"))?;
        net.validators.push(validator);
        *self = Self::Over;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_that_bears_it_loses_a_validator() {
        assert_eq!([1, 2, 3].map(Outage::of), [Outage::Never; 3]);
        assert_eq!([4, 7].map(Outage::of), [Outage::Ahead; 2]);
    }
}
