//! Contracts that we rent, one per provider: proposed, signed, opened on the ledger, revised as
//! shards are placed, extended before they are full. At most one change is under way in each.
//! `docs/protocol.md` §3.3 *The contract's tree at both ends*, §3.10.

use super::Renter;
use super::lease::Lease;
use crate::ctx::{Ctx, backoff, sooner};
use crate::ops::Pending;
use crate::rows::{RentedRow, SegmentRow, Write};
use crate::view::{BlockInput, RentedView};
use crate::wallet::Wallet;
use crate::wire::{MAX_LEAVES, Request};
use larder_contracts::judge::cost;
use larder_contracts::{Auth, Draft, Offer, Refusal, SignedLeaf, extend, rate, revise};
use larder_ledger::{ForceRevision, Forced, Tx};
use larder_proofs::{ContractLeaf, ShardLeaf};
use larder_types::params::CHUNK;
use larder_types::{Amount, ContractId, Epoch, Millis, NodeId, Params, Profile, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Wanted term, 30 days.
pub(crate) const TERM: Millis = Millis(30 * 86_400_000);
/// Too near a boundary (one in … of an epoch) the epoch after the next is proposed.
const BOUNDARY_MARGIN: u64 = 8;

/// A nonce is used again only if the blocks until its expiry are more than this.
const NONCE_MARGIN: u64 = 200;
/// Times that a proposal is made again because a boundary came between.
pub(crate) const MAX_STARTS: u32 = 4;

impl Renter {
    /// Leases that shards can be placed under.
    pub(crate) fn usable_leases(&self) -> impl Iterator<Item = (&ContractId, &Lease)> {
        self.leases
            .iter()
            .filter(|(_, lease)| lease.sig_provider.is_some() && !lease.is_over_soon())
            .filter(|(_, lease)| lease.of.is_none())
    }

    /// The same, and those of the account's other devices: what lies there can be read.
    pub(crate) fn readable_leases(&self) -> impl Iterator<Item = (&ContractId, &Lease)> {
        self.leases
            .iter()
            .filter(|(_, lease)| lease.sig_provider.is_some() && !lease.is_over_soon())
    }

    /// How many providers shards can be placed with.
    pub(crate) fn usable_providers(&self) -> usize {
        let providers = self.usable_leases().map(|(_, lease)| lease.provider);
        providers.collect::<BTreeSet<NodeId>>().len()
    }

    pub(crate) fn draft(
        &self,
        ctx: &Ctx<'_>,
        offer: &Offer,
        capacity_chunks: u64,
        nonce16: [u8; 16],
    ) -> ContractLeaf {
        let params = &ctx.me.params;
        Draft {
            provider: offer.provider,
            renter: ctx.me.account(),
            nonce16,
            start: next_start(ctx),
            term: term(params, offer),
            capacity_chunks,
            price: offer.price,
            collateral_epochs: offer.collateral_epochs,
        }
        .leaf(params)
    }

    /// Signs a new contract and proposes it.
    pub(crate) fn open_lease(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        offer: &Offer,
        capacity: u64,
    ) {
        let Some(auth) = wallet.reserve(ctx) else {
            return;
        };
        let mut nonce16 = [0; 16];
        ctx.rng.fill_bytes(&mut nonce16);
        let leaf = self.draft(ctx, offer, capacity, nonce16);
        let signed = sign(ctx, leaf, Some(auth), &offer.provider);
        wallet.commit(leaf.contract_id, Some(price_of(&leaf)));
        let row = RentedRow {
            provider: offer.provider,
            signed,
            sig_provider: None,
            opened: false,
            tried: None,
            of: None,
            claim: 0,
        };
        ctx.persist(vec![Write::rented(&leaf.contract_id, Some(&row))]);
        self.leases.insert(leaf.contract_id, Lease::restore(row));
        self.drive(ctx, wallet, &leaf.contract_id);
    }

    /// Takes every lease as far as it goes now.
    pub(crate) fn drive_all(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let ids: Vec<ContractId> = self.leases.keys().copied().collect();
        for id in ids {
            self.drive(ctx, wallet, &id);
        }
    }

    /// Starts the next change that a lease needs, if none is under way.
    pub(crate) fn drive(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId) {
        let Some(lease) = self.leases.get(id) else {
            return;
        };
        if lease.busy || ctx.now < lease.retry_at || !ctx.chain.live {
            return;
        }
        if lease.of.is_some() {
            // Its own device does the rest.
            if lease.unsure || lease.sig_provider.is_none() {
                self.ask_latest(ctx, id);
            }
            return;
        }
        if lease.faulted {
            return self.leave(ctx, wallet, id);
        }
        // The provider signs nothing else until shards that are taken back are gone.
        if lease.is_reducing(ctx.chain.epoch) && !lease.unsure {
            return;
        }
        let missed = lease.money_pending() && lease.leaf().start_epoch <= ctx.chain.epoch;
        let capacity = lease.leaf().capacity_chunks;
        let unheard = lease.sig_provider.is_none();
        if lease.unsure || (unheard && lease.active.is_some()) {
            // What is active was agreed on, whatever we know of it.
            self.ask_latest(ctx, id);
        } else if unheard && missed && lease.active.is_none() {
            // A proposal that was not taken before its start is void.
            self.drop_lease(ctx, wallet, id);
        } else if unheard && !missed {
            let signed = lease.signed.clone();
            self.propose(ctx, id, signed);
        } else if missed {
            self.renew_terms(ctx, wallet, id, capacity);
        } else if !lease.acked.is_empty() {
            self.revise_lease(ctx, wallet, id);
        } else if lease.is_short() && !lease.money_pending() {
            let step = (ctx.me.params.capacity_step.0 / CHUNK).max(1);
            let wanted = (lease.spoken_chunks() + lease.wanted) * 3 / 2;
            self.renew_terms(ctx, wallet, id, wanted.next_multiple_of(step).max(capacity));
        } else if lease.is_to_renew(ctx.chain.epoch) && !lease.money_pending() {
            self.renew_terms(ctx, wallet, id, capacity);
        }
    }

    /// A contract with a FAULTED provider goes when the ledger does not hold it (any more).
    fn leave(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId) {
        let gone = |l: &Lease| l.active.is_none() && l.leaf().start_epoch <= ctx.chain.epoch;
        if self.leases.get(id).is_some_and(gone) {
            self.drop_lease(ctx, wallet, id);
        }
    }

    /// Proposes other money terms: more capacity, a later end, or a start that was missed.
    pub(crate) fn renew_terms(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        id: &ContractId,
        capacity: u64,
    ) {
        let Some(lease) = self.leases.get(id) else {
            return;
        };
        let Some(offer) = self.book.get(&lease.provider).map(|o| o.offer.clone()) else {
            return self.pause(ctx, id);
        };
        // Beyond a gift nothing is bought from a friend.
        let mut capacity = capacity;
        if self.book.is_gift(&lease.provider) && lease.sig_provider.is_some() {
            let held = lease.leaf().capacity_chunks;
            capacity = capacity.min(held.saturating_add(offer.free.0 / CHUNK));
            let grows = capacity > held;
            let waits = lease.active.is_none() || lease.is_to_renew(ctx.chain.epoch);
            if !grows && !waits {
                return self.is_full(id);
            }
            capacity = capacity.max(held);
        }
        let start = next_start(ctx);
        let params = &ctx.me.params;
        let first = lease.sig_provider.is_none();
        if rate(offer.price, capacity, params) > agreed_rate(lease.leaf(), capacity) {
            return self.pause(ctx, id);
        }
        let collateral = offer.collateral_epochs;
        let Ok(mut leaf) = extend(
            lease.leaf(),
            capacity,
            offer.price,
            collateral,
            start,
            params,
        ) else {
            return self.pause(ctx, id);
        };
        if first {
            leaf.revision = 0;
        }
        if lease.is_to_renew(ctx.chain.epoch) {
            let renewed = self.draft(ctx, &offer, capacity, [0; 16]).end_epoch;
            leaf.end_epoch = leaf.end_epoch.max(renewed);
        }
        if price_of(&leaf) > wallet.spendable_beside(ctx.chain, id) {
            return self.pause(ctx, id);
        }
        // What is stored stays stored, whatever is allowed now.
        let dearer = leaf.rate > lease.leaf().rate;
        let allowed = self.within_allowance(params, std::iter::once(leaf.rate), Some(id));
        if dearer && allowed.is_err() {
            return self.pause(ctx, id);
        }
        // Of all leaves that carry one nonce at most one is ever applied: what was not heard of
        // is replaced, not added to.
        let unheard = lease.tried.as_ref().and_then(|tried| tried.auth);
        // Another device may have spent it meanwhile.
        let unspent = |auth: &Auth| {
            let account = ctx.chain.account.as_ref();
            account.is_none_or(|account| account.nonces.check(auth.nonce).is_ok())
        };
        let usable = unheard
            .filter(|auth| auth.expiry > ctx.chain.height + NONCE_MARGIN)
            .filter(unspent);
        let Some(auth) = usable.or_else(|| wallet.reserve(ctx)) else {
            return self.pause(ctx, id);
        };
        let signed = sign(ctx, leaf, Some(auth), &lease.provider);
        if let Some(lease) = self.leases.get_mut(id) {
            lease.tried = Some(signed.clone());
            lease.renewing = false;
            wallet.commit(*id, lease.owes(ctx.chain.epoch));
            let row = lease.row();
            ctx.persist(vec![Write::rented(id, Some(&row))]);
        }
        self.propose(ctx, id, signed);
    }

    /// A provider has no more room for us: shards beyond it go elsewhere.
    fn is_full(&mut self, id: &ContractId) {
        if let Some(lease) = self.leases.get_mut(id) {
            lease.wanted = 0;
            lease.full = true;
        }
    }

    pub(crate) fn propose(&mut self, ctx: &mut Ctx<'_>, id: &ContractId, signed: SignedLeaf) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        lease.busy = true;
        let what = Pending::Propose {
            contract: *id,
            signed: signed.clone(),
        };
        ctx.request(lease.provider, Request::Propose(signed), what);
    }

    pub(crate) fn revise_lease(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let puts: Vec<ShardLeaf> = lease
            .acked
            .iter()
            .take(MAX_LEAVES / 4)
            .map(|(_, _, leaf)| *leaf)
            .collect();
        let leaf = match revise(lease.leaf(), &lease.content, &puts) {
            Ok((leaf, _)) => leaf,
            Err(Refusal::Full { needed, .. }) => return self.make_room(ctx, wallet, id, needed),
            Err(_) => {
                lease.unsure = true;
                return self.pause(ctx, id);
            }
        };
        let auth = if lease.money_pending() {
            lease.signed.auth
        } else {
            None
        };
        let signed = sign(ctx, leaf, auth, &lease.provider);
        lease.busy = true;
        let request = Request::Revise {
            contract: *id,
            puts: puts.clone(),
            signed: signed.clone(),
        };
        let what = Pending::Revise {
            contract: *id,
            signed,
            puts,
        };
        ctx.request(lease.provider, request, what);
    }

    /// What a provider has and is to sign for does not fit: a declared loss has shrunk the contract
    /// under it. It grows again, or what does not fit is lost.
    fn make_room(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId, needed: u64) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        if lease.full {
            let rows = self.lose_acked(id);
            self.take_back(id, None);
            return ctx.persist(rows);
        }
        if lease.money_pending() {
            return self.pause(ctx, id);
        }
        let step = (ctx.me.params.capacity_step.0 / CHUNK).max(1);
        self.renew_terms(ctx, wallet, id, needed.next_multiple_of(step));
    }

    /// Asks a provider for the newest revision: after a start, or when ours was refused.
    pub(crate) fn ask_latest(&mut self, ctx: &mut Ctx<'_>, id: &ContractId) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let known = lease.active.is_some() || lease.of.is_some();
        if lease.busy || (lease.sig_provider.is_none() && !known) {
            lease.unsure = false;
            return;
        }
        lease.busy = true;
        let have = lease.pages.have(&lease.content);
        let request = Request::GetLatest {
            contract: *id,
            have,
        };
        ctx.request(lease.provider, request, Pending::Latest { contract: *id });
    }

    /// Waits before the next try with a provider, which is to blame.
    pub(crate) fn set_back(&mut self, ctx: &Ctx<'_>, id: &ContractId) {
        self.pause(ctx, id);
        if let Some(provider) = self.leases.get(id).map(|lease| lease.provider) {
            self.failed(provider, ctx.now);
        }
    }

    /// Waits before the next try: our own side is not ready.
    pub(crate) fn pause(&mut self, ctx: &Ctx<'_>, id: &ContractId) {
        if let Some(lease) = self.leases.get_mut(id) {
            lease.retry_at = ctx.now.after(backoff(lease.fails));
            lease.fails += 1;
        }
    }

    /// Gives a contract up that the ledger does not hold: its positions must be placed anew.
    pub(crate) fn drop_lease(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId) {
        let Some(lease) = self.leases.remove(id) else {
            return;
        };
        wallet.commit(*id, None);
        for (segment, position, _) in &lease.acked {
            self.wait_again(segment, *position);
        }
        let mut rows = vec![Write::rented(id, None)];
        let leaves = 0..lease.content.leaves().len() as u64;
        rows.extend(leaves.map(|index| Write::rented_leaf(id, index, None)));
        rows.extend(self.unplace(id));
        ctx.persist(rows);
    }

    /// A block has come: what is active, what was posted, what ended.
    pub(crate) fn block_leases(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        block: &BlockInput,
    ) {
        let mut rows = Vec::new();
        for (id, revision) in &block.posted {
            if let Some(lease) = self.leases.get_mut(id)
                && !lease.opened
                && *revision <= lease.leaf().revision
            {
                lease.opened = true;
                rows.push(Write::rented(id, Some(&lease.row())));
            }
        }
        ctx.persist(rows);
        if let Some(active) = &block.active {
            self.take_on(ctx, &active.rented);
            let at_ours = |view: &&RentedView| {
                let lease = self.leases.get(&view.leaf.contract_id);
                lease.is_some_and(|lease| lease.provider == view.provider)
            };
            let rented = active
                .rented
                .iter()
                .filter(at_ours)
                .map(|view| (view.leaf.contract_id, *view))
                .collect();
            self.epoch = ctx.chain.epoch;
            self.faulted.clone_from(&active.faulted);
            self.epoch(ctx, wallet, &rented);
            self.compare_trees();
            self.write_off(ctx, wallet);
            self.move_out(ctx);
            self.count_claims(ctx);
            self.force_overdue(ctx, wallet);
            self.note_faulted(ctx, &rented);
            self.ask_ledger(ctx, wallet);
            self.declined.clear();
            self.forget_audits(ctx);
            let rows = self.bury();
            ctx.persist(rows);
            self.informed = true;
            self.tops_up_at_once = ctx.me.params.profile == Profile::Dev;
            self.reindex_all();
        }
    }

    /// What FAULTED providers hold is lost, and their contracts are closed.
    fn write_off(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let faulted = self.leases.iter().filter(|(_, lease)| lease.faulted);
        let ids: Vec<(ContractId, bool)> =
            faulted.map(|(id, l)| (*id, l.active.is_some())).collect();
        for (id, active) in ids {
            self.take_back(&id, None);
            let rows = self.unplace(&id);
            ctx.persist(rows);
            // With the contract the provider's bytes go: where they are needed, they are read first.
            let ours = self.leases.get(&id).is_some_and(|l| l.of.is_none());
            if active && ours && !self.is_needed(&id) {
                wallet.close_faulted(ctx, id);
            }
        }
    }

    /// What lies under contracts that end by notice has to lie elsewhere before: it counts as lost, is
    /// rebuilt, and is read from where it still lies.
    fn move_out(&mut self, ctx: &mut Ctx<'_>) {
        let leaving = self.leases.iter().filter(|(_, l)| l.leaves_in.is_some());
        let ids: Vec<ContractId> = leaving.map(|(id, _)| *id).collect();
        for id in ids {
            self.take_back(&id, None);
            let rows = self.unplace(&id);
            ctx.persist(rows);
        }
    }

    /// What providers have signed and do not post, we post. `docs/protocol.md` §3.3.
    fn force_overdue(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let ours = |lease: &&mut Lease| !lease.faulted && lease.of.is_none();
        for lease in self.leases.values_mut().filter(ours) {
            if let Some(revision) = lease.is_overdue() {
                let force = ForceRevision {
                    provider: lease.provider,
                    revision: Forced::Signed(Box::new(revision)),
                };
                wallet.queue_for_epoch(ctx, Tx::ForceRevision(force), ctx.chain.epoch);
            }
        }
    }

    /// Whether a segment that cannot be had without a contract's shards has some there.
    fn is_needed(&self, id: &ContractId) -> bool {
        self.claims.iter().any(|(segment, claims)| {
            let few = |row: &SegmentRow| !row.dropped && self.alive(row).soft < row.code.k();
            claims.iter().any(|(_, contract)| contract == id)
                && self.segments.get(segment).is_some_and(few)
        })
    }

    fn epoch(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        rented: &BTreeMap<ContractId, RentedView>,
    ) {
        let epoch = ctx.chain.epoch;
        let first = !self.informed;
        let mut ended = Vec::new();
        let mut rows = Vec::new();
        for (id, lease) in &mut self.leases {
            let was = lease.active.take();
            let view = rented.get(id);
            lease.active = view.map(|view| view.leaf);
            lease.misses = view.map_or(0, |view| view.misses);
            lease.passed_lately = view.is_none_or(|view| view.passed_lately);
            let alone = view.is_some_and(|view| view.faulted_alone);
            lease.faulted = alone || self.faulted.contains(&lease.provider);
            lease.leaves_in = view.and_then(|view| view.leaves_in);
            // It ended while we were away.
            let over = first && lease.opened && lease.leaf().start_epoch <= epoch;
            let opened =
                lease.active.is_some() || (lease.opened && lease.leaf().start_epoch > epoch);
            if opened != lease.opened {
                lease.opened = opened;
                rows.push(Write::rented(id, Some(&lease.row())));
            }
            wallet.commit(*id, lease.owes(epoch));
            // It is open, though the answer to our proposal was lost.
            lease.unsure |= lease.active.is_some() && lease.sig_provider.is_none();
            if (was.is_some() || over) && lease.active.is_none() {
                ended.push(*id);
            }
        }
        ctx.persist(rows);
        for id in ended {
            self.drop_lease(ctx, wallet, &id);
        }
    }

    /// When a lease is due to be looked at again.
    pub(crate) fn leases_deadline(&self) -> Option<Time> {
        self.leases
            .values()
            .filter(|l| {
                // What waits for a boundary waits for its block, not for a tick.
                let wants = l.is_short() && !l.money_pending();
                let owes = l.unsure || l.sig_provider.is_none() || !l.acked.is_empty();
                !l.busy && !l.faulted && (owes || wants)
            })
            .fold(None, |soonest, l| sooner(soonest, Some(l.retry_at)))
    }
}

