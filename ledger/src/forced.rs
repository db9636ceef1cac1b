//! A revision that the renter posts itself, as its provider does not: one that both signed, or one
//! of its own whose new shards the provider has acknowledged each. `docs/protocol.md` §3.3.

use crate::check::Place;
use crate::state::Pending;
use crate::tx::MAX_LOST;
use crate::{Event, State, TxRefusal};
use larder_contracts::{Revision, ShardAck, SignedLeaf, same_money};
use larder_proofs::{ContractLeaf, LostShard, appended};
use larder_types::{Amount, GenesisHash, NodeId, Signature};
use serde::{Deserialize, Serialize};

/// A renter posts a revision. It needs no signature beyond those of the revision: it does what both
/// sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForceRevision {
    /// Who stores.
    pub provider: NodeId,
    /// The revision, and what binds the provider to it.
    pub revision: Forced,
}

/// What binds a provider to a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forced {
    /// Its signature.
    Signed(Box<Revision>),
    /// Its acknowledgement of each shard that the revision adds.
    Acked {
        /// The revision, by the renter alone.
        signed: Box<SignedLeaf>,
        /// 1 to 256 shards, by ascending place.
        added: Vec<AckedShard>,
    },
}

/// A shard that a revision adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckedShard {
    /// The shard, its place, and the siblings of that place in the tree with the ones before.
    pub shard: LostShard,
    /// The signature of the provider's `ShardAck`.
    pub sig_provider: Signature,
}

impl Forced {
    /// The leaf, as its renter signed it.
    #[must_use]
    pub fn signed(&self) -> &SignedLeaf {
        match self {
            Self::Signed(revision) => &revision.signed,
            Self::Acked { signed, .. } => signed,
        }
    }
}

impl ForceRevision {
    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let provider = &self.provider;
        match &self.revision {
            Forced::Signed(revision) => {
                revision.verify(provider, &revision.signed.leaf.renter, genesis)
            }
            Forced::Acked { signed, added } => {
                let contract_id = signed.leaf.contract_id;
                let is_acked = |one: &AckedShard| {
                    ShardAck {
                        contract_id,
                        root: one.shard.leaf.root,
                        chunks: one.shard.leaf.chunks,
                        sig: one.sig_provider,
                    }
                    .verify(provider, genesis)
                };
                signed.verify(provider, genesis) && added.iter().all(is_acked)
            }
        }
    }
}

impl State {
    /// The revision must be newer than what is active and what waits, of a contract that is active
    /// with this provider, and by a key that may. One that only the renter signed must add just the
    /// shards that it shows, to a contract that was active for an epoch.
    pub(crate) fn check_forced(
        &self,
        tx: &ForceRevision,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        self.check_forced_fee(tx, fee, place)?;
        let signed = tx.revision.signed();
        let new = &signed.leaf;
        let active = self.contract(&new.contract_id);
        let (_, provider, leaf) = active.ok_or(TxRefusal::NoContract)?;
        if provider != tx.provider {
            return Err(TxRefusal::NoContract);
        }
        if leaf.renter != new.renter {
            return Err(TxRefusal::NotTheRenter);
        }
        self.permit_put(signed, place.epoch, place.time)?;
        let waits = self
            .pending(&provider, &new.contract_id)
            .and_then(|pending| pending.put.as_ref());
        let newest = waits.map_or(leaf.revision, |put| put.leaf.revision.max(leaf.revision));
        if new.revision <= newest {
            return Err(TxRefusal::Stale);
        }
        match &tx.revision {
            Forced::Signed(_) => self.check_put(signed, place),
            Forced::Acked { added, .. } => check_added(leaf, new, added, place),
        }
    }

    /// It waits for the epoch's end like any other.
    pub(crate) fn force(
        &mut self,
        tx: &ForceRevision,
        fee: Amount,
        place: Place,
    ) -> Result<Vec<Event>, TxRefusal> {
        self.pay_forced_fee(tx, fee, place)?;
        let signed = tx.revision.signed();
        let (provider, contract) = (tx.provider, signed.leaf.contract_id);
        let queue = &mut self.pending.or_default(provider).0;
        let pending: &mut Pending = queue.entry(contract).or_default();
        let revision = Some(signed.leaf.revision);
        pending.put = Some(signed.clone());
        pending.reduces = false;
        Ok(vec![Event::Pending {
            provider,
            contract,
            revision,
        }])
    }
}

fn check_added(
    old: &ContractLeaf,
    new: &ContractLeaf,
    added: &[AckedShard],
    place: Place,
) -> Result<(), TxRefusal> {
    if place.epoch <= old.start_epoch {
        return Err(TxRefusal::Early {
            epoch: old.start_epoch.saturating_add(1),
        });
    }
    // A provider signs no revision beyond the next few; a leap would shut out all that follow.
    let is_near = new.revision <= old.revision.saturating_add(crate::check::MAX_LEAP);
    if !(1..=MAX_LOST).contains(&added.len()) || !same_money(old, new) || !is_near {
        return Err(TxRefusal::Forced);
    }
    let shards: Vec<LostShard> = added.iter().map(|one| one.shard.clone()).collect();
    let (root, chunks, depth) = appended(old.content_root, old.used_chunks, old.depth, &shards)
        .map_err(TxRefusal::Witness)?;
    let given = (new.content_root, new.used_chunks, new.depth);
    match given == (root, chunks, depth) {
        true => Ok(()),
        false => Err(TxRefusal::Forced),
    }
}
