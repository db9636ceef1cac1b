//! The network between nodes: every message takes its time and may be lost; a peer that is away
//! does not answer. A call is answered once, by its peer or by its timeout; a call whose caller or
//! peer crashed ends by the timeout too.
//!
//! Gossip of offers is taken in by keepers when they come online and before each backup, as the
//! newest offer of each provider; what comes in between would change nothing and cost most of a
//! run's time.

use crate::jobs;
use crate::queue::{Happening, Life};
use crate::world::World;
use larder_engine::Token;
use larder_engine::io::{
    BulkEffect, Effect, Input, Job, JobError, OpId, Outcome, PeerInput, PutError, Unreachable,
};
use larder_engine::wire::{BulkHeader, BulkReply, Deny, Request};
use larder_types::{Amount, Millis, NodeId, SegmentId, Time};
use std::sync::Arc;

/// One way takes this long, milliseconds.
const LATENCY: (u64, u64) = (5, 150);
/// One message in so many is lost.
const LOSS: u64 = 400;
/// A control request that is not answered by then is given up.
const REQUEST_TIMEOUT: Millis = Millis(15_000);
/// A shard's transfer and sync take this long, milliseconds.
const TRANSFER: (u64, u64) = (20, 2_000);
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
}

/// A question to a peer that is not answered yet.
#[derive(Debug)]
pub(crate) struct Call {
    life: Life,
    op: OpId,
    kind: Kind,
    /// The root and chunks that a provider was told to take in.
    receive: Option<(larder_types::ShardRoot, u64)>,
}

impl World {
    /// Carries out one effect of a node's engine.
    pub(crate) fn effect(&mut self, i: usize, effect: Effect) {
        match effect {
            Effect::Persist(rows) => self.nodes[i].disk.persist(rows),
            Effect::Request { op, to, request } => self.request(i, op, &to, request),
            Effect::Reply { token, response } => {
                let wait = self.latency();
                self.answer(token, wait, Outcome::Response(Ok(response)));
            }
            Effect::Bulk(bulk) => self.bulk(i, bulk),
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

    fn latency(&mut self) -> Millis {
        self.dice.span(LATENCY.0, LATENCY.1)
    }

    fn lost(&mut self) -> bool {
        self.dice.one_in(LOSS)
    }

    /// The newest offers reach a node.
    pub(crate) fn gossip(&mut self, i: usize) {
        let Some(life) = self.nodes[i].alive(i) else {
            return;
        };
        let offers: Vec<_> = self.board.values().cloned().collect();
        for offer in offers {
            if offer.offer.valid_until > self.now && offer.offer.provider != self.nodes[i].id {
                self.later(Millis(0), Happening::Input(life, Input::Offer(offer)));
            }
        }
    }

    /// Ends an operation of a node's.
    pub(crate) fn done(&mut self, life: Life, wait: Millis, op: OpId, outcome: Outcome) {
        let input = Input::Done { op, outcome };
        self.later(wait, Happening::Input(life, input));
    }

    fn call(&mut self, i: usize, op: OpId, kind: Kind, until: Time) -> Option<Token> {
        let life = self.nodes[i].alive(i)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        let call = Call {
            life,
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
        let Some(token) = self.call(i, op, Kind::Request, until) else {
            return;
        };
        let (Some(to), false) = (self.index.get(to).copied(), self.lost()) else {
            return;
        };
        let (wait, from) = (self.latency(), i);
        self.later(
            wait,
            Happening::Request {
                from,
                token,
                to,
                request,
            },
        );
    }

    /// A request reaches its peer.
    pub(crate) fn requested(&mut self, from: usize, token: Token, to: usize, request: Request) {
        if self.nodes[to].engine.is_none() {
            return self.refuse(token);
        }
        let renter_balance = match &request {
            Request::Propose(signed) => self.chain.state.balance(&signed.leaf.renter),
            Request::Revise { .. }
            | Request::GetLatest { .. }
            | Request::GetOffers
            | Request::PutHead(_)
            | Request::GetHeads { .. } => Amount::ZERO,
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
            Kind::Get(..) => Outcome::Got(Err(PutError::Peer(Unreachable::NoAnswer))),
        };
        self.answer(token, wait, outcome);
    }

    fn answer(&mut self, token: Token, wait: Millis, outcome: Outcome) {
        // A lost answer leaves the call to its timeout.
        if wait > Millis(0) && self.lost() {
            return;
        }
        if let Some(call) = self.calls.remove(&token) {
            self.done(call.life, wait, call.op, outcome);
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
            (Kind::Get(..), BulkReply::Denied(deny)) => Outcome::Got(Err(PutError::Refused(deny))),
            (Kind::Put(_), BulkReply::Go) => {
                Outcome::Put(Err(PutError::Peer(Unreachable::Garbage)))
            }
            (Kind::Get(..), BulkReply::Go | BulkReply::Ack(_)) => {
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
            }) if self.nodes[life.node].alive(life.node) == Some(*life) => {
                let bytes = Arc::clone(bytes);
                self.nodes[i].disk.store(*root, *chunks, bytes)
            }
            Some(_) | None => false,
        };
        self.report.shards += u64::from(stored);
        let stored = stored.then_some(()).ok_or(Deny::WrongBytes);
        self.step(i, Input::Peer(PeerInput::Received { token, stored }));
    }

    /// A provider sends a shard.
    fn served(&mut self, i: usize, token: Token, root: &larder_types::ShardRoot) {
        let Some(call) = self.calls.get(&token) else {
            return;
        };
        let (life, wait) = (call.life, self.dice.span(TRANSFER.0, TRANSFER.1));
        let bytes = self.nodes[i].disk.shard(root).cloned();
        let good = bytes.filter(|b| blake3::hash(b).as_bytes() == &root.0);
        let outcome = match (&call.kind, good) {
            (Kind::Get(segment, position), Some(bytes)) => {
                let key = (*segment, *position);
                self.nodes[life.node].disk.fetched.insert(key, bytes);
                Outcome::Got(Ok(()))
            }
            (Kind::Get(..), None) => Outcome::Got(Err(PutError::Peer(Unreachable::Garbage))),
            (Kind::Put(_), _) => Outcome::Put(Err(PutError::Peer(Unreachable::Garbage))),
            (Kind::Request, _) => Outcome::Response(Err(Unreachable::Garbage)),
        };
        self.answer(token, wait, outcome);
    }

    /// Work for the pool: done now, told later.
    fn work(&mut self, i: usize, op: OpId, job: Job, deadline: Time) {
        let outcome = match job {
            Job::Encode { segment, code, .. } => {
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
                let node = &mut self.nodes[i];
                let want = (code, shard_len, missing.as_slice());
                Outcome::Rebuilt(jobs::rebuild(node, &segment, want, &positions))
            }
            Job::Prove {
                challenge,
                commitment,
            } => {
                let node = &self.nodes[i];
                let proved = jobs::answer(node, &challenge, &commitment);
                self.checkers
                    .proofs
                    .made(node, &challenge, &commitment, proved.as_deref().ok());
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
        let Some(token) = self.call(from, op, kind, until) else {
            return;
        };
        let (Some(to), false) = (self.index.get(to).copied(), self.lost()) else {
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
            disk.spool.remove(segment);
            disk.coded.remove(segment);
        }
    }
}
