//! Which providers proved what in their slot of this epoch: the bookkeeping behind verdicts. The
//! proofs themselves are checked elsewhere (`larder_proofs::verify`) and not kept; their hashes
//! are, for the batch's root, and false ones are until they are in a block. Validators forward to each
//! other what they accepted: what comes so in time counts like the provider's own sending, what comes
//! later only tells that another's PASS is no invention. `docs/protocol.md` §3.5.

use crate::evidence::MAX_BLOCK_EVIDENCE_BYTES;
use crate::verdict::{PROOFS_CONTEXT, merkle_root};
use crate::{Evidence, Reason, State, VerdictBatch};
use larder_proofs::{Challenge, VerifyError};
use larder_types::{Hash, NodeId, SlotNo, Time};
use std::collections::{BTreeMap, BTreeSet};

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

/// Why a forwarded proof is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardRefusal {
    /// Nothing is asked of the provider yet, which the next block may change; or it is judged.
    #[error("no proof is owed now")]
    NotAsked,
    /// A valid proof is there already.
    #[error("a valid proof is known already")]
    Proven,
    /// Only validators forward proofs.
    #[error("only a validator forwards proofs")]
    NotAValidator,
    /// The validator has forwarded one for this provider and slot.
    #[error("a validator forwards one proof of a provider and slot")]
    Repeated,
}

/// A forwarded proof that is to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    challenge: Challenge,
    came: Time,
    is_late: bool,
}

impl Forward {
    /// What the proof is to be checked against.
    #[must_use]
    pub const fn challenge(&self) -> &Challenge {
        &self.challenge
    }
}

/// What a pool holds of a provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// No valid proof.
    Nothing,
    /// One that came after the window had closed, from another validator.
    Late,
    /// One that came in time, and when.
    Since(Time),
}

#[derive(Debug, Clone)]
struct Entry {
    slot: SlotNo,
    tries: u8,
    /// Proofs handed out for checking whose outcome is not recorded yet.
    checking: u16,
    /// When the newest proof came that was taken for checking.
    came: Time,
    /// The valid one, and when it came at the latest.
    valid: Option<(Hash, Time)>,
    /// Whether a validator forwarded a valid one after the window had closed.
    is_late_valid: bool,
    /// The validators that forwarded one.
    forwarders: BTreeSet<NodeId>,
    /// The first false proof, and what is wrong with it.
    invalid: Option<(Reason, Vec<u8>)>,
    /// Why it misses, if nothing else comes.
    miss: Reason,
}

impl Entry {
    const fn new(slot: SlotNo) -> Self {
        Self {
            slot,
            tries: 0,
            checking: 0,
            came: Time(0),
            valid: None,
            is_late_valid: false,
            forwarders: BTreeSet::new(),
            invalid: None,
            miss: Reason::Silent,
        }
    }
}

/// A provider, and the place of the one contract that it is asked for, if any.
pub(crate) type Asked = (NodeId, Option<u32>);

/// Where a proof carries the beacon that it answers.
const BEACON: std::ops::Range<usize> = 16..48;

/// The results of this epoch.
#[derive(Debug, Clone)]
pub struct ProofsPool {
    /// Slots that began earlier are not held against anyone: their proofs may be lost with an
    /// earlier process.
    since: Time,
    entries: BTreeMap<Asked, Entry>,
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

    /// The challenge that a proof from `provider` answers, if it is asked now: that for one contract
    /// if the proof carries its beacon, else that for all.
    #[must_use]
    pub fn challenge(state: &State, provider: &NodeId, blob: &[u8]) -> Option<Challenge> {
        let whole = state.challenge_for(provider)?;
        let mut targeted = state.targeted_for(provider).into_iter();
        let one = targeted.find(|(_, one)| blob.get(BEACON) == Some(&one.beacon[..]));
        Some(one.map_or(whole, |(_, challenge)| challenge))
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
        blob: &[u8],
        now: Time,
    ) -> Result<Challenge, ProofRefusal> {
        let challenge = Self::challenge(state, provider, blob).ok_or(ProofRefusal::NotAsked)?;
        let closed = state.schedule().slot_close(challenge.slot_no);
        let entry = self.entry(&challenge);
        if now >= closed {
            if entry.tries == 0 {
                entry.miss = Reason::Late;
            }
            return Err(ProofRefusal::Late { closed });
        }
        if entry.valid.is_some() {
            return Err(ProofRefusal::Proven);
        }
        if entry.tries >= MAX_TRIES {
            return Err(ProofRefusal::Tries);
        }
        entry.tries = entry.tries.saturating_add(1);
        entry.checking = entry.checking.saturating_add(1);
        entry.came = now;
        Ok(challenge)
    }

