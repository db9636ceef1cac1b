//! Room for a backup before it starts: which code, which providers, how much capacity, and whether
//! there is credit for it. Contracts are opened for 1.5 times what is planned, in steps.
//! `docs/protocol.md` §3.10 *Prices and sizes*.

use super::lease::Lease;
use super::leases::TERM;
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::Notice;
use crate::placement::{self, Plan};
use crate::wallet::Wallet;
use larder_contracts::{Offer, judge::cost};
use larder_proofs::ContractLeaf;
use larder_types::params::CHUNK;
use larder_types::size::MIB;
use larder_types::{Amount, Class, ContractId, Millis, NodeId, Params, Time};

/// Offers need this long to come in after the first block.
const GATHER: Millis = Millis(3_000);
/// And this long after the newest provider was heard of, but no longer than …
const SETTLE: Millis = Millis(1_500);
/// … this after the plan was asked for; without any offer by then it fails.
const SETTLE_MOST: Millis = Millis(10_000);
/// A plan that has not come about by then fails.
const PATIENCE: Millis = Millis(45_000);
/// Contracts are opened with this share of spare providers, percent of n.
const SPARE_PERCENT: u16 = 50;

/// Offers above this many times the (lower) median price are left out.
const OUTLIER: u64 = 4;

/// A request for room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planning {
    class: Class,
    bytes: u64,
    since: Time,
    opened: bool,
}

impl Renter {
    /// Starts to make room.
    pub(crate) fn prepare(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        job: u64,
        class: Class,
        bytes: u64,
    ) {
        self.plans.insert(
            job,
            Planning {
                class,
                bytes,
                since: ctx.now,
                opened: false,
            },
        );
        self.plan_all(ctx, wallet);
    }

    /// Takes every plan as far as it goes now.
    pub(crate) fn plan_all(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let jobs: Vec<u64> = self.plans.keys().copied().collect();
        for job in jobs {
            if let Some(plan) = self.plan_one(ctx, wallet, job) {
                self.plans.remove(&job);
                ctx.tell(Notice::Prepared { job, plan });
            }
        }
    }

    /// The outcome, or `None` while it is open.
    fn plan_one(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        job: u64,
    ) -> Option<Result<Plan, NoRoom>> {
        let planning = *self.plans.get(&job)?;
        let late = ctx.now >= planning.since.after(PATIENCE);
        let gathered = self.gathered_at(&planning).is_some_and(|t| ctx.now >= t);
        let alone = ctx.now >= planning.since.after(SETTLE_MOST);
        if !planning.opened {
            if !gathered {
                return late.then_some(Err(NoRoom::NoLedger));
            }
            match self.open_leases(ctx, wallet, planning) {
                Ok(()) => {}
                Err(NoRoom::NoProviders) if !alone => return None,
                Err(why) => return Some(Err(why)),
            }
            self.plans.insert(
                job,
                Planning {
                    opened: true,
                    ..planning
                },
            );
        }
        let signed = self.usable_providers();
        let waiting = self
            .leases
            .values()
            .any(|l| l.of.is_none() && l.sig_provider.is_none() && !l.refused && !l.faulted);
        if waiting && !late {
            return None;
        }
        Some(placement::choose_code(planning.class, signed).ok_or(NoRoom::Stalled))
    }

    /// When the offers at hand are enough to plan with; unknown before the first block.
    fn gathered_at(&self, planning: &Planning) -> Option<Time> {
        let first = self.live_since?.after(GATHER);
        let settled = self.book.grown_at().map(|t| t.after(SETTLE));
        let most = planning.since.after(SETTLE_MOST);
        Some(settled.map_or(first, |settled| first.max(settled.min(most))))
    }

    /// When a plan is due to be looked at again.
    pub(crate) fn planning_deadline(&self, now: Time) -> Option<Time> {
        self.plans
            .values()
            .map(|p| {
                let late = p.since.after(PATIENCE);
                if p.opened {
                    late
                } else {
                    // Past that, offers come as inputs of their own.
                    let alone = p.since.after(SETTLE_MOST);
                    let next = [self.gathered_at(p), Some(alone)].into_iter().flatten();
                    next.filter(|t| *t > now)
                        .min()
                        .map_or(late, |t| t.min(late))
                }
            })
            .min()
    }

