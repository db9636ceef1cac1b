//! What a block moved on accounts: one movement for each reason, so that all movements of an account
//! since genesis add up to what it has, debts counted below zero. Computed from the states around a block
//! and its events, never stored in the state. `docs/protocol.md` §3.12.

use crate::{Block, Event, Stamp, State, Tx};
use larder_types::{AccountId, Amount, NodeId, TxId};
use std::collections::{BTreeMap, BTreeSet};

/// Why credit moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was there when the network began.
    Genesis,
    /// The faucet granted.
    Faucet,
    /// One account paid another, or left everything to it.
    Transfer,
    /// Into or out of a provider's collateral.
    Collateral,
    /// Into or out of a contract's escrow.
    Escrow,
    /// Pay for what was proven, read, or withheld by a validator.
    Pay,
    /// What a transaction or a question cost; or a block's fees, to who made it.
    Fee,
    /// Into or out of a validator's bond, or a share of one for who showed its votes.
    Bond,
    /// Set aside for what another may owe, or paid for it.
    Guarantee,
    /// Set aside for as long as the account stands.
    Existence,
}

/// One movement on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Whose.
    pub account: AccountId,
    /// Why.
    pub cause: Cause,
    /// Whether the account received.
    pub is_in: bool,
    /// How much; not nothing.
    pub amount: Amount,
    /// The account, provider or validator on the other side, where there is one.
    pub other: Option<[u8; 32]>,
    /// The transaction that did it, if one did.
    pub tx: Option<TxId>,
}

impl Movement {
    const fn new(account: AccountId, cause: Cause, is_in: bool, amount: Amount) -> Self {
        Self {
            account,
            cause,
            is_in,
            amount,
            other: None,
            tx: None,
        }
    }

    const fn into(account: AccountId, cause: Cause, amount: Amount) -> Self {
        Self::new(account, cause, true, amount)
    }

    const fn out_of(account: AccountId, cause: Cause, amount: Amount) -> Self {
        Self::new(account, cause, false, amount)
    }

    /// By how much, above or below nothing.
    fn by(account: AccountId, cause: Cause, change: i128) -> Self {
        let amount = Amount(u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX));
        Self::new(account, cause, change > 0, amount)
    }

    const fn with(mut self, other: [u8; 32]) -> Self {
        self.other = Some(other);
        self
    }

    const fn of(mut self, tx: TxId) -> Self {
        self.tx = Some(tx);
        self
    }

    /// What it adds to the account, nano.
    #[must_use]
    pub fn signed(&self) -> i128 {
        match self.is_in {
            true => i128::from(self.amount.0),
            false => i128::from(self.amount.0).saturating_neg(),
        }
    }
}

/// A block between two states.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'a> {
    /// The state before it.
    pub before: &'a State,
    /// The state after it.
    pub after: &'a State,
    /// The block.
    pub block: &'a Block,
    /// Its transactions' ids and lengths, in order.
    pub stamps: &'a [Stamp],
    /// What happened.
    pub events: &'a [Event],
}

/// What the network began with on the accounts that `concerns` picks.
#[must_use]
pub fn opening(genesis: &State, concerns: impl Fn(&AccountId) -> bool) -> Vec<Movement> {
    let ids: BTreeSet<AccountId> = genesis.accounts.iter().map(|(id, _)| *id).collect();
    let had = ids.into_iter().filter(|id| concerns(id)).map(|id| {
        let change = i128::from(deposit(genesis, &id).0).saturating_add(net(genesis, &id));
        let set_aside = Movement::out_of(id, Cause::Existence, deposit(genesis, &id));
        [Movement::by(id, Cause::Genesis, change), set_aside]
    });
    had.flatten().filter(is_something).collect()
}

