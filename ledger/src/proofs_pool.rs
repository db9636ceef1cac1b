//! Which providers proved what in their slot of this epoch: the bookkeeping behind verdicts. The
//! proofs themselves are checked elsewhere (`larder_proofs::verify`) and not kept; their hashes
//! are, for the batch's root. `docs/protocol.md` §3.5.

use crate::verdict::{PROOFS_CONTEXT, merkle_root};
use crate::{State, Verdict, VerdictBatch};
use larder_proofs::Challenge;
use larder_types::{Hash, NodeId, SlotNo, Time};
use std::collections::BTreeMap;

/// Proofs that one provider may send for one slot.
pub const MAX_TRIES: u8 = 3;

/// Why a proof is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefusal {
    /// The provider is not asked now: its slot has not opened, or it has no contract.
    #[error("no proof is owed now")]
    NotAsked,
    /// The window has closed.
    #[error("the window closed at {closed:?}")]
    Late {
        /// When.
        closed: Time,
    },
    /// A valid proof is there already.
    #[error("the epoch is proven already")]
    Proven,
    /// Three were sent already.
    #[error("at most {MAX_TRIES} proofs per slot")]
    Tries,
}

/// What the check of one proof gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answers the challenge.
    Valid,
    /// The provider signed it for this very challenge, and it is wrong: evidence.
    Invalid,
    /// Malformed, unsigned or for another challenge: no evidence of anything.
    Void,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    slot: SlotNo,
    tries: u8,
    /// Proofs handed out for checking whose outcome is not recorded yet.
    checking: u8,
    valid: Option<Hash>,
    invalid: Option<Hash>,
}

/// The results of this epoch.
#[derive(Debug, Clone)]
pub struct ProofsPool {
    /// Slots that began earlier are not held against anyone: their proofs may be lost with an
    /// earlier process.
    since: Time,
    entries: BTreeMap<NodeId, Entry>,
}

impl ProofsPool {
    /// An empty pool of a process that began at `since`.
    #[must_use]
    pub const fn new(since: Time) -> Self {
        Self {
            since,
            entries: BTreeMap::new(),
        }
    }

    /// Takes a proof for checking, received at `now` from `provider`, whom the caller has
    /// authenticated: tries are counted against it. Gives the challenge to check against; exactly
    /// one [`ProofsPool::record`] must follow.
    ///
    /// # Errors
    /// [`ProofRefusal`] if it need not be looked at.
    pub fn accept(
        &mut self,
        state: &State,
        provider: &NodeId,
        now: Time,
    ) -> Result<Challenge, ProofRefusal> {
        let challenge = state
            .challenge_for(provider)
            .ok_or(ProofRefusal::NotAsked)?;
        let slot = challenge.slot_no;
        let closed = state.schedule().slot_close(slot);
        if now >= closed {
            return Err(ProofRefusal::Late { closed });
        }
        let fresh = Entry {
            slot,
            tries: 0,
            checking: 0,
            valid: None,
            invalid: None,
        };
        let entry = self.entries.entry(*provider).or_insert(fresh);
        if entry.slot != slot {
            *entry = fresh;
        }
        if entry.valid.is_some() {
            return Err(ProofRefusal::Proven);
        }
        if entry.tries >= MAX_TRIES {
            return Err(ProofRefusal::Tries);
        }
        entry.tries = entry.tries.saturating_add(1);
        entry.checking = entry.checking.saturating_add(1);
        Ok(challenge)
    }

    /// Records what the check of an accepted proof with this BLAKE3 hash gave.
    pub fn record(&mut self, challenge: &Challenge, hash: Hash, outcome: Outcome) {
        let entry = self.entries.get_mut(&challenge.provider);
        let Some(entry) = entry.filter(|entry| entry.slot == challenge.slot_no) else {
            return;
        };
        entry.checking = entry.checking.saturating_sub(1);
        match outcome {
            Outcome::Valid => entry.valid = Some(hash),
            Outcome::Invalid => entry.invalid = Some(hash),
            Outcome::Void => {}
        }
    }

    /// Whether a proof for this slot is still being checked: its batch must wait.
    #[must_use]
    pub fn is_checking(&self, slot: SlotNo) -> bool {
        self.entries
            .values()
            .any(|entry| entry.slot == slot && entry.checking > 0)
    }

    /// A slot's verdicts as this pool knows them. A valid proof among the tries passes.
    #[must_use]
    pub fn batch(&self, state: &State, slot: SlotNo) -> VerdictBatch {
        // Without its own beacon, or with a process that missed its beginning, a silent provider
        // is excused: unpaid, no strike.
        let began = state.schedule().slot_start(slot);
        let excused = !state.was_opened(slot) || began < self.since;
        let silent = if excused {
            Verdict::Declared
        } else {
            Verdict::Miss
        };
        let (verdicts, hashes): (Vec<Verdict>, Vec<Option<Hash>>) = state
            .slot_providers(slot)
            .iter()
            .map(|p| match p.is_away(state.epoch()) {
                true => (Verdict::Declared, None),
                false => self.verdict(&p.node, slot, silent),
            })
            .unzip();
        let hashes: Vec<Hash> = hashes.into_iter().flatten().collect();
        VerdictBatch {
            slot,
            verdicts,
            proofs_root: merkle_root(PROOFS_CONTEXT, &hashes),
        }
    }

    fn verdict(&self, provider: &NodeId, slot: SlotNo, silent: Verdict) -> (Verdict, Option<Hash>) {
        match self
            .entries
            .get(provider)
            .filter(|entry| entry.slot == slot)
        {
            Some(Entry {
                valid: Some(hash), ..
            }) => (Verdict::Pass, Some(*hash)),
            Some(Entry {
                invalid: Some(hash),
                ..
            }) => (Verdict::Fail, Some(*hash)),
            Some(_) | None => (silent, None),
        }
    }

    /// Forgets slots of epochs before the state's.
    pub fn prune(&mut self, state: &State) {
        let first = state.schedule().slot_no(state.epoch(), 0);
        self.entries.retain(|_, entry| entry.slot >= first);
    }
}
