//! A validator's task: it answers the engine's questions about blocks, hands what was decided to the
//! ledger's owner, and says when the next height begins. Everything that takes time runs beside it.
//! `docs/protocol.md` §3.5, §3.8.

mod answers;
mod decide;
mod news;
mod renewal;

use super::bodies::{self, Bodies, Body};
use super::commits::Commits;
use super::context::{Larder, Members, Node, Share, Value};
use super::engine::core::{LinearTimeouts, VoteExtensionPolicy};
use super::engine::{
    AppMsg, EngineHandle, Event, HeightParams, LocallyProposedValue, NetworkMsg, NetworkRequest,
    Next, ProposedValue, Reply, RxEvent, SignedConsensusMsg, SyncedValueOutcome,
};
use super::jobs::{Origin, Outcome, Verdicts};
use super::keys::Hand;
use super::pace::Pace;
use super::parts::{Collector, Whole};
use super::start::{Engine, address, peer};
use super::{Ask, BftConfig, BftEnd, BftError, Blocks, guard, proposer};
use crate::acks::Acks;
use crate::intake::{Requests, Waiting};
use crate::{Clock, Committed};
use larder_ledger::{Proposer, State};
use larder_proofs::{Final, ValidatorSet};
use larder_types::{BlockHash, Time};
use news::News;
pub(super) use news::Outward;
use renewal::Renewal;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long each step of a round may take at first, and how much longer in each round after it. A
/// proposal of a full block takes some 100 ms among the slowest, a vote half a round trip.
const TIMEOUTS: LinearTimeouts = LinearTimeouts {
    propose: Duration::from_millis(1_000),
    propose_delta: Duration::from_millis(500),
    prevote: Duration::from_millis(500),
    prevote_delta: Duration::from_millis(250),
    precommit: Duration::from_millis(500),
    precommit_delta: Duration::from_millis(250),
    rebroadcast: Duration::from_millis(2_000),
    max_timeout: Duration::from_secs(15),
};
/// Bodies of the height after the next that wait for it.
const MAX_EARLY: usize = 8;

/// The engine waits to be told to begin a height.
enum Start {
    /// Its first.
    First(Reply<(super::context::Height, HeightParams<Larder>)>),
    /// The one after a decision.
    Next(Reply<Next<Larder>>),
}

/// The engine waits for our proposal.
struct Wanted {
    round: u32,
    until: Instant,
    reply: Reply<LocallyProposedValue<Larder>>,
}

/// A decision whose block is not with the owner yet.
struct Decided {
    block: BlockHash,
    certificate: larder_proofs::Certificate,
    reply: Reply<()>,
}

/// A block with its owner, and the state after it.
struct Pending {
    next: Box<State>,
    acknowledged: oneshot::Receiver<()>,
    reply: Reply<()>,
}

/// Who wants to know what a body is.
enum Asker {
    /// The engine, of a part that was the last one missing.
    Part(Reply<Option<ProposedValue<Larder>>>),
    /// The engine, of a block that others say is final.
    Sync(Reply<SyncedValueOutcome<Larder>>),
    /// Nobody yet: a round's beginning waits for it.
    Round,
}

/// Which body, and for which round it came.
#[derive(Clone, Copy)]
struct About {
    height: u64,
    block: BlockHash,
    round: u32,
    valid_round: Option<u32>,
}

/// What was done beside the task.
enum Done {
    /// A body was checked.
    Checked(About, Asker, io::Result<Outcome>),
    /// Our own body is on the disk.
    Kept(Wanted, BlockHash, io::Result<()>),
    /// Shares were checked.
    Shares(Reply<Verdicts>, Verdicts),
    /// Nothing more to do.
    Nothing(io::Result<()>),
}

/// A round that begins once the bodies for it that wait are checked.
struct Opening {
    round: u32,
    reply: Reply<Vec<ProposedValue<Larder>>>,
}

/// The task.
pub(super) struct Host {
    proposer: Proposer,
    state: State,
    /// Who voted for the newest block: their late votes are still checked.
    before: Arc<ValidatorSet>,
    waiting: Waiting,
    clock: Clock,
    dir: PathBuf,
    engine: Engine,
    events: RxEvent<Larder>,
    blocks: Arc<dyn Blocks>,
    commits: Commits,
    bodies: Bodies,
    collector: Collector,
    /// Whole bodies of the next heights that could not be checked yet.
    early: Vec<(Whole, Origin)>,
    /// Our newest share of a certificate: needs no check when it comes back.
    own_share: Option<(Final, Share)>,
    jobs: JoinSet<Done>,
    checking: usize,
    /// Of the height that runs.
    round: u32,
    opening: Option<Opening>,
    wanted: Option<Wanted>,
    decided: Option<Decided>,
    pending: Option<Pending>,
    start: Option<Start>,
    pace: Pace,
    renewal: Renewal,
    owner: mpsc::Sender<Committed>,
    news: News,
}

