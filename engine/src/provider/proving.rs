//! Answering challenges: at the epoch's start we know what we committed to; when our slot opens a
//! pool thread reads the drawn chunks; the proof is sent until a validator has it or the window
//! closes. `docs/protocol.md` §3.5.

use super::{Proof, Provider};
use crate::ctx::{Ctx, backoff};
use crate::io::{Job, JobError, Submission, SubmitError};
use crate::ops::Pending;
use crate::view::ActiveView;
use larder_proofs::{Challenge, Commitment, ProviderTree};
use larder_types::{ContractId, SlotNo};
use std::sync::Arc;

/// Tries to make or send one proof; validators take at most three.
const MAX_TRIES: u32 = 8;

impl Provider {
    /// Notes the trees that this epoch's challenge is drawn from.
    pub(crate) fn commit_to(&mut self, active: &ActiveView) {
        self.commitment = Some(Arc::new(self.committed(active)));
    }

    /// The trees behind the active root. They share all with ours: what is added to a list later in
    /// the epoch, the proof leaves out, and what goes from ours stays here.
    fn committed(&self, active: &ActiveView) -> Commitment {
        let content = |id| Some((id, self.contracts.get(&id)?.content.clone()));
        let contracts = active.held.iter().map(|(_, leaf)| leaf.contract_id);
        Commitment {
            tree: ProviderTree::clone(&active.held),
            contents: contracts.filter_map(content).collect(),
        }
    }

    /// Our slot is open: we are asked for all contracts, or besides for one.
    pub(crate) fn challenged(
        &mut self,
        ctx: &mut Ctx<'_>,
        of: Option<ContractId>,
        challenge: &Challenge,
    ) {
        let slot = challenge.slot_no;
        self.proofs.retain(|_, proof| proof.slot == slot);
        let late = ctx.now >= ctx.me.schedule.slot_close(slot);
        if late || self.proofs.contains_key(&of) {
            return;
        }
        let Some(commitment) = self.commitment.clone() else {
            return;
        };
        let job = Job::Prove {
            challenge: *challenge,
            commitment,
        };
        let deadline = ctx.me.schedule.slot_close(slot);
        let op = ctx.run(job, deadline, Pending::Prove { slot, of });
        let proof = Proof {
            slot,
            blob: None,
            op: Some(op),
            done: false,
            tries: 0,
            retry_at: ctx.now,
        };
        self.proofs.insert(of, proof);
    }

    /// The proof was made, or cannot be: a shard is gone or damaged, so this epoch is not paid.
    pub(crate) fn proved(
        &mut self,
        ctx: &mut Ctx<'_>,
        (slot, of): (SlotNo, Option<ContractId>),
        outcome: Result<Vec<u8>, JobError>,
    ) {
        let Some(proof) = self.proofs.get_mut(&of).filter(|p| p.slot == slot) else {
            return;
        };
        proof.op = None;
        match outcome {
            Ok(blob) => {
                proof.blob = Some(blob);
                self.send_proof(ctx);
            }
            Err(_) => proof.done = true,
        }
    }

    /// Sends the proofs that are made, not yet taken, and still in time.
    pub(crate) fn send_proof(&mut self, ctx: &mut Ctx<'_>) {
        for (of, proof) in &mut self.proofs {
            proof.send(ctx, *of);
        }
    }

    /// A validator has taken a proof, refused it, or not answered.
    pub(crate) fn proof_sent(
        &mut self,
        ctx: &mut Ctx<'_>,
        (slot, of): (SlotNo, Option<ContractId>),
        outcome: Result<(), SubmitError>,
    ) {
        let Some(proof) = self.proofs.get_mut(&of).filter(|p| p.slot == slot) else {
            return;
        };
        proof.op = None;
        match outcome {
            Ok(()) | Err(SubmitError::Refused(_)) => proof.done = true,
            Err(SubmitError::NoAnswer) => {
                proof.retry_at = ctx.now.after(backoff(proof.tries.min(2)))
            }
        }
    }
}

impl Proof {
    fn send(&mut self, ctx: &mut Ctx<'_>, of: Option<ContractId>) {
        if ctx.now >= ctx.me.schedule.slot_close(self.slot) || self.tries >= MAX_TRIES {
            self.done = true;
        }
        let Some(blob) = self.blob.clone() else {
            return;
        };
        if self.done || self.op.is_some() || ctx.now < self.retry_at {
            return;
        }
        self.tries += 1;
        let slot = self.slot;
        let what = Pending::Proof { slot, of };
        self.op = Some(ctx.submit(Submission::Proof { slot, blob }, what));
    }
}
