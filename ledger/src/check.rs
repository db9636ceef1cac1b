//! Whether a transaction may enter the next block: the rules that admission and `apply` share.
//! Signatures are checked before, by [`crate::verify`]. `docs/protocol.md` §3.1, §3.3, §3.12.

use crate::subkey::MAX_SUB_KEYS;
use crate::transact::Price;
use crate::tx::{MAX_LOST, MAX_OPS};
use crate::{
    CloseFaulted, Deed, Delegate, Deposit, Faucet, Header, Loss, May, Op, Reduction, Register,
    Revoke, State, Transfer, TreeUpdate, Tx, TxRefusal,
};
use larder_contracts::life::{self, Step};
use larder_contracts::{Auth, SignedLeaf, same_money};
use larder_types::{AccountId, Amount, Epoch, Millis, NodeId, SubKeyId, Time};

/// Most contracts of one provider with operations pending: what one epoch's updates may hold.
pub const MAX_PENDING: usize = 4096;

/// The most that a declared revision may lie above the active one: no provider signs so often.
pub(crate) const MAX_LEAP: u64 = 1 << 32;

/// How far a delegation's time may lie ahead: clocks differ.
const MAX_AHEAD: Millis = Millis::from_secs(3_600);

/// Where a transaction would be included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The block's height.
    pub height: u64,
    /// The block's epoch.
    pub epoch: Epoch,
    /// The block's time.
    pub time: Time,
}

impl Place {
    /// In the next block, made at `now`.
    #[must_use]
    pub fn next(state: &State, now: Time) -> Self {
        let now = now.max(state.earliest_block());
        Self {
            height: state.head().height.saturating_add(1),
            epoch: state.schedule().epoch_at(now).max(state.epoch()),
            time: now,
        }
    }

    /// In the block with this header.
    pub(crate) const fn of(header: &Header) -> Self {
        Self {
            height: header.height,
            epoch: header.epoch,
            time: header.time,
        }
    }

    /// What a signature included here is to be good for.
    pub(crate) const fn deed(self, need: May, amount: Amount) -> Deed {
        Deed {
            need,
            amount,
            epoch: self.epoch,
            time: self.time,
        }
    }
}

const fn not_nothing(amount: Amount) -> Result<(), TxRefusal> {
    match amount {
        Amount::ZERO => Err(TxRefusal::Nothing),
        Amount(_) => Ok(()),
    }
}

fn check_issued(issued: Time, place: Place) -> Result<(), TxRefusal> {
    match issued > place.time.after(MAX_AHEAD) {
        true => Err(TxRefusal::Ahead { issued }),
        false => Ok(()),
    }
}

impl State {
    /// Whether `tx` could be included at `place`, as things stand.
    ///
    /// # Errors
    /// [`TxRefusal`] names the first rule it breaks.
    pub fn check(&self, tx: &Tx, place: Place) -> Result<(), TxRefusal> {
        self.check_sized(tx, tx.size(), place)
    }

    /// The same of a transaction whose length is known.
    pub(crate) fn check_sized(&self, tx: &Tx, bytes: usize, place: Place) -> Result<(), TxRefusal> {
        let fee = self.fee_of(tx, bytes);
        match tx {
            Tx::Faucet(tx) => self.check_faucet(tx, place),
            Tx::Transfer(tx) => self.check_transfer(tx, fee, place),
            Tx::Register(tx) => self.check_register(tx, fee, place),
            Tx::Deposit(tx) => self.check_deposit(tx, fee, place),
            Tx::TreeUpdate(update) => {
                self.check_update(update, place)?;
                self.check_postage(&update.provider, bytes, place)
            }
            Tx::CloseFaulted(tx) => self.check_close_faulted(tx, place),
            Tx::Maintenance(notice) => {
                self.check_maintenance(notice, place)?;
                self.check_postage(&notice.provider, bytes, place)
            }
            Tx::CloseByRenter(tx) => self.check_notice(tx, place),
            Tx::ForceRevision(tx) => self.check_forced(tx, fee, place),
            Tx::Targeted(tx) => self.check_targeted(tx, fee, place),
            Tx::Delegate(tx) => self.check_delegate(tx, place),
            Tx::Revoke(tx) => self.check_revoke(tx, place),
            Tx::Vouch(tx) => self.check_vouch(tx, fee, place),
            Tx::Leave(tx) => self.check_leave(tx, fee, place),
            Tx::Candidacy(tx) => self.check_candidacy(tx, fee, place),
            Tx::Approve(tx) => self.check_approve(tx, place),
            Tx::Resign(tx) => self.check_resign(tx),
            Tx::Equivocation(tx) => self.check_equivocation(tx),
            Tx::Censored(tx) => self.check_censored(tx),
            Tx::Withdraw(tx) => self.check_withdraw(tx, fee, place),
        }
    }