    /// When a provider's valid proof came, if it is this very one, and the challenge that it answers. It
    /// may have come from another validator: its provider's own sending is then [`ProofRefusal::Proven`].
    #[must_use]
    pub fn known(
        &self,
        state: &State,
        provider: &NodeId,
        blob: &[u8],
    ) -> Option<(Challenge, Time)> {
        let challenge = Self::challenge(state, provider, blob)?;
        let entry = self
            .entries
            .get(&(challenge.provider, challenge.contract))?;
        let (known, came) = entry.valid.filter(|_| entry.slot == challenge.slot_no)?;
        (known == hash(blob)).then_some((challenge, came))
    }

    /// Takes a proof of `provider` for checking that the validator `from`, whom the caller has
    /// authenticated, accepted and forwards, received at `now`. Each validator may forward one for a
    /// provider and slot, whatever the provider's own tries. Exactly one [`ProofsPool::record_forward`]
    /// must follow.
    ///
    /// # Errors
    /// [`ForwardRefusal`] if it need not be looked at.
    pub fn accept_forward(
        &mut self,
        state: &State,
        (from, provider): (&NodeId, &NodeId),
        blob: &[u8],
        now: Time,
    ) -> Result<Forward, ForwardRefusal> {
        if state.validators().get(from).is_none() {
            return Err(ForwardRefusal::NotAValidator);
        }
        let challenge = Self::challenge(state, provider, blob).ok_or(ForwardRefusal::NotAsked)?;
        if state.judged.contains(&challenge.slot_no) {
            return Err(ForwardRefusal::NotAsked);
        }
        let is_late = now >= state.schedule().slot_close(challenge.slot_no);
        let entry = self.entry(&challenge);
        if entry.valid.is_some() || (is_late && entry.is_late_valid) {
            return Err(ForwardRefusal::Proven);
        }
        if !entry.forwarders.insert(*from) {
            return Err(ForwardRefusal::Repeated);
        }
        if !is_late {
            entry.checking = entry.checking.saturating_add(1);
        }
        Ok(Forward {
            challenge,
            came: now,
            is_late,
        })
    }

    /// Records what `larder_proofs::verify` gave for a forwarded proof. A false one says nothing of the
    /// provider: it did not send it here.
    pub fn record_forward(
        &mut self,
        forward: &Forward,
        blob: &[u8],
        result: &Result<(), VerifyError>,
    ) {
        let Forward {
            challenge,
            came,
            is_late,
        } = forward;
        let entry = self
            .entries
            .get_mut(&(challenge.provider, challenge.contract));
        let Some(entry) = entry.filter(|entry| entry.slot == challenge.slot_no) else {
            return;
        };
        if *is_late {
            entry.is_late_valid |= result.is_ok();
            return;
        }
        entry.checking = entry.checking.saturating_sub(1);
        if result.is_ok() && entry.valid.is_none() {
            entry.valid = Some((hash(blob), *came));
        }
    }

    /// What is known of who is asked by this challenge.
    fn entry(&mut self, challenge: &Challenge) -> &mut Entry {
        let (asked, slot) = ((challenge.provider, challenge.contract), challenge.slot_no);
        let new = || Entry::new(slot);
        let entry = self.entries.entry(asked).or_insert_with(new);
        if entry.slot != slot {
            *entry = new();
        }
        entry
    }

    /// Whether this pool was there when a slot began: else it does not know who proved.
    #[must_use]
    pub fn has_opinion(&self, state: &State, slot: SlotNo) -> bool {
        state.schedule().slot_start(slot) >= self.since
    }

    /// What there is of a valid proof by who was asked in a slot.
    pub(crate) fn held(&self, asked: &Asked, slot: SlotNo) -> Held {
        let entry = self.entries.get(asked).filter(|entry| entry.slot == slot);
        match entry.map(|entry| (entry.valid, entry.is_late_valid)) {
            Some((Some((_, came)), _)) => Held::Since(came),
            Some((None, true)) => Held::Late,
            Some((None, false)) | None => Held::Nothing,
        }
    }

    /// Records what `larder_proofs::verify` gave for an accepted proof.
    pub fn record(
        &mut self,
        challenge: &Challenge,
        blob: Vec<u8>,
        result: &Result<(), VerifyError>,
    ) {
        let room = self.room(challenge.slot_no);
        let asked = (challenge.provider, challenge.contract);
        let entry = self.entries.get_mut(&asked);
        let Some(entry) = entry.filter(|entry| entry.slot == challenge.slot_no) else {
            return;
        };
        entry.checking = entry.checking.saturating_sub(1);
        match result.as_ref().map_err(reason) {
            Ok(()) => entry.valid = Some((hash(&blob), entry.came)),
            Err(false_proof @ (Reason::Malformed | Reason::Wrong)) => {
                if entry.invalid.is_none() && blob.len() <= room {
                    entry.invalid = Some((false_proof, blob));
                }
                entry.miss = Reason::Crowded;
            }
            Err(miss) if entry.miss != Reason::Crowded => entry.miss = miss,
            Err(_) => {}
        }
    }

