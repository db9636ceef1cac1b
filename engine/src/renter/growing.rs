//! New contracts for repair: where no provider under contract can take what is missing, others are
//! rented from, with room for all segments that are to be repaired. Outlying prices are left out;
//! without credit for it the reason is reported, and what was rebuilt waits in the spool.
//! `docs/protocol.md` §3.10, §3.11.

use super::lease::Lease;
use super::planning::{drop_outliers, stepped};
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::placement::{self, Candidate};
use crate::wallet::Wallet;
use larder_contracts::Offer;
use larder_types::params::CHUNK;
use larder_types::size::MIB;
use larder_types::{Millis, NodeId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most contracts opened for repairs at once.
const MAX_NEW: usize = 16;
/// The next look for more room is taken after this.
const PAUSE: Millis = Millis(10_000);
/// After a lack of credit, quota or providers it takes this long.
const LONG_PAUSE: Millis = Millis(60_000);

/// What the segments that lack positions need of new providers.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    /// Providers: as many as the worst off segment lacks.
    providers: usize,
    /// Chunks, in all.
    chunks: u64,
    /// The longest shard, chunks.
    longest: u64,
}

impl Renter {
    /// Opens contracts if some segment has nowhere to go.
    pub(crate) fn grow(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        if self.grow_deadline(ctx.now).is_none_or(|at| ctx.now < at) {
            return;
        }
        self.cramped = false;
        let need = self.need(ctx);
        if need.providers == 0 {
            self.grow_at = Some(ctx.now.after(PAUSE));
            self.no_room = None;
            return;
        }
        self.no_room = self.open_for_repair(ctx, wallet, need).err();
        let pause = self.no_room.as_ref().map_or(PAUSE, |_| LONG_PAUSE);
        // What lacks room is looked at again then, and says so again if it must.
        self.grow_at = Some(ctx.now.after(pause));
    }

    /// When room is looked for again; contracts that are being proposed are waited for.
    pub(crate) fn grow_deadline(&self, now: Time) -> Option<Time> {
        let proposed =
            |l: &Lease| l.of.is_none() && l.sig_provider.is_none() && !l.refused && !l.faulted;
        if !self.cramped || self.leases.values().any(proposed) {
            return None;
        }
        Some(self.grow_at.unwrap_or(now))
    }

    fn need(&self, ctx: &Ctx<'_>) -> Need {
        let mut need = Need::default();
        for id in self.lacking.ids() {
            let Some(row) = self.segments.get(id).filter(|row| row.of.is_none()) else {
                continue;
            };
            let lacks = row.holders.iter().filter(|h| h.is_none()).count();
            // Those that are on their way have a place.
            let moving = self
                .uploads
                .get(id)
                .map_or(0, super::uploads::Upload::moving);
            let short = lacks
                .saturating_sub(moving)
                .saturating_sub(self.prospects(id, ctx.now));
            let chunks = row.shard_len / CHUNK;
            if short > 0 {
                need.providers = need.providers.max(short);
                need.chunks += chunks * short as u64;
                need.longest = need.longest.max(chunks);
            }
        }
        need
    }

    fn open_for_repair(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        need: Need,
    ) -> Result<(), NoRoom> {
        let mut fresh = self.fresh_offers(ctx);
        if fresh.is_empty() {
            return Err(NoRoom::NoProviders);
        }
        let count = need.providers.min(MAX_NEW).min(fresh.len());
        let free = |o: &Offer| o.free.0 / CHUNK;
        let shared = stepped(&ctx.me.params, need.chunks / count.max(1) as u64 * 3 / 2);
        let least = stepped(&ctx.me.params, need.longest);
        let roomy = fresh.iter().filter(|o| free(o) >= shared).count();
        let capacity = if roomy >= count { shared } else { least };
        fresh.retain(|o| free(o) >= capacity);
        if fresh.is_empty() {
            return Err(NoRoom::NoQuota {
                needed: capacity * CHUNK / MIB,
            });
        }
        let mut chosen = self.choose_offers(ctx, fresh, count);
        // The cheapest last: it is the one that stays if the credit is short.
        chosen.sort_by_key(|o| std::cmp::Reverse(o.price.nano()));
        let all = self.check_credit(ctx, wallet, &chosen, capacity);
        while !chosen.is_empty() && self.check_credit(ctx, wallet, &chosen, capacity).is_err() {
            chosen.remove(0);
        }
        for offer in &chosen {
            self.open_lease(ctx, wallet, offer, capacity);
        }
        all
    }

    /// Offers of providers that we could rent from and do not yet, without outlying prices.
    fn fresh_offers(&self, ctx: &Ctx<'_>) -> Vec<Offer> {
        let ours = self.leases.values().filter(|l| l.of.is_none());
        let leased: BTreeSet<NodeId> = ours.map(|l| l.provider).collect();
        let mut offers: Vec<Offer> = self.book.valid(ctx.now).map(|o| o.offer.clone()).collect();
        drop_outliers(&mut offers);
        offers.retain(|o| {
            !leased.contains(&o.provider)
                && o.provider != ctx.me.node()
                && !self.faulted.contains(&o.provider)
                && !self.asked.is_shunned(&o.provider)
                && !self.declined.contains(&o.provider)
                && !self.in_trouble(&o.provider, ctx.now)
        });
        offers
    }

    /// Operators that we do not rent from yet come first, then the cheaper offers.
    fn choose_offers(&self, ctx: &mut Ctx<'_>, offers: Vec<Offer>, count: usize) -> Vec<Offer> {
        let mut rented: BTreeMap<String, u16> = BTreeMap::new();
        for (_, lease) in self.usable_leases() {
            let operator = self.operator(&lease.provider);
            if !operator.is_empty() {
                *rented.entry(operator.to_owned()).or_default() += 1;
            }
        }
        let candidates: Vec<Candidate<'_>> = offers
            .iter()
            .map(|o| Candidate {
                provider: o.provider,
                operator: &o.operator,
                fullness_ppm: 0,
                price: o.price.nano(),
                tie: ctx.rng.next_u64(),
            })
            .collect();
        let chosen = placement::choose_more(&rented, &candidates, count);
        drop(candidates);
        offers
            .into_iter()
            .filter(|o| chosen.contains(&o.provider))
            .collect()
    }
}
