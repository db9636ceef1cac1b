//! The network between nodes: every message takes its time and may be lost or come twice, as
//! [`crate::weather`] has it; a peer that is away does not answer. A call is answered once, by its peer or by its timeout; a call whose caller or
//! peer crashed ends by the timeout too.
//!
//! Gossip of offers is taken in by keepers when they come online, before each backup, and every
//! half hour while some segment lacks a shard, as the newest offer of each provider; what comes in
//! between would change nothing and cost most of a run's time.

use crate::checkers::Sight;
use crate::jobs;
use crate::queue::{Happening, Life};
use crate::world::World;
use larder_engine::Token;
use larder_engine::io::{
    BulkEffect, Command, Effect, Input, Job, JobError, OpId, Outcome, PeerInput, PutError,
    Unreachable,
};
use larder_engine::rows::{VolumeId, Write};
use larder_engine::wire::{BulkHeader, BulkReply, Deny, Request};
use larder_types::{Amount, Millis, NodeId, SegmentId, ShardRoot, Time};
use std::sync::Arc;

/// A control request that is not answered by then is given up.
const REQUEST_TIMEOUT: Millis = Millis(15_000);
/// A shard's transfer and sync take this long, milliseconds.
const TRANSFER: (u64, u64) = (20, 2_000);
/// A transfer in which nothing comes for so long is given up.
const STALL: Millis = Millis(45_000);
/// Between two looks at the offers where shards are lacking, milliseconds: offers hold an hour.
const GOSSIP: (u64, u64) = (1_200_000, 2_400_000);
/// A provider's disk is looked through again after so many epochs.
const SCRUB_EPOCHS: u64 = 7;
/// Work of the pool takes this long, milliseconds.
const WORK: (u64, u64) = (5, 500);

/// What a call waits for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A control request's answer.
    Request,
    /// A provider's word on a shard that is being placed.
    Put(Arc<[u8]>),
    /// A shard.
    Get(SegmentId, u16),
    /// Someone else's shard, for a provider that cheats.
    Theft,
}

/// A question to a peer that is not answered yet.
#[derive(Debug)]
pub(crate) struct Call {
    life: Life,
    to: usize,
    op: OpId,
    kind: Kind,
    /// The root and chunks that a provider was told to take in.
    receive: Option<(ShardRoot, u64)>,
}

impl World {
    /// Carries out one effect of a node's engine.
    pub(crate) fn effect(&mut self, i: usize, effect: Effect) {
        match effect {
            Effect::Persist(rows) => {
                self.noticed(i, &rows);
                self.nodes[i].disk.persist(rows);
            }
            Effect::Request { op, to, request } => self.request(i, op, &to, request),
            Effect::Reply { token, response } => {
                let wait = self.latency();
                self.answer(token, wait, Outcome::Response(Ok(response)));
            }
            Effect::Bulk(bulk) => self.bulk(i, bulk),
            // Here everybody reaches everybody.
            Effect::Meet { .. } => {}
            Effect::Publish(offer) => {
                self.board.insert(offer.offer.provider, *offer);
            }
            Effect::Submit { op, what } => {
                if let Some(life) = self.nodes[i].alive(i) {
                    let wait = self.latency();
                    self.later(wait, Happening::Submit(life, op, what));
                }
            }
            Effect::Run { op, job, deadline } => self.work(i, op, job, deadline),
            Effect::Tell(notice) => self.told(i, notice),
        }
    }

    /// Checkers see what a keeper writes down.
    fn noticed(&mut self, i: usize, rows: &[Write]) {
        if self.nodes[i].keeper.is_some() {
            let index = &self.index;
            let gone = |id: &NodeId| index.get(id).is_some_and(|p| self.nodes[*p].dead);
            self.checkers.repair.wrote(self.now, i, rows, gone);
        }
    }

    fn latency(&mut self) -> Millis {
        self.weather.latency(&mut self.dice)
    }

    fn lost(&mut self) -> bool {
        self.weather.loses(&mut self.dice)
    }

