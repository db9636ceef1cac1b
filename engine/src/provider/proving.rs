//! Answering challenges: at the epoch's start we know what we committed to; when our slot opens a
//! pool thread reads the drawn chunks; the proof is sent until a validator has it or the window
//! closes. `docs/protocol.md` §3.5.

use super::{Proof, Provider};
use crate::ctx::{Ctx, backoff};
use crate::io::{Job, JobError, Submission, SubmitError};
use crate::ops::Pending;
use crate::view::ActiveView;
use larder_proofs::{Challenge, Commitment, ProviderTree};
use larder_types::SlotNo;
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

    /// Our slot is open.
    pub(crate) fn challenged(&mut self, ctx: &mut Ctx<'_>, challenge: &Challenge) {
        let slot = challenge.slot_no;
        let late = ctx.now >= ctx.me.schedule.slot_close(slot);
        if late || self.proof.as_ref().is_some_and(|p| p.slot == slot) {
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
        let op = ctx.run(job, deadline, Pending::Prove { slot });
        self.proof = Some(Proof {
            slot,
            blob: None,
            op: Some(op),
            done: false,
            tries: 0,
            retry_at: ctx.now,
        });
    }

    /// The proof was made, or cannot be: a shard is gone or damaged, so this epoch is not paid.
    pub(crate) fn proved(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: SlotNo,
        outcome: Result<Vec<u8>, JobError>,
    ) {
        let Some(proof) = self.proof.as_mut().filter(|p| p.slot == slot) else {
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

    /// Sends the proof if it is made, not yet taken, and still in time.
    pub(crate) fn send_proof(&mut self, ctx: &mut Ctx<'_>) {
        let Some(proof) = self.proof.as_mut() else {
            return;
        };
        if ctx.now >= ctx.me.schedule.slot_close(proof.slot) || proof.tries >= MAX_TRIES {
            proof.done = true;
        }
        let Some(blob) = proof.blob.clone() else {
            return;
        };
        if proof.done || proof.op.is_some() || ctx.now < proof.retry_at {
            return;
        }
        proof.tries += 1;
        let slot = proof.slot;
        proof.op = Some(ctx.submit(Submission::Proof { slot, blob }, Pending::Proof { slot }));
    }

    /// A validator has taken the proof, refused it, or not answered.
    pub(crate) fn proof_sent(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: SlotNo,
        outcome: Result<(), SubmitError>,
    ) {
        let Some(proof) = self.proof.as_mut().filter(|p| p.slot == slot) else {
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
