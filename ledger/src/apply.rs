//! One block's effect on the state, whole or not at all. In order: verdicts of the epoch that the
//! state is in, the boundary if the block begins a new epoch, the slot it opens, its transactions.
//! `docs/protocol.md` §3.3–3.6, §3.12.

use crate::block::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS};
use crate::check::Place;
use crate::deal::Deal;
use crate::pay::judge;
use crate::state::{Head, Opened};
use crate::{
    Block, Event, Evidence, Header, Reveal, Stamp, State, TxRefusal, VerdictBatch, Verified,
    boundary, evidence,
};
use larder_proofs::beacon::mix;
use larder_types::{BlockHash, Epoch, Hash, NodeId, SlotNo, Time};

/// Why a block does not follow from the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Another height than the next.
    #[error("height {got}, expected {want}")]
    Height {
        /// The block's.
        got: u64,
        /// The next one.
        want: u64,
    },
    /// Not linked to the newest block.
    #[error("the block follows {got}, the newest is {want}")]
    Prev {
        /// What it links to.
        got: BlockHash,
        /// The head.
        want: BlockHash,
    },
    /// Too soon after the newest block.
    #[error("made at {got:?}, the earliest is {earliest:?}")]
    Time {
        /// The block's.
        got: Time,
        /// The earliest allowed.
        earliest: Time,
    },
    /// Not by the validator whose turn it was.
    #[error("round {round} is {want}'s turn, the block is by {got}")]
    Proposer {
        /// The block's round.
        round: u32,
        /// Who made it.
        got: NodeId,
        /// Whose turn it was.
        want: NodeId,
    },
    /// Names other validators than the state's.
    #[error("the block names other validators than the ledger's")]
    Validators,
    /// Names others for the next block than its transactions leave.
    #[error("the validators after the block are {got}, the header says {want}")]
    NextValidators {
        /// Ours.
        got: Hash,
        /// The header's.
        want: Hash,
    },
    /// Not the epoch that holds the block's time.
    #[error("epoch {got}, its time lies in {want}")]
    Epoch {
        /// The block's.
        got: Epoch,
        /// The calendar's.
        want: Epoch,
    },
    /// Not the slot that a block at this time opens.
    #[error("opens slot {got:?}, expected {want:?}")]
    Slot {
        /// The block's.
        got: Option<SlotNo>,
        /// The calendar's.
        want: Option<SlotNo>,
    },
    /// A slot without a reveal, or the reverse.
    #[error("a block that opens a slot reveals its beacon, and no other does")]
    Reveal,
    /// A root in the header is not that of the body.
    #[error("a root in the header does not match the body")]
    BodyRoot,
    /// Too many transactions, or too large.
    #[error("the block is too large")]
    TooLarge,
    /// Verdicts on a slot that is not owed any.
    #[error("no verdicts are owed on slot {0}")]
    NotOwed(SlotNo),
    /// The batch does not cover exactly the slot's providers.
    #[error("{got} verdicts on slot {slot}, {want} providers are asked in it")]
    Coverage {
        /// The slot.
        slot: SlotNo,
        /// Verdicts given.
        got: usize,
        /// Providers asked.
        want: usize,
    },
    /// A FAIL without the false proof that convicts, or evidence without a FAIL.
    #[error("no proof convicts {provider} in slot {slot}, or none is needed")]
    Evidence {
        /// The slot.
        slot: SlotNo,
        /// Who is accused.
        provider: NodeId,
    },
    /// A transaction cannot be included.
    #[error("transaction {index}: {why}")]
    Tx {
        /// Its place in the block.
        index: usize,
        /// The rule it breaks.
        why: TxRefusal,
    },
    /// An amount or counter does not fit: excluded by the invariants.
    #[error("an amount is out of range")]
    Overflow,
    /// The state after the block is not the one that the header names.
    #[error("the state's root is {got}, the header says {want}")]
    StateRoot {
        /// Ours.
        got: Hash,
        /// The header's.
        want: Hash,
    },
}

impl State {
    /// Applies the next block; on error nothing changes. Time spent: that of the
    /// block's own content, at an epoch's boundary O(providers); ADR 9.
    ///
    /// # Errors
    /// [`ApplyError`] names the first rule that the block breaks.
    ///
    /// # Panics
    /// If credit was made or lost, which is a bug.
    pub fn apply(&mut self, block: &Verified<Block>) -> Result<Vec<Event>, ApplyError> {
        let (block, stamps) = (block.get(), block.stamps());
        check_header(self, &block.header)?;
        check_body(block, stamps)?;
        let mut next = self.clone();
        let mut events = next.begin(&block.header, &block.verdicts, &block.evidence)?;
        for (index, (tx, stamp)) in block.txs.iter().zip(stamps).enumerate() {
            let event = next.include(tx, *stamp, Place::of(&block.header));
            events.extend(event.map_err(|why| ApplyError::Tx { index, why })?);
        }
        next.seal(&block.header);
        let (got, want) = (next.validators.hash(), block.header.next_validators);
        if got != want {
            return Err(ApplyError::NextValidators { got, want });
        }
        let (got, want) = (next.root(), block.header.state_root);
        if got != want {
            return Err(ApplyError::StateRoot { got, want });
        }
        next.head.hash = block.hash();
        *self = next;
        Ok(events)
    }

