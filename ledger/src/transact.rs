//! What each kind of transaction does to the state, once [`State::check`] has passed it.
//! `docs/protocol.md` §3.3, §3.12.

use crate::check::Place;
use crate::provider::Provider;
use crate::purse::Purse;
use crate::state::{Lost, Pending};
use crate::{
    Absence, CloseFaulted, Delegate, Deposit, Event, Faucet, Maintenance, May, Op, Register,
    Revoke, Stamp, State, SubKey, Transfer, TreeUpdate, Tx, TxRefusal,
};
use larder_contracts::{Auth, SignedLeaf};
use larder_types::{AccountId, Amount, SubKeyId, TxId};
use std::sync::Arc;

impl State {
    /// Includes one transaction, of which `stamp` is, at `place`; on error nothing changes.
    pub(crate) fn include(
        &mut self,
        tx: &Tx,
        stamp: Stamp,
        place: Place,
    ) -> Result<Vec<Event>, TxRefusal> {
        let Stamp { id, bytes } = stamp;
        self.check_sized(tx, bytes, place)?;
        let fee = self.fee_of(tx, bytes);
        match tx {
            Tx::Faucet(tx) => grant(self, tx, id),
            Tx::Transfer(tx) => transfer(self, tx, fee, place, id),
            Tx::Register(tx) => register(self, tx, fee, place, id),
            Tx::Deposit(tx) => deposit(self, tx, fee, place, id),
            Tx::TreeUpdate(update) => {
                self.pay_postage(&update.provider, bytes, place)?;
                Ok(merge_all(self, update, place))
            }
            Tx::CloseFaulted(tx) => close_faulted(self, tx),
            Tx::Maintenance(notice) => {
                self.pay_postage(&notice.provider, bytes, place)?;
                announce(self, notice, id)
            }
            Tx::CloseByRenter(tx) => self.give_notice(tx),
            Tx::ForceRevision(tx) => self.force(tx, fee, place),
            Tx::Targeted(tx) => self.target(tx, fee, place, id),
            Tx::Delegate(tx) => Ok(delegate(self, tx, place, id)),
            Tx::Revoke(tx) => Ok(revoke(self, tx, id)),
            Tx::Vouch(tx) => self.vouch(tx, fee, place, id),
            Tx::Leave(tx) => self.leave(tx, fee, place, id),
            Tx::Candidacy(tx) => self.stand(tx, fee, place, id),
            Tx::Approve(tx) => self.approve(tx, place, id),
            Tx::Resign(tx) => self.resign(tx),
            Tx::Equivocation(tx) => self.punish(tx, id),
            Tx::Censored(tx) => self.atone(tx, id),
            Tx::Withdraw(tx) => self.withdraw(tx, fee, place, id),
        }
    }
}

/// Who pays, and by which key, against replay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payer {
    pub(crate) account: AccountId,
    pub(crate) by: Option<SubKeyId>,
    pub(crate) auth: Auth,
    /// The verb that a sub-key needs.
    pub(crate) need: May,
    /// What the transaction costs beside.
    pub(crate) fee: Amount,
}

impl Payer {
    /// Who spends of an account by its own key, or by a sub-key with the verb transfer.
    pub(crate) const fn spends(
        account: AccountId,
        by: Option<SubKeyId>,
        auth: Auth,
        fee: Amount,
    ) -> Self {
        Self {
            account,
            by,
            auth,
            need: May::TRANSFER,
            fee,
        }
    }
}

/// What is paid.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Price {
    /// What may be owed, where credit is mutual.
    Owed(Amount),
    /// What must be the payer's own: collateral, and what backs another's debts.
    Owned(Amount),
}

impl Price {
    const fn amount(self) -> Amount {
        match self {
            Self::Owed(amount) | Self::Owned(amount) => amount,
        }
    }
}

impl Price {
    /// A purse without it and the fee; nothing if it cannot be paid.
    fn of(self, purse: Purse, fee: Amount) -> Option<Purse> {
        match self {
            Self::Owed(amount) => purse.without(amount)?.without(fee),
            Self::Owned(amount) => purse.without_owing(amount)?.without(fee),
        }
    }
}

impl State {
    /// Whether a price can be paid at `place`, with the transaction's fee.
    pub(crate) fn check_price(
        &self,
        payer: &Payer,
        price: Price,
        place: Place,
    ) -> Result<(), TxRefusal> {
        self.price(payer, price, place).map(drop)
    }