    /// Opens what contracts are lacking.
    fn open_leases(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        planning: Planning,
    ) -> Result<(), NoRoom> {
        let fresh = self.unrented(ctx.now, &ctx.me.node());
        let usable = self.usable_providers();
        let wanted = (planning.class, planning.bytes);
        let tie = || ctx.rng.next_u64();
        let chosen = select(&ctx.me.params, fresh, usable, wanted, tie)?;
        self.check_credit(ctx, wallet, &chosen.offers, chosen.capacity)?;
        for offer in chosen.offers {
            self.open_lease(ctx, wallet, &offer, chosen.capacity);
        }
        Ok(())
    }

    /// Offers of providers that could be rented from and are not yet.
    pub(crate) fn unrented(&self, now: Time, own: &NodeId) -> Vec<Offer> {
        let ours = self.leases.values().filter(|l| l.of.is_none());
        let leased: Vec<NodeId> = ours.map(|l| l.provider).collect();
        self.rentable(now, own)
            .filter(|o| !leased.contains(&o.provider))
            .collect()
    }

    /// Offers of providers other than `own`, but for those that are FAULTED or shunned.
    pub(crate) fn rentable(&self, now: Time, own: &NodeId) -> impl Iterator<Item = Offer> {
        self.book
            .valid(now)
            .map(|o| &o.offer)
            .filter(|o| o.provider != *own)
            .filter(|o| !self.faulted.contains(&o.provider))
            .filter(|o| !self.asked.is_shunned(&o.provider))
            .cloned()
    }

    pub(crate) fn check_credit(
        &self,
        ctx: &Ctx<'_>,
        wallet: &Wallet,
        offers: &[Offer],
        capacity: u64,
    ) -> Result<(), NoRoom> {
        let leaves: Vec<ContractLeaf> = offers
            .iter()
            .map(|offer| self.draft(ctx, offer, capacity, [0; 16]))
            .collect();
        afford(leaves.iter(), wallet.spendable(ctx))?;
        let rates = leaves.iter().map(|leaf| leaf.rate);
        self.within_allowance(&ctx.me.params, rates, None)
    }

    /// Whether contracts at these rates beside those that there are, but for `except`, cost no more than
    /// is allowed.
    pub(crate) fn within_allowance(
        &self,
        params: &Params,
        rates: impl Iterator<Item = Amount>,
        except: Option<&ContractId>,
    ) -> Result<(), NoRoom> {
        let Some(allowed) = self.allowance else {
            return Ok(());
        };
        let leases = self.leases.iter();
        let others = leases.filter(|(id, lease)| Some(*id) != except && !lease.is_over_soon());
        // What we signed and have not heard of may be agreed on already.
        let rate = |lease: &Lease| {
            let tried = lease.tried.as_ref().map(|tried| tried.leaf.rate);
            lease.leaf().rate.max(tried.unwrap_or_default())
        };
        let mut all = others.map(|(_, lease)| rate(lease)).chain(rates);
        let per_epoch = all.try_fold(Amount::ZERO, Amount::checked_add);
        let month = |rate: Amount| rate.mul_div(TERM.0, params.epoch.0.max(1));
        let needed = per_epoch.and_then(month).unwrap_or(Amount(u64::MAX));
        if needed > allowed {
            return Err(NoRoom::Allowance { needed, allowed });
        }
        Ok(())
    }
}

/// What is to be rented beside what is rented already.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// The code that this makes possible.
    pub(crate) plan: Plan,
    /// Providers that hold a share, those rented from already among them.
    pub(crate) providers: usize,
    /// Capacity to rent of each, chunks.
    pub(crate) capacity: u64,
    /// From whom.
    pub(crate) offers: Vec<Offer>,
}

