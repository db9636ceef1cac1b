//! A keeper's data found again from its words alone: follow the chain, gather the account's heads,
//! hand them to the engine, read the catalogues, enter the snapshots, publish a head of our own. Each
//! step may be done again: an interrupted recovery is begun anew and ends the same. What is believed
//! of peers' answers, `engine::head::choose` decides. `docs/protocol.md` §3.9.

use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::driver::DriverHandle;
use crate::heads;
use crate::home::rebirth::{is_recovering, recovered};
use crate::jobs::segments_error;
use crate::net::NetHandle;
use crate::segments::NetSegments;
use crate::shown::{count, internal, stopping};
use crate::working::Working;
use futures::StreamExt as _;
use larder_backup::{RebuildError, RebuildSummary, Segments as _, Vault};
use larder_engine::head::{Chosen, SegmentEntry, SignedHead, choose};
use larder_engine::report::{RepairState, SegmentHealth};
use larder_engine::standing::RecoveryState;
use larder_engine::{Command, Engine, Input};
use larder_keys::RecoveryKeys;
use larder_rpc::{Code, HeadsFound, Nano, RecoverSummary, RpcError, SegmentFailure, Text};
use larder_types::{AccountId, GenesisHash, NodeId, SegmentId, Time, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a step looks whether it is over.
const LOOK: Duration = Duration::from_millis(250);
/// How long no peer at all may answer.
const PEERS_WAIT: Duration = Duration::from_secs(30);
/// How long the chain may stand still before a peer is asked whether there is more of it.
const STILL: Duration = Duration::from_secs(2);
/// How old the newest block of a chain that moves may be.
const FRESH: Duration = Duration::from_secs(5);
/// How long a peer may take to say what blocks it has.
const BLOCKS_WAIT: Duration = Duration::from_secs(10);
/// How long heads are gathered while a provider of the account is silent.
const HEADS_WAIT: Duration = Duration::from_secs(20);
/// How long while nothing says that there are any.
const HEADS_WAIT_UNKNOWN: Duration = Duration::from_secs(8);
/// Between two rounds of asking those who did not answer.
const ROUND: Duration = Duration::from_millis(500);
/// One look-up of those who announce the account's heads.
const LOOKUP: Duration = Duration::from_secs(5);
/// Peers asked at once.
const ASKED_AT_ONCE: usize = 32;
/// How long providers have to tell what they store for us.
const SETTLE_WAIT: Duration = Duration::from_secs(120);
/// How long once only those are missing that do not answer.
const SILENT_WAIT: Duration = Duration::from_secs(10);
/// How long until providers hold our own head.
const KEPT_WAIT: Duration = Duration::from_secs(30);
/// Segments named in the summary.
const NAMED: usize = 1_000;

/// What a recovery works with.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The engine.
    pub driver: DriverHandle,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The transport.
    pub net: NetHandle,
    /// Name and seal of the account's heads; `None`: the home does not know them.
    pub keys: Option<RecoveryKeys>,
    /// The account.
    pub account: AccountId,
    /// The device of this home.
    pub device: [u8; 32],
    /// The network.
    pub genesis: GenesisHash,
    /// The home, whose mark is taken away in the end.
    pub home: PathBuf,
    /// Whether no other device of the account is in use.
    pub alone: bool,
}

/// What the ledger says of the account.
struct OnLedger {
    known: bool,
    /// Whom it has contracts with.
    providers: BTreeSet<NodeId>,
    /// Those of them that are not FAULTED: their answer is worth waiting for.
    sound: BTreeSet<NodeId>,
}

/// What came of asking for heads.
struct Gathered {
    chosen: Chosen,
    /// Providers of the account that did not answer.
    silent: BTreeSet<NodeId>,
}

impl Recovery {
    /// Recovers what can be recovered.
    ///
    /// # Errors
    /// [`Code::NoPeers`]; [`Code::WrongWords`] if nothing is known of the account;
    /// [`Code::NoHeads`] if it has contracts and nobody shows a head; the vault's own.
    pub async fn run(
        &self,
        vault: &Vault,
        segments: &Arc<NetSegments>,
        working: &Working,
    ) -> Result<RecoverSummary, RpcError> {
        let all = self.steps(vault, segments, working);
        match working.cancel.run_until_cancelled(all).await {
            Some(ended) => ended,
            None => Err(RpcError::new(Code::Cancelled, "interrupted")),
        }
    }