    /// The purse after it, and what it takes of a sub-key's cap.
    fn price(
        &self,
        payer: &Payer,
        price: Price,
        place: Place,
    ) -> Result<(Purse, Amount), TxRefusal> {
        let needed = price.amount().checked_add(payer.fee);
        let needed = needed.ok_or(TxRefusal::Overflow)?;
        let deed = place.deed(payer.need, needed);
        self.check_key(&payer.account, payer.by, deed)?;
        self.check_auth(&payer.account, payer.auth, place)?;
        let purse = self.purse(&payer.account);
        let have = match price {
            Price::Owed(_) => purse.spendable(),
            Price::Owned(_) => purse.balance,
        };
        let left = price.of(purse, payer.fee);
        Ok((left.ok_or(TxRefusal::Balance { needed, have })?, needed))
    }

    /// Takes a price, the fee and a nonce from an account, within the sub-key's cap; on error nothing
    /// changes.
    pub(crate) fn pay_price(
        &mut self,
        payer: &Payer,
        price: Price,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let (left, needed) = self.price(payer, price, place)?;
        let account = payer.account;
        self.subkeys
            .spend(&account, payer.by, &place.deed(payer.need, needed))?;
        self.put_purse(&account, left);
        let record = self.accounts.or_default(account);
        record.nonces.spend(payer.auth.nonce)?;
        self.collect_fee(payer.fee);
        Ok(())
    }
}

impl Transfer {
    pub(crate) const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.from, self.by, self.auth, fee)
    }
}

impl Register {
    pub(crate) const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.account, self.by, self.auth, fee)
    }
}

impl Deposit {
    pub(crate) const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.from, self.by, self.auth, fee)
    }
}

fn grant(state: &mut State, tx: &Faucet, id: TxId) -> Result<Vec<Event>, TxRefusal> {
    let (account, founder) = (tx.account, state.founder);
    let amount = state.params.faucet.ok_or(TxRefusal::NoFaucet)?;
    let left = state.purse(&founder).without(amount);
    state.put_purse(&founder, left.ok_or(TxRefusal::Overflow)?);
    state.give(&account, amount);
    state.accounts.or_default(account).granted = true;
    Ok(vec![Event::Granted {
        account,
        amount,
        tx: id,
    }])
}

fn transfer(
    state: &mut State,
    tx: &Transfer,
    fee: Amount,
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Transfer {
        from, to, amount, ..
    } = *tx;
    state.pay_price(&tx.payer(fee), Price::Owed(amount), place)?;
    state.endow(&to, amount);
    Ok(vec![Event::Transferred {
        from,
        to,
        amount,
        tx: id,
    }])
}

fn register(
    state: &mut State,
    tx: &Register,
    fee: Amount,
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Register {
        provider,
        account,
        collateral,
        ..
    } = *tx;
    let index = u32::try_from(state.providers.len()).map_err(|_| TxRefusal::Overflow)?;
    state.pay_price(&tx.payer(fee), Price::Owned(collateral), place)?;
    state.accounts.or_default(account).tie();
    let record = Provider::new(provider, index, account, collateral);
    state.providers.insert(provider, record);
    Arc::make_mut(&mut state.registered).push(provider);
    Ok(vec![Event::Registered {
        provider,
        index,
        account,
        collateral,
        tx: id,
    }])
}

fn deposit(
    state: &mut State,
    tx: &Deposit,
    fee: Amount,
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Deposit {
        provider,
        from,
        amount,
        ..
    } = *tx;
    let record = state
        .providers
        .get(&provider)
        .ok_or(TxRefusal::Unregistered)?;
    let free = record.free.checked_add(amount).ok_or(TxRefusal::Overflow)?;
    state.pay_price(&tx.payer(fee), Price::Owned(amount), place)?;
    if let Some(record) = state.providers.get_mut(&provider) {
        record.free = free;
    }
    Ok(vec![Event::Deposited {
        provider,
        from,
        amount,
        tx: id,
    }])
}

