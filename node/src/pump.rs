//! What the network brings, sorted: control requests and streams to the engine, heads and blocks
//! to the fetcher, transactions and proofs to the validator that we may be. Each answer to a peer
//! runs in a task of its own; the transport bounds how many there are.

use crate::blocks::Heard;
use crate::bulk::Streams;
use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::driver::{DriverHandle, Msg};
use crate::meeting::Meeting;
use crate::net::{MessageToken, NetEvent, NetHandle, Responder, Topic, Verdict};
use crate::spread::Spread;
use crate::store::Store;
use crate::validators::Validators;
use larder_contracts::SignedOffer;
use larder_engine::io::{Submission, SubmitError};
use larder_engine::wire::{Request, Response};
use larder_engine::{Command, Input};
use larder_ledger::ProofAck;
use larder_types::{NodeId, codec};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// How long a peer may take to tell its offers.
const OFFERS_WAIT: Duration = Duration::from_secs(10);
/// How often a new peer is asked for offers: our chain may not yet know who made them.
const OFFERS_TRIES: u32 = 5;
/// How long before the second time, twice that before the third, and so on; and how long before an
/// unknown provider's offer is looked at once more: a block with its registration may be on its way.
const OFFERS_PAUSE: Duration = Duration::from_secs(2);
/// Offers of unknown providers that wait for that; more are ignored.
const MAX_UNKNOWN: usize = 64;

/// Where things go.
#[derive(Debug, Clone)]
pub struct Pump {
    /// The engine.
    pub driver: DriverHandle,
    /// The fetcher of blocks.
    pub heard: mpsc::Sender<Heard>,
    /// The transport.
    pub net: NetHandle,
    /// The database.
    pub store: Store,
    /// The validators.
    pub validators: Validators,
    /// Gossip of transactions.
    pub spread: Spread,
    /// Where validators find each other.
    pub meeting: Meeting,
    /// Bulk streams.
    pub streams: Streams,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The encoded genesis document.
    pub genesis: Vec<u8>,
    /// Room for offers of unknown providers: [`Pump::room`].
    pub unknown: Arc<Semaphore>,
}

/// What an offer is worth as the ledger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It holds, and its provider is registered.
    Good,
    /// It holds, but the ledger does not know its provider, or by another account.
    Unknown,
    /// It breaks a rule.
    Bad,
}

