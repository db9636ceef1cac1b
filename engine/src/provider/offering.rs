//! Registering, and spreading the signed offer: free quota, price, terms, addresses.

use super::{Provider, Taking};
use crate::ctx::{Ctx, Identity};
use crate::io::{Effect, Notice, ProviderCommand};
use crate::wallet::{SendRefusal, Wallet};
use larder_contracts::{Offer, SignedOffer};
use larder_ledger::maintenance::NOTICE;
use larder_ledger::{Maintenance, Register, Tx};
use larder_types::params::CHUNK;
use larder_types::{Amount, Bytes, Epoch, Millis};

/// How often an offer is spread again, at most and at least.
const OFFER_EVERY: (u64, u64) = (2_000, 600_000);
/// An offer holds this many times the interval at which it is spread again.
const OFFER_LIVES: u64 = 6;
/// Collateral promised, in epochs of pay. `docs/protocol.md` §3.7.
const COLLATERAL_EPOCHS: u32 = 30;
/// Share of the account's credit that goes into collateral on registering, percent.
const DEPOSIT_PERCENT: u64 = 90;

impl Provider {
    /// What we offer now.
    pub(crate) fn offer(&self, ctx: &Ctx<'_>) -> Offer {
        let params = &ctx.me.params;
        let life = Millis(interval(ctx).0.saturating_mul(OFFER_LIVES).max(60_000));
        Offer {
            provider: ctx.me.node(),
            account: ctx.me.account(),
            price: self.config.price,
            egress_price: self.config.egress_price,
            free: self.offered(ctx.me, ctx.chain.epoch),
            min_term: params.min_term,
            max_term: params.max_term,
            collateral_epochs: COLLATERAL_EPOCHS,
            region: self.config.region.clone(),
            operator: self.config.operator.clone(),
            addrs: self.addrs.clone(),
            issued: ctx.now,
            valid_until: ctx.now.after(life.min(params.offer_ttl)),
        }
    }

    /// What we would take on now.
    pub(crate) fn offered(&self, me: &Identity, epoch: Epoch) -> Bytes {
        if !self.takes(me) {
            return Bytes(0);
        }
        Bytes(self.free_chunks(epoch, None, None) * CHUNK)
    }

    /// Whether new contracts are taken on.
    pub(crate) fn takes(&self, me: &Identity) -> bool {
        self.config.taking == Taking::All && self.fitness.judge(me).is_ok()
    }

    /// The operator wants something, or the disks have changed.
    pub(crate) fn command(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        command: ProviderCommand,
    ) {
        let before = self.offered(ctx.me, ctx.chain.epoch);
        match command {
            ProviderCommand::Offer(config) => self.config = config,
            ProviderCommand::Disks(disks) => {
                self.fitness.disks = disks;
                // A look at the disks alone is nothing to tell the world.
                if self.offered(ctx.me, ctx.chain.epoch) == before {
                    return;
                }
            }
            ProviderCommand::Maintain { job, first, epochs } => {
                return self.announce(ctx, wallet, job, (first, epochs));
            }
            ProviderCommand::Moved { volume, roots } => return self.moved(ctx, volume, &roots),
        }
        self.offer_changed(ctx);
    }

    /// Says on the ledger that this provider will be away. Whether that is in time, the ledger says;
    /// too late in the epoch before, it never acts.
    fn announce(
        &self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        job: u64,
        (first, epochs): (Epoch, u32),
    ) {
        let me = ctx.me;
        let tx = if ctx.chain.live {
            let notice = Maintenance::sign(&me.node_key, first, epochs, &me.genesis);
            let last = first.saturating_sub(NOTICE).max(ctx.chain.epoch);
            Ok(wallet.queue_for_epoch(ctx, Tx::Maintenance(notice), last))
        } else {
            Err(SendRefusal::NoLedger)
        };
        ctx.tell(Notice::TxQueued { job, tx });
        wallet.flush(ctx);
    }

    /// Spreads the offer if it is due and the ledger knows us.
    pub(crate) fn offer_if_due(&mut self, ctx: &mut Ctx<'_>) {
        if self.free_collateral.is_none() || ctx.now < self.offer_at {
            return;
        }
        self.offer_at = ctx.now.after(interval(ctx));
        if let Some(offer) = self.signed_offer(ctx) {
            ctx.out.push(Effect::Publish(Box::new(offer)));
        }
    }

    /// The offer, signed; `None` while the ledger does not know us, or holds us FAULTED.
    pub(crate) fn signed_offer(&self, ctx: &Ctx<'_>) -> Option<SignedOffer> {
        self.free_collateral.filter(|_| !self.faulted)?;
        Some(self.offer(ctx).sign(&ctx.me.node_key, &ctx.me.genesis))
    }

    /// Makes the offer due: something in it has changed.
    pub(crate) fn offer_changed(&mut self, ctx: &Ctx<'_>) {
        self.offer_at = self.offer_at.min(ctx.now.after(Millis(OFFER_EVERY.0 / 2)));
    }

    /// Registers with the ledger as soon as the account is known there, and has had its grant
    /// where it begins with nothing: what is deposited now is all that contracts can lock.
    pub(crate) fn register(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let waits = self.registering.is_some_and(|tx| wallet.is_waiting(&tx));
        let Some(account) = &ctx.chain.account else {
            return;
        };
        let is_granted = account.granted || ctx.me.params.faucet.is_none();
        let begins = account.balance > Amount::ZERO || is_granted;
        if self.free_collateral.is_some() || waits || !begins {
            return;
        }
        let deposit = wallet
            .spendable(ctx)
            .mul_div(DEPOSIT_PERCENT, 100)
            .unwrap_or(Amount::ZERO);
        let Some(auth) = wallet.reserve(ctx) else {
            return;
        };
        let me = ctx.me;
        let tx = Tx::Register(Register::sign(
            &me.node_key,
            &me.ledger_key,
            deposit,
            auth,
            &me.genesis,
        ));
        self.registering = Some(wallet.queue_durable(ctx, tx));
    }
}

/// A quarter of an epoch, within bounds.
fn interval(ctx: &Ctx<'_>) -> Millis {
    Millis((ctx.me.params.epoch.0 / 4).clamp(OFFER_EVERY.0, OFFER_EVERY.1))
}