/// The first delegation fixes the account's admin key; each replaces the one before for its
/// sub-key, whose spending in this epoch stays counted.
fn delegate(state: &mut State, tx: &Delegate, place: Place, id: TxId) -> Vec<Event> {
    let Delegate {
        account,
        admin,
        subkey,
        may,
        cap,
        issued,
        until,
        ..
    } = *tx;
    state.accounts.or_default(account).admin = Some(admin);
    let before = state.subkeys.get(&account, &subkey);
    let key = SubKey {
        may,
        cap: cap.or(state.params.sub_key_cap),
        issued,
        until,
        spent: before.map_or((place.epoch, Amount::ZERO), |key| key.spent),
    };
    state.subkeys.authorise(account, subkey, key, place.time);
    vec![Event::Delegated {
        account,
        subkey,
        tx: id,
    }]
}

/// The sub-key is gone, and with it every delegation that was signed before.
fn revoke(state: &mut State, tx: &Revoke, id: TxId) -> Vec<Event> {
    let (account, subkey) = (tx.account, tx.subkey);
    state.accounts.or_default(account).revoked = tx.issued;
    state.subkeys.revoke(account, subkey);
    vec![Event::Revoked {
        account,
        subkey,
        tx: id,
    }]
}

/// Merges operations by contract: the highest revision wins; all act at the epoch's end.
fn merge_all(state: &mut State, tx: &TreeUpdate, place: Place) -> Vec<Event> {
    let new = |op: &&Op| state.is_new(&tx.provider, op, place);
    let ops: Vec<(Op, Option<Lost>)> = tx
        .ops
        .iter()
        .filter(new)
        .map(|op| (op.clone(), state.lost(op)))
        .collect();
    let queue = &mut state.pending.or_default(tx.provider).0;
    let mut events = Vec::new();
    for (op, lost) in ops {
        let (provider, contract) = (tx.provider, op.contract_id());
        let revision = merge(queue.entry(contract).or_default(), op, lost);
        events.push(Event::Pending {
            provider,
            contract,
            revision,
        });
    }
    events
}

/// Adds an operation to what waits for its contract; of two in one update the highest revision
/// wins here too. Gives the revision of a Put.
fn merge(pending: &mut Pending, op: Op, lost: Option<Lost>) -> Option<u64> {
    match op {
        Op::CloseExpired(_) => {
            pending.close = true;
            None
        }
        Op::DeclareLoss(loss) => {
            let waits = pending.loss.as_ref().map_or(0, |l| l.remains.revision);
            if waits < loss.revision {
                pending.loss = lost;
            }
            None
        }
        Op::CloseMutual(_) => {
            pending.mutual = true;
            None
        }
        Op::Renew(_) => {
            pending.renews = true;
            None
        }
        Op::Transfer(handover) => {
            pending.handover.get_or_insert(handover);
            None
        }
        Op::Settle(voucher) => {
            let waits = pending.voucher.as_ref().map(|v| v.credits_total);
            if waits.is_none_or(|waits| waits < voucher.credits_total) {
                pending.voucher = Some(voucher);
            }
            None
        }
        Op::Reduce(reduction) => merge_put(pending, reduction.signed, true),
        Op::Put(signed) => merge_put(pending, signed, false),
    }
}

/// Of two revisions the higher waits.
fn merge_put(pending: &mut Pending, signed: SignedLeaf, reduces: bool) -> Option<u64> {
    let revision = signed.leaf.revision;
    let waits = pending.put.as_ref().map(|put| put.leaf.revision);
    if waits.is_none_or(|waits| waits < revision) {
        pending.put = Some(signed);
        pending.reduces = reduces;
    }
    Some(revision)
}

/// The contract ends at the epoch's end, as its provider is FAULTED.
fn close_faulted(state: &mut State, tx: &CloseFaulted) -> Result<Vec<Event>, TxRefusal> {
    let contract = tx.contract;
    let (_, provider, _) = state.contract(&contract).ok_or(TxRefusal::NoContract)?;
    let queue = &mut state.pending.or_default(provider).0;
    queue.entry(contract).or_default().fault = true;
    Ok(vec![Event::Pending {
        provider,
        contract,
        revision: None,
    }])
}

/// The provider will be away.
fn announce(state: &mut State, tx: &Maintenance, id: TxId) -> Result<Vec<Event>, TxRefusal> {
    let Maintenance {
        provider,
        first,
        epochs,
        ..
    } = *tx;
    let record = state
        .providers
        .get_mut(&provider)
        .ok_or(TxRefusal::Unregistered)?;
    record.maintenance = Some(Absence { first, epochs });
    Ok(vec![Event::MaintenanceAnnounced {
        provider,
        first,
        epochs,
        tx: id,
    }])
}
