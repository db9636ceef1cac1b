//! One block's effect on the state, whole or not at all. In order: verdicts of the epoch that the
//! state is in, the boundary if the block begins a new epoch, the slot it opens, its transactions.
//! `docs/protocol.md` §3.3–3.6, §3.12.

use crate::block::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS, tx_root, verdict_root};
use crate::buckets::Buckets;
use crate::check::Place;
use crate::deal::Deal;
use crate::provider::Provider;
use crate::state::{Head, Lost, Opened, Pending};
use crate::verdict::verdict;
use crate::{
    Absence, Account, Block, CloseFaulted, Delegate, Deposit, Event, Evidence, Faucet, Header,
    Maintenance, May, Op, Reason, Register, Reveal, Revoke, State, SubKey, Transfer, TreeUpdate,
    Tx, TxRefusal, Unpaid, VerdictBatch, Verified, boundary, evidence,
};
use larder_contracts::SignedLeaf;
use larder_proofs::beacon::mix;
use larder_types::{AccountId, Amount, BlockHash, Epoch, Hash, NodeId, SlotNo, Time, TxId};
use std::sync::Arc;

/// Parts in a million.
const PPM: u64 = 1_000_000;

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
        let block = block.get();
        check_header(self, &block.header)?;
        check_body(block)?;
        let mut next = self.clone();
        let mut events = next.begin(&block.header, &block.verdicts, &block.evidence)?;
        for (index, tx) in block.txs.iter().enumerate() {
            let event = next.include(tx, Place::of(&block.header));
            events.extend(event.map_err(|why| ApplyError::Tx { index, why })?);
        }
        next.seal(&block.header);
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
        for batch in verdicts {
            judge(self, batch, header.time, &mut events)?;
        }
        boundary::advance(self, header.epoch, &mut events)?;
        if let (Some(slot), Some(reveal)) = (header.slot, &header.beacon) {
            open_slot(self, slot, reveal, &mut events);
        }
        Ok(events)
    }

    /// Includes one transaction at `place`; on error nothing changes.
    pub(crate) fn include(&mut self, tx: &Tx, place: Place) -> Result<Vec<Event>, TxRefusal> {
        self.check(tx, place)?;
        let id = tx.id();
        match tx {
            Tx::Faucet(tx) => grant(self, tx, id),
            Tx::Transfer(tx) => transfer(self, tx, place, id),
            Tx::Register(tx) => register(self, tx, place, id),
            Tx::Deposit(tx) => deposit(self, tx, place, id),
            Tx::TreeUpdate(tx) => Ok(update(self, tx, place)),
            Tx::CloseFaulted(tx) => close_faulted(self, tx),
            Tx::Maintenance(tx) => announce(self, tx, id),
            Tx::CloseByRenter(tx) => self.give_notice(tx),
            Tx::ForceRevision(tx) => Ok(self.force(tx)),
            Tx::Targeted(tx) => self.target(tx, place, id),
            Tx::Delegate(tx) => Ok(delegate(self, tx, place, id)),
            Tx::Revoke(tx) => Ok(revoke(self, tx, id)),
        }
    }

    /// Ends a block: its height and time, and the check that no credit was made or lost.
    pub(crate) fn seal(&mut self, header: &Header) {
        self.head = Head {
            height: header.height,
            time: header.time,
            hash: self.head.hash,
        };
        let (total, supply) = (self.total_credit(), u128::from(self.supply.0));
        assert!(
            total == supply,
            "credit is not conserved at height {}: counted {total} nano, supply {supply} nano",
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

fn check_body(block: &Block) -> Result<(), ApplyError> {
    if block.txs.len() > MAX_BLOCK_TXS {
        return Err(ApplyError::TooLarge);
    }
    let bytes = block
        .txs
        .iter()
        .map(Tx::size)
        .fold(0usize, usize::saturating_add);
    if bytes > MAX_BLOCK_TX_BYTES {
        return Err(ApplyError::TooLarge);
    }
    let Header {
        tx_root: txs,
        verdict_root: verdicts,
        ..
    } = &block.header;
    if *txs != tx_root(&block.txs) || *verdicts != verdict_root(&block.verdicts, &block.evidence) {
        return Err(ApplyError::BodyRoot);
    }
    Ok(())
}

/// A slot's verdicts: each of its providers is paid or not.
fn judge(
    state: &mut State,
    batch: &VerdictBatch,
    now: Time,
    events: &mut Vec<Event>,
) -> Result<(), ApplyError> {
    let slot = batch.slot;
    if !state.slots_to_judge(now).contains(&slot) {
        return Err(ApplyError::NotOwed(slot));
    }
    let asked: Vec<NodeId> = state.slot_providers(slot).iter().map(|p| p.node).collect();
    let (got, want) = (batch.results.len(), asked.len());
    if got != want {
        return Err(ApplyError::Coverage { slot, got, want });
    }
    for (provider, result) in asked.iter().zip(&batch.results) {
        events.push(judge_one(state, provider, *result)?);
    }
    let targets = state.slot_targets(slot);
    let (got, want) = (batch.targeted.len(), targets.len());
    if got != want {
        return Err(ApplyError::Coverage { slot, got, want });
    }
    for ((_, contract, challenge), result) in targets.into_iter().zip(&batch.targeted) {
        let result = match challenge {
            Some(_) => *result,
            None => Some(Reason::Excused),
        };
        state.judge_target(contract, result);
    }
    state.judged.insert(slot);
    Ok(())
}

fn judge_one(state: &mut State, id: &NodeId, result: Option<Reason>) -> Result<Event, ApplyError> {
    let epoch = state.epoch;
    let provider = state.providers.get_mut(id).ok_or(ApplyError::Overflow)?;
    let result = match provider.is_away(epoch) {
        true => Some(Reason::Maintenance),
        false => result,
    };
    provider.verdict = Some(verdict(result));
    let root = provider.root();
    let unpaid = |why| Event::Unpaid {
        provider: *id,
        epoch,
        epochs: 1,
        withheld: Amount(root.sum),
        why,
    };
    match result {
        None if root.min_end <= epoch => Ok(unpaid(Unpaid::Expired)),
        None => pay(state, id),
        Some(reason) => Ok(unpaid(Unpaid::Verdict(reason))),
    }
}

/// A proven epoch: the tree's sum leaves escrow; fee and burn first, the rest vests.
fn pay(state: &mut State, id: &NodeId) -> Result<Event, ApplyError> {
    let epoch = state.epoch;
    let (fee_ppm, burn_ppm) = (state.params.fee_ppm, state.params.burn_ppm);
    let (founder, ring) = (state.founder, state.params.vesting);
    let provider = state.providers.get_mut(id).ok_or(ApplyError::Overflow)?;
    let pay = provider.sum();
    let share = |ppm: u32| {
        let product = u128::from(pay.0).checked_mul(u128::from(ppm))?;
        // Rounding goes against the provider.
        u64::try_from(product.div_ceil(u128::from(PPM)))
            .ok()
            .map(Amount)
    };
    let fee = share(fee_ppm).ok_or(ApplyError::Overflow)?;
    let burn = share(burn_ppm).ok_or(ApplyError::Overflow)?;
    let net = pay.checked_sub(fee).ok_or(ApplyError::Overflow)?;
    provider.escrow = provider
        .escrow
        .checked_sub(pay)
        .ok_or(ApplyError::Overflow)?;
    provider.paid = true;
    let payout = hold(provider, net, epoch, ring)?;
    if let Some((account, amount)) = payout {
        credit(&mut state.accounts, &account, amount)?;
    }
    let validators = fee.checked_sub(burn).ok_or(ApplyError::Overflow)?;
    credit(&mut state.accounts, &founder, validators)?;
    state.burned = state.burned.checked_add(burn).ok_or(ApplyError::Overflow)?;
    Ok(Event::Paid {
        provider: *id,
        epoch,
        pay,
        fee,
    })
}

/// Puts net pay in the vesting ring, or says where it goes at once.
fn hold(
    provider: &mut Provider,
    net: Amount,
    epoch: Epoch,
    ring: u32,
) -> Result<Option<(AccountId, Amount)>, ApplyError> {
    let Some(slot) = epoch.checked_rem(ring) else {
        return Ok(Some((provider.payout, net)));
    };
    let held = provider
        .vest
        .get_mut(slot as usize)
        .ok_or(ApplyError::Overflow)?;
    *held = held.checked_add(net).ok_or(ApplyError::Overflow)?;
    Ok(None)
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

fn grant(state: &mut State, tx: &Faucet, id: TxId) -> Result<Vec<Event>, TxRefusal> {
    let (account, founder) = (tx.account, state.founder);
    let amount = state.params.faucet.ok_or(TxRefusal::NoFaucet)?;
    move_credit(state, &founder, &account, amount)?;
    account_mut(&mut state.accounts, &account).granted = true;
    Ok(vec![Event::Granted {
        account,
        amount,
        tx: id,
    }])
}

fn transfer(
    state: &mut State,
    tx: &Transfer,
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Transfer {
        from,
        to,
        amount,
        auth,
        ..
    } = *tx;
    move_credit(state, &from, &to, amount)?;
    account_mut(&mut state.accounts, &from)
        .nonces
        .spend(auth.nonce)?;
    let deed = place.deed(May::TRANSFER, amount);
    state.subkeys.spend(&from, tx.by, &deed)?;
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
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Register {
        provider,
        account,
        collateral,
        auth,
        ..
    } = *tx;
    let index = u32::try_from(state.providers.len()).map_err(|_| TxRefusal::Overflow)?;
    spend(state, &account, collateral, auth.nonce)?;
    let deed = place.deed(May::TRANSFER, collateral);
    state.subkeys.spend(&account, tx.by, &deed)?;
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
    place: Place,
    id: TxId,
) -> Result<Vec<Event>, TxRefusal> {
    let Deposit {
        provider,
        from,
        amount,
        auth,
        ..
    } = *tx;
    let record = state
        .providers
        .get(&provider)
        .ok_or(TxRefusal::Unregistered)?;
    let free = record.free.checked_add(amount).ok_or(TxRefusal::Overflow)?;
    spend(state, &from, amount, auth.nonce)?;
    let deed = place.deed(May::TRANSFER, amount);
    state.subkeys.spend(&from, tx.by, &deed)?;
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
    account_mut(&mut state.accounts, &account).admin = Some(admin);
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
    account_mut(&mut state.accounts, &account).revoked = tx.issued;
    state.subkeys.revoke(account, subkey);
    vec![Event::Revoked {
        account,
        subkey,
        tx: id,
    }]
}

/// Merges operations by contract: the highest revision wins; all act at the epoch's end.
fn update(state: &mut State, tx: &TreeUpdate, place: Place) -> Vec<Event> {
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

/// Takes credit and a nonce from an account; on error nothing changes.
pub(crate) fn spend(
    state: &mut State,
    from: &AccountId,
    amount: Amount,
    nonce: u64,
) -> Result<(), TxRefusal> {
    let mut account = state.accounts.get(from).copied().unwrap_or_default();
    account.balance = account
        .balance
        .checked_sub(amount)
        .ok_or(TxRefusal::Overflow)?;
    account.nonces.spend(nonce)?;
    state.accounts.insert(*from, account);
    Ok(())
}

/// Moves credit between accounts, which may be one and the same; on error nothing changes.
fn move_credit(
    state: &mut State,
    from: &AccountId,
    to: &AccountId,
    amount: Amount,
) -> Result<(), TxRefusal> {
    let left = state
        .balance(from)
        .checked_sub(amount)
        .ok_or(TxRefusal::Overflow)?;
    // The supply bounds every balance, so the sum fits.
    let target = if from == to { left } else { state.balance(to) };
    let grown = target.checked_add(amount).ok_or(TxRefusal::Overflow)?;
    account_mut(&mut state.accounts, from).balance = left;
    account_mut(&mut state.accounts, to).balance = grown;
    Ok(())
}

/// Adds to an account, which is made if it is new.
pub(crate) fn credit(
    accounts: &mut Buckets<AccountId, Account>,
    id: &AccountId,
    amount: Amount,
) -> Result<(), ApplyError> {
    let account = account_mut(accounts, id);
    account.balance = account
        .balance
        .checked_add(amount)
        .ok_or(ApplyError::Overflow)?;
    Ok(())
}

/// An account's record, made if it is new.
pub(crate) fn account_mut<'a>(
    accounts: &'a mut Buckets<AccountId, Account>,
    id: &AccountId,
) -> &'a mut Account {
    accounts.or_default(*id)
}
