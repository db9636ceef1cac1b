//! Blocks from peers: one task hears of heads and of new peers, asks for what the chain lacks, one
//! fetch at a time, and hands decoded blocks to the chain's owner over a bounded channel. A peer
//! that is silent or sends nonsense costs this task its patience and nobody else anything. Validators
//! of the current set are asked in turn, other peers only if those that were asked are silent. A node
//! that makes blocks itself asks nobody.

use crate::call::{Answer, Call, HeadNote};
use crate::chain::Ledger;
use crate::net::{MessageToken, NetHandle, Verdict};
use crate::seat::Seat;
use larder_engine::rota::Rota;
use larder_ledger::Certified;
use larder_types::{NodeId, codec};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Heads and peers that wait; more are dropped, the next one brings the same blocks.
const QUEUE: usize = 64;
/// How long a network's only validator may take to send blocks: an answer is up to some megabytes.
const VALIDATOR_WAIT: Duration = Duration::from_secs(15);
/// How long anybody else may: there are others.
const PEER_WAIT: Duration = Duration::from_secs(5);
/// Validators asked in a round, at most: with more of them silent, the next round asks the next.
const MAX_VALIDATORS: usize = 3;
/// Other peers asked in a round, at most.
const MAX_PEERS: usize = 2;
/// Bounds of how long nothing new is heard before somebody is asked all the same.
const QUIET: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What the fetcher hears.
#[derive(Debug)]
pub enum Heard {
    /// A head, by gossip.
    Head {
        /// Who published it.
        from: NodeId,
        /// The encoded [`HeadNote`].
        bytes: Vec<u8>,
        /// To be judged.
        token: MessageToken,
    },
    /// A peer that may know more.
    Peer(NodeId),
}

/// The queue of what is heard.
#[must_use]
pub fn queue() -> (mpsc::Sender<Heard>, mpsc::Receiver<Heard>) {
    mpsc::channel(QUEUE)
}

/// Blocks that a peer sent, above the chain's height and in its order; unchecked otherwise.
#[derive(Debug)]
pub struct Fetched {
    /// Who sent them.
    pub peer: NodeId,
    /// The blocks, at least one.
    pub blocks: Vec<Certified>,
    /// Told once they are applied or refused.
    pub taken: oneshot::Sender<()>,
}

/// The fetcher.
#[derive(Debug)]
pub struct Fetcher {
    /// The transport.
    pub net: NetHandle,
    /// The ledger's state: how far the chain is, and who makes blocks.
    pub ledger: Ledger,
    /// Whether this node makes blocks itself: then it only judges heads.
    pub seat: Seat,
    /// Which validator is asked next.
    pub rota: Rota,
    /// To the chain's owner. One place: the next round starts from what this one brought.
    pub fetched: mpsc::Sender<Fetched>,
}

/// Whom a round of questions begins with, and what it is for.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    /// Before the validators.
    first: Option<NodeId>,
    /// After them.
    last: Option<NodeId>,
    /// It is over once the chain has this height; 0: once somebody has answered.
    wanted: u64,
}

/// What a head is worth as the ledger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The validators made it final.
    Final,
    /// It is of a set that we do not know: we lag behind a change, or it is invented.
    Unknown,
    /// It is not what it says.
    Bad,
}

impl Fetcher {
    /// Fetches until nobody is left to tell it anything.
    pub async fn run(mut self, mut heard: mpsc::Receiver<Heard>) {
        let quiet = self.quiet();
        let mut until = Instant::now() + quiet;
        loop {
            let before = self.height();
            match timeout_at(until, heard.recv()).await {
                Ok(Some(Heard::Head { from, bytes, token })) => {
                    self.head(from, &bytes, token).await;
                    // Heads that bring nothing do not keep us from asking.
                    if self.height() == before {
                        continue;
                    }
                }
                Ok(Some(Heard::Peer(peer))) => {
                    let last = Some(peer);
                    self.catch_up(Round {
                        last,
                        ..Round::default()
                    })
                    .await;
                }
                Ok(None) => return,
                Err(_) => self.catch_up(Round::default()).await,
            }
            until = Instant::now() + quiet;
        }
    }

    /// Two slots without a word are worth a question.
    fn quiet(&self) -> Duration {
        let guard = self.ledger.read();
        let params = guard.0.params();
        let slot = Duration::from_millis(params.epoch.0 / u64::from(params.slots.max(1)));
        (slot * 2).clamp(QUIET.0, QUIET.1)
    }