/// The term that is asked of an offer, epochs: 30 days, if it and the network allow it.
pub(crate) fn term(params: &Params, offer: &Offer) -> u32 {
    let epochs = u32::try_from(TERM.0 / params.epoch.0.max(1)).unwrap_or(u32::MAX);
    let longest = params.max_term.min(offer.max_term).saturating_sub(7).max(1);
    epochs.clamp(params.min_term.max(offer.min_term).min(longest), longest)
}

/// The epoch a contract proposed now can start at.
fn next_start(ctx: &Ctx<'_>) -> Epoch {
    let schedule = &ctx.me.schedule;
    let epoch = schedule.epoch_at(ctx.now).max(ctx.chain.epoch);
    let margin = Millis((ctx.me.params.epoch.0 / BOUNDARY_MARGIN).min(60_000));
    let near = ctx.now.after(margin) >= schedule.epoch_start(epoch + 1);
    epoch + if near { 2 } else { 1 }
}

/// Signs a leaf for one provider.
fn sign(ctx: &Ctx<'_>, leaf: ContractLeaf, auth: Option<Auth>, provider: &NodeId) -> SignedLeaf {
    SignedLeaf::sign(leaf, auth, provider, &ctx.me.ledger_key, &ctx.me.genesis)
}

/// The most that is paid for a capacity without asking the user: what was agreed, per chunk.
/// `docs/protocol.md` §3.10: automatic renewal is at the leaf's own rate only.
fn agreed_rate(leaf: &ContractLeaf, capacity: u64) -> Amount {
    leaf.rate
        .mul_div(capacity, leaf.capacity_chunks.max(1))
        .and_then(|rate| rate.checked_add(Amount(1)))
        .unwrap_or(leaf.rate)
}

/// What a leaf takes from the account when it opens.
pub(crate) fn price_of(leaf: &ContractLeaf) -> Amount {
    cost(leaf, leaf.end_epoch.saturating_sub(leaf.start_epoch)).unwrap_or(Amount(u64::MAX))
}