    fn check_faucet(&self, tx: &Faucet, place: Place) -> Result<(), TxRefusal> {
        self.check_key(&tx.account, tx.by, place.deed(May::NOTHING, Amount::ZERO))?;
        let grant = self.params().faucet.ok_or(TxRefusal::NoFaucet)?;
        if self
            .account(&tx.account)
            .is_some_and(|account| account.granted)
        {
            return Err(TxRefusal::Granted);
        }
        let have = self.balance(&self.founder());
        match have < grant {
            true => Err(TxRefusal::Balance {
                needed: grant,
                have,
            }),
            false => Ok(()),
        }
    }

    fn check_transfer(&self, tx: &Transfer, fee: Amount, place: Place) -> Result<(), TxRefusal> {
        not_nothing(tx.amount)?;
        self.check_price(&tx.payer(fee), Price::Owed(tx.amount), place)?;
        self.check_endowed(&tx.to, tx.amount)
    }

    /// Where accounts set something aside, nobody registers that has not.
    fn check_register(&self, tx: &Register, fee: Amount, place: Place) -> Result<(), TxRefusal> {
        if self.provider(&tx.provider).is_some() {
            return Err(TxRefusal::Registered);
        }
        if self.account(&tx.account).is_none() && self.params().existence > Amount::ZERO {
            return Err(TxRefusal::NoAccount);
        }
        self.check_price(&tx.payer(fee), Price::Owned(tx.collateral), place)
    }

    fn check_deposit(&self, tx: &Deposit, fee: Amount, place: Place) -> Result<(), TxRefusal> {
        self.check_registered(&tx.provider)?;
        not_nothing(tx.amount)?;
        self.check_price(&tx.payer(fee), Price::Owned(tx.amount), place)
    }

    /// Whether the key that signs for `account` may do so.
    pub(crate) fn check_key(
        &self,
        account: &AccountId,
        by: Option<SubKeyId>,
        deed: Deed,
    ) -> Result<(), TxRefusal> {
        Ok(self.sub_keys().permit(account, by, &deed)?)
    }

    fn check_delegate(&self, tx: &Delegate, place: Place) -> Result<(), TxRefusal> {
        let account = self.account(&tx.account);
        if account.is_none() && self.params().faucet.is_none() {
            return Err(TxRefusal::NoAccount);
        }
        let account = account.copied().unwrap_or_default();
        if account.admin.is_some_and(|admin| admin != tx.admin) {
            return Err(TxRefusal::Admin);
        }
        if !May::ALL.allows(tx.may) || tx.until <= place.time || tx.until <= tx.issued {
            return Err(TxRefusal::Delegation);
        }
        check_issued(tx.issued, place)?;
        let keys = self.sub_keys();
        let newest = keys
            .get(&tx.account, &tx.subkey)
            .map_or(Time(0), |key| key.issued);
        if tx.issued <= newest.max(account.revoked) {
            return Err(TxRefusal::Superseded);
        }
        let others = keys
            .of(&tx.account)
            .filter(|(id, key)| *id != tx.subkey && place.time < key.until);
        if others.count() >= MAX_SUB_KEYS {
            return Err(TxRefusal::SubKeys);
        }
        Ok(())
    }

    fn check_revoke(&self, tx: &Revoke, place: Place) -> Result<(), TxRefusal> {
        let account = self.account(&tx.account).ok_or(TxRefusal::NoAccount)?;
        if account.admin != Some(tx.admin) {
            return Err(TxRefusal::Admin);
        }
        check_issued(tx.issued, place)?;
        let held = self.sub_keys().get(&tx.account, &tx.subkey);
        if tx.issued <= account.revoked || held.is_some_and(|key| tx.issued < key.issued) {
            return Err(TxRefusal::Superseded);
        }
        Ok(())
    }

    fn check_registered(&self, provider: &NodeId) -> Result<(), TxRefusal> {
        self.provider(provider)
            .map(drop)
            .ok_or(TxRefusal::Unregistered)
    }

    pub(crate) fn check_auth(
        &self,
        account: &AccountId,
        auth: Auth,
        place: Place,
    ) -> Result<(), TxRefusal> {
        self.check_expiry(auth.expiry, place)?;
        let nonces = self
            .account(account)
            .map(|account| account.nonces)
            .unwrap_or_default();
        Ok(nonces.check(auth.nonce)?)
    }

