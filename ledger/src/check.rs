//! Whether a transaction may enter the next block: the rules that admission and `apply` share.
//! Signatures are checked before, by [`crate::verify`]. `docs/protocol.md` §3.1, §3.3, §3.12.

use crate::maintenance::LONGEST;
use crate::subkey::MAX_SUB_KEYS;
use crate::targeted::MOST_DRAWS;
use crate::tx::{MAX_LOST, MAX_OPS};
use crate::{
    CloseFaulted, Deed, Delegate, Deposit, Faucet, Header, Loss, May, NonceError, Op, Reduction,
    Register, Revoke, State, SubKeyError, Transfer, TreeUpdate, Tx,
};
use larder_contracts::life::{self, Step};
use larder_contracts::{Auth, SignedLeaf, same_money};
use larder_proofs::ClearError;
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

/// Why a transaction cannot be included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxRefusal {
    /// This network has no faucet.
    #[error("this network has no faucet")]
    NoFaucet,
    /// The account has had its grant.
    #[error("the account has had its grant")]
    Granted,
    /// The payer has too little.
    #[error("{needed} needed, {have} there")]
    Balance {
        /// What it takes.
        needed: Amount,
        /// What there is.
        have: Amount,
    },
    /// An amount of nothing moves nothing.
    #[error("the amount is zero")]
    Nothing,
    /// The nonce is spent or far off.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// Its time has passed.
    #[error("it expired at height {expiry}, the next block is {height}")]
    Expired {
        /// The last height it allows.
        expiry: u64,
        /// The block's.
        height: u64,
    },
    /// Its expiry lies further ahead than the network allows.
    #[error("its expiry at height {expiry} lies beyond {latest}")]
    ExpiryFar {
        /// The last height it allows.
        expiry: u64,
        /// The latest that may be.
        latest: u64,
    },
    /// The provider has a record already.
    #[error("the provider is registered already")]
    Registered,
    /// The provider has no record.
    #[error("the provider is not registered")]
    Unregistered,
    /// The update is meant for another epoch.
    #[error("the update is for epoch {epoch}, the block's is {now}")]
    Epoch {
        /// Its epoch.
        epoch: Epoch,
        /// The block's.
        now: Epoch,
    },
    /// No operation, or more than an update may carry.
    #[error("an update carries 1 to {MAX_OPS} operations")]
    Operations,
    /// Nothing in the update is newer than what is active or pending.
    #[error("nothing in the update is new")]
    Stale,
    /// Too many operations are pending.
    #[error("at most {MAX_PENDING} contracts may have operations pending")]
    Pending,
    /// An amount does not fit.
    #[error("an amount is out of range")]
    Overflow,
    /// The contract is not active.
    #[error("the contract is not active")]
    NoContract,
    /// Another account pays for the contract.
    #[error("the contract is another renter's")]
    NotTheRenter,
    /// The provider is not FAULTED.
    #[error("the provider is not faulted")]
    Sound,
    /// No shard is declared lost, or more than a declaration may carry.
    #[error("a declared loss names 1 to {MAX_LOST} shards")]
    Losses,
    /// The shards declared lost are not in the active tree.
    #[error("the shards declared lost are not in the active tree: {0}")]
    NotHeld(ClearError),
    /// An absence that begins too soon.
    #[error("an absence from epoch {first}, the earliest is {earliest}")]
    Notice {
        /// The first epoch away.
        first: Epoch,
        /// The earliest that may be.
        earliest: Epoch,
    },
    /// An absence of no epochs, or too many.
    #[error("an absence of {epochs} epochs, possible are 1 to {LONGEST}")]
    Absence {
        /// How many.
        epochs: u32,
    },
    /// The provider still has time to post it.
    #[error("it may be forced from epoch {epoch} on")]
    Early {
        /// The first epoch in which it may.
        epoch: Epoch,
    },
    /// A forced revision that does not follow from the active one and the shards shown.
    #[error("the revision is not what the active one and the shards shown make")]
    Forced,
    /// The shards shown do not extend the active tree.
    #[error("the shards shown do not extend the active tree: {0}")]
    Witness(ClearError),
    /// The contract may not move, or not like this.
    #[error("the contract may not move like this")]
    NotTransferable,
    /// No draw, or too many.
    #[error("{draws} draws, possible are 1 to {MOST_DRAWS}")]
    Draws {
        /// How many.
        draws: u8,
    },
    /// Less than the network's fee.
    #[error("a fee of {fee}, the least is {least}")]
    Fee {
        /// What was offered.
        fee: Amount,
        /// What it takes.
        least: Amount,
    },
    /// An absence too soon after the one before.
    #[error("the next absence may begin with epoch {next}")]
    AwayAgain {
        /// The earliest.
        next: Epoch,
    },
    /// The sub-key that signed it may not.
    #[error(transparent)]
    SubKey(#[from] SubKeyError),
    /// The admin key is not the one in the account's record.
    #[error("the admin key is not the account's")]
    Admin,
    /// Verbs that do not exist, or an end before its beginning.
    #[error("the delegation makes no sense")]
    Delegation,
    /// The account has as many sub-keys as it may.
    #[error("an account has at most {MAX_SUB_KEYS} sub-keys")]
    SubKeys,
    /// It was signed in what is still the future.
    #[error("it was signed at {issued:?}, which is far ahead")]
    Ahead {
        /// When.
        issued: Time,
    },
    /// A delegation or revocation that was signed later is in force.
    #[error("a newer delegation or revocation is in force")]
    Superseded,
    /// Nobody has paid the account anything, and the network lets nobody begin with nothing.
    #[error("the ledger does not know the account; somebody must pay it first")]
    NoAccount,
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

fn check_issued(issued: Time, place: Place) -> Result<(), TxRefusal> {
    match issued > place.time.after(MAX_AHEAD) {
        true => Err(TxRefusal::Ahead { issued }),
        false => Ok(()),
    }
}

impl TxRefusal {
    /// The number in logs and in RPC errors; never reused.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::NoFaucet => 101,
            Self::Granted => 102,
            Self::Balance { .. } => 103,
            Self::Nothing => 104,
            Self::Nonce(_) => 105,
            Self::Expired { .. } => 106,
            Self::ExpiryFar { .. } => 107,
            Self::Registered => 108,
            Self::Unregistered => 109,
            Self::Epoch { .. } => 110,
            Self::Operations => 111,
            Self::Stale => 112,
            Self::Pending => 113,
            Self::Overflow => 114,
            Self::NoContract => 115,
            Self::NotTheRenter => 116,
            Self::Sound => 117,
            Self::Losses => 118,
            Self::NotHeld(_) => 119,
            Self::Notice { .. } => 140,
            Self::Absence { .. } => 141,
            Self::AwayAgain { .. } => 142,
            Self::Early { .. } => 143,
            Self::Forced => 144,
            Self::Witness(_) => 145,
            Self::Draws { .. } => 146,
            Self::Fee { .. } => 147,
            Self::NotTransferable => 148,
            Self::SubKey(SubKeyError::Unauthorised) => 160,
            Self::SubKey(SubKeyError::Verb) => 161,
            Self::SubKey(SubKeyError::Cap { .. }) => 162,
            Self::Admin => 163,
            Self::Delegation => 164,
            Self::SubKeys => 165,
            Self::Ahead { .. } => 166,
            Self::Superseded => 167,
            Self::NoAccount => 168,
        }
    }
}

