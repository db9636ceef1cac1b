//! The engine: durable rows in, one input at a time, effects out.

use crate::ctx::{Chain, Ctx, Identity, sooner};
use crate::friends::{Friends, Gave};
use crate::io::{Command, DeviceCommand, Effect, Input, OpId, Outcome, PeerInput, SubmitError};
use crate::ops::{Ops, Pending};
use crate::provider::acks::Acks;
use crate::provider::gifts::Gifts;
use crate::provider::{Provide, Provider};
use crate::renter::leases::price_of;
use crate::renter::{Renter, devices};
use crate::rows::{RowError, Snapshot, Tables};
use crate::view::BlockInput;
use crate::wallet::Wallet;
use crate::wire::{Befriend, Deny, MAX_OFFERS, Request, Response};
use larder_contracts::SignedOffer;
use larder_ledger::ProofAck;
use larder_types::{Bytes, NodeId, Time};
use rand_core::Rng;

/// The behaviour of one node.
#[derive(Debug)]
pub struct Engine {
    pub(crate) me: Identity,
    pub(crate) chain: Chain,
    ops: Ops,
    pub(crate) wallet: Wallet,
    pub(crate) provider: Option<Provider>,
    pub(crate) renter: Renter,
    pub(crate) friends: Friends,
    pub(crate) now: Time,
}

impl Engine {
    /// Rebuilds the engine from durable rows. Same rows, same engine. `provide` is what the node
    /// offers, if it offers anything.
    ///
    /// # Errors
    /// [`RowError`] if a row cannot be read: the database is damaged or from another version.
    pub fn restore(
        me: Identity,
        provide: Option<Provide>,
        rows: Snapshot,
    ) -> Result<Self, RowError> {
        let tables = Tables::read(rows)?;
        let mut wallet = Wallet::default();
        for (id, tx) in tables.outbox {
            wallet.restore(&me.account(), id, tx);
        }
        for (id, row) in &tables.rented {
            for signed in [Some(&row.signed), row.tried.as_ref()]
                .into_iter()
                .flatten()
            {
                if let Some(auth) = signed.auth {
                    wallet.promised(auth);
                    // Until the first block says what is active, all of it is spoken for.
                    wallet.commit(*id, Some(price_of(&signed.leaf)));
                }
            }
        }
        // What a node has promised it keeps, even if its configuration offers nothing any more.
        let nothing = tables.held.is_empty() && tables.heads.is_empty() && tables.acks.is_empty();
        let promised = !nothing;
        let provide = provide.or_else(|| promised.then(Provide::nothing));
        let mut provider = provide.map(|p| {
            let (held, shards) = (tables.held, tables.shards);
            let losses = (tables.losses, tables.loss_totals);
            Provider::restore(p, held, shards, losses, tables.places)
        });
        if let Some(provider) = &mut provider {
            provider.heads.restore(tables.heads);
            provider.revoked.restore(tables.revoked);
            provider.acks = Acks::restore(tables.acks);
        }
        wallet.restore_apart(tables.apart);
        let mut renter = Renter::restore(tables.rented, tables.rented_leaves, tables.segments);
        renter.totals = tables.repairs;
        renter.heads.restore(tables.own_head);
        renter
            .devices
            .restore(tables.own_device, tables.devices, &me);
        renter.audits.restore(tables.audited);
        renter.asked.restore(tables.asked);
        let friends = Friends::restore(tables.friends, tables.invited);
        renter.revoking.restore(tables.revoking);
        let chain = Chain {
            authorised: me.ledger_key.by().is_none(),
            ..Chain::default()
        };
        let ops = Ops::default();
        Ok(Self {
            me,
            chain,
            ops,
            wallet,
            provider,
            renter,
            friends,
            now: Time(0),
        })
    }

    /// Advances by one input. `now` never runs back (an earlier one counts as the last); `rng` is
    /// the only randomness. Effects are to be carried out in order.
    pub fn step(&mut self, now: Time, rng: &mut dyn Rng, input: Input) -> Vec<Effect> {
        self.now = self.now.max(now);
        let mut out = Vec::new();
        let Self {
            me,
            chain,
            ops,
            wallet,
            provider,
            renter,
            friends,
            now,
        } = self;
        if let Input::Block(block) = &input {
            chain.follow(me, block);
        }
        let ctx = &mut Ctx {
            now: *now,
            rng,
            me,
            chain,
            ops,
            out: &mut out,
        };
        let parts = &mut Parts {
            wallet,
            provider: provider.as_mut(),
            renter,
            friends,
        };
        match input {
            Input::Started => {
                parts.renter.started(ctx);
                parts.friends.started(ctx);
                parts.give(ctx);
            }
            Input::Tick => {}
            Input::Block(block) => parts.block(ctx, &block),
            Input::Offer(offer) => parts.offer(ctx, offer),
            Input::Peer(peer) => parts.peer(ctx, peer),
            Input::Command(command) => parts.command(ctx, command),
            Input::Acked { from, ack } => parts.acked(ctx, from, ack),
            Input::Done { op, outcome } => parts.done(ctx, op, outcome),
        }
        parts.go_on(ctx);
        out
    }