    async fn steps(
        &self,
        vault: &Vault,
        segments: &Arc<NetSegments>,
        working: &Working,
    ) -> Result<RecoverSummary, RpcError> {
        let began = Instant::now();
        let keys = self.keys.as_ref().ok_or_else(no_rendezvous)?;
        self.follow(working).await?;
        let Gathered { chosen, mut silent } = self.gather(keys, working).await?;
        // Now, before contracts move on by what this node does.
        let uncovered = self.uncovered(&chosen);
        self.tell(Command::Recovered {
            heads: chosen.heads.iter().map(|h| h.signed.clone()).collect(),
            alone: self.alone,
        })
        .await?;
        self.settle(working).await?;
        let mut lost = self
            .read_catalogues(&chosen, vault, segments, working)
            .await?;
        let state = self.settle(working).await?;
        silent.extend(&state.unreachable);
        working.in_vault();
        let rebuilt = vault
            .rebuild(segments, &working.progress, &working.cancel)
            .await
            .map_err(|e| rebuild_error(&e))?;
        // What the old home was about to take back, this one takes back, and does not look for.
        let dropped = vault.dropped().await.map_err(internal)?;
        self.tell(Command::Drop(dropped.iter().copied().collect()))
            .await?;
        working.at("publishing", String::new());
        let kept = heads::kept(&self.driver, KEPT_WAIT).await;
        let holders = kept.map_err(stopping)?.map_or(0, |s| s.holders);
        // Shards that nothing explains: the heads were old, or a catalogue is lost. Not the end.
        if state.strangers == 0 {
            recovered(&self.home).map_err(|e| RpcError::new(Code::Internal, e))?;
        }
        lost.extend(failures(&rebuilt, &dropped));
        let found = heads_found(&chosen);
        let state = self.driver.query(Engine::recovery_state).await;
        let state = state.map_err(stopping)?;
        let mut summary = self.summary(vault, &state, lost, found).await?;
        summary.providers_silent = count(silent.len() as u64);
        summary.uncovered = uncovered;
        summary.head_holders = holders;
        summary.seconds = began.elapsed().as_secs_f64();
        Ok(summary)
    }

    async fn tell(&self, command: Command) -> Result<(), RpcError> {
        let told = self.driver.input(Input::Command(command)).await;
        told.map_err(stopping)
    }

    // The chain.

