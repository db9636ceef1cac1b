//! The node's own money: nonces that are promised, credit that is spoken for, and transactions on
//! their way into a block, sent again until they are in one or have expired. `docs/protocol.md`
//! §3.1 *No replay*.

use crate::ctx::{Chain, Ctx, backoff, sooner};
use crate::io::{Notice, OpId, Submission, SubmitError};
use crate::ops::Pending;
use crate::rows::Write;
use larder_contracts::Auth;
use larder_ledger::nonce::WINDOW;
use larder_ledger::{CloseFaulted, Faucet, Transfer, Tx, Withdraw};
use larder_types::{AccountId, Amount, ContractId, Epoch, Params, Time, TxId};
use std::collections::{BTreeMap, BTreeSet};

mod standing;

use standing::Candidate;

/// How many blocks ahead a signature's expiry is set.
const EXPIRY_BLOCKS: u64 = 2_000;
/// Most transactions on their way at once.
const MAX_OUTBOX: usize = 1_024;

/// Why credit cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// Not enough.
    #[error("{needed} credit needed, {have} free")]
    Balance {
        /// What the transfer takes.
        needed: Amount,
        /// What can be spent.
        have: Amount,
    },
    /// More than this device may spend: it takes the words.
    #[error("{needed} credit needed, this device may spend {left} more in this epoch")]
    Cap {
        /// What the transfer takes.
        needed: Amount,
        /// What is left of the cap.
        left: Amount,
    },
    /// The ledger does not know this device's key: it has not come that far, or the key was
    /// revoked.
    #[error("the ledger does not know this device's key yet; try again in a moment")]
    NotAuthorised,
    /// Too many transactions wait already.
    #[error("too many transactions are waiting to be confirmed; try again in a moment")]
    Busy,
    /// No block has been seen yet.
    #[error("the ledger has not been reached yet; wait for a peer")]
    NoLedger,
}

/// How a transaction of ours ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxEnd {
    /// It stands in the block of this height.
    Included(u64),
    /// A validator refused it.
    Refused(String),
    /// It was in no block in time.
    Expired,
}

#[derive(Debug)]
struct Outgoing {
    tx: Tx,
    op: Option<OpId>,
    retry_at: Time,
    fails: u32,
    spends: Amount,
    nonce: Option<u64>,
    /// Height beyond which it is of no use, or the epoch it must lie in.
    until: Until,
    durable: bool,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Height(u64),
    Epoch(Epoch),
}

/// The wallet of one account on one node.
#[derive(Debug, Default)]
pub(crate) struct Wallet {
    /// Promised nonces and the height at which the promise ends.
    reserved: BTreeMap<u64, u64>,
    /// What contracts will take at the next boundary.
    committed: BTreeMap<ContractId, Amount>,
    outbox: BTreeMap<TxId, Outgoing>,
    apart: Apart,
    candidate: Option<Candidate>,
    /// Which one of how many devices of the account this is.
    pub(crate) share: (u64, u64),
}

/// After a recovery the lost device's promises are unknown. It took the lowest nonces that were
/// free, so the upper half of the window is ours until all that it promised has expired.
#[derive(Debug, Default)]
enum Apart {
    #[default]
    No,
    /// From the next block on.
    Soon,
    /// Up to this height.
    Until(u64),
}

impl Wallet {
    /// Credit that is neither spent nor spoken for.
    pub(crate) fn spendable(&self, ctx: &Ctx<'_>) -> Amount {
        self.spendable_at(ctx.chain)
    }

    pub(crate) fn spendable_at(&self, chain: &Chain) -> Amount {
        let credit = self.credit_at(chain);
        self.left_at(chain).map_or(credit, |left| credit.min(left))
    }

    /// What this device may still spend in this epoch, beside what it has spoken for.
    fn left_at(&self, chain: &Chain) -> Option<Amount> {
        Some(chain.left?.saturating_sub(self.spoken()))
    }

    /// Credit of the account that is neither spent nor spoken for, whoever may spend it.
    pub(crate) fn credit_at(&self, chain: &Chain) -> Amount {
        let balance = chain.account.as_ref().map_or(Amount::ZERO, |a| a.balance);
        balance.saturating_sub(self.spoken())
    }

