//! From a block to the rows that the index keeps of it: pure.

use larder_ledger::{Applied, Block, Cause, Event, Movement, Stamp, State, Verified};
use larder_types::{AccountId, Amount, Time, TxId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A block that was applied, with the states around it.
#[derive(Debug, Clone)]
pub struct Fed {
    /// The state before it.
    pub before: State,
    /// The state after it.
    pub after: State,
    /// The block.
    pub block: Block,
    /// Its transactions' ids and lengths.
    pub stamps: Vec<Stamp>,
    /// What happened.
    pub events: Arc<[Event]>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxPlace {
    /// Which.
    pub id: TxId,
    /// The block.
    pub height: u64,
    /// Its place in it.
    pub place: u32,
}

/// One movement and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The block's height; 0: the genesis.
    pub height: u64,
    /// The how manieth of the account in that block.
    pub place: u32,
    /// The block's time.
    pub time: Time,
    /// What moved.
    pub movement: Movement,
}

/// What is kept of some blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Where transactions stand.
    pub(super) txs: Vec<TxPlace>,
    /// What moved.
    pub(super) movements: Vec<Row>,
}

impl Rows {
    /// Adds what the network began with on the accounts that `concerns` picks.
    pub(super) fn open(&mut self, genesis: &State, concerns: impl Fn(&AccountId) -> bool) {
        let moved = larder_ledger::movement::opening(genesis, concerns);
        self.place((0, genesis.head().time), moved);
    }

    /// Adds where a block's transactions stand.
    pub(super) fn add_txs(&mut self, fed: &Fed) {
        let height = fed.block.header.height;
        self.txs
            .extend((0..).zip(&fed.stamps).map(|(place, stamp)| TxPlace {
                id: stamp.id,
                height,
                place,
            }));
    }

    /// Adds what a block moved on the accounts that `concerns` picks.
    pub(super) fn add_movements(&mut self, fed: &Fed, concerns: impl Fn(&AccountId) -> bool) {
        let applied = Applied {
            before: &fed.before,
            after: &fed.after,
            block: &fed.block,
            stamps: &fed.stamps,
            events: &fed.events,
        };
        let header = &fed.block.header;
        self.place((header.height, header.time), applied.movements(concerns));
    }

    fn place(&mut self, (height, time): (u64, Time), moved: Vec<Movement>) {
        let mut places: BTreeMap<AccountId, u32> = BTreeMap::new();
        self.movements.extend(moved.into_iter().map(|movement| {
            let next = places.entry(movement.account).or_default();
            let place = *next;
            *next += 1;
            Row {
                height,
                place,
                time,
                movement,
            }
        }));
    }
}

impl Fed {
    /// A checked block, applied to `state`, which advances.
    ///
    /// # Errors
    /// If it breaks a rule.
    pub fn apply(
        state: &mut State,
        block: Verified<Block>,
    ) -> Result<Self, larder_ledger::ApplyError> {
        let before = state.clone();
        let events = state.apply(&block)?.into();
        let stamps = block.stamps().clone();
        Ok(Self {
            before,
            after: state.clone(),
            block: block.into_inner(),
            stamps,
            events,
        })
    }
}

/// A cause as the database writes it; the numbers never change their meaning.
pub(super) const fn number(cause: Cause) -> i64 {
    match cause {
        Cause::Genesis => 0,
        Cause::Faucet => 1,
        Cause::Transfer => 2,
        Cause::Collateral => 3,
        Cause::Escrow => 4,
        Cause::Pay => 5,
        Cause::Fee => 6,
        Cause::Bond => 7,
        Cause::Guarantee => 8,
        Cause::Existence => 9,
    }
}

/// The cause of a number.
const fn cause(number: i64) -> Option<Cause> {
    Some(match number {
        0 => Cause::Genesis,
        1 => Cause::Faucet,
        2 => Cause::Transfer,
        3 => Cause::Collateral,
        4 => Cause::Escrow,
        5 => Cause::Pay,
        6 => Cause::Fee,
        7 => Cause::Bond,
        8 => Cause::Guarantee,
        9 => Cause::Existence,
        _ => return None,
    })
}

/// A movement's parts as the database has them.
#[derive(Debug)]
pub(super) struct Parts {
    /// The account.
    pub(super) account: AccountId,
    /// [`number`].
    pub(super) cause: i64,
    /// Whether it received.
    pub(super) is_in: bool,
    /// How much.
    pub(super) nano: u64,
    /// The other side's 32 bytes.
    pub(super) other: Option<Vec<u8>>,
    /// The transaction's 32 bytes.
    pub(super) tx: Option<Vec<u8>>,
}

impl Parts {
    /// The movement; `None` if the parts are none of ours.
    pub(super) fn movement(self) -> Option<Movement> {
        let id = |bytes: Option<Vec<u8>>| bytes.map(<[u8; 32]>::try_from).transpose().ok();
        Some(Movement {
            account: self.account,
            cause: cause(self.cause)?,
            is_in: self.is_in,
            amount: Amount(self.nano),
            other: id(self.other)?,
            tx: id(self.tx)?.map(TxId),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_back() {
        let causes: Vec<Cause> = (0..10).filter_map(cause).collect();
        assert_eq!(causes.len(), 10);
        assert!(causes.iter().all(|c| cause(number(*c)) == Some(*c)));
        assert_eq!(cause(10), None);
    }
}