    /// Bytes of false proofs that may still be kept for a slot: those that a block has room for.
    fn room(&self, slot: SlotNo) -> usize {
        let kept = self.entries.values().filter(|entry| entry.slot == slot);
        kept.filter_map(|entry| entry.invalid.as_ref())
            .fold(MAX_BLOCK_EVIDENCE_BYTES, |room, (_, blob)| {
                room.saturating_sub(blob.len())
            })
    }

    /// Whether a proof for this slot is still being checked: its batch must wait.
    #[must_use]
    pub fn is_checking(&self, slot: SlotNo) -> bool {
        self.entries
            .values()
            .any(|entry| entry.slot == slot && entry.checking > 0)
    }

    /// A slot's verdicts as this pool knows them; the false proofs behind FAILs are added to
    /// `evidence`. A valid proof among the tries passes; a false one for which the block has no
    /// room is a miss.
    #[must_use]
    pub fn batch(&self, state: &State, slot: SlotNo, evidence: &mut Vec<Evidence>) -> VerdictBatch {
        // Without its own beacon, or with a process that missed its beginning, a silent provider
        // is excused: unpaid, no strike.
        let is_excused = !state.was_opened(slot) || !self.has_opinion(state, slot);
        let (mut results, mut hashes) = (Vec::new(), Vec::new());
        for provider in state.slot_providers(slot) {
            let found = match provider.is_away(state.epoch()) {
                true => Found::Not(Reason::Maintenance),
                false => self.found(&(provider.node, None), slot, is_excused),
            };
            results.push(found.note(slot, provider.node, &mut hashes, evidence));
        }
        let mut targeted = Vec::new();
        for (provider, _, challenge) in state.slot_targets(slot) {
            let found = match challenge {
                Some(challenge) => self.found(&(provider, challenge.contract), slot, is_excused),
                None => Found::Not(Reason::Excused),
            };
            targeted.push(found.note(slot, provider, &mut hashes, evidence));
        }
        VerdictBatch {
            slot,
            results,
            targeted,
            proofs_root: merkle_root(PROOFS_CONTEXT, &hashes),
        }
    }

    fn found(&self, asked: &Asked, slot: SlotNo, is_excused: bool) -> Found<'_> {
        let entry = self.entries.get(asked).filter(|entry| entry.slot == slot);
        match entry {
            Some(Entry {
                valid: Some((hash, _)),
                ..
            }) => Found::Valid(*hash),
            Some(Entry {
                invalid: Some((reason, blob)),
                ..
            }) => Found::False(*reason, blob),
            Some(_) | None if is_excused => Found::Not(Reason::Excused),
            Some(entry) => Found::Not(entry.miss),
            None => Found::Not(Reason::Silent),
        }
    }

    /// Forgets slots of epochs before the state's, and false proofs that are in a block.
    pub fn prune(&mut self, state: &State) {
        let first = state.schedule().slot_no(state.epoch(), 0);
        self.entries.retain(|_, entry| entry.slot >= first);
        for entry in self.entries.values_mut() {
            if state.judged.contains(&entry.slot) {
                entry.invalid = None;
            }
        }
    }
}

/// What there is of a provider in a slot.
enum Found<'a> {
    /// A valid proof with this hash.
    Valid(Hash),
    /// A false one.
    False(Reason, &'a [u8]),
    /// None.
    Not(Reason),
}

impl Found<'_> {
    /// The result that it makes; its proof's hash and, if it is false, the proof are noted.
    fn note(
        self,
        slot: SlotNo,
        provider: NodeId,
        hashes: &mut Vec<Hash>,
        evidence: &mut Vec<Evidence>,
    ) -> Option<Reason> {
        match self {
            Self::Valid(hash) => {
                hashes.push(hash);
                None
            }
            Self::False(reason, blob) if has_room(evidence, blob) => {
                hashes.push(hash(blob));
                let blob = blob.to_vec();
                evidence.push(Evidence {
                    slot,
                    provider,
                    blob,
                });
                Some(reason)
            }
            Self::False(..) => Some(Reason::Crowded),
            Self::Not(reason) => Some(reason),
        }
    }
}

/// Why a proof that was checked is not taken.
fn reason(wrong: &VerifyError) -> Reason {
    match wrong {
        VerifyError::Unanswerable | VerifyError::OtherChallenge => Reason::Foreign,
        VerifyError::BadSignature => Reason::Unsigned,
        VerifyError::Malformed(_) => Reason::Malformed,
        VerifyError::OtherRoot
        | VerifyError::OtherContent { .. }
        | VerifyError::BadChunk { .. }
        | VerifyError::Unanswered { .. }
        | VerifyError::Unused => Reason::Wrong,
    }
}

fn has_room(evidence: &[Evidence], blob: &[u8]) -> bool {
    let used = evidence.iter().map(|piece| piece.blob.len());
    used.fold(blob.len(), usize::saturating_add) <= MAX_BLOCK_EVIDENCE_BYTES
}

fn hash(blob: &[u8]) -> Hash {
    Hash(*blake3::hash(blob).as_bytes())
}
