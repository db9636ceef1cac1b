//! The driver: one task that owns the engine. It feeds inputs one at a time, makes what they
//! persist durable in one transaction, then carries the other effects out in order. It decides
//! nothing.

mod borrowed;

pub use self::borrowed::Borrowed;
use crate::bulk::Streams;
use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::net::{NetHandle, Responder, Topic};
use crate::pool::Pool;
use crate::store::{Store, StoreError};
use crate::validators::Validators;
use larder_contracts::Pact;
use larder_engine::io::{Outcome, Unreachable};
use larder_engine::placement::Plan;
use larder_engine::wire::{Deny, Request, Response};
use larder_engine::{
    Command, Effect, Engine, FriendsCommand, Input, NoRoom, Notice, OpId, PeerInput,
    ProviderCommand, SendRefusal, Token, TxEnd,
};
use larder_ledger::Tx;
use larder_types::{AccountId, Amount, Class, Epoch, NodeId, SegmentId, TxId, codec};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// Messages that wait for the driver; beyond it senders wait.
const INBOX: usize = 1_024;
/// Inputs that are committed together.
const BATCH: usize = 64;
/// How long a peer has to answer a control request.
const REQUEST_WAIT: Duration = Duration::from_secs(15);

/// What is sent to the driver.
pub enum Msg {
    /// An input for the engine.
    Input(Input),
    /// A peer's control request.
    Request {
        /// Who asks.
        peer: NodeId,
        /// What.
        request: Request,
        /// The way back.
        respond: Responder,
    },
    /// Make room for a backup.
    Prepare {
        /// The class.
        class: Class,
        /// Bytes to come, about.
        bytes: u64,
        /// The way back.
        done: oneshot::Sender<Result<Plan, NoRoom>>,
    },
    /// Place a segment.
    Store {
        /// The segment.
        segment: SegmentId,
        /// Its class.
        class: Class,
        /// Whether it holds metadata.
        meta: bool,
        /// Bytes of C.
        len: u64,
        /// The way back: bytes stored.
        done: oneshot::Sender<Result<u64, NoRoom>>,
    },
    /// Bring a segment back.
    Fetch {
        /// The segment.
        segment: SegmentId,
        /// The way back: the file in the fetch folder, or nothing if it cannot be had.
        done: oneshot::Sender<Option<Borrowed>>,
    },
    /// Bring a segment back with all of its shards.
    Probe {
        /// The segment.
        segment: SegmentId,
        /// The way back, as of a fetch.
        done: oneshot::Sender<Option<Borrowed>>,
    },
    /// Send credit, or a transaction.
    Send {
        /// What.
        what: Payment,
        /// The way back: the transaction.
        done: oneshot::Sender<Result<TxId, SendRefusal>>,
        /// And how it ended.
        ended: oneshot::Sender<TxEnd>,
    },
    /// Announce an absence.
    Maintain {
        /// The first epoch away.
        first: Epoch,
        /// How many.
        epochs: u32,
        /// The way back: the transaction.
        done: oneshot::Sender<Result<TxId, SendRefusal>>,
        /// And how it ended.
        ended: oneshot::Sender<TxEnd>,
    },
    /// Accept a friend's invitation.
    Befriend {
        /// What each side gives.
        pact: Pact,
        /// What it is called.
        name: String,
        /// Where it is reached.
        addrs: Vec<String>,
        /// The way back, once it has answered.
        done: oneshot::Sender<Result<(), Deny>>,
    },
    /// Look at the engine.
    Query(Box<dyn FnOnce(&Engine) + Send>),
}

/// Credit to send, or what else is to stand in a block.
#[derive(Debug)]
pub enum Payment {
    /// For this device to sign.
    Transfer {
        /// To whom.
        to: AccountId,
        /// How much.
        amount: Amount,
    },
    /// Free collateral of this node's provider, back to its account.
    Withdraw(Amount),
    /// Signed elsewhere, and checked.
    Signed(Box<Tx>),
}

impl std::fmt::Debug for Msg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Msg")
    }
}

/// The way to the driver.
#[derive(Debug, Clone)]
pub struct DriverHandle(mpsc::Sender<Msg>);

/// The node is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopping;