    /// All of a block that comes before its transactions. On error the state is spoilt: callers
    /// work on a copy.
    pub(crate) fn begin(
        &mut self,
        header: &Header,
        verdicts: &[VerdictBatch],
        evidence: &[Evidence],
    ) -> Result<Vec<Event>, ApplyError> {
        let mut events = Vec::new();
        evidence::check(self, verdicts, evidence)?;
        self.attend(header, &mut events);
        for batch in verdicts {
            judge(self, batch, header, &mut events)?;
        }
        boundary::advance(self, header.epoch, &mut events)?;
        if let (Some(slot), Some(reveal)) = (header.slot, &header.beacon) {
            open_slot(self, slot, reveal, &mut events);
        }
        Ok(events)
    }

    /// Ends a block: its height and time, and the check that no credit was made or lost.
    pub(crate) fn seal(&mut self, header: &Header) {
        self.head = Head {
            height: header.height,
            time: header.time,
            hash: self.head.hash,
        };
        let (total, owed) = (self.total_credit(), self.total_owed());
        let supply = u128::from(self.supply.0);
        assert!(
            total == supply.saturating_add(owed) && (self.is_mutual || owed == 0),
            "credit is not conserved at height {}: counted {total} nano, supply {supply} nano, owed \
             {owed} nano",
            header.height
        );
    }

    /// The earliest time of the next block.
    #[must_use]
    pub fn earliest_block(&self) -> Time {
        match self.head.height {
            0 => self.start,
            _ => self.head.time.after(self.params.block_interval),
        }
    }
}

fn check_header(state: &State, header: &Header) -> Result<(), ApplyError> {
    let want = state
        .head
        .height
        .checked_add(1)
        .ok_or(ApplyError::Overflow)?;
    if header.height != want {
        return Err(ApplyError::Height {
            got: header.height,
            want,
        });
    }
    if header.prev != state.head.hash {
        return Err(ApplyError::Prev {
            got: header.prev,
            want: state.head.hash,
        });
    }
    let earliest = state.earliest_block();
    if header.time < earliest {
        return Err(ApplyError::Time {
            got: header.time,
            earliest,
        });
    }
    let (round, got, want) = (header.round, header.proposer, state.proposer(header.round));
    if got != want {
        return Err(ApplyError::Proposer { round, got, want });
    }
    if header.validators != state.validators.hash() {
        return Err(ApplyError::Validators);
    }
    let want = state.schedule().epoch_at(header.time);
    if header.epoch != want {
        return Err(ApplyError::Epoch {
            got: header.epoch,
            want,
        });
    }
    let want = state.slot_to_open(header.time);
    if header.slot != want {
        return Err(ApplyError::Slot {
            got: header.slot,
            want,
        });
    }
    if header.slot.is_some() != header.beacon.is_some() {
        return Err(ApplyError::Reveal);
    }
    Ok(())
}

fn check_body(block: &Block, stamps: &[Stamp]) -> Result<(), ApplyError> {
    if block.txs.len() > MAX_BLOCK_TXS {
        return Err(ApplyError::TooLarge);
    }
    let bytes = stamps
        .iter()
        .map(|stamp| stamp.bytes)
        .fold(0usize, usize::saturating_add);
    if bytes > MAX_BLOCK_TX_BYTES {
        return Err(ApplyError::TooLarge);
    }
    match block.is_whole(stamps) {
        true => Ok(()),
        false => Err(ApplyError::BodyRoot),
    }
}

/// Opens a slot: its beacon is mixed (the reveal itself was checked before); an epoch's first deals the slots.
fn open_slot(state: &mut State, slot: SlotNo, reveal: &Reveal, events: &mut Vec<Event>) {
    let beacon = mix(&state.beacon, reveal);
    if state.opened.is_empty() {
        state.epoch_beacon = beacon;
        state.deal = Deal::default();
    }
    state.beacon = beacon;
    state.last_slot = Some(slot);
    state.opened.push(Opened { slot, beacon });
    events.push(Event::SlotOpened { slot, beacon });
}