impl Host {
    /// Starts the engine, if the key may vote.
    pub(super) async fn start(config: BftConfig, outward: Outward) -> Result<Self, BftError> {
        let (dir, head) = (config.dir.clone(), config.state.head().height);
        let node = config.node.node();
        let proposer = proposer(&config);
        let log = guard::open(&dir, &node, config.mark.as_ref(), head, rand::random())?;
        // What was here before a crash may have been voted for.
        let early = bodies::load(&dir, head.saturating_add(1))?.into_iter();
        let early = early.map(|whole| (whole, Origin::Settled)).collect();
        let commits = Commits::open(&dir, head)?;
        let (acks, kept) = Acks::open(&dir, config.node.clone(), &config.state)?;
        let clock = Clock::clone(&config.clock);
        let mut waiting = Waiting::new(config.limits, clock, Some(acks));
        waiting.take_up(kept, &config.state);
        let hand = Hand {
            node: config.node,
            genesis: config.state.genesis_hash(),
        };
        let engine = Engine::start(hand, log, &config.listen, &config.peers).await?;
        let now = (config.clock)();
        let (owner, news) = outward.split();
        Ok(Self {
            proposer,
            before: Arc::clone(config.state.validators()),
            state: config.state,
            waiting,
            clock: config.clock,
            dir,
            events: engine.channels.events.subscribe(),
            engine,
            blocks: config.blocks,
            commits,
            bodies: Bodies::default(),
            collector: Collector::default(),
            early,
            own_share: None,
            jobs: JoinSet::new(),
            checking: 0,
            round: 0,
            opening: None,
            wanted: None,
            decided: None,
            pending: None,
            start: None,
            // What others did meanwhile is not known: begin at once, and hear of it.
            pace: Pace {
                heard: head.saturating_add(1),
                since: now,
            },
            renewal: Renewal::new(Instant::now()),
            owner,
            news,
        })
    }