impl DriverHandle {
    /// Sends a message; waits while the inbox is full.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn send(&self, msg: Msg) -> Result<(), Stopping> {
        self.0.send(msg).await.map_err(|_| Stopping)
    }

    /// Feeds an input.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn input(&self, input: Input) -> Result<(), Stopping> {
        self.send(Msg::Input(input)).await
    }

    /// Ends an operation.
    pub async fn done(&self, op: OpId, outcome: Outcome) {
        // When the node stops, nobody waits for outcomes any more.
        self.input(Input::Done { op, outcome })
            .await
            .unwrap_or_default();
    }

    /// Asks the engine something.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (tell, told) = oneshot::channel();
        let ask = Box::new(move |engine: &Engine| {
            // Whoever asked may have gone.
            tell.send(ask(engine)).or_gone();
        });
        self.send(Msg::Query(ask)).await?;
        told.await.map_err(|_| Stopping)
    }
}

/// The driver's inbox, made before the driver so that others can hold its handle.
#[must_use]
pub fn inbox() -> (DriverHandle, mpsc::Receiver<Msg>) {
    let (sender, receiver) = mpsc::channel(INBOX);
    (DriverHandle(sender), receiver)
}

/// What tasks beside the driver wait for.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// A catalogue is wanted.
    pub catalogue: Arc<Notify>,
    /// Another device of the account has written something.
    pub devices: Arc<Notify>,
    /// A head of somebody's was taken in: its key may have to be announced.
    pub head: Arc<Notify>,
}

/// What the driver acts through.
#[derive(Debug)]
pub struct Shell {
    /// The way back to the driver itself, for tasks.
    pub handle: DriverHandle,
    /// The database.
    pub store: Store,
    /// The transport.
    pub net: NetHandle,
    /// The ledger's state.
    pub ledger: Ledger,
    /// Workers.
    pub pool: Pool,
    /// Peers' bulk streams.
    pub streams: Streams,
    /// Where transactions and proofs go.
    pub validators: Validators,
    /// Who is called.
    pub calls: Calls,
}

/// Who waits for a payment: its transaction, then its end.
type SentTo = (
    oneshot::Sender<Result<TxId, SendRefusal>>,
    oneshot::Sender<TxEnd>,
);

/// Who waits for what the engine tells.
#[derive(Debug, Default)]
struct Waiting {
    next_job: u64,
    prepared: BTreeMap<u64, oneshot::Sender<Result<Plan, NoRoom>>>,
    stored: BTreeMap<SegmentId, Vec<oneshot::Sender<Result<u64, NoRoom>>>>,
    fetched: BTreeMap<SegmentId, Vec<oneshot::Sender<Option<Borrowed>>>>,
    sent: BTreeMap<u64, SentTo>,
    ended: BTreeMap<TxId, oneshot::Sender<TxEnd>>,
    befriended: BTreeMap<NodeId, oneshot::Sender<Result<(), Deny>>>,
}

/// Runs the engine until the inbox closes or the database fails.
///
/// # Errors
/// [`StoreError`]: a failed write stops the node.
pub async fn run(
    mut engine: Engine,
    mut inbox: mpsc::Receiver<Msg>,
    mut shell: Shell,
    stop: tokio_util::sync::CancellationToken,
) -> Result<(), StoreError> {
    let mut waiting = Waiting::default();
    let mut requests: HashMap<Token, Responder> = HashMap::new();
    let mut effects = step(&mut engine, Input::Started);
    let mut batch = Vec::new();
    loop {
        carry_out(effects, &mut shell, &mut waiting, &mut requests).await?;
        let tick = wait_for(engine.deadline());
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            got = inbox.recv_many(&mut batch, BATCH) => if got == 0 { return Ok(()) },
            () = tick => batch.push(Msg::Input(Input::Tick)),
        }
        effects = Vec::new();
        for msg in batch.drain(..) {
            if let Some(input) = admit(msg, &engine, &shell, &mut waiting, &mut requests) {
                effects.extend(step(&mut engine, input));
            }
        }
    }
}

fn step(engine: &mut Engine, input: Input) -> Vec<Effect> {
    engine.step(crate::home::now(), &mut rand::rng(), input)
}

async fn wait_for(deadline: Option<larder_types::Time>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.since(crate::home::now()).to_std()).await,
        None => std::future::pending().await,
    }
}