    fn spoken(&self) -> Amount {
        let spoken: u64 = self
            .committed
            .values()
            .chain(self.outbox.values().map(|o| &o.spends))
            .fold(0, |sum, a| sum.saturating_add(a.nano()));
        Amount(spoken)
    }

    /// Speaks for what a contract will take at a boundary to come, or for nothing any more.
    pub(crate) fn commit(&mut self, contract: ContractId, amount: Option<Amount>) {
        match amount {
            Some(amount) => self.committed.insert(contract, amount),
            None => self.committed.remove(&contract),
        };
    }

    /// What can be spent on one contract: what it spoke for before is replaced.
    pub(crate) fn spendable_beside(&self, chain: &Chain, contract: &ContractId) -> Amount {
        let own = self.committed.get(contract).copied().unwrap_or_default();
        let rest = self.spendable_at(chain);
        rest.checked_add(own).unwrap_or(rest)
    }

    /// Promises a nonce that is neither spent nor promised; `None` if the window is full, the ledger
    /// unknown, or our key unknown to it.
    pub(crate) fn reserve(&mut self, ctx: &Ctx<'_>) -> Option<Auth> {
        let height = ctx.chain.height;
        self.reserved.retain(|_, expiry| *expiry >= height);
        if !ctx.chain.live || !ctx.chain.authorised {
            return None;
        }
        let spent = ctx
            .chain
            .account
            .as_ref()
            .map(|a| a.nonces)
            .unwrap_or_default();
        let from = match self.apart {
            Apart::Until(until) if height <= until => spent.base().saturating_add(WINDOW / 2),
            Apart::No | Apart::Soon | Apart::Until(_) => 0,
        };
        // Each of the account's devices takes those of its own share first: what another one has
        // promised, nobody here knows. If two meet all the same, the ledger takes one, and whoever
        // comes too late takes the next.
        let free = || {
            let window = spent.base()..spent.base().saturating_add(WINDOW);
            window.filter(|n| spent.check(*n).is_ok() && !self.reserved.contains_key(n))
        };
        let (rank, of) = self.share;
        let nonce = free()
            .find(|nonce| *nonce >= from && nonce % of.max(1) == rank)
            .or_else(|| free().find(|nonce| *nonce >= from))
            .or_else(|| free().next())?;
        let expiry = height + EXPIRY_BLOCKS.min(ctx.me.params.max_expiry);
        self.reserved.insert(nonce, expiry);
        Some(Auth { nonce, expiry })
    }

    /// A nonce for what is signed with the words: the last of the window that is free, far from
    /// those that the node itself promises. Nothing is promised by it.
    pub(crate) fn spare(&self, chain: &Chain, params: &Params) -> Option<Auth> {
        let spent = chain.account.as_ref()?.nonces;
        let last = spent.base().checked_add(WINDOW)?;
        let free = |nonce: &u64| spent.check(*nonce).is_ok() && !self.reserved.contains_key(nonce);
        let nonce = (spent.base()..last).rev().find(free)?;
        let expiry = chain.height + EXPIRY_BLOCKS.min(params.max_expiry);
        Some(Auth { nonce, expiry })
    }

    /// A promise that was refused: the nonce is free for others. Should it be used all the same,
    /// one of the two is skipped, and made again.
    pub(crate) fn release(&mut self, auth: Auth) {
        self.reserved.remove(&auth.nonce);
    }

    /// Takes a promise up again after a restart.
    pub(crate) fn promised(&mut self, auth: Auth) {
        self.reserved.insert(auth.nonce, auth.expiry);
    }

    /// The account was recovered from its words: what its lost device promised is unknown.
    /// `docs/protocol.md` §3.9 *What a lost device promised*.
    pub(crate) fn recovered(&mut self, ctx: &mut Ctx<'_>) {
        self.apart = Apart::Soon;
        if ctx.chain.live {
            self.keep_apart(ctx);
        }
    }