    /// Waits until the engine listens, which it says by asking for its first height; `false` if it has
    /// ended.
    pub(super) async fn ready(&mut self) -> bool {
        while self.start.is_none() {
            match self.engine.channels.consensus.recv().await {
                Some(AppMsg::ConsensusReady { reply }) => self.start = Some(Start::First(reply)),
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    pub(super) async fn addresses(&self, node: &larder_types::NodeId) -> Vec<String> {
        self.engine.addresses(node).await
    }

    pub(super) async fn stop(self) {
        self.engine.stop().await;
    }

    /// Runs until the last handle is dropped.
    pub(super) async fn run(
        mut self,
        mut requests: Requests,
        mut asks: mpsc::Receiver<Ask>,
    ) -> Result<(), BftEnd> {
        let end = self.serve(&mut requests, &mut asks).await;
        // Nobody is answered from here on.
        drop(requests);
        self.engine.stop().await;
        end
    }

    async fn serve(
        &mut self,
        requests: &mut Requests,
        asks: &mut mpsc::Receiver<Ask>,
    ) -> Result<(), BftEnd> {
        loop {
            let wake = self.act()?;
            let has_room = self.waiting.has_room();
            tokio::select! {
                biased;
                acknowledged = acknowledged(&mut self.pending) => self.advance(acknowledged)?,
                Some(done) = self.jobs.join_next() => self.done(done?).await?,
                message = self.engine.channels.consensus.recv() => match message {
                    Some(message) => self.answer(message).await?,
                    None => return Err(BftEnd::Engine),
                },
                () = ended(&mut self.engine.handle) => return Err(BftEnd::Engine),
                checked = self.waiting.checked() => {
                    let good = self.waiting.record(checked?);
                    self.news.forward(good);
                }
                event = self.events.recv() => self.overhear(event),
                () = self.news.deliver() => {}
                proof = requests.proofs.recv(), if has_room => match proof {
                    Some(proof) => self.waiting.check(proof, &self.state),
                    None => return Ok(()),
                },
                txs = requests.txs.recv() => match txs {
                    Some(txs) => self.news.spread(self.waiting.admit(txs, &self.state)),
                    None => return Ok(()),
                },
                ask = asks.recv() => match ask {
                    Some(ask) => self.asked(ask).await,
                    None => return Ok(()),
                },
                () = sleep(wake) => {}
            }
        }
    }

    /// Does what is owed now; says when to look again, if nothing happens before.
    fn act(&mut self) -> Result<Option<Duration>, BftEnd> {
        self.open_round();
        self.hand_over()?;
        let (propose, begin) = (self.propose(), self.begin());
        let renew = self.renew();
        Ok(propose.into_iter().chain(begin).chain(renew).min())
    }

    /// Drops the connections to the others if the height that runs has lasted too long.
    fn renew(&mut self) -> Option<Duration> {
        if self.start.is_some() || self.decided.is_some() || self.pending.is_some() {
            return None;
        }
        let height = self.state.head().height.saturating_add(1);
        let left = self.renewal.wait(height, Instant::now());
        if left.is_zero() {
            tracing::warn!(
                height,
                "no block for long: meeting the other validators anew"
            );
            let own = self.proposer.node();
            let members = self.state.validators().members().iter();
            let others = members.filter(|member| member.node != own);
            others.for_each(|member| self.engine.drop_peer(&member.node));
        }
        Some(left)
    }

    /// Begins the next height if it is due.
    fn begin(&mut self) -> Option<Duration> {
        if self.decided.is_some() || self.pending.is_some() {
            return None;
        }
        self.start.as_ref()?;
        let now = (self.clock)();
        let due = self.pace.due(&self.state, &self.waiting.mempool, now);
        if due > now {
            return Some(due.since(now).to_std());
        }
        let height = super::context::Height(self.state.head().height.saturating_add(1));
        let params = HeightParams::new(Members::of(self.state.validators()), TIMEOUTS, None)
            .with_vote_extension_policy(VoteExtensionPolicy::Required);
        // If the engine has ended, its channel says so.
        match self.start.take()? {
            Start::First(reply) => drop(reply.send((height, params))),
            Start::Next(reply) => drop(reply.send(Next::Start(height, params))),
        }
        None
    }

    async fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Wake(height) => self.pace.heard = self.pace.heard.max(height),
            Ask::Peer(text, reply) => {
                let result = match address(&text) {
                    Ok(peer) => self.add_peer(peer).await,
                    Err(e) => Err(e),
                };
                drop(reply.send(result));
            }
        }
    }

    async fn add_peer(&self, peer: super::engine::Multiaddr) -> Result<(), BftError> {
        let requests = &self.engine.channels.net_requests;
        match NetworkRequest::add_persistent_peer(requests, peer).await {
            Ok(Ok(()) | Err(super::engine::PersistentPeerError::AlreadyExists)) => Ok(()),
            Ok(Err(e)) => Err(BftError::Peer(e.to_string())),
            Err(e) => Err(BftError::Peer(e.to_string())),
        }
    }

    /// While we wait, a vote for the next height says that others have begun it; one for a later height,
    /// that they are further.
    fn overhear(&mut self, event: Result<Event<Larder>, broadcast::error::RecvError>) {
        let Ok(Event::Received(SignedConsensusMsg::Vote(vote))) = event else {
            return;
        };
        let height = vote.message.height.0;
        let next = self.state.head().height.saturating_add(1);
        if self.start.is_none() || height < next || self.pace.heard >= next {
            return;
        }
        let by = vote.message.by.0;
        let genesis = self.state.genesis_hash();
        let signed = vote.message.signed();
        if self.state.validators().get(&by).is_some()
            && signed.is_some_and(|signed| signed.is_signed(&by, &genesis, &vote.signature.0))
        {
            self.pace.heard = next;
        }
    }

    fn now(&self) -> Time {
        (self.clock)()
    }
}

/// Resolves when the block in flight is acknowledged; never if there is none.
async fn acknowledged(pending: &mut Option<Pending>) -> Result<(), oneshot::error::RecvError> {
    match pending {
        Some(pending) => (&mut pending.acknowledged).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the engine has ended by itself.
async fn ended(engine: &mut EngineHandle) {
    // However it ended, there is no engine any more.
    drop((&mut engine.handle).await);
}

/// Sleeps for a span, or for ever.
async fn sleep(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