/// Turns a message into an input, and remembers who waits for its answer.
fn admit(
    msg: Msg,
    engine: &Engine,
    shell: &Shell,
    waiting: &mut Waiting,
    requests: &mut HashMap<Token, Responder>,
) -> Option<Input> {
    match msg {
        Msg::Input(input) => Some(input),
        Msg::Query(ask) => {
            ask(engine);
            None
        }
        Msg::Befriend {
            pact,
            name,
            addrs,
            done,
        } => {
            waiting.befriended.insert(pact.host.node, done);
            let accept = FriendsCommand::Accept { pact, name, addrs };
            Some(Input::Command(Command::Friends(accept)))
        }
        Msg::Request {
            peer,
            request,
            respond,
        } => {
            let token = shell.streams.next_token();
            requests.insert(token, respond);
            let renter_balance = renter_balance(&request, &shell.ledger);
            let from = peer;
            Some(Input::Peer(PeerInput::Request {
                from,
                token,
                request,
                renter_balance,
            }))
        }
        Msg::Prepare { class, bytes, done } => {
            let job = waiting.job();
            waiting.prepared.insert(job, done);
            Some(Input::Command(Command::Prepare { job, class, bytes }))
        }
        Msg::Store {
            segment,
            class,
            meta,
            len,
            done,
        } => {
            waiting.stored.entry(segment).or_default().push(done);
            Some(Input::Command(Command::Store {
                segment,
                class,
                meta,
                len,
            }))
        }
        Msg::Fetch { segment, done } => {
            waiting.fetched.entry(segment).or_default().push(done);
            Some(Input::Command(Command::Fetch { segment }))
        }
        Msg::Probe { segment, done } => {
            waiting.fetched.entry(segment).or_default().push(done);
            Some(Input::Command(Command::Probe { segment }))
        }
        Msg::Send { what, done, ended } => {
            let job = waiting.job();
            waiting.sent.insert(job, (done, ended));
            Some(Input::Command(match what {
                Payment::Transfer { to, amount } => Command::Send { job, to, amount },
                Payment::Withdraw(amount) => Command::Withdraw { job, amount },
                Payment::Signed(tx) => Command::Submit { job, tx },
            }))
        }
        Msg::Maintain {
            first,
            epochs,
            done,
            ended,
        } => {
            let job = waiting.job();
            waiting.sent.insert(job, (done, ended));
            let maintain = ProviderCommand::Maintain { job, first, epochs };
            Some(Input::Command(Command::Provider(maintain)))
        }
    }
}

/// What the account that a proposal names can spend.
fn renter_balance(request: &Request, ledger: &Ledger) -> Amount {
    match request {
        Request::Propose(signed) => ledger.read().0.balance(&signed.leaf.renter),
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
    }
}

/// Makes everything that is to persist durable, then does the rest in order. Committing the
/// writes of several inputs together keeps each of them before the effects that follow it.
async fn carry_out(
    effects: Vec<Effect>,
    shell: &mut Shell,
    waiting: &mut Waiting,
    requests: &mut HashMap<Token, Responder>,
) -> Result<(), StoreError> {
    let mut writes = Vec::new();
    let mut rest = Vec::new();
    for effect in effects {
        match effect {
            Effect::Persist(rows) => writes.extend(rows),
            other @ (Effect::Meet { .. }
            | Effect::Request { .. }
            | Effect::Reply { .. }
            | Effect::Bulk(_)
            | Effect::Publish(_)
            | Effect::Submit { .. }
            | Effect::Run { .. }
            | Effect::Tell(_)) => rest.push(other),
        }
    }
    if !writes.is_empty() {
        shell.store.persist(writes).await?;
    }
    for effect in rest {
        act(effect, shell, waiting, requests);
    }
    Ok(())
}

