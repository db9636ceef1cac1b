//! Answering challenges: at the epoch's start we know what we committed to; when our slot opens a
//! pool thread reads the drawn chunks, at once; the proof is made and sent again and again until a
//! validator has it or the window closes, which costs nothing. `docs/protocol.md` §3.5.

use super::{Proof, Provider};
use crate::ctx::{Ctx, Identity, backoff};
use crate::io::{Job, JobError, Submission, SubmitError};
use crate::ops::Pending;
use crate::view::ActiveView;
use larder_proofs::{Challenge, Commitment, ProviderTree};
use larder_types::{ContractId, Millis, SlotNo, Time};
use std::sync::Arc;

/// The longest pause between two tries to make or send a proof is this share of the window, one
/// in …: whatever comes back, a disk or a validator, is met soon.
const PAUSES: u64 = 16;

impl Provider {
    /// Notes the trees that this epoch's challenge is drawn from.
    pub(crate) fn commit_to(&mut self, active: &ActiveView) {
        if active.held.iter().next().is_none() {
            self.fitness.idle();
        }
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
        self.proofs.retain(|_, proof| proof.is_of(slot));
        let late = ctx.now >= ctx.me.schedule.slot_close(slot);
        if late || self.commitment.is_none() || self.proofs.contains_key(&of) {
            return;
        }
        self.proofs.insert(of, Proof::new(*challenge, ctx.now));
        self.go_on_proving(ctx);
    }

    /// A proof was made, or could not be: a shard is gone or damaged, or its disk does not answer.
    /// A disk may come back before the window closes.
    pub(crate) fn proved(
        &mut self,
        ctx: &mut Ctx<'_>,
        (slot, of): (SlotNo, Option<ContractId>),
        outcome: Result<Vec<u8>, JobError>,
    ) {
        let Some(proof) = self.proofs.get_mut(&of).filter(|p| p.is_of(slot)) else {
            return;
        };
        proof.op = None;
        // A proof of one contract says nothing of how long one of all takes.
        let measured = of.is_none() && matches!(outcome, Ok(_) | Err(JobError::Cancelled));
        if measured {
            self.fitness.proved(proof.begun, ctx.now);
        }
        match outcome {
            Ok(blob) => {
                proof.blob = Some(blob);
                self.go_on_proving(ctx);
            }
            Err(JobError::Cancelled | JobError::Damaged(_) | JobError::Disk(_)) => {
                proof.retry(ctx, longest_pause(ctx.me));
            }
        }
    }

    /// Makes the proofs, or sends them, where that is due and still in time.
    pub(crate) fn go_on_proving(&mut self, ctx: &mut Ctx<'_>) {
        let Some(commitment) = &self.commitment else {
            return;
        };
        for (of, proof) in &mut self.proofs {
            proof.go_on(ctx, *of, commitment);
        }
    }

    /// A validator has taken a proof, refused it, or not answered.
    pub(crate) fn proof_sent(
        &mut self,
        ctx: &mut Ctx<'_>,
        (slot, of): (SlotNo, Option<ContractId>),
        outcome: Result<(), SubmitError>,
    ) {
        let Some(proof) = self.proofs.get_mut(&of).filter(|p| p.is_of(slot)) else {
            return;
        };
        proof.op = None;
        match outcome {
            Ok(()) | Err(SubmitError::Refused(_)) => proof.done = true,
            Err(SubmitError::NoAnswer) => {
                let pause = backoff(proof.tries).min(longest_pause(ctx.me));
                proof.tries = proof.tries.saturating_add(1);
                proof.retry(ctx, pause);
            }
        }
    }
}

impl Proof {
    const fn new(challenge: Challenge, now: Time) -> Self {
        Self {
            challenge,
            begun: now,
            blob: None,
            op: None,
            done: false,
            tries: 0,
            retry_at: now,
        }
    }

    fn is_of(&self, slot: SlotNo) -> bool {
        self.challenge.slot_no == slot
    }

    fn go_on(&mut self, ctx: &mut Ctx<'_>, of: Option<ContractId>, commitment: &Arc<Commitment>) {
        let slot = self.challenge.slot_no;
        let deadline = ctx.me.schedule.slot_close(slot);
        self.done |= ctx.now >= deadline;
        if self.done || self.op.is_some() || ctx.now < self.retry_at {
            return;
        }
        self.op = Some(match self.blob.clone() {
            Some(blob) => ctx.submit(
                Submission::Proof { slot, blob },
                Pending::Proof { slot, of },
            ),
            None => {
                self.begun = ctx.now;
                let job = Job::Prove {
                    challenge: self.challenge,
                    commitment: Arc::clone(commitment),
                };
                ctx.run(job, deadline, Pending::Prove { slot, of })
            }
        });
    }

    /// The same once more, after a pause.
    fn retry(&mut self, ctx: &Ctx<'_>, pause: Millis) {
        self.retry_at = ctx.now.after(pause);
    }
}

fn longest_pause(me: &Identity) -> Millis {
    Millis((me.params.window.0 / PAUSES).max(1))
}