    /// Waits until the chain is followed to the present.
    async fn follow(&self, working: &Working) -> Result<(), RpcError> {
        let mut heard = Instant::now();
        let (mut height, mut moved) = (0, Instant::now());
        loop {
            let head = self.ledger.read().0.head();
            working.at("following", format!("block {}", head.height));
            if head.height != height {
                (height, moved, heard) = (head.height, Instant::now(), Instant::now());
            }
            if height > 0 && is_fresh(head.time) {
                return Ok(());
            }
            // Without any block, a peer that has none either tells nothing of the network.
            if height > 0 && moved.elapsed() >= STILL {
                match self.is_newest(height).await? {
                    Some(true) => return Ok(()),
                    Some(false) => heard = Instant::now(),
                    None => {}
                }
            }
            if heard.elapsed() >= PEERS_WAIT {
                return Err(no_peers());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether no connected peer has a block above `height`; `None` if none answers.
    async fn is_newest(&self, height: u64) -> Result<Option<bool>, RpcError> {
        let peers = self.net.peers().await.map_err(internal)?;
        let call = codec::encode(&Call::Blocks { from: height + 1 });
        let answers = futures::stream::iter(peers)
            .map(|peer| self.net.request(peer.node, call.clone(), BLOCKS_WAIT))
            .buffer_unordered(ASKED_AT_ONCE)
            .filter_map(async |answer| match codec::decode(&answer.ok()?) {
                Ok(Answer::Blocks(blocks)) => Some(blocks.is_empty()),
                Ok(_) | Err(_) => None,
            })
            .collect::<Vec<bool>>()
            .await;
        Ok((!answers.is_empty()).then(|| answers.iter().all(|newest| *newest)))
    }

    fn on_ledger(&self) -> OnLedger {
        let guard = self.ledger.read();
        let contracts = guard.0.contracts_of(&self.account);
        let providers: BTreeSet<NodeId> = contracts.map(|(_, provider, _)| provider).collect();
        let is_sound = |p: &&NodeId| guard.0.provider(p).is_some_and(|p| p.faulted.is_none());
        OnLedger {
            known: guard.0.account(&self.account).is_some(),
            sound: providers.iter().filter(is_sound).copied().collect(),
            providers,
        }
    }

    /// Contracts of which the ledger has newer revisions than every head. Alone that is no loss:
    /// they also move on by repair and renewal.
    fn uncovered(&self, chosen: &Chosen) -> u32 {
        let guard = self.ledger.read();
        let active = guard.0.contracts_of(&self.account);
        let active = active.map(|(_, _, leaf)| (leaf.contract_id, leaf.revision));
        count(chosen.uncovered(active).len() as u64)
    }

    // Heads.

    /// The account's heads, from whoever may have them.
    async fn gather(&self, keys: &RecoveryKeys, working: &Working) -> Result<Gathered, RpcError> {
        let ledger = self.on_ledger();
        let wait = match ledger.known || !ledger.providers.is_empty() {
            true => HEADS_WAIT,
            false => HEADS_WAIT_UNKNOWN,
        };
        let began = Instant::now();
        let mut given: BTreeMap<NodeId, Vec<SignedHead>> = BTreeMap::new();
        let chosen = loop {
            self.ask_round(keys, &ledger.providers, &mut given).await?;
            let answers = given.clone().into_iter().collect();
            let chosen = choose(answers, keys, &self.account, &self.genesis);
            self.learn_addresses(&chosen).await?;
            let wanted = ledger.sound.len();
            let answered = ledger.sound.iter().filter(|p| given.contains_key(*p));
            let answered = answered.count();
            let detail = format!("{answered} of {wanted} providers answered");
            working.at("gathering heads", detail);
            let enough = answered == wanted && !chosen.heads.is_empty();
            if enough || began.elapsed() >= wait {
                break chosen;
            }
            tokio::time::sleep(ROUND).await;
        };
        let contracted = ledger.providers.len();
        if chosen.heads.is_empty() && contracted > 0 {
            return Err(no_heads(contracted));
        }
        if chosen.heads.is_empty() && !ledger.known {
            return Err(unknown());
        }
        // Without heads and contracts there is credit, and nothing stored.
        let mut silent = ledger.providers;
        silent.retain(|provider| !given.contains_key(provider));
        Ok(Gathered { chosen, silent })
    }

    /// Asks everyone who may have heads and has not answered yet: the account's providers, those who
    /// announce its heads, whoever is connected.
    async fn ask_round(
        &self,
        keys: &RecoveryKeys,
        providers: &BTreeSet<NodeId>,
        given: &mut BTreeMap<NodeId, Vec<SignedHead>>,
    ) -> Result<(), RpcError> {
        let found = self.net.find_providers(keys.key, LOOKUP).await;
        let connected = self.net.peers().await.map_err(internal)?;
        let mut asked = providers.clone();
        asked.extend(found.map_err(internal)?);
        asked.extend(connected.iter().map(|p| p.node));
        asked.retain(|peer| !given.contains_key(peer));
        let answers = futures::stream::iter(asked)
            .map(async |peer| (peer, heads::ask(&self.net, peer, keys.key).await))
            .buffer_unordered(ASKED_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        // What this node has published before it recovered says nothing yet.
        let is_new = is_recovering(&self.home);
        for (peer, heads) in answers {
            if let Some(mut heads) = heads {
                heads.retain(|head| !is_new || head.cert.device_pk != self.device);
                given.insert(peer, heads);
            }
        }
        Ok(())
    }

    /// Where the heads say that providers were last heard at.
    async fn learn_addresses(&self, chosen: &Chosen) -> Result<(), RpcError> {
        for contract in chosen.heads.iter().flat_map(|h| &h.head.contracts) {
            let addrs = contract
                .addrs
                .iter()
                .filter_map(|a| a.parse().ok())
                .collect();
            let noted = self.net.add_addrs(contract.provider, addrs).await;
            noted.map_err(internal)?;
        }
        Ok(())
    }

    // Segments.

    /// Waits until every provider has told what it stores for the account; not for ever.
    async fn settle(&self, working: &Working) -> Result<RecoveryState, RpcError> {
        let (began, mut complete) = (Instant::now(), Instant::now());
        loop {
            let state = self.driver.query(Engine::recovery_state).await;
            let state = state.map_err(stopping)?;
            let detail = format!("{} of {} contracts", state.trees, state.contracts);
            working.at("finding shards", detail);
            let missing = state.contracts.saturating_sub(state.trees);
            if missing > count(state.unreachable.len() as u64) {
                complete = Instant::now();
            }
            let only_silent = missing > 0 && complete.elapsed() >= SILENT_WAIT;
            if state.settled || only_silent || began.elapsed() >= SETTLE_WAIT {
                return Ok(state);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tells the engine of the segments that the catalogues describe; gives the catalogues that
    /// could not be read.
    async fn read_catalogues(
        &self,
        chosen: &Chosen,
        vault: &Vault,
        segments: &Arc<NetSegments>,
        working: &Working,
    ) -> Result<Vec<SegmentFailure>, RpcError> {
        let mut lost = Vec::new();
        for entry in chosen.segments.iter().filter(|e| e.catalogue) {
            let id = entry.manifest.segment;
            working.at("reading catalogues", id.to_string());
            match read_catalogue(id, vault, segments).await {
                Ok(entries) => {
                    let catalogue = id;
                    self.tell(Command::Known { catalogue, entries }).await?;
                }
                Err(reason) => {
                    tracing::warn!(catalogue = %id, "not read: {reason}");
                    lost.push(failure(id, reason));
                }
            }
        }
        Ok(lost)
    }

    async fn summary(
        &self,
        vault: &Vault,
        state: &RecoveryState,
        mut failures: Vec<SegmentFailure>,
        heads: HeadsFound,
    ) -> Result<RecoverSummary, RpcError> {
        let snapshots = vault.snapshots().await.map_err(internal)?;
        let look = |e: &Engine| (e.spendable(), e.segments().below_full, e.below_full());
        let looked = self.driver.query(look).await.map_err(stopping)?;
        let (balance, below_full, health) = looked;
        // Segments below their threshold are not listed to the vault, which names the others.
        // What is being placed is an upload, not a loss.
        let is_gone = |h: &&SegmentHealth| h.alive < h.code.k() && h.state != RepairState::Placing;
        for gone in health.iter().filter(is_gone) {
            let segment = gone.segment.to_string();
            if !failures.iter().any(|f| f.segment == segment) {
                let reason = format!("{} shards found of {} needed", gone.alive, gone.code.k());
                failures.push(SegmentFailure { segment, reason });
            }
        }
        let gone = state.segments.saturating_sub(state.restorable);
        let lost = gone.max(failures.len() as u64);
        failures.truncate(NAMED);
        Ok(RecoverSummary {
            account: Text(self.account),
            balance: Nano(balance),
            contracts: state.contracts,
            providers_silent: 0,
            segments: state.segments,
            snapshots: snapshots.len() as u64,
            bytes: snapshots.iter().map(|(_, s)| s.bytes).sum(),
            heads,
            segments_below_full: below_full,
            lost,
            failures,
            uncovered: 0,
            strangers: state.strangers,
            head_holders: 0,
            seconds: 0.0,
        })
    }
}

/// What a catalogue describes.
pub(crate) async fn read_catalogue(
    id: SegmentId,
    vault: &Vault,
    segments: &Arc<NetSegments>,
) -> Result<Vec<SegmentEntry>, String> {
    let path = segments.fetch(id).await.map_err(|e| e.to_string())?;
    let read = vault.read_catalogue(path, id).await;
    segments.release(id).await;
    let bytes = read.map_err(|e| e.to_string())?;
    codec::decode(&bytes).map_err(|e| e.to_string())
}

/// Whether a block is so new that hardly another can be missing.
fn is_fresh(time: Time) -> bool {
    crate::home::now().since(time).to_std() <= FRESH
}

fn heads_found(chosen: &Chosen) -> HeadsFound {
    let stale: BTreeSet<NodeId> = chosen.stale.iter().map(|s| s.peer).collect();
    HeadsFound {
        found: count(chosen.heads.len() as u64),
        stale_peers: count(stale.len() as u64),
        refused: chosen.refused,
        seq: chosen.seq,
    }
}

/// What could not be read, without what marks say is gone.
fn failures(
    rebuilt: &RebuildSummary,
    dropped: &BTreeSet<SegmentId>,
) -> impl Iterator<Item = SegmentFailure> {
    let lost = rebuilt.lost.iter();
    let lost = lost.filter(|(id, _)| !dropped.contains(id));
    lost.map(|(id, why)| failure(*id, why.clone()))
}

fn failure(id: SegmentId, reason: String) -> SegmentFailure {
    SegmentFailure {
        segment: id.to_string(),
        reason,
    }
}

fn no_rendezvous() -> RpcError {
    RpcError::new(
        Code::NoAccount,
        "this home was made before backups could be recovered; run `larder recover` with the words \
         and another --home",
    )
}

fn no_peers() -> RpcError {
    RpcError::new(
        Code::NoPeers,
        "no peer of the network answers; check that the invite's addresses can be reached, or ask \
         for a new invite",
    )
}

fn unknown() -> RpcError {
    RpcError::new(
        Code::WrongWords,
        "this network knows nothing of these words' account: check the words and their order, and \
         that the invite is of the right network",
    )
}

fn no_heads(contracts: usize) -> RpcError {
    RpcError::new(
        Code::NoHeads,
        format_args!(
            "the account has contracts with {contracts} providers, and none of them shows its head; \
             the home is kept: run the same command again when they are reachable"
        ),
    )
}

fn rebuild_error(error: &RebuildError) -> RpcError {
    let code = match error {
        RebuildError::Segments(inner) => return segments_error(inner),
        RebuildError::Lock(_) => Code::VaultBusy,
        RebuildError::Index(_) => Code::Internal,
        RebuildError::Cancelled => Code::Cancelled,
    };
    RpcError::new(code, error)
}