    pub(crate) fn check_expiry(&self, expiry: u64, place: Place) -> Result<(), TxRefusal> {
        if expiry < place.height {
            return Err(TxRefusal::Expired {
                expiry,
                height: place.height,
            });
        }
        let latest = place.height.saturating_add(self.params().max_expiry);
        if expiry > latest {
            return Err(TxRefusal::ExpiryFar { expiry, latest });
        }
        Ok(())
    }

    fn check_close_faulted(&self, tx: &CloseFaulted, place: Place) -> Result<(), TxRefusal> {
        self.check_expiry(tx.expiry, place)?;
        self.check_key(&tx.renter, tx.by, place.deed(May::NOTHING, Amount::ZERO))?;
        let (_, provider, leaf) = self.contract(&tx.contract).ok_or(TxRefusal::NoContract)?;
        if leaf.renter != tx.renter {
            return Err(TxRefusal::NotTheRenter);
        }
        let stage = self.stage(&tx.contract);
        if stage.is_none_or(|stage| life::next(stage, Step::CloseFaulted).is_err()) {
            return Err(TxRefusal::Sound);
        }
        // It is one of the provider's active contracts, which bound what can wait.
        let waits = self
            .pending(&provider, &tx.contract)
            .is_some_and(|pending| pending.fault);
        if waits {
            return Err(TxRefusal::Stale);
        }
        Ok(())
    }

    fn check_update(&self, tx: &TreeUpdate, place: Place) -> Result<(), TxRefusal> {
        self.check_registered(&tx.provider)?;
        if tx.epoch != place.epoch {
            return Err(TxRefusal::Epoch {
                epoch: tx.epoch,
                now: place.epoch,
            });
        }
        if tx.ops.is_empty() || tx.ops.len() > MAX_OPS {
            return Err(TxRefusal::Operations);
        }
        for op in &tx.ops {
            self.check_op(&tx.provider, op, place)?;
        }
        // What is pending acts at this very boundary, so nothing in it can be of an older epoch.
        let pending = self.pending_count(&tx.provider);
        if pending.saturating_add(tx.ops.len()) > MAX_PENDING {
            return Err(TxRefusal::Pending);
        }
        if !tx.ops.iter().any(|op| self.is_new(&tx.provider, op, place)) {
            return Err(TxRefusal::Stale);
        }
        Ok(())
    }

    /// An operation that moves money must be in time, and shards that are declared lost must be in
    /// the active tree, which stays until the boundary; all else is judged there.
    fn check_op(&self, provider: &NodeId, op: &Op, place: Place) -> Result<(), TxRefusal> {
        match op {
            Op::Put(signed) => self.check_put(signed, place),
            Op::DeclareLoss(loss) if self.is_new(provider, op, place) => self.check_loss(loss),
            Op::DeclareLoss(_) | Op::CloseExpired(_) | Op::Renew(_) => Ok(()),
            Op::Transfer(handover) => self.check_handover(handover, place),
            Op::CloseMutual(closing) => self.check_closing(closing, place).map(drop),
            Op::Reduce(reduction) => self.check_reduction(reduction, place),
            Op::Settle(voucher) => self.check_voucher(provider, voucher, place),
        }
    }

    /// What moves money must be in time.
    pub(crate) fn check_put(&self, signed: &SignedLeaf, place: Place) -> Result<(), TxRefusal> {
        let leaf = &signed.leaf;
        match signed.auth {
            Some(auth) if self.moves_money(leaf) => self.check_auth(&leaf.renter, auth, place),
            Some(_) | None => Ok(()),
        }
    }

    fn check_reduction(&self, reduction: &Reduction, place: Place) -> Result<(), TxRefusal> {
        let contract = self.contract(&reduction.signed.leaf.contract_id);
        let (_, _, leaf) = contract.ok_or(TxRefusal::NoContract)?;
        if !self.may_take_back(leaf, &reduction.key) {
            return Err(TxRefusal::Admin);
        }
        self.check_put(&reduction.signed, place)
    }

    fn check_loss(&self, loss: &Loss) -> Result<(), TxRefusal> {
        if !(1..=MAX_LOST).contains(&loss.shards.len()) {
            return Err(TxRefusal::Losses);
        }
        let (_, _, leaf) = self.contract(&loss.contract).ok_or(TxRefusal::NoContract)?;
        // Beyond that, no revision could follow for the rest of the term.
        if loss.revision > leaf.revision.saturating_add(MAX_LEAP) {
            return Err(TxRefusal::Losses);
        }
        loss.remains(leaf).map(drop).map_err(TxRefusal::NotHeld)
    }

    fn moves_money(&self, leaf: &larder_proofs::ContractLeaf) -> bool {
        self.contract(&leaf.contract_id)
            .is_none_or(|(_, _, active)| !same_money(active, leaf))
    }
}