impl Applied<'_> {
    /// What it moved on the accounts that `concerns` picks, account by account in the order in which it
    /// happened.
    #[must_use]
    pub fn movements(&self, concerns: impl Fn(&AccountId) -> bool) -> Vec<Movement> {
        let mut moved = self.told();
        moved.extend(self.charged());
        moved.retain(|m| concerns(&m.account) && is_something(m));
        // What no event tells by itself: fees of a block, and what vouching sets aside.
        let mut touched: BTreeMap<AccountId, Cause> = moved
            .iter()
            .map(|m| (m.account, Cause::Fee))
            .chain([(self.after.payee, Cause::Fee)])
            .collect();
        touched.extend(self.untold());
        let mut sums: BTreeMap<AccountId, i128> = BTreeMap::new();
        for movement in &moved {
            let sum = sums.entry(movement.account).or_default();
            *sum = sum.saturating_add(movement.signed());
        }
        for (account, cause) in touched {
            if concerns(&account) {
                let told = sums.get(&account).copied().unwrap_or(0);
                moved.extend(self.rest(account, cause, told));
            }
        }
        moved
    }

    /// What is set aside or freed with the account, and all that `told` leaves unsaid.
    fn rest(
        &self,
        account: AccountId,
        cause: Cause,
        told: i128,
    ) -> impl Iterator<Item = Movement> + use<> {
        let aside = |state: &State| i128::from(deposit(state, &account).0);
        let freed = aside(self.before).saturating_sub(aside(self.after));
        let change = net(self.after, &account).saturating_sub(net(self.before, &account));
        let rest = change.saturating_sub(told).saturating_sub(freed);
        [
            Movement::by(account, Cause::Existence, freed),
            Movement::by(account, cause, rest),
        ]
        .into_iter()
        .filter(is_something)
    }

    /// What the events tell.
    fn told(&self) -> Vec<Movement> {
        let mut moved = Vec::new();
        let mut events = self.events.iter().peekable();
        while let Some(event) = events.next() {
            if let Event::Paid {
                provider, pay, fee, ..
            } = event
            {
                let backs = |next: &&Event| matches!(next, Event::Backed { provider: p, .. } if p == provider);
                let becomes_collateral = events.peek().is_some_and(backs);
                // Where pay does not vest, it is the account's at once.
                if self.after.params.vesting == 0 && !becomes_collateral {
                    moved.extend(self.pay(provider, pay.saturating_sub(*fee)));
                }
            } else {
                self.tell(event, &mut moved);
            }
        }
        moved
    }

    fn pay(&self, provider: &NodeId, amount: Amount) -> Option<Movement> {
        let account = self.after.provider(provider)?.payout;
        Some(Movement::into(account, Cause::Pay, amount).with(provider.0))
    }

    fn tell(&self, event: &Event, moved: &mut Vec<Movement>) {
        match event {
            Event::Granted {
                account,
                amount,
                tx,
            } => {
                let founder = self.after.founder;
                moved.extend([
                    Movement::out_of(founder, Cause::Faucet, *amount)
                        .with(account.0)
                        .of(*tx),
                    Movement::into(*account, Cause::Faucet, *amount).of(*tx),
                ]);
            }
            Event::Transferred {
                from,
                to,
                amount,
                tx,
            }
            | Event::AccountLeft {
                account: from,
                to,
                amount,
                tx,
            } => moved.extend([
                Movement::out_of(*from, Cause::Transfer, *amount)
                    .with(to.0)
                    .of(*tx),
                Movement::into(*to, Cause::Transfer, *amount)
                    .with(from.0)
                    .of(*tx),
            ]),
            Event::Registered {
                provider,
                account,
                collateral: amount,
                tx,
                ..
            }
            | Event::Deposited {
                provider,
                from: account,
                amount,
                tx,
            } => moved.push(
                Movement::out_of(*account, Cause::Collateral, *amount)
                    .with(provider.0)
                    .of(*tx),
            ),
            Event::Withdrawn {
                provider,
                account,
                amount,
                tx,
            } => moved.push(
                Movement::into(*account, Cause::Collateral, *amount)
                    .with(provider.0)
                    .of(*tx),
            ),
            Event::Opened {
                provider,
                renter,
                escrow,
                ..
            } => moved.push(Movement::out_of(*renter, Cause::Escrow, *escrow).with(provider.0)),
            Event::Extended {
                provider,
                renter,
                refund,
                escrow,
                ..
            }
            | Event::HandedOver {
                to: provider,
                renter,
                refund,
                escrow,
                ..
            } => {
                let change = i128::from(refund.0).saturating_sub(i128::from(escrow.0));
                moved.push(Movement::by(*renter, Cause::Escrow, change).with(provider.0));
            }
            Event::Closed {
                provider,
                renter,
                refund,
                ..
            }
            | Event::LossDeclared {
                provider,
                renter,
                refund,
                ..
            } => moved.push(Movement::into(*renter, Cause::Escrow, *refund).with(provider.0)),
            Event::EgressPaid {
                provider,
                amount,
                fee,
                ..
            } => moved.extend(self.pay(provider, amount.saturating_sub(*fee))),
            Event::Vested {
                provider,
                account,
                amount,
            } => moved.push(Movement::into(*account, Cause::Pay, *amount).with(provider.0)),
            Event::Censored {
                provider,
                amount,
                tx,
                ..
            } => moved.extend(self.pay(provider, *amount).map(|pay| pay.of(*tx))),
            Event::CandidacyBegan {
                node,
                account,
                bond,
                tx,
            } => moved.push(
                Movement::out_of(*account, Cause::Bond, *bond)
                    .with(node.0)
                    .of(*tx),
            ),
            Event::BondFreed {
                node,
                account,
                amount,
            } => moved.push(Movement::into(*account, Cause::Bond, *amount).with(node.0)),
            Event::Paid { .. }
            | Event::Backed { .. }
            | Event::SlotOpened { .. }
            | Event::EpochBegan { .. }
            | Event::Delegated { .. }
            | Event::Revoked { .. }
            | Event::Vouched { .. }
            | Event::Pending { .. }
            | Event::Revised { .. }
            | Event::Charged { .. }
            | Event::Forfeited { .. }
            | Event::Faulted { .. }
            | Event::Targeted { .. }
            | Event::ContractFaulted { .. }
            | Event::NoticeGiven { .. }
            | Event::Spared { .. }
            | Event::MaintenanceAnnounced { .. }
            | Event::Skipped { .. }
            | Event::Unpaid { .. }
            | Event::ChangeApproved { .. }
            | Event::ValidatorJoined { .. }
            | Event::ValidatorLeft { .. }
            | Event::ProposalMissed { .. }
            | Event::Equivocated { .. } => {}
        }
    }

    /// What the transactions cost who signed them.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "one kind says itself what it pays beside the fee"
    )]
    fn charged(&self) -> impl Iterator<Item = Movement> {
        let with_stamps = self.block.txs.iter().zip(self.stamps);
        with_stamps.filter_map(|(tx, stamp)| {
            let account = tx.payer()?;
            let asked = match tx {
                Tx::Targeted(question) => question.fee,
                _ => Amount::ZERO,
            };
            let fee = self.after.fee_of(tx, stamp.bytes).checked_add(asked)?;
            Some(Movement::out_of(account, Cause::Fee, fee).of(stamp.id))
        })
    }

    /// Accounts that a transaction changes by what no event says.
    fn untold(&self) -> impl Iterator<Item = (AccountId, Cause)> {
        self.block.txs.iter().flat_map(|tx| {
            let (first, second) = if let Tx::Vouch(vouch) = tx {
                let guarantee = |account| (account, Cause::Guarantee);
                (
                    Some(guarantee(vouch.guarantor)),
                    Some(guarantee(vouch.member)),
                )
            } else if let Tx::Equivocation(shown) = tx {
                (shown.reporter.map(|account| (account, Cause::Bond)), None)
            } else {
                (None, None)
            };
            first.into_iter().chain(second)
        })
    }
}

fn is_something(movement: &Movement) -> bool {
    movement.amount > Amount::ZERO
}

/// What an account has, below zero what it owes.
pub(crate) fn net(state: &State, id: &AccountId) -> i128 {
    let purse = state.purse(id);
    i128::from(purse.balance.0).saturating_sub(i128::from(purse.line.debt.0))
}

fn deposit(state: &State, id: &AccountId) -> Amount {
    let account = state.account(id);
    account.map_or(Amount::ZERO, |account| account.deposit)
}
