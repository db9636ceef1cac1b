//! Audits by the owner, off the ledger: one chunk of what a contract holds is shown, proved against
//! the contract's active leaf. Only the contract's renter is answered, so many times an epoch: an
//! audit costs a read and a signature, and must not become a way to keep a disk busy. Who misses
//! the shard that is asked for says so. `docs/protocol.md` §3.7.

use super::Provider;
use crate::ctx::Ctx;
use crate::io::{Effect, Job, JobError, Token};
use crate::ops::Pending;
use crate::wire::{Audit, Deny, Response};
use larder_ledger::May;
use larder_proofs::{Commitment, Plan, ProviderTree, ShardLeaf};
use larder_types::{Amount, ContractId, Millis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Audits of one contract that are answered in an epoch: four times what a renter asks.
const MAX_EACH: u32 = 16;
/// Audits that are answered at once, in all; of one contract it is one.
const MAX_OPEN: usize = 8;
/// An answer that takes longer is of no more use: who asks waits 15 s.
const DEADLINE: Millis = Millis(10_000);

/// The audits of this epoch.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    asked: BTreeMap<ContractId, u32>,
    open: BTreeMap<Token, ContractId>,
}

impl Audits {
    /// An epoch has begun.
    pub(crate) fn epoch(&mut self) {
        self.asked.clear();
    }

    /// Counts an audit, if it is not one too many.
    fn admit(&mut self, token: Token, contract: &ContractId) -> Result<(), Deny> {
        let busy: BTreeSet<&ContractId> = self.open.values().collect();
        let asked = self.asked.entry(*contract).or_default();
        if *asked >= MAX_EACH || self.open.len() >= MAX_OPEN || busy.contains(contract) {
            return Err(Deny::Busy);
        }
        *asked += 1;
        self.open.insert(token, *contract);
        Ok(())
    }
}

impl Provider {
    /// The owner of a contract asks for a chunk of it.
    pub(crate) fn audited(&mut self, ctx: &mut Ctx<'_>, token: Token, audit: &Audit) {
        if let Err(deny) = self.show(ctx, token, audit) {
            let response = Response::Denied(deny);
            ctx.out.push(Effect::Reply { token, response });
        }
    }

    /// Starts the answer, or says why there is none.
    fn show(&mut self, ctx: &mut Ctx<'_>, token: Token, audit: &Audit) -> Result<(), Deny> {
        let id = &audit.contract;
        let held = self.contracts.get(id).ok_or(Deny::UnknownContract)?;
        if !audit.is_signed_by(&held.leaf().renter, &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        ctx.permit((&held.leaf().renter, audit.by), May::NOTHING, Amount::ZERO)?;
        // A seed that was made long ago could be one that its maker has waited for.
        let leaf = held.active.ok_or(Deny::Stale)?;
        let tree = ProviderTree::of_one(leaf);
        if !ctx.chain.beacons.contains(&audit.beacon) || tree.root().hash != audit.leaf {
            return Err(Deny::Stale);
        }
        let committed = self.commitment.as_ref().ok_or(Deny::Stale)?;
        let content = committed.contents.get(id).ok_or(Deny::Stale)?;
        self.audits.admit(token, id)?;
        let commitment = Commitment {
            tree,
            contents: BTreeMap::from([(*id, content.clone())]),
        };
        let challenge = audit.challenge(ctx.me.node(), &leaf, &ctx.me.genesis);
        let plan = Plan::new(&commitment, &challenge).map_err(|_| Deny::Stale);
        let missing = plan.map(|plan| {
            let damaged = |shard: &ShardLeaf| self.losses.damaged.contains(&shard.root);
            plan.shards().any(damaged)
        });
        if let Some(deny) =
            missing.map_or_else(Some, |missing| missing.then_some(Deny::UnknownShard))
        {
            self.audits.open.remove(&token);
            return Err(deny);
        }
        let job = Job::Prove {
            challenge,
            commitment: Arc::new(commitment),
        };
        ctx.run(job, ctx.now.after(DEADLINE), Pending::Show { token });
        Ok(())
    }

    /// The answer is made. Where it is not, the shard is looked at by the scrubber, which is who
    /// says that one is lost: a disk that is busy or away is none.
    pub(crate) fn shown(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        outcome: Result<Vec<u8>, JobError>,
    ) {
        self.audits.open.remove(&token);
        let response = match outcome {
            Ok(blob) => Response::Proof(blob),
            Err(JobError::Damaged(_) | JobError::Disk(_)) => Response::Denied(Deny::Disk),
            Err(JobError::Cancelled) => Response::Denied(Deny::Busy),
        };
        ctx.out.push(Effect::Reply { token, response });
    }
}
