//! What a validator does not vote for: a block from the future, and verdicts that contradict the proofs
//! it holds itself. It is strict only where every honest proposer can please it. A proof that it accepted
//! well before the window closed was forwarded, so the proposer has it too; of one that came at the last
//! moment or to few, either verdict is good; of a slot whose beginning its pool missed it has no opinion.
//! What honest validators cannot agree on in the first rounds of a height is left out of the later ones
//! ([`says_verdicts`]), so that nothing of this stops the chain. `docs/protocol.md` §3.5, §3.8.

use crate::proofs_pool::{Asked, Held};
use crate::{Block, ProofsPool, Reason, State, Verdict, VerdictBatch, Verified};
use larder_types::{Millis, NodeId, Params, SlotNo, Time};

/// How far a block's time may lie ahead of the clock of who votes for it, at most: clocks differ.
pub const MAX_AHEAD: Millis = Millis(500);
/// The least time in which a proof is forwarded and checked.
pub const LEAST_GRACE: Millis = Millis(200);
/// The round of a height from which on no verdicts are proposed: three proposers have tried.
pub const QUIET_ROUND: u32 = 3;
/// Which part of the window is given to forwarding.
const SHARE: u64 = 8;

/// Why a validator does not vote for a block that follows from the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It lies ahead of the validator's clock.
    #[error("made at {time:?}, it is {now:?}")]
    Ahead {
        /// The block's.
        time: Time,
        /// The validator's.
        now: Time,
    },
    /// A provider proved in time, and the block says otherwise.
    #[error("{provider} proved in slot {slot}, the block says otherwise")]
    Denied {
        /// The slot.
        slot: SlotNo,
        /// Who proved.
        provider: NodeId,
    },
    /// A provider passes of whom no proof is known.
    #[error("nothing shows that {provider} proved in slot {slot}")]
    Unproven {
        /// The slot.
        slot: SlotNo,
        /// Who passes.
        provider: NodeId,
    },
    /// A provider is excused that was asked, and listened to, or that announced no absence.
    #[error("nothing excuses {provider} in slot {slot}")]
    Unexcused {
        /// The slot.
        slot: SlotNo,
        /// Who is excused.
        provider: NodeId,
    },
    /// A provider is blamed for a slot that no block opened.
    #[error("{provider} was not asked in slot {slot}")]
    Unasked {
        /// The slot.
        slot: SlotNo,
        /// Who is blamed.
        provider: NodeId,
    },
}

/// Time for forwarding a proof and checking it: an eighth of the window, at least 200 ms.
#[must_use]
pub fn grace(params: &Params) -> Millis {
    Millis(part(params.window).max(LEAST_GRACE.0))
}

/// How far a block's time may lie ahead: half a second, less where the window is short.
#[must_use]
pub fn ahead(params: &Params) -> Millis {
    Millis(part(params.window).min(MAX_AHEAD.0))
}

const fn part(window: Millis) -> u64 {
    window.0 / SHARE
}

/// Whether who proposes at `now` for a round gives its verdicts on a slot. Whose pool missed the slot's
/// beginning leaves them for a while to those that were there; and what three proposers were not
/// believed is left out, since verdicts can wait, and at the epoch's end fall away without a strike.
#[must_use]
pub fn says_verdicts(
    state: &State,
    pool: &ProofsPool,
    (slot, round): (SlotNo, u32),
    now: Time,
) -> bool {
    if state.validators().members().len() == 1 {
        return true;
    }
    let patience = state
        .schedule()
        .slot_close(slot)
        .after(grace(state.params()));
    round < QUIET_ROUND && (pool.has_opinion(state, slot) || now >= patience)
}

/// Why the holder of this pool does not vote at `now` for a block after `state`'s head; `None`: it may.
/// Whether the block follows from the state is asked of [`State::apply`].
#[must_use]
pub fn objection(
    state: &State,
    pool: &ProofsPool,
    block: &Verified<Block>,
    now: Time,
) -> Option<Objection> {
    let Block {
        header, verdicts, ..
    } = block.get();
    if header.time > now.after(ahead(state.params())) {
        let time = header.time;
        return Some(Objection::Ahead { time, now });
    }
    let to_batch = |batch| to_batch(state, pool, batch);
    verdicts.iter().find_map(to_batch)
}

fn to_batch(state: &State, pool: &ProofsPool, batch: &VerdictBatch) -> Option<Objection> {
    let view = View { state, pool };
    let slot = batch.slot;
    let asked = state.slot_providers(slot).into_iter();
    let mut whole = asked
        .zip(&batch.results)
        .filter(|(provider, _)| !provider.is_away(state.epoch()))
        .map(|(provider, result)| ((provider.node, None), *result));
    let targets = state.slot_targets(slot).into_iter();
    let mut single = targets.zip(&batch.targeted).filter_map(|(target, result)| {
        let (provider, _, challenge) = target;
        Some(((provider, challenge?.contract), *result))
    });
    let mut to_result = |(asked, result): (Asked, Option<Reason>)| view.to(slot, &asked, result);
    whole
        .find_map(&mut to_result)
        .or_else(|| single.find_map(to_result))
}

/// What a verdict is held against.
struct View<'a> {
    state: &'a State,
    pool: &'a ProofsPool,
}

impl View<'_> {
    fn to(&self, slot: SlotNo, asked: &Asked, result: Option<Reason>) -> Option<Objection> {
        let provider = asked.0;
        let was_opened = self.state.was_opened(slot);
        let has_opinion = self.pool.has_opinion(self.state, slot);
        let held = self.pool.held(asked, slot);
        let Some(reason) = result else {
            let is_unproven = has_opinion && held == Held::Nothing;
            return is_unproven.then_some(Objection::Unproven { slot, provider });
        };
        if has_opinion && self.is_early(held, slot) {
            return Some(Objection::Denied { slot, provider });
        }
        match (reason, reason.verdict()) {
            (Reason::Excused, _) if was_opened && has_opinion => {
                Some(Objection::Unexcused { slot, provider })
            }
            (Reason::Maintenance, _) => Some(Objection::Unexcused { slot, provider }),
            (_, Verdict::Miss) if !was_opened => Some(Objection::Unasked { slot, provider }),
            (_, Verdict::Pass | Verdict::Miss | Verdict::Fail | Verdict::Declared) => None,
        }
    }

    /// Whether every honest proposer must have had the proof in time, too.
    fn is_early(&self, held: Held, slot: SlotNo) -> bool {
        let grace = grace(self.state.params());
        let close = self.state.schedule().slot_close(slot);
        matches!(held, Held::Since(at) if at.after(grace) <= close)
    }
}