impl State {
    /// Whether `tx` could be included at `place`, as things stand.
    ///
    /// # Errors
    /// [`TxRefusal`] names the first rule it breaks.
    pub fn check(&self, tx: &Tx, place: Place) -> Result<(), TxRefusal> {
        match tx {
            Tx::Faucet(tx) => self.check_faucet(tx, place),
            Tx::Transfer(tx) => self.check_transfer(tx, place),
            Tx::Register(tx) => self.check_register(tx, place),
            Tx::Deposit(tx) => self.check_deposit(tx, place),
            Tx::TreeUpdate(tx) => self.check_update(tx, place),
            Tx::CloseFaulted(tx) => self.check_close_faulted(tx, place),
            Tx::Maintenance(tx) => self.check_maintenance(tx, place),
            Tx::CloseByRenter(tx) => self.check_notice(tx, place),
            Tx::ForceRevision(tx) => self.check_forced(tx, place),
            Tx::Targeted(tx) => self.check_targeted(tx, place),
            Tx::Delegate(tx) => self.check_delegate(tx, place),
            Tx::Revoke(tx) => self.check_revoke(tx, place),
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
        self.check_balance(&self.founder(), grant)
    }

    fn check_transfer(&self, tx: &Transfer, place: Place) -> Result<(), TxRefusal> {
        self.check_key(&tx.from, tx.by, place.deed(May::TRANSFER, tx.amount))?;
        self.check_payment(&tx.from, tx.amount, tx.auth, place)
    }

    fn check_register(&self, tx: &Register, place: Place) -> Result<(), TxRefusal> {
        if self.provider(&tx.provider).is_some() {
            return Err(TxRefusal::Registered);
        }
        self.check_key(&tx.account, tx.by, place.deed(May::TRANSFER, tx.collateral))?;
        self.check_auth(&tx.account, tx.auth, place)?;
        self.check_balance(&tx.account, tx.collateral)
    }

    fn check_deposit(&self, tx: &Deposit, place: Place) -> Result<(), TxRefusal> {
        self.check_registered(&tx.provider)?;
        self.check_key(&tx.from, tx.by, place.deed(May::TRANSFER, tx.amount))?;
        self.check_payment(&tx.from, tx.amount, tx.auth, place)
    }

    fn check_payment(
        &self,
        from: &AccountId,
        amount: Amount,
        auth: Auth,
        place: Place,
    ) -> Result<(), TxRefusal> {
        if amount == Amount::ZERO {
            return Err(TxRefusal::Nothing);
        }
        self.check_auth(from, auth, place)?;
        self.check_balance(from, amount)
    }

    pub(crate) fn check_balance(
        &self,
        account: &AccountId,
        needed: Amount,
    ) -> Result<(), TxRefusal> {
        let have = self.balance(account);
        if have < needed {
            return Err(TxRefusal::Balance { needed, have });
        }
        Ok(())
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