    /// The peer, if a message from a node gets to it.
    fn reached(&mut self, from: usize, to: &NodeId) -> Option<usize> {
        let to = self.index.get(to).copied()?;
        (self.weather.joins(from, to) && !self.lost()).then_some(to)
    }

    /// The newest offers reach a node.
    pub(crate) fn gossip(&mut self, i: usize) {
        let Some(life) = self.nodes[i].alive(i) else {
            return;
        };
        let offers: Vec<_> = self.board.values().cloned().collect();
        for offer in offers {
            let from = self.index.get(&offer.offer.provider);
            let heard = from.is_some_and(|from| *from != i && self.weather.joins(*from, i));
            if heard && offer.offer.valid_until > self.now {
                self.later(Millis(0), Happening::Input(life, Input::Offer(offer)));
            }
        }
    }

    /// A keeper whose segments lack shards looks for who would take them.
    pub(crate) fn look_around(&mut self, i: usize) {
        let again = self.dice.span(GOSSIP.0, GOSSIP.1);
        self.later(again, Happening::Gossip(i));
        let engine = self.nodes[i].engine.as_ref();
        if engine.is_some_and(|e| e.segments().below_full > 0) {
            self.gossip(i);
        }
    }

    /// Ends an operation of a node's.
    pub(crate) fn done(&mut self, life: Life, wait: Millis, op: OpId, outcome: Outcome) {
        let input = Input::Done { op, outcome };
        self.later(wait, Happening::Input(life, input));
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Notes a question whose answer is waited for.
    pub(crate) fn call(
        &mut self,
        i: usize,
        op: OpId,
        kind: Kind,
        to: &NodeId,
        until: Time,
    ) -> Option<Token> {
        let life = self.nodes[i].alive(i)?;
        let token = self.token();
        let call = Call {
            life,
            to: self.index.get(to).copied().unwrap_or(i),
            op,
            kind,
            receive: None,
        };
        self.calls.insert(token, call);
        self.queue.push(until, Happening::Timeout(token));
        Some(token)
    }

    fn request(&mut self, i: usize, op: OpId, to: &NodeId, request: Request) {
        let until = self.now.after(REQUEST_TIMEOUT);
        let Some(token) = self.call(i, op, Kind::Request, to, until) else {
            return;
        };
        let Some(to) = self.reached(i, to) else {
            return;
        };
        if self.weather.doubles(&mut self.dice) {
            // Nobody waits for the second answer.
            let token = self.token();
            self.send(i, token, to, request.clone());
        }
        self.send(i, token, to, request);
    }

    fn send(&mut self, from: usize, token: Token, to: usize, request: Request) {
        let wait = self.latency();
        let sent = Happening::Request {
            from,
            token,
            to,
            request,
        };
        self.later(wait, sent);
    }

    /// A request reaches its peer.
    pub(crate) fn requested(&mut self, from: usize, token: Token, to: usize, request: Request) {
        if self.nodes[to].engine.is_none() {
            return self.refuse(token);
        }
        let renter_balance = match &request {
            Request::Propose(signed) => self.chain.state.balance(&signed.leaf.renter),
            Request::Revise { .. }
            | Request::Reduce(_)
            | Request::GetLatest { .. }
            | Request::GetOffers
            | Request::PutHead(_)
            | Request::GetHeads { .. }
            | Request::Befriend(_)
            | Request::GetGift
            | Request::Audit(_)
            | Request::Revoke(_) => Amount::ZERO,
        };
        let input = PeerInput::Request {
            from: self.nodes[from].id,
            token,
            request,
            renter_balance,
        };
        self.step(to, Input::Peer(input));
    }

    /// A stream's head reaches its peer.
    pub(crate) fn opened(&mut self, from: usize, token: Token, to: usize, header: BulkHeader) {
        if self.nodes[to].engine.is_none() {
            return self.refuse(token);
        }
        let from = self.nodes[from].id;
        let input = PeerInput::Bulk {
            from,
            token,
            header,
        };
        self.step(to, Input::Peer(input));
    }

    /// No connection: the caller learns it after a moment.
    fn refuse(&mut self, token: Token) {
        let wait = self.latency();
        self.fail(token, wait);
    }

    /// A call has taken too long.
    pub(crate) fn timeout(&mut self, token: Token) {
        self.fail(token, Millis(0));
    }

    fn fail(&mut self, token: Token, wait: Millis) {
        let Some(call) = self.calls.get(&token) else {
            return;
        };
        let outcome = match &call.kind {
            Kind::Request => Outcome::Response(Err(Unreachable::NoAnswer)),
            Kind::Put(_) => Outcome::Put(Err(PutError::Peer(Unreachable::NoAnswer))),
            Kind::Get(..) | Kind::Theft => Outcome::Got(Err(PutError::Peer(Unreachable::NoAnswer))),
        };
        self.answer(token, wait, outcome);
    }

    fn answer(&mut self, token: Token, wait: Millis, outcome: Outcome) {
        let Some(call) = self.calls.get(&token) else {
            return;
        };
        // A lost answer leaves the call to its timeout.
        let arrives = self.weather.joins(call.life.node, call.to);
        if wait > Millis(0) && (!arrives || self.lost()) {
            return;
        }
        match self.calls.remove(&token) {
            // Its engine knows nothing of it.
            Some(Call {
                life,
                kind: Kind::Theft,
                ..
            }) => self.stolen(life.node, &outcome),
            Some(call) => self.done(call.life, wait, call.op, outcome),
            None => {}
        }
    }

    fn bulk(&mut self, i: usize, bulk: BulkEffect) {
        match bulk {
            BulkEffect::Reply { token, reply } => self.replied(token, reply),
            BulkEffect::Receive {
                token,
                root,
                chunks,
            } => {
                let Some(life) = self.nodes[i].alive(i) else {
                    return;
                };
                if let Some(call) = self.calls.get_mut(&token) {
                    call.receive = Some((root, chunks));
                }
                let wait = self.dice.span(TRANSFER.0, TRANSFER.1);
                self.later(wait, Happening::Arrived(life, token));
            }
            BulkEffect::Serve { token, root } => self.served(i, token, &root),
            BulkEffect::Drop { root } => self.nodes[i].disk.drop_shard(&root),
        }
    }

    fn replied(&mut self, token: Token, reply: BulkReply) {
        let Some(call) = self.calls.get(&token) else {
            return;
        };
        let outcome = match (&call.kind, reply) {
            (Kind::Put(_), BulkReply::Ack(ack)) => Outcome::Put(Ok(ack)),
            (Kind::Put(_), BulkReply::Denied(deny)) => Outcome::Put(Err(PutError::Refused(deny))),
            (Kind::Get(..) | Kind::Theft, BulkReply::Denied(deny)) => {
                Outcome::Got(Err(PutError::Refused(deny)))
            }
            (Kind::Put(_), BulkReply::Go) => {
                Outcome::Put(Err(PutError::Peer(Unreachable::Garbage)))
            }
            (Kind::Get(..) | Kind::Theft, BulkReply::Go | BulkReply::Ack(_)) => {
                Outcome::Got(Err(PutError::Peer(Unreachable::Garbage)))
            }
            (Kind::Request, _) => Outcome::Response(Err(Unreachable::Garbage)),
        };
        let wait = self.latency();
        self.answer(token, wait, outcome);
    }

    /// A shard's bytes have arrived at a provider, or broke off.
    pub(crate) fn arrived(&mut self, i: usize, token: Token) {
        let stored = match self.calls.get(&token) {
            Some(Call {
                life,
                kind: Kind::Put(bytes),
                receive: Some((root, chunks)),
                ..
            }) if self.nodes[life.node].alive(life.node) == Some(*life)
                && self.weather.joins(life.node, i) =>
            {
                let (root, chunks, bytes) = (*root, *chunks, Arc::clone(bytes));
                self.stored(i, root, chunks, bytes)
            }
            Some(_) | None => Err(Deny::WrongBytes),
        };
        self.step(i, Input::Peer(PeerInput::Received { token, stored }));
    }

    fn stored(
        &mut self,
        i: usize,
        root: ShardRoot,
        chunks: u64,
        bytes: Arc<[u8]>,
    ) -> Result<VolumeId, Deny> {
        let disk = &mut self.nodes[i].disk;
        if disk.full {
            return Err(Deny::Disk);
        }
        if !disk.store(root, chunks, bytes) {
            return Err(Deny::WrongBytes);
        }
        self.report.shards += 1;
        self.checkers.data.stored(i, root);
        Ok(VolumeId::HOME)
    }

    /// A provider sends a shard, hashing it as it goes out: what is not what it was, it knows then.
    fn served(&mut self, i: usize, token: Token, root: &ShardRoot) {
        let Some(call) = self.calls.get(&token) else {
            return;
        };
        let (life, wait) = (call.life, self.dice.span(TRANSFER.0, TRANSFER.1));
        let disk = &self.nodes[i].disk;
        let got = match (disk.intact(root), disk.shard(root)) {
            (Some(bytes), _) => Ok(Arc::clone(bytes)),
            (None, Some(_)) => Err(PutError::WrongBytes),
            (None, None) => Err(PutError::Peer(Unreachable::Garbage)),
        };
        let found = (got == Err(PutError::WrongBytes)).then_some(*root);
        let reader = &mut self.nodes[life.node].disk;
        let outcome = match (&call.kind, got) {
            (Kind::Get(..), Ok(_)) if reader.full => {
                let full = JobError::Disk("no space left".to_owned());
                Outcome::Got(Err(PutError::Local(full)))
            }
            (Kind::Get(segment, position), Ok(bytes)) => {
                self.report.bytes_read += bytes.len() as u64;
                reader.fetched.insert((*segment, *position), bytes);
                Outcome::Got(Ok(()))
            }
            (Kind::Theft, Ok(_)) => Outcome::Got(Ok(())),
            (Kind::Get(..) | Kind::Theft, Err(why)) => Outcome::Got(Err(why)),
            (Kind::Put(_), _) => Outcome::Put(Err(PutError::Peer(Unreachable::Garbage))),
            (Kind::Request, _) => Outcome::Response(Err(Unreachable::Garbage)),
        };
        self.damaged(i, found.into_iter().collect());
        self.answer(token, wait, outcome);
    }

    /// A node's shell has found shards that are not what they were.
    fn damaged(&mut self, i: usize, roots: Vec<ShardRoot>) {
        // A liar says nothing.
        let honest = self.nodes[i].cheat.is_none() && !roots.is_empty();
        if let Some(life) = self.nodes[i].alive(i).filter(|_| honest) {
            let wait = self.dice.span(1, 1_000);
            let found = Input::Command(Command::Damaged(roots));
            self.later(wait, Happening::Input(life, found));
        }
    }

    /// Plans the next look through a provider's disk: one at the start, then every seven epochs.
    pub(crate) fn plan_scrub(&mut self, life: Life) {
        if self.nodes[life.node].provide.is_some() {
            let epoch = self.setting.params.epoch.0;
            let wait = self.dice.span(epoch / 24, epoch / 4);
            self.later(wait, Happening::Scrub(life));
        }
    }

    /// A provider's disk is looked through.
    pub(crate) fn scrub(&mut self, life: Life) {
        let roots = self.nodes[life.node].disk.rotten();
        self.damaged(life.node, roots);
        let again = Millis(SCRUB_EPOCHS * self.setting.params.epoch.0);
        self.later(again, Happening::Scrub(life));
    }

    /// Work for the pool: done now, told later.
    fn work(&mut self, i: usize, op: OpId, job: Job, deadline: Time) {
        let full = self.nodes[i].disk.full;
        let no_space = || JobError::Disk("no space left".to_owned());
        let outcome = match job {
            Job::Encode { .. } if full => Outcome::Encoded(Err(no_space())),
            Job::Decode { .. } if full => Outcome::Decoded(Err(no_space())),
            Job::Rebuild { .. } if full => Outcome::Rebuilt(Err(no_space())),
            Job::Encode { segment, code, .. } => {
                let disk = &mut self.nodes[i].disk;
                disk.wrote(op, segment, (0..code.n()).collect());
                let roots = jobs::encode(&mut self.nodes[i], &segment, code);
                if let (Ok(roots), Some(keeper)) = (&roots, &self.nodes[i].keeper) {
                    let key = *keeper.keys.mask_key(&segment);
                    self.checkers.data.coded(segment, code, roots, key);
                }
                Outcome::Encoded(roots)
            }
            Job::Decode {
                segment,
                code,
                len,
                positions,
                ..
            } => Outcome::Decoded(jobs::decode(
                &mut self.nodes[i],
                &segment,
                code,
                len,
                &positions,
            )),
            Job::Rebuild {
                segment,
                code,
                shard_len,
                positions,
                missing,
            } => {
                self.looked_at(i, &segment, &missing);
                let node = &mut self.nodes[i];
                node.disk.wrote(op, segment, missing.clone());
                let want = (code, shard_len, missing.as_slice());
                let rebuilt = jobs::rebuild(node, &segment, want, &positions);
                if rebuilt.is_ok() {
                    self.report.rebuilt += missing.len() as u64;
                    self.report.repair_written += missing.len() as u64 * shard_len;
                    self.report.repair_read += positions.len() as u64 * shard_len;
                }
                Outcome::Rebuilt(rebuilt)
            }
            Job::Prove {
                challenge,
                commitment,
            } => {
                let (honest, damaged) = jobs::answer(&self.nodes[i], &challenge, &commitment);
                let proved = self.answers(i, &challenge, &commitment, honest);
                if challenge.kind == larder_proofs::Kind::Ledger {
                    let (node, blob) = (&self.nodes[i], proved.as_deref().ok());
                    self.checkers
                        .proofs
                        .made(node, &challenge, &commitment, blob);
                }
                self.damaged(i, damaged.into_iter().collect());
                Outcome::Proved(proved)
            }
            Job::Put {
                segment,
                position,
                to,
                place,
            } => {
                let header = BulkHeader::Place(place);
                let shard = self.nodes[i]
                    .disk
                    .coded
                    .get(&segment)
                    .and_then(|shards| shards.get(&position).cloned());
                let Some(bytes) = shard else {
                    let gone = JobError::Damaged("the spool lost a shard".to_owned());
                    return self.finish(i, op, Outcome::Put(Err(PutError::Local(gone))));
                };
                return self.stream(i, op, Kind::Put(bytes), deadline, &to, header);
            }
            Job::Get {
                segment,
                position,
                from,
                cap,
                ..
            } => {
                let kind = Kind::Get(segment, position);
                return self.stream(i, op, kind, deadline, &from, BulkHeader::Read(cap));
            }
            Job::Discard { segment, fetched } => {
                return self.discard(i, &segment, fetched);
            }
        };
        self.finish(i, op, outcome);
    }

    /// Checkers look at a keeper that is about to rebuild shards.
    fn looked_at(&mut self, i: usize, segment: &SegmentId, missing: &[u16]) {
        let sight = Sight {
            now: self.now,
            nodes: &self.nodes,
            index: &self.index,
            state: &self.chain.state,
        };
        self.checkers.repair.rebuild(&sight, i, segment, missing);
    }

    fn finish(&mut self, i: usize, op: OpId, outcome: Outcome) {
        if let Some(life) = self.nodes[i].alive(i) {
            let wait = self.dice.span(WORK.0, WORK.1);
            self.done(life, wait, op, outcome);
        }
    }

    fn stream(
        &mut self,
        from: usize,
        op: OpId,
        kind: Kind,
        until: Time,
        to: &NodeId,
        header: BulkHeader,
    ) {
        // A transport that stalls gives up long before the job's own deadline.
        let until = until.min(self.now.after(STALL));
        let Some(token) = self.call(from, op, kind, to, until) else {
            return;
        };
        let Some(to) = self.reached(from, to) else {
            return;
        };
        let wait = self.latency();
        self.later(
            wait,
            Happening::Stream {
                from,
                token,
                to,
                header,
            },
        );
    }

    fn discard(&mut self, i: usize, segment: &SegmentId, fetched: bool) {
        let disk = &mut self.nodes[i].disk;
        if fetched {
            disk.forget_fetched(segment);
        } else {
            // The sealed segment itself is the vault's, until it is durable.
            disk.coded.remove(segment);
        }
    }
}