    /// A head is passed on only once its block is here: whoever hears of it can ask us.
    async fn head(&mut self, from: NodeId, bytes: &[u8], token: MessageToken) {
        let verdict = match codec::decode::<HeadNote>(bytes) {
            Ok(note) => self.judge(from, &note).await,
            Err(_) => Verdict::Reject,
        };
        if let Err(e) = self.net.report(token, verdict).await {
            tracing::debug!("a head was not judged: {e}");
        }
    }

    /// A head of a set that is not known yet is held against nobody: it is a reason to catch up, from
    /// whoever published it, and is judged again.
    pub(crate) async fn judge(&mut self, from: NodeId, note: &HeadNote) -> Verdict {
        let height = note.header.height;
        let mut standing = self.standing(note);
        if standing != Standing::Bad && height > self.height() {
            self.catch_up(Round {
                first: Some(from),
                last: None,
                wanted: height,
            })
            .await;
        }
        if standing == Standing::Unknown {
            standing = self.standing(note);
        }
        match standing {
            Standing::Final if height <= self.height() => Verdict::Accept,
            Standing::Final | Standing::Unknown => Verdict::Ignore,
            Standing::Bad => Verdict::Reject,
        }
    }

    fn standing(&self, note: &HeadNote) -> Standing {
        let authority = self.ledger.read().0.authority();
        if note.header.validators != authority.validators.hash() {
            Standing::Unknown
        } else if note.is_final(&authority) {
            Standing::Final
        } else {
            Standing::Bad
        }
    }

    fn height(&self) -> u64 {
        self.ledger.read().0.head().height
    }

    /// Asks one after another until the round has what it is for.
    async fn catch_up(&mut self, round: Round) {
        if let Some(own) = self.seat.own() {
            return own.wake(round.wanted);
        }
        let own = self.net.node();
        let set = self.ledger.read().0.authority().validators;
        let members = set.members().iter().map(|member| member.node);
        let mut turns = self.rota.order(members.filter(|node| *node != own));
        let only = turns.len() == 1;
        turns.truncate(MAX_VALIDATORS);
        let mut asked = vec![own];
        let named = round.first.into_iter().chain(turns).chain(round.last);
        for peer in named.chain(self.peers().await) {
            if asked.contains(&peer) {
                continue;
            }
            asked.push(peer);
            let votes = set.place(&peer).is_some();
            let wait = if votes && only {
                VALIDATOR_WAIT
            } else {
                PEER_WAIT
            };
            let before = self.height();
            let answered = self.drain(peer, wait).await;
            match (votes, self.height() > before) {
                (true, true) => self.rota.stay(peer),
                (true, false) => self.rota.pass(peer),
                (false, _) => {}
            }
            if answered && self.height() >= round.wanted {
                return;
            }
        }
    }

    /// Connected peers: for when no validator answers.
    async fn peers(&self) -> Vec<NodeId> {
        let peers = self.net.peers().await.unwrap_or_default();
        peers.iter().take(MAX_PEERS).map(|peer| peer.node).collect()
    }

    /// Asks a peer for what we lack as long as that brings us further; whether it answered.
    async fn drain(&self, peer: NodeId, wait: Duration) -> bool {
        let mut answered = false;
        loop {
            let before = self.height();
            let Some(blocks) = self.ask(peer, before + 1, wait).await else {
                return answered;
            };
            answered = true;
            if !blocks.is_empty() {
                self.hand_over(peer, blocks).await;
            }
            if self.height() == before {
                return true;
            }
        }
    }

    /// The peer's blocks from a height on, up to the first that does not decode.
    async fn ask(&self, peer: NodeId, from: u64, wait: Duration) -> Option<Vec<Certified>> {
        let call = codec::encode(&Call::Blocks { from });
        let answer = self.net.request(peer, call, wait).await.ok()?;
        let Ok(Answer::Blocks(blocks)) = codec::decode(&answer) else {
            return None;
        };
        let blocks = blocks
            .iter()
            .map_while(|bytes| codec::decode::<Certified>(bytes).ok());
        Some(blocks.filter(|b| b.block.header.height >= from).collect())
    }

    /// Waits until the chain's owner has looked at the blocks. If it has stopped, we soon are.
    async fn hand_over(&self, peer: NodeId, blocks: Vec<Certified>) {
        let (taken, done) = oneshot::channel();
        let fetched = Fetched {
            peer,
            blocks,
            taken,
        };
        if self.fetched.send(fetched).await.is_ok() && done.await.is_err() {
            tracing::debug!("the chain has stopped");
        }
    }
}
