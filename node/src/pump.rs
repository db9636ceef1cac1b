//! What the network brings, sorted: control requests and streams to the engine, heads and blocks
//! to the fetcher, transactions and proofs to the validator that we may be. Each answer to a peer
//! runs in a task of its own; the transport bounds how many there are.

use crate::blocks::Heard;
use crate::bulk::Streams;
use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::driver::{DriverHandle, Msg};
use crate::net::{MessageToken, NetEvent, NetHandle, Responder, Topic, Verdict};
use crate::store::Store;
use crate::validators::Validators;
use larder_contracts::SignedOffer;
use larder_engine::io::{Submission, SubmitError};
use larder_engine::wire::{Request, Response};
use larder_engine::{Command, Input};
use larder_types::{NodeId, codec};
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a peer may take to tell its offers.
const OFFERS_WAIT: Duration = Duration::from_secs(10);

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
    /// Bulk streams.
    pub streams: Streams,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The encoded genesis document.
    pub genesis: Vec<u8>,
}

impl Pump {
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
            } => {
                let verdict = self.offer(&bytes).await;
                if let Err(e) = self.net.report(token, verdict).await {
                    tracing::debug!("an offer was not judged: {e}");
                }
            }
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
            Call::Blocks { from } => self.blocks(from, respond),
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
            let answer = match pump.validators.take(from, what).await {
                Ok(()) => Answer::Taken,
                Err(SubmitError::NoAnswer) => Answer::Busy,
                Err(SubmitError::Refused(why)) => Answer::Refused(why),
            };
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

    /// Judges a gossiped offer; a good one goes to the engine, its addresses to the transport.
    async fn offer(&self, bytes: &[u8]) -> Verdict {
        let Ok(offer) = codec::decode::<SignedOffer>(bytes) else {
            return Verdict::Reject;
        };
        let checked = {
            let guard = self.ledger.read();
            offer.check(
                crate::home::now(),
                guard.0.params(),
                &guard.0.genesis_hash(),
            )
        };
        match checked {
            Ok(_) => {
                self.learn(offer).await;
                Verdict::Accept
            }
            Err(e) => {
                tracing::debug!("an offer is refused: {e}");
                Verdict::Ignore
            }
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
        if self.heard.try_send(Heard::Peer(peer)).is_err() {
            tracing::debug!("the fetcher is busy");
        }
        let pump = self.clone();
        tokio::spawn(async move {
            let call = codec::encode(&Call::Engine(Request::GetOffers));
            let answer = pump.net.request(peer, call, OFFERS_WAIT).await;
            if let Some(Answer::Engine(Response::Offers(offers))) =
                answer.ok().and_then(|bytes| codec::decode(&bytes).ok())
            {
                for offer in offers.into_iter().take(larder_engine::wire::MAX_OFFERS) {
                    pump.learn(offer).await;
                }
            }
        });
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
