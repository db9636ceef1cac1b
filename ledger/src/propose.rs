//! What the next block holds and when it is owed: a pure function of state, waiting transactions
//! and proof results. `docs/protocol.md` §3.5.

use crate::block::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS, tx_root_of, verdict_root};
use crate::check::Place;
use crate::mempool::Mempool;
use crate::objection::says_verdicts;
pub use crate::objection::{Objection, objection};
use crate::proofs_pool::ProofsPool;
use crate::{Block, Header, Reveal, Stamp, State, Tx};
use larder_types::{Hash, Signature, SlotNo, Time};

/// When to make or reconsider the next block, seen at `now`: at the earliest time allowed if there
/// is a reason already, else when the next slot begins or window closes. A past time means at once.
#[must_use]
pub fn due(state: &State, mempool: &Mempool, now: Time) -> Time {
    let earliest = state.earliest_block();
    let soonest = now.max(earliest);
    if has_reason(state, mempool, soonest) {
        return earliest;
    }
    state.schedule().next_event(soonest)
}

/// Whether a block at `now` has a reason: a slot to open, a batch to give, or a transaction.
#[must_use]
pub fn has_reason(state: &State, mempool: &Mempool, now: Time) -> bool {
    !mempool.is_empty()
        || state.slot_to_open(now).is_some()
        || !state.slots_to_judge(now).is_empty()
}

/// Slots whose batch a block at `now` owes, but whose proofs are still being checked.
#[must_use]
pub fn unchecked(state: &State, pool: &ProofsPool, now: Time) -> Vec<SlotNo> {
    let mut slots = state.slots_to_judge(now);
    slots.retain(|slot| pool.is_checking(*slot));
    slots
}

/// A block that is not yet signed.
pub(crate) struct Proposal {
    pub(crate) block: Block,
    pub(crate) stamps: Vec<Stamp>,
    /// The state after it, but for the head's hash.
    pub(crate) next: State,
}

/// The next block, not yet signed, made at `now` for a round of consensus by whoever's turn it is;
/// `reveal`, that validator's, is there iff the state owes a slot ([`State::slot_to_open`]). Transactions that do not apply are left out. `None` if no block can
/// be made at `now`: the clock is behind the chain, or the reveal is missing or too much.
#[must_use]
pub(crate) fn propose(
    state: &State,
    mempool: &Mempool,
    pool: &ProofsPool,
    (round, reveal): (u32, Option<Reveal>),
    now: Time,
) -> Option<Proposal> {
    let slot = state.slot_to_open(now);
    if now < state.earliest_block() || slot.is_some() != reveal.is_some() {
        return None;
    }
    let (mut verdicts, mut evidence) = (Vec::new(), Vec::new());
    for slot in state.slots_to_judge(now) {
        if says_verdicts(state, pool, (slot, round), now) {
            verdicts.push(pool.batch(state, slot, &mut evidence));
        }
    }
    let mut header = Header {
        height: state.head().height.checked_add(1)?,
        round,
        time: now,
        prev: state.head().hash,
        proposer: state.proposer(round),
        validators: state.validators().hash(),
        next_validators: Hash::default(),
        epoch: state.schedule().epoch_at(now),
        slot,
        beacon: reveal,
        tx_root: Hash::default(),
        verdict_root: verdict_root(&verdicts, &evidence),
        state_root: Hash::default(),
    };
    let mut next = state.clone();
    next.begin(&header, &verdicts, &evidence).ok()?;
    let (txs, stamps) = include(&mut next, mempool, Place::of(&header));
    next.seal(&header);
    header.tx_root = tx_root_of(stamps.iter().map(|stamp| stamp.id));
    header.next_validators = next.validators().hash();
    header.state_root = next.root();
    let block = Block {
        header,
        sig: Signature::default(),
        txs,
        verdicts,
        evidence,
    };
    Some(Proposal {
        block,
        stamps,
        next,
    })
}

/// The waiting transactions that apply, oldest first, as many as a block holds.
fn include(next: &mut State, mempool: &Mempool, place: Place) -> (Vec<Tx>, Vec<Stamp>) {
    let (mut txs, mut stamps) = (Vec::new(), Vec::new());
    let mut room = MAX_BLOCK_TX_BYTES;
    for tx in mempool.iter() {
        if txs.len() >= MAX_BLOCK_TXS {
            break;
        }
        let stamp = *tx.stamps();
        let Some(left) = room.checked_sub(stamp.bytes) else {
            continue;
        };
        if next.include(tx.get(), stamp, place).is_ok() {
            room = left;
            txs.push(tx.get().clone());
            stamps.push(stamp);
        }
    }
    (txs, stamps)
}