    fn keep_apart(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.apart, Apart::Soon) {
            let until = ctx.chain.height + EXPIRY_BLOCKS;
            self.apart = Apart::Until(until);
            ctx.persist(vec![Write::apart(until)]);
        }
    }

    /// Takes the height up again until which the lower nonces are left alone.
    pub(crate) fn restore_apart(&mut self, until: Option<u64>) {
        self.apart = until.map_or(Apart::No, Apart::Until);
    }

    /// A promise of ours that a peer shows. We may have made it on a device that is lost.
    pub(crate) fn learned(&mut self, ctx: &Ctx<'_>, auth: Auth) {
        if auth.expiry >= ctx.chain.height {
            let expiry = self.reserved.entry(auth.nonce).or_default();
            *expiry = auth.expiry.max(*expiry);
        }
    }

    /// Queues a transaction of another restart, for the account `ours`.
    pub(crate) fn restore(&mut self, ours: &AccountId, id: TxId, tx: Tx) {
        let (spends, auth) = spending(&tx);
        let is_ours = tx.payer() == Some(*ours);
        // What another account spends is no credit of ours, nor its nonce.
        let spends = if is_ours { spends } else { Amount::ZERO };
        if let Some(auth) = auth.filter(|_| is_ours) {
            self.promised(auth);
        }
        let until = Until::Height(auth.map_or(u64::MAX, |a| a.expiry));
        let nonce = auth.filter(|_| is_ours).map(|a| a.nonce);
        let out = Outgoing {
            tx,
            op: None,
            retry_at: Time(0),
            fails: 0,
            spends,
            nonce,
            until,
            durable: true,
        };
        self.outbox.insert(id, out);
    }

    /// Signs a transfer, persists it, sends it.
    pub(crate) fn send(&mut self, ctx: &mut Ctx<'_>, job: u64, to: AccountId, amount: Amount) {
        let tx = self.transfer(ctx, to, amount);
        ctx.tell(Notice::TxQueued {
            job,
            tx: tx.clone(),
        });
        if tx.is_ok() {
            self.flush(ctx);
        }
    }

    fn transfer(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: AccountId,
        amount: Amount,
    ) -> Result<TxId, SendRefusal> {
        if !ctx.chain.live {
            return Err(SendRefusal::NoLedger);
        }
        let have = self.credit_at(ctx.chain);
        if amount > have {
            return Err(SendRefusal::Balance {
                needed: amount,
                have,
            });
        }
        if !ctx.chain.authorised {
            return Err(SendRefusal::NotAuthorised);
        }
        if let Some(left) = self.left_at(ctx.chain).filter(|left| *left < amount) {
            return Err(SendRefusal::Cap {
                needed: amount,
                left,
            });
        }
        if self.outbox.len() >= MAX_OUTBOX {
            return Err(SendRefusal::Busy);
        }
        let auth = self.reserve(ctx).ok_or(SendRefusal::Busy)?;
        let tx = Tx::Transfer(Transfer::sign(
            &ctx.me.ledger_key,
            to,
            amount,
            auth,
            &ctx.me.genesis,
        ));
        Ok(self.queue_durable(ctx, tx))
    }

    /// Takes free collateral back to the account that it is paid to.
    pub(crate) fn withdraw(&mut self, ctx: &mut Ctx<'_>, job: u64, amount: Amount) {
        let queued = self.withdrawal(ctx, amount);
        ctx.tell(Notice::TxQueued { job, tx: queued });
        self.flush(ctx);
    }

    fn withdrawal(&mut self, ctx: &mut Ctx<'_>, amount: Amount) -> Result<TxId, SendRefusal> {
        if !ctx.chain.live {
            return Err(SendRefusal::NoLedger);
        }
        if !ctx.chain.authorised {
            return Err(SendRefusal::NotAuthorised);
        }
        if self.outbox.len() >= MAX_OUTBOX {
            return Err(SendRefusal::Busy);
        }
        let auth = self.reserve(ctx).ok_or(SendRefusal::Busy)?;
        let me = ctx.me;
        let withdraw = Withdraw::sign(me.node(), &me.ledger_key, amount, auth, &me.genesis);
        Ok(self.queue_durable(ctx, Tx::Withdraw(withdraw)))
    }

    /// Has what was signed elsewhere sent until it stands in a block.
    pub(crate) fn submit(&mut self, ctx: &mut Ctx<'_>, job: u64, tx: Tx) {
        let is_full = self.outbox.len() >= MAX_OUTBOX;
        let queued = match (ctx.chain.live, is_full) {
            (false, _) => Err(SendRefusal::NoLedger),
            (true, true) => Err(SendRefusal::Busy),
            (true, false) => Ok(self.queue_durable(ctx, tx)),
        };
        ctx.tell(Notice::TxQueued { job, tx: queued });
        self.flush(ctx);
    }

    /// Submits what authorises our key, unless the ledger shows it, or one that was signed later.
    pub(crate) fn delegate(&mut self, ctx: &mut Ctx<'_>) {
        let Some(delegation) = &ctx.me.delegation else {
            return;
        };
        let account = ctx.chain.account.unwrap_or_default();
        let key = ctx
            .chain
            .subkeys
            .get(&delegation.account, &delegation.subkey);
        let newest = key.map_or(Time(0), |key| key.issued).max(account.revoked);
        let is_known = ctx.chain.account.is_some() || ctx.me.params.faucet.is_some();
        let waits = |out: &Outgoing| matches!(out.tx, Tx::Delegate(_));
        if delegation.issued > newest && is_known && !self.outbox.values().any(waits) {
            let tx = Tx::Delegate(delegation.clone());
            self.queue_for_epoch(ctx, tx, ctx.chain.epoch.saturating_add(1));
        }
    }

    /// Queues a transaction of the account that must survive a restart.
    pub(crate) fn queue_durable(&mut self, ctx: &mut Ctx<'_>, tx: Tx) -> TxId {
        let id = tx.id();
        ctx.persist(vec![Write::outbox(&id, Some(&tx))]);
        self.restore(&ctx.me.account(), id, tx);
        id
    }

    /// Queues a transaction that is good for one epoch and is made anew after a restart.
    pub(crate) fn queue_for_epoch(&mut self, ctx: &Ctx<'_>, tx: Tx, epoch: Epoch) -> TxId {
        let id = tx.id();
        let out = Outgoing {
            tx,
            op: None,
            retry_at: ctx.now,
            fails: 0,
            spends: Amount::ZERO,
            nonce: None,
            until: Until::Epoch(epoch),
            durable: false,
        };
        self.outbox.insert(id, out);
        id
    }

    /// Whether a question for this contract is on its way to the ledger.
    pub(crate) fn is_asking(&self, contract: &ContractId) -> bool {
        let ours = |out: &Outgoing| matches!(&out.tx, Tx::Targeted(t) if t.contract == *contract);
        self.outbox.values().any(ours)
    }

    /// Ends a contract with a FAULTED provider, unless that is on its way already. Nothing of it
    /// is durable: while the ledger shows the contract it is asked for again.
    pub(crate) fn close_faulted(&mut self, ctx: &Ctx<'_>, contract: ContractId) {
        let ours =
            |out: &Outgoing| matches!(&out.tx, Tx::CloseFaulted(c) if c.contract == contract);
        if self.outbox.values().any(ours) || !ctx.chain.authorised {
            return;
        }
        let expiry = ctx.chain.height + EXPIRY_BLOCKS.min(ctx.me.params.max_expiry);
        let me = ctx.me;
        let close = CloseFaulted::sign(&me.ledger_key, contract, expiry, &me.genesis);
        let tx = Tx::CloseFaulted(close);
        let out = Outgoing {
            op: None,
            retry_at: ctx.now,
            fails: 0,
            spends: Amount::ZERO,
            nonce: None,
            until: Until::Height(expiry),
            durable: false,
            tx,
        };
        self.outbox.insert(out.tx.id(), out);
    }

    /// Asks the faucet for its grant if the ledger does not know the account yet.
    pub(crate) fn ask_faucet(&mut self, ctx: &mut Ctx<'_>) {
        let owed = ctx.chain.live
            && ctx.chain.authorised
            && ctx.chain.account.as_ref().is_none_or(|a| !a.granted)
            && ctx.me.params.faucet.is_some();
        let asked = self
            .outbox
            .values()
            .any(|out| matches!(out.tx, Tx::Faucet(_)));
        if owed && !asked {
            let tx = Tx::Faucet(Faucet::sign(&ctx.me.ledger_key, &ctx.me.genesis));
            self.queue_for_epoch(ctx, tx, ctx.chain.epoch.saturating_add(1));
        }
    }

    /// A transaction that is still on its way.
    pub(crate) fn waiting(&self, id: &TxId) -> Option<&Tx> {
        self.outbox.get(id).map(|out| &out.tx)
    }

    /// The nonces of an account that what is on its way will spend.
    pub(crate) fn nonces_of(&self, account: &AccountId) -> BTreeSet<u64> {
        let theirs = self
            .outbox
            .values()
            .filter(|out| out.tx.payer() == Some(*account));
        let nonce = |out: &Outgoing| Some(spending(&out.tx).1?.nonce);
        theirs.filter_map(nonce).collect()
    }

    /// Whether a transaction is still on its way.
    pub(crate) fn is_waiting(&self, id: &TxId) -> bool {
        self.outbox.contains_key(id)
    }

    /// Sends what is due.
    pub(crate) fn flush(&mut self, ctx: &mut Ctx<'_>) {
        for (id, out) in &mut self.outbox {
            if out.op.is_none() && out.retry_at <= ctx.now {
                let tx = Submission::Tx(Box::new(out.tx.clone()));
                out.op = Some(ctx.submit(tx, Pending::Tx { id: *id }));
            }
        }
    }

    /// A validator has taken, refused or not answered.
    pub(crate) fn submitted(&mut self, ctx: &mut Ctx<'_>, id: TxId, end: Result<(), SubmitError>) {
        let Some(out) = self.outbox.get_mut(&id) else {
            return;
        };
        out.op = None;
        match end {
            // In the mempool: if it is in no block after two epochs' worth of slots, again.
            Ok(()) => {
                out.retry_at = ctx.now.after(backoff(5));
                out.fails = 0;
            }
            Err(SubmitError::NoAnswer) => {
                out.retry_at = ctx.now.after(backoff(out.fails));
                out.fails += 1;
            }
            Err(SubmitError::Refused(why)) => self.end(ctx, id, TxEnd::Refused(why)),
        }
    }

    /// A block has come: what it holds is done, what can no longer come is given up.
    pub(crate) fn block(&mut self, ctx: &mut Ctx<'_>, txs: &[TxId]) {
        self.keep_apart(ctx);
        for id in txs {
            self.end(ctx, *id, TxEnd::Included(ctx.chain.height));
        }
        let (height, epoch) = (ctx.chain.height, ctx.chain.epoch);
        let late: BTreeSet<TxId> = self
            .outbox
            .iter()
            .filter(|(_, out)| match out.until {
                Until::Height(h) => height > h,
                Until::Epoch(e) => epoch > e,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.end(ctx, id, TxEnd::Expired);
        }
        self.flush(ctx);
    }

    fn end(&mut self, ctx: &mut Ctx<'_>, tx: TxId, end: TxEnd) {
        let Some(out) = self.outbox.remove(&tx) else {
            return;
        };
        if out.durable {
            ctx.persist(vec![Write::outbox(&tx, None)]);
        }
        if let (Some(nonce), TxEnd::Refused(_)) = (out.nonce, &end) {
            self.reserved.remove(&nonce);
        }
        ctx.tell(Notice::TxEnded { tx, end });
    }

    /// When something is due again.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.outbox
            .values()
            .filter(|out| out.op.is_none())
            .fold(None, |soonest, out| sooner(soonest, Some(out.retry_at)))
    }
}

/// What a transaction takes from its account, and the nonce it spends.
fn spending(tx: &Tx) -> (Amount, Option<Auth>) {
    match tx {
        Tx::Transfer(t) => (t.amount, Some(t.auth)),
        Tx::Register(r) => (r.collateral, Some(r.auth)),
        Tx::Deposit(d) => (d.amount, Some(d.auth)),
        Tx::Targeted(t) => (t.fee, Some(t.auth)),
        Tx::Vouch(t) => (t.limit, Some(t.auth)),
        Tx::Candidacy(t) => (t.bond, Some(t.auth)),
        Tx::Leave(t) => (Amount::ZERO, Some(t.auth)),
        Tx::Withdraw(t) => (Amount::ZERO, Some(t.auth)),
        Tx::Faucet(_)
        | Tx::TreeUpdate(_)
        | Tx::CloseFaulted(_)
        | Tx::CloseByRenter(_)
        | Tx::ForceRevision(_)
        | Tx::Maintenance(_)
        | Tx::Delegate(_)
        | Tx::Revoke(_)
        | Tx::Approve(_)
        | Tx::Resign(_)
        | Tx::Equivocation(_)
        | Tx::Censored(_) => (Amount::ZERO, None),
    }
}