impl Pump {
    /// Room for a burst of offers of unknown providers.
    #[must_use]
    pub fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_UNKNOWN))
    }

    /// Sorts until the node stops.
    pub async fn run(self, mut events: mpsc::Receiver<NetEvent>, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Some(event) => self.sort(event).await,
                None => return,
            }
        }
    }

    async fn sort(&self, event: NetEvent) {
        match event {
            NetEvent::Request {
                peer,
                bytes,
                respond,
            } => self.request(peer, &bytes, respond).await,
            NetEvent::Gossip {
                topic: Topic::Heads,
                source,
                bytes,
                token,
            } => {
                // A full queue drops it: the next head brings the same blocks.
                if self
                    .heard
                    .try_send(Heard::Head {
                        from: source,
                        bytes,
                        token,
                    })
                    .is_err()
                {
                    tracing::debug!("a head was dropped: the fetcher is busy");
                }
            }
            NetEvent::Gossip {
                topic: Topic::Offers,
                bytes,
                token,
                ..
            } => match codec::decode::<SignedOffer>(&bytes) {
                Ok(offer) => self.offer(offer, token).await,
                Err(_) => self.judge(token, Verdict::Reject).await,
            },
            NetEvent::Gossip {
                topic: Topic::Txs,
                bytes,
                token,
                ..
            } => self.spread.heard(bytes, token).await,
            NetEvent::Bulk { stream, .. } => self.streams.opened(stream),
            NetEvent::Connected(peer) => self.connected(peer),
            NetEvent::Disconnected(peer) => tracing::debug!(%peer, "disconnected"),
            NetEvent::Listening(addr) => {
                tracing::info!(%addr, "listening");
                self.tell_addresses().await;
            }
        }
    }

    async fn request(&self, peer: NodeId, bytes: &[u8], respond: Responder) {
        let Ok(call) = codec::decode::<Call>(bytes) else {
            return self.answer(respond, Answer::Refused("malformed request".to_owned()));
        };
        match call {
            Call::Engine(request) => {
                let msg = Msg::Request {
                    peer,
                    request,
                    respond,
                };
                if self.driver.send(msg).await.is_err() {
                    tracing::debug!("the engine has stopped");
                }
            }
            Call::Tx(tx) => self.submit(peer, Submission::Tx(Box::new(tx)), respond),
            Call::Proof { slot, blob } => {
                let blob = blob.into_vec();
                self.submit(peer, Submission::Proof { slot, blob }, respond);
            }
            Call::Forwarded { provider, blob } => {
                self.forwarded(peer, provider, blob.into_vec(), respond);
            }
            Call::Blocks { from } => self.blocks(from, respond),
            Call::Consensus => {
                self.answer(respond, Answer::Consensus(self.meeting.port()));
            }
            Call::Genesis => {
                self.answer(
                    respond,
                    Answer::Genesis(ByteBuf::from(self.genesis.clone())),
                );
            }
        }
    }

    fn submit(&self, from: NodeId, what: Submission, respond: Responder) {
        let pump = self.clone();
        tokio::spawn(async move {
            let answer = taken(pump.validators.take(from, what).await);
            pump.answer(respond, answer);
        });
    }

    /// Only validators vouch for whose a proof is.
    fn forwarded(&self, from: NodeId, provider: NodeId, blob: Vec<u8>, respond: Responder) {
        if !self.validators.is_one(&from) {
            let why = "only validators hand on the proofs of others".to_owned();
            return self.answer(respond, Answer::Refused(why));
        }
        let pump = self.clone();
        tokio::spawn(async move {
            let heard = pump.validators.hear_proof(from, provider, blob).await;
            let answer = taken(heard.map(|()| None));
            pump.answer(respond, answer);
        });
    }

    fn blocks(&self, from: u64, respond: Responder) {
        let pump = self.clone();
        tokio::spawn(async move {
            let blocks = match pump.store.blocks(from).await {
                Ok(blocks) => blocks.into_iter().map(ByteBuf::from).collect(),
                Err(e) => {
                    tracing::warn!("blocks cannot be read: {e}");
                    Vec::new()
                }
            };
            pump.answer(respond, Answer::Blocks(blocks));
        });
    }

    fn answer(&self, respond: Responder, answer: Answer) {
        tokio::spawn(async move {
            if let Err(e) = respond.respond(codec::encode(&answer)).await {
                tracing::debug!("an answer was not sent: {e}");
            }
        });
    }

    /// Judges a gossiped offer; a good one goes to the engine, its addresses to the transport. Keys
    /// cost nothing, a registration does: offers of others would only push the real ones out.
    async fn offer(&self, offer: SignedOffer, token: MessageToken) {
        match self.standing(&offer) {
            Standing::Good => {
                self.learn(offer).await;
                self.judge(token, Verdict::Accept).await;
            }
            Standing::Bad => self.judge(token, Verdict::Ignore).await,
            Standing::Unknown => match Arc::clone(&self.unknown).try_acquire_owned() {
                Ok(place) => self.look_again(offer, token, place),
                Err(_) => self.judge(token, Verdict::Ignore).await,
            },
        }
    }

    fn look_again(&self, offer: SignedOffer, token: MessageToken, place: OwnedSemaphorePermit) {
        let pump = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(OFFERS_PAUSE).await;
            drop(place);
            if pump.standing(&offer) == Standing::Good {
                pump.learn(offer).await;
                pump.judge(token, Verdict::Accept).await;
            } else {
                pump.judge(token, Verdict::Ignore).await;
            }
        });
    }

    fn standing(&self, signed: &SignedOffer) -> Standing {
        let guard = self.ledger.read();
        let state = &guard.0;
        let checked = signed.check(crate::home::now(), state.params(), &state.genesis_hash());
        if let Err(e) = checked {
            tracing::debug!("an offer is refused: {e}");
            return Standing::Bad;
        }
        let offer = &signed.offer;
        match state.provider(&offer.provider) {
            Some(known) if known.payout == offer.account => Standing::Good,
            Some(_) | None => Standing::Unknown,
        }
    }

    async fn judge(&self, token: MessageToken, verdict: Verdict) {
        if let Err(e) = self.net.report(token, verdict).await {
            tracing::debug!("an offer was not judged: {e}");
        }
    }

    async fn learn(&self, offer: SignedOffer) {
        let addrs = offer
            .offer
            .addrs
            .iter()
            .filter_map(|a| a.parse().ok())
            .collect();
        if let Err(e) = self.net.add_addrs(offer.offer.provider, addrs).await {
            tracing::debug!("addresses were not noted: {e}");
        }
        if self.driver.input(Input::Offer(offer)).await.is_err() {
            tracing::debug!("the engine has stopped");
        }
    }

    /// A new peer: it may know blocks and offers that we lack.
    fn connected(&self, peer: NodeId) {
        tracing::debug!(%peer, "connected");
        if self.validators.is_one(&peer) {
            self.meeting.call();
        }
        if self.heard.try_send(Heard::Peer(peer)).is_err() {
            tracing::debug!("the fetcher is busy");
        }
        let pump = self.clone();
        tokio::spawn(async move { pump.ask_for_offers(peer).await });
    }

    /// Asks a peer for its offers, again if some were of providers that our chain does not know yet.
    async fn ask_for_offers(&self, peer: NodeId) {
        let mut pause = OFFERS_PAUSE;
        for _ in 0..OFFERS_TRIES {
            let call = codec::encode(&Call::Engine(Request::GetOffers));
            let answer = self.net.request(peer, call, OFFERS_WAIT).await;
            let Some(Answer::Engine(Response::Offers(offers))) =
                answer.ok().and_then(|bytes| codec::decode(&bytes).ok())
            else {
                return;
            };
            if self.sift(offers).await == 0 {
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Learns the good ones; how many were of unknown providers.
    async fn sift(&self, offers: Vec<SignedOffer>) -> usize {
        let mut unknown = 0;
        for offer in offers.into_iter().take(larder_engine::wire::MAX_OFFERS) {
            match self.standing(&offer) {
                Standing::Good => self.learn(offer).await,
                Standing::Unknown => unknown += 1,
                Standing::Bad => {}
            }
        }
        unknown
    }

    async fn tell_addresses(&self) {
        let Ok(addrs) = self.net.listen_addrs().await else {
            return;
        };
        let addrs = addrs.iter().map(ToString::to_string).collect();
        if self
            .driver
            .input(Input::Command(Command::Addresses(addrs)))
            .await
            .is_err()
        {
            tracing::debug!("the engine has stopped");
        }
    }
}

fn taken(taken: Result<Option<ProofAck>, SubmitError>) -> Answer {
    match taken {
        Ok(Some(ack)) => Answer::Acknowledged(ack),
        Ok(None) => Answer::Taken,
        Err(SubmitError::NoAnswer) => Answer::Busy,
        Err(SubmitError::Refused(why)) => Answer::Refused(why),
    }
}
