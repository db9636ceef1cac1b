//! Nobody is paid for what it did not prove: an epoch's pay follows a proof that verifies for that
//! provider and epoch, and that was made while the provider's disk held every shard it draws,
//! byte for byte.

use super::Tally;
use crate::node::Node;
use larder_ledger::Event;
use larder_proofs::{Challenge, Commitment, Pick, Plan};
use larder_types::{Epoch, Hash, NodeId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Proofs(pub(super) Tally, Ledger);

#[derive(Debug, Default)]
struct Ledger {
    /// Hashes of proofs made from bytes that were really held.
    honest: BTreeSet<Hash>,
    /// The newest epoch that each provider has proved.
    proved: BTreeMap<NodeId, Epoch>,
    /// How often draws hit what was not there.
    caught: u64,
}

impl Proofs {
    /// A node answered a challenge, or could not.
    pub(crate) fn made(
        &mut self,
        node: &Node,
        challenge: &Challenge,
        commitment: &Commitment,
        blob: Option<&[u8]>,
    ) {
        let held = Plan::new(commitment, challenge)
            .map(|plan| plan.picks().iter().all(|pick| has(node, commitment, pick)));
        match (held, blob) {
            (Ok(true), Some(blob)) => {
                self.1.honest.insert(hash(blob));
            }
            (Ok(false), _) => self.1.caught += 1,
            (Ok(true) | Err(_), _) => {}
        }
    }

    /// A validator found a proof of `provider` for `epoch` valid.
    pub(crate) fn valid(&mut self, provider: &NodeId, epoch: Epoch, hash: &Hash) {
        if self.1.honest.remove(hash) {
            self.1.proved.insert(*provider, epoch);
        }
    }

    /// A block did something.
    pub(crate) fn event(&mut self, now: Time, event: &Event) {
        if let Event::Paid {
            provider, epoch, ..
        } = event
        {
            let proved = self.1.proved.get(provider) == Some(epoch);
            self.0.check(proved, || {
                format!("{}: {provider} paid for epoch {epoch} unproved", now.0)
            });
        }
    }

    /// How often draws hit what was not there.
    pub(crate) fn caught(&self) -> u64 {
        self.1.caught
    }
}

/// Whether a node has the 16 KiB that a draw reads.
fn has(node: &Node, commitment: &Commitment, pick: &Pick) -> bool {
    let Some((shard, chunk)) = pick.place else {
        return true;
    };
    let contract = commitment.tree.get(pick.contract).map(|l| l.contract_id);
    let content = contract.and_then(|id| commitment.contents.get(&id));
    let leaf = content.and_then(|c| c.leaves().get(shard as usize));
    leaf.is_some_and(|leaf| node.disk.has_group(&leaf.root, chunk / 16))
}

fn hash(blob: &[u8]) -> Hash {
    Hash(*blake3::hash(blob).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::Amount;

    #[test]
    fn pay_without_a_proof_of_that_epoch_is_a_violation() {
        let provider = NodeId([1; 32]);
        let paid = |epoch| Event::Paid {
            provider,
            epoch,
            pay: Amount(1),
            fee: Amount(0),
        };
        let mut checker = Proofs::default();
        checker.1.honest.insert(hash(b"proof"));
        checker.valid(&provider, 3, &hash(b"proof"));
        checker.event(Time(0), &paid(3));
        assert!(checker.0.finding("").ok);
        checker.event(Time(0), &paid(4));
        assert!(!checker.0.finding("").ok);
        let mut forged = Proofs::default();
        forged.valid(&provider, 3, &hash(b"made from nothing"));
        forged.event(Time(0), &paid(3));
        assert!(!forged.0.finding("").ok, "valid, yet nobody held the bytes");
    }
}