fn act(
    effect: Effect,
    shell: &mut Shell,
    waiting: &mut Waiting,
    requests: &mut HashMap<Token, Responder>,
) {
    match effect {
        Effect::Persist(_) => unreachable!("rows were taken out before"),
        Effect::Request { op, to, request } => ask(shell, op, to, request),
        Effect::Reply { token, response } => {
            if matches!(response, Response::Kept { .. }) {
                shell.calls.head.notify_one();
            }
            if let Some(respond) = requests.remove(&token) {
                let bytes = codec::encode(&Answer::Engine(response));
                tokio::spawn(async move {
                    if let Err(e) = respond.respond(bytes).await {
                        tracing::debug!("an answer was not sent: {e}");
                    }
                });
            }
        }
        Effect::Bulk(effect) => shell.streams.act(effect),
        Effect::Meet { node, addrs } => {
            let net = shell.net.clone();
            tokio::spawn(async move {
                let addrs = addrs.iter().filter_map(|addr| addr.parse().ok()).collect();
                if let Err(e) = net.add_addrs(node, addrs).await {
                    tracing::debug!("addresses were not noted: {e}");
                }
            });
        }
        Effect::Publish(offer) => {
            let net = shell.net.clone();
            tokio::spawn(async move {
                if let Err(e) = net.publish(Topic::Offers, codec::encode(&*offer)).await {
                    tracing::debug!("our offer was not spread: {e}");
                }
            });
        }
        Effect::Submit { op, what } => {
            let (validators, handle) = (shell.validators.clone(), shell.handle.clone());
            tokio::spawn(async move {
                let outcome = validators.submit(what, &handle).await;
                handle.done(op, Outcome::Submitted(outcome)).await;
            });
        }
        Effect::Run { op, job, deadline } => shell.pool.run(op, job, deadline),
        Effect::Tell(Notice::CatalogueWanted) => shell.calls.catalogue.notify_one(),
        Effect::Tell(Notice::DevicesChanged) => shell.calls.devices.notify_one(),
        Effect::Tell(notice) => waiting.tell(notice, &shell.handle),
    }
}

fn ask(shell: &Shell, op: OpId, to: NodeId, request: Request) {
    let (net, handle) = (shell.net.clone(), shell.handle.clone());
    tokio::spawn(async move {
        let bytes = codec::encode(&Call::Engine(request));
        let answer = match net.request(to, bytes, REQUEST_WAIT).await {
            Ok(bytes) => match codec::decode::<Answer>(&bytes) {
                Ok(Answer::Engine(response)) => Ok(response),
                Ok(_) | Err(_) => Err(Unreachable::Garbage),
            },
            Err(e) => {
                tracing::debug!(%to, "a peer did not answer: {e}");
                Err(Unreachable::NoAnswer)
            }
        };
        handle.done(op, Outcome::Response(answer)).await;
    });
}

impl Waiting {
    fn job(&mut self) -> u64 {
        self.next_job += 1;
        self.next_job
    }

    /// Passes a notice to those who wait for it. They may have gone; that is no error.
    fn tell(&mut self, notice: Notice, driver: &DriverHandle) {
        match notice {
            Notice::Prepared { job, plan } => {
                self.prepared
                    .remove(&job)
                    .map(|done| done.send(plan).is_ok());
            }
            Notice::SegmentDurable {
                segment,
                bytes_stored,
            } => {
                for done in self.stored.remove(&segment).unwrap_or_default() {
                    done.send(Ok(bytes_stored)).or_gone();
                }
            }
            Notice::SegmentFailed { segment, reason } => {
                tracing::warn!(%segment, "a segment was not placed: {reason}");
                for done in self.stored.remove(&segment).unwrap_or_default() {
                    done.send(Err(reason.clone())).or_gone();
                }
            }
            Notice::SegmentReady { segment } => {
                for done in self.fetched.remove(&segment).unwrap_or_default() {
                    let borrowed = Borrowed {
                        segment,
                        driver: Some(driver.clone()),
                    };
                    done.send(Some(borrowed)).or_gone();
                }
            }
            Notice::SegmentUnavailable {
                segment,
                reached,
                needed,
            } => {
                tracing::warn!(%segment, "only {reached} of {needed} needed shards were reached");
                for done in self.fetched.remove(&segment).unwrap_or_default() {
                    done.send(None).or_gone();
                }
            }
            Notice::TxQueued { job, tx } => {
                if let Some((done, ended)) = self.sent.remove(&job) {
                    if let Ok(id) = &tx {
                        self.ended.insert(*id, ended);
                    }
                    done.send(tx).or_gone();
                }
            }
            Notice::Befriended { node, end } => {
                if let Some(done) = self.befriended.remove(&node) {
                    done.send(end).or_gone();
                }
            }
            Notice::HeadKept { seq, holders } => {
                tracing::debug!(seq, holders, "providers hold our head");
            }
            Notice::CatalogueWanted | Notice::DevicesChanged => {
                unreachable!("a task was called instead")
            }
            Notice::TxEnded { tx, end } => {
                self.ended.remove(&tx).map(|ended| ended.send(end).is_ok());
            }
        }
    }
}

/// For answers whose asker may have gone.
trait Gone {
    fn or_gone(self);
}

impl<T> Gone for Result<(), T> {
    fn or_gone(self) {}
}