    /// When [`Input::Tick`] is next owed, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        // Before the first block contracts rest: its input wakes them.
        let live = self.chain.live;
        let current = self.chain.is_current(&self.me.params, self.now);
        let renter = [
            self.renter.planning_deadline(self.now),
            live.then(|| self.renter.leases_deadline()).flatten(),
            self.renter.uploads_deadline(self.now),
            self.renter.fetches_deadline(self.now),
            self.renter.repairs_deadline(self.now),
            self.renter.heads_deadline(&self.me, self.now),
            live.then(|| self.renter.devices_deadline(&self.me))
                .flatten(),
            self.renter.audits_deadline(current),
            (live && self.chain.authorised)
                .then(|| self.renter.revoking_deadline(self.now))
                .flatten(),
            self.wallet.deadline(),
            self.friends.deadline(),
        ];
        let provider = self
            .provider
            .as_ref()
            .and_then(|p| p.deadline(&self.me, &self.chain, self.now));
        renter.into_iter().fold(provider, sooner)
    }
}

/// The subsystems, borrowed for one step.
struct Parts<'a> {
    wallet: &'a mut Wallet,
    provider: Option<&'a mut Provider>,
    renter: &'a mut Renter,
    friends: &'a mut Friends,
}

impl Parts<'_> {
    fn block(&mut self, ctx: &mut Ctx<'_>, block: &BlockInput) {
        self.give(ctx);
        self.renter.live_since.get_or_insert(ctx.now);
        self.wallet.block(ctx, &block.txs);
        self.wallet.delegate(ctx);
        self.wallet.ask_faucet(ctx);
        self.wallet.stand_if_due(ctx);
        if let Some(provider) = &mut self.provider {
            provider.block(ctx, self.wallet, block);
        }
        self.renter.block_leases(ctx, self.wallet, block);
        self.renter.tell_placed(ctx);
    }

    fn acked(&mut self, ctx: &mut Ctx<'_>, from: NodeId, ack: ProofAck) {
        if let Some(provider) = &mut self.provider {
            provider.acknowledged(ctx, from, ack);
        }
    }

    fn offer(&mut self, ctx: &mut Ctx<'_>, offer: SignedOffer) {
        self.renter
            .book
            .note(offer, ctx.now, &ctx.me.params, &ctx.me.genesis);
    }

    fn peer(&mut self, ctx: &mut Ctx<'_>, input: PeerInput) {
        match input {
            PeerInput::Request {
                from,
                token,
                request,
                renter_balance,
            } => {
                let response = match (&mut self.provider, request) {
                    (_, Request::GetOffers) => self.offers(ctx),
                    (_, Request::Befriend(asked)) => self.befriended(ctx, from, *asked),
                    (_, Request::GetGift) => self.gift(ctx, &from),
                    (Some(provider), Request::Audit(audit)) => {
                        return provider.audited(ctx, token, &audit);
                    }
                    (Some(provider), request) => provider.answer(ctx, request, renter_balance),
                    (None, _) => Response::Denied(Deny::NotProviding),
                };
                ctx.out.push(Effect::Reply { token, response });
            }
            PeerInput::Bulk {
                from,
                token,
                header,
            } => match &mut self.provider {
                Some(provider) => provider.bulk(ctx, from, token, &header),
                None => ctx.deny_bulk(token, Deny::NotProviding),
            },
            PeerInput::Received { token, stored } => {
                if let Some(provider) = &mut self.provider {
                    provider.received(ctx, token, stored);
                }
            }
        }
    }

    /// The offers that we know, our own first.
    fn offers(&self, ctx: &Ctx<'_>) -> Response {
        let own = self.provider.iter().filter_map(|p| p.signed_offer(ctx));
        let known = self.renter.book.public(ctx.now).cloned();
        Response::Offers(own.chain(known).take(MAX_OFFERS).collect())
    }

    /// Somebody accepts our invitation.
    fn befriended(&mut self, ctx: &mut Ctx<'_>, from: NodeId, asked: Befriend) -> Response {
        let answer = self.friends.befriended(ctx, from, asked);
        self.give(ctx);
        answer.map_or_else(Response::Denied, Response::Signed)
    }

    /// What a friend is given.
    fn gift(&self, ctx: &Ctx<'_>, from: &NodeId) -> Response {
        let Some(friend) = self.friends.account_of(&ctx.me.node(), from) else {
            return Response::Denied(Deny::Stranger);
        };
        let provider = self.provider.as_ref();
        let gift = provider.and_then(|provider| provider.gift(ctx, &friend));
        Response::Gift(gift.map(Box::new))
    }

    /// What friends give and are given may have changed: also as invitations run out.
    fn give(&mut self, ctx: &Ctx<'_>) {
        self.renter.book.givers = self.friends.givers(&ctx.me.node());
        if let Some(provider) = &mut self.provider {
            let gifts = Gifts {
                given: self.friends.given(ctx.me),
                promised: Bytes(self.friends.promised(ctx.now)),
            };
            if provider.gifts != gifts {
                provider.gifts = gifts;
                provider.offer_changed(ctx);
            }
        }
    }

    fn command(&mut self, ctx: &mut Ctx<'_>, command: Command) {
        match command {
            Command::Friends(command) => {
                if let Some(gone) = self.friends.command(ctx, command) {
                    self.renter.book.forget_gift(&gone);
                }
                self.give(ctx);
            }
            Command::Prepare { job, class, bytes } => {
                self.renter.prepare(ctx, self.wallet, job, class, bytes);
            }
            Command::Store {
                segment,
                class,
                meta,
                len,
            } => {
                self.renter.store(ctx, segment, class, meta, len);
            }
            Command::Rent { provider, size } => {
                self.renter.rent(ctx, self.wallet, &provider, size);
            }
            Command::Renew { contract } => self.renter.renew(ctx, self.wallet, &contract),
            Command::Allow(allowance) => self.renter.allowance = allowance,
            Command::Fetch { segment } => self.renter.fetch(ctx, segment),
            Command::Probe { segment } => self.renter.probe(ctx, segment),
            Command::Repair => self.renter.hurry(),
            Command::Release { segment } => self.renter.release(ctx, segment),
            Command::Send { job, to, amount } => self.wallet.send(ctx, job, to, amount),
            Command::Submit { job, tx } => self.wallet.submit(ctx, job, *tx),
            Command::Withdraw { job, amount } => self.wallet.withdraw(ctx, job, amount),
            Command::Stand(bls) => self.wallet.stand(ctx, *bls),
            Command::Damaged(roots) => {
                if let Some(provider) = &mut self.provider {
                    provider.damaged(ctx, &roots);
                }
            }
            Command::Provider(command) => {
                if let Some(provider) = &mut self.provider {
                    provider.command(ctx, self.wallet, command);
                }
            }
            Command::Listed {
                catalogue,
                segments,
            } => self.renter.listed(ctx, &catalogue, &segments),
            Command::Borrow(segments) => self.renter.borrow_segments(segments),
            Command::Return(segments) => self.renter.return_segments(ctx, &segments),
            Command::Revoke {
                reader,
                until,
                contracts,
            } => self.renter.revoke(ctx, reader, until, contracts),
            Command::Drop(segments) => self.renter.drop_segments(ctx, &segments),
            Command::Reduce(reductions) => self.renter.reduce(ctx, reductions),
            Command::Known { catalogue, entries } => {
                self.renter.known(ctx, &catalogue, entries);
            }
            Command::Device(command) => self.device(ctx, command),
            Command::Recovered { heads, alone } => {
                self.wallet.recovered(ctx);
                self.renter.recovered(ctx, self.wallet, heads, alone);
            }
            Command::Addresses(addrs) => {
                self.friends.addrs.clone_from(&addrs);
                if let Some(provider) = &mut self.provider {
                    provider.addrs = addrs;
                    provider.offer_changed(ctx);
                }
            }
        }
    }

    fn device(&mut self, ctx: &mut Ctx<'_>, command: DeviceCommand) {
        match command {
            DeviceCommand::Call(name) => self.renter.heads.call(&name, ctx.now),
            DeviceCommand::Merged { device, seq } => self.renter.merged(ctx, &device, seq),
            DeviceCommand::Doom(segments) => self.renter.doom(ctx, &segments),
            DeviceCommand::Revoke(revocation) => self.renter.put_out(ctx, &revocation),
        }
    }

    fn done(&mut self, ctx: &mut Ctx<'_>, op: OpId, outcome: Outcome) {
        let Some(pending) = ctx.ops.end(op) else {
            return;
        };
        match outcome {
            Outcome::Response(answer) => self.answered(ctx, pending, answer),
            Outcome::Encoded(_)
            | Outcome::Put(_)
            | Outcome::Got(_)
            | Outcome::Decoded(_)
            | Outcome::Rebuilt(_)
            | Outcome::Proved(_) => self.job_done(ctx, op, pending, outcome),
            Outcome::Submitted(end) => self.submitted(ctx, &pending, end),
        }
    }

    fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        pending: Pending,
        answer: Result<Response, crate::io::Unreachable>,
    ) {
        let (renter, wallet) = (&mut self.renter, &mut self.wallet);
        if let Pending::Propose { contract, signed } = pending {
            renter.proposed(ctx, wallet, contract, signed, answer);
        } else if let Pending::Revise {
            contract,
            signed,
            puts,
        } = pending
        {
            renter.revised(ctx, contract, signed, &puts, answer);
        } else if let Pending::Latest { contract } = pending {
            renter.latest(ctx, wallet, contract, answer);
        } else if let Pending::Reduce { contract } = pending {
            renter.reduced(ctx, contract, answer);
        } else if let Pending::PutHead { to, seq } = pending {
            renter.head_answered(ctx, to, seq, &answer);
        } else if let Pending::Heads = pending {
            renter.heads_shown(ctx, wallet, answer);
        } else if let Pending::Audit { contract } = pending {
            renter.audit_answered(ctx, &contract, answer);
        } else if let Pending::Befriend { node } = pending {
            self.friends.answered(ctx, node, answer);
            self.give(ctx);
        } else if let Pending::Gift { node } = pending {
            match self.friends.gift(ctx, node, answer) {
                Gave::This(gift) => renter.book.note_gift(*gift, ctx.now),
                Gave::Nothing => renter.book.forget_gift(&node),
                Gave::Unsaid => {}
            }
            self.give(ctx);
        } else if let Pending::Revoke { reader, contract } = pending {
            renter.revoke_answered(ctx, reader, contract, &answer);
        } else {
            mismatch(&pending);
        }
    }

    fn submitted(&mut self, ctx: &mut Ctx<'_>, pending: &Pending, end: Result<(), SubmitError>) {
        if let Pending::Tx { id } = pending {
            self.wallet.submitted(ctx, *id, end);
        } else if let (Pending::Proof { slot, of }, Some(provider)) = (pending, &mut self.provider)
        {
            provider.proof_sent(ctx, (*slot, *of), end);
        } else {
            mismatch(pending);
        }
    }

    fn job_done(&mut self, ctx: &mut Ctx<'_>, op: OpId, pending: Pending, outcome: Outcome) {
        match (pending, outcome) {
            (Pending::Encode { segment }, Outcome::Encoded(roots)) => {
                self.renter.encoded(ctx, segment, roots);
            }
            (
                Pending::Put {
                    segment,
                    position,
                    contract,
                },
                Outcome::Put(ack),
            ) => {
                let put = (op, segment, position);
                self.renter.put_done(ctx, put, contract, ack);
            }
            (Pending::Get { segment, position }, Outcome::Got(got)) => {
                self.renter.got(ctx, (op, segment, position), got);
            }
            (Pending::Decode { segment }, Outcome::Decoded(end)) => {
                self.renter.decoded(ctx, (op, segment), end);
            }
            (Pending::Rebuild { segment }, Outcome::Rebuilt(roots)) => {
                self.renter.rebuilt(ctx, (op, segment), roots);
            }
            (Pending::Prove { slot, of }, Outcome::Proved(blob)) => {
                if let Some(provider) = &mut self.provider {
                    provider.proved(ctx, (slot, of), blob);
                }
            }
            (Pending::Show { token }, Outcome::Proved(blob)) => {
                if let Some(provider) = &mut self.provider {
                    provider.shown(ctx, token, blob);
                }
            }
            (other, _) => mismatch(&other),
        }
    }

    /// After every input: whatever can go on now goes on.
    fn go_on(&mut self, ctx: &mut Ctx<'_>) {
        self.renter.plan_all(ctx, self.wallet);
        self.renter.fetch_all(ctx);
        self.renter.repair_all(ctx, self.wallet);
        self.renter.place_all(ctx, self.wallet);
        if let Some(provider) = &mut self.provider {
            provider.post(ctx, self.wallet);
            provider.go_on_proving(ctx);
            provider.offer_if_due(ctx);
        }
        if ctx.chain.live {
            self.renter.tend_devices(ctx);
        }
        self.wallet.share = self.renter.devices.rank(&devices::own(ctx.me));
        self.renter.tend_head(ctx);
        self.renter.audit_all(ctx);
        self.friends.ask(ctx);
        self.renter.revoke_all(ctx);
        self.wallet.flush(ctx);
    }
}

/// An outcome of another kind than its operation: a bug in the shell.
fn mismatch(pending: &Pending) {
    unreachable!("the shell answered {pending:?} with an outcome of another kind");
}

impl Ctx<'_> {
    fn deny_bulk(&mut self, token: crate::io::Token, deny: Deny) {
        let reply = crate::wire::BulkReply::Denied(deny);
        self.out
            .push(Effect::Bulk(crate::io::BulkEffect::Reply { token, reply }));
    }
}