/// Chooses among offers for so many bytes at a class, beside `usable` contracts. `tie` decides
/// between equals.
///
/// # Errors
/// [`NoRoom`] without any provider, or any with room enough.
pub(crate) fn select(
    params: &Params,
    mut fresh: Vec<Offer>,
    usable: usize,
    (class, bytes): (Class, u64),
    tie: impl FnMut() -> u64,
) -> Result<Selection, NoRoom> {
    drop_outliers(&mut fresh);
    let known = usable + fresh.len();
    let plan = placement::choose_code(class, known).ok_or(NoRoom::NoProviders)?;
    let code = plan.code;
    let wanted = usize::from(code.n() + (code.n() * SPARE_PERCENT).div_ceil(100)).min(known);
    let capacity = capacity_each(params, bytes, plan, wanted);
    fresh.retain(|o| o.free.0 / CHUNK >= capacity);
    let lacking = wanted.saturating_sub(usable);
    if fresh.is_empty() && usable == 0 {
        return Err(NoRoom::NoQuota {
            needed: capacity * CHUNK / MIB,
        });
    }
    Ok(Selection {
        plan,
        providers: wanted,
        capacity,
        offers: spread(plan, fresh, lacking, tie),
    })
}

/// 1.5 times one provider's share of what is planned, in whole steps, chunks.
fn capacity_each(params: &Params, bytes: u64, plan: Plan, providers: usize) -> u64 {
    let stored = u128::from(bytes) * u128::from(plan.code.n()) / u128::from(plan.code.k());
    let each = stored * 3 / 2 / u128::from(providers.max(1) as u64) / u128::from(CHUNK);
    stepped(params, u64::try_from(each).unwrap_or(u64::MAX / 2))
}

/// Whether there is credit for these contracts.
fn afford<'a>(
    mut leaves: impl Iterator<Item = &'a ContractLeaf>,
    have: Amount,
) -> Result<(), NoRoom> {
    let needed = leaves.try_fold(Amount::ZERO, |sum, leaf| {
        cost(leaf, leaf.end_epoch - leaf.start_epoch)
            .ok()
            .and_then(|c| sum.checked_add(c))
    });
    let needed = needed.unwrap_or(Amount(u64::MAX));
    if needed > have {
        return Err(NoRoom::NoCredit { needed, have });
    }
    Ok(())
}

/// A capacity that can be bought: whole steps, no less than the network's least, chunks.
pub(crate) fn stepped(params: &Params, chunks: u64) -> u64 {
    let step = (params.capacity_step.0 / CHUNK).max(1);
    chunks
        .max(params.min_capacity_chunks)
        .max(1)
        .next_multiple_of(step)
}

/// Leaves out offers that ask far more than the others: one of them must not drain the account, nor
/// make every plan look unaffordable.
pub(crate) fn drop_outliers(offers: &mut Vec<Offer>) {
    // What friends give says nothing of what others may ask.
    let asked = offers.iter().filter(|o| o.price > Amount::ZERO);
    let mut prices: Vec<u64> = asked.map(|o| o.price.nano()).collect();
    prices.sort_unstable();
    if let Some(median) = prices.get(prices.len().saturating_sub(1) / 2) {
        let most = median.saturating_mul(OUTLIER).max(1);
        offers.retain(|o| o.price.nano() <= most);
    }
}

/// The offers to take: distinct operators first, then the cheaper ones.
fn spread(
    plan: Plan,
    offers: Vec<Offer>,
    wanted: usize,
    mut tie: impl FnMut() -> u64,
) -> Vec<Offer> {
    let lowest = offers
        .iter()
        .map(|o| o.price.nano())
        .min()
        .unwrap_or(0)
        .max(1);
    let candidates: Vec<_> = offers
        .iter()
        .map(|o| placement::Candidate {
            provider: o.provider,
            operator: &o.operator,
            fullness_ppm: 0,
            // Prices within a quarter count as equal: then chance decides, so that not everybody
            // takes the same providers. `docs/protocol.md` §3.12.
            price: o.price.nano().saturating_mul(4) / lowest,
            tie: tie(),
        })
        .collect();
    let cap = usize::from(placement::operator_cap(plan.code)).max(wanted);
    let chosen = placement::choose_spread(cap, &candidates, wanted);
    offers
        .into_iter()
        .filter(|o| chosen.contains(&o.provider))
        .collect()
}
