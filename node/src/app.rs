//! `larder up`: everything wired together. One task each for the transport, the chain, the engine
//! and the RPC; any of them ending unexpectedly ends the node. Stop order: refuse new calls, let
//! the engine persist, close the transport and the database.

use crate::api::NodeApi;
use crate::blocks;
use crate::bulk::Streams;
use crate::call::{Answer, Call};
use crate::catalogue::Cataloguer;
use crate::chain::{Chain, ChainError};
use crate::cli::options::{Ready, UpOptions};
use crate::driver::{self, Calls, Shell};
use crate::follow::Follower;
use crate::heads;
use crate::home::{Home, HomeError, configured, now};
use crate::jobs::Jobs;
use crate::net::{Multiaddr, Net, NetConfig, NetError, NetHandle, node_id};
use crate::pool::{Pool, Turns};
use crate::pump::Pump;
use crate::recovery::Recovery;
use crate::segments::NetSegments;
use crate::shards::scrub::{self, Scrubber};
use crate::shards::{ShardStore, StoreConfig};
use crate::spool::Spool;
use crate::store::{Store, StoreError};
use crate::validators::Validators;
use larder_backup::Vault;
use larder_consensus::{Clock, Solo};
use larder_engine::{Engine, Identity, Provide};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::mempool::Limits;
use larder_ledger::{Genesis, Proposer};
use larder_rpc::Endpoint;
use larder_rpc::server::{ServeError, serve};
use larder_types::size::MIB;
use larder_types::{Amount, Bytes, Params, Schedule, ShardRoot, codec};
use libp2p::multiaddr::Protocol;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where a node listens without `--listen`.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4750", "/ip4/0.0.0.0/udp/4750/quic-v1"];
/// Where the RPC listens without `--rpc`.
const RPC_PORT: u16 = 4730;
/// A provider leaves this much of its disk free.
const RESERVE: Bytes = Bytes(256 * MIB);
/// One step of capacity (64 MiB) and what the store writes beside it.
const LEAST_QUOTA: Bytes = Bytes(65 * MIB);
/// What a provider asks without `--price`, per GiB and 30 days: a hundredth of a credit.
const PRICE: Amount = Amount(10_000_000);
/// How long a joining node waits between tries to get the genesis document.
const GENESIS_WAIT: Duration = Duration::from_secs(1);
/// Deleted shards rest this long. `docs/protocol.md` §3.3.
const TRASH_DAYS: u64 = 7;
/// How often the trash is looked through.
const TRASH_EVERY: Duration = Duration::from_secs(3_600);
/// How long the stopping tasks may take.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// An address that does not parse.
    #[error("{0:?} is not a multiaddr; write /ip4/0.0.0.0/tcp/4750, for example")]
    Addr(String),
    /// The transport.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The engine's rows.
    #[error("{0}; restore node.db from a copy")]
    Rows(#[from] larder_engine::rows::RowError),
    /// The shard store.
    #[error("the shard store: {0}; check the disk")]
    Shards(#[from] crate::shards::StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] larder_backup::vault::VaultError),
    /// The spool.
    #[error("the spool: {0}; check the disk")]
    Spool(std::io::Error),
    /// The RPC.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The runtime.
    #[error("the runtime: {0}")]
    Runtime(std::io::Error),
    /// The home's keys are not the validator's.
    #[error("this home did not found the network: only its founder's node can --validate")]
    NotValidator,
    /// The network's genesis is none that this version reads.
    #[error(
        "the network is one of another version of Larder; all of its members run the same version"
    )]
    OtherVersion,
    /// An offer that the network would refuse.
    #[error("--{0} is too long, at most {1} characters")]
    TooLong(&'static str, usize),
    /// A quota that nobody could use.
    #[error("--provide {0} is too little; offer at least 65MiB")]
    LittleQuota(Bytes),
    /// A task ended that should not have.
    #[error("the {0} task ended unexpectedly; run `larder up` again, nothing acknowledged is lost")]
    Ended(&'static str),
}

impl AppError {
    /// The exit code of SURFACE.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Home(e) => e.exit_code(),
            Self::Addr(_) | Self::TooLong(..) | Self::LittleQuota(_) => 2,
            Self::Net(_)
            | Self::Store(_)
            | Self::Chain(_)
            | Self::Rows(_)
            | Self::Shards(_)
            | Self::Vault(_)
            | Self::Spool(_)
            | Self::Serve(_)
            | Self::Runtime(_)
            | Self::NotValidator
            | Self::OtherVersion
            | Self::Ended(_) => 1,
        }
    }
}

/// Runs the node in `home` until SIGINT, SIGTERM or `node_shutdown`.
///
/// # Errors
/// [`AppError`].
pub fn run(home: &Path, options: UpOptions, ready: impl FnOnce(Ready)) -> Result<(), AppError> {
    let home = Home::open(home)?;
    let settings = Settings::of(&home, options)?;
    let runtime = runtime()?;
    let stop = CancellationToken::new();
    let ended = runtime.block_on(async {
        stop_on_signals(&stop);
        up(home, settings, stop, ready).await
    });
    runtime.shutdown_timeout(STOP_WAIT);
    ended
}

/// Runs the node in `home` for a recovery until `stop`: it listens nowhere, offers nothing and asks
/// the faucet for nothing. It signs with the account key, which the words at hand give: providers
/// may not know the new device's key yet. The key stays in memory.
///
/// # Errors
/// [`AppError`].
pub fn run_recovery(
    home: &Path,
    account: Signer,
    stop: CancellationToken,
    ready: impl FnOnce(Ready),
) -> Result<(), AppError> {
    let home = Home::open(home)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(up(home, Settings::recovery(account), stop, ready));
    runtime.shutdown_timeout(STOP_WAIT);
    ended
}

fn runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(AppError::Runtime)
}

/// What flags, environment, file and defaults came to.
struct Settings {
    listen: Vec<Multiaddr>,
    rpc: SocketAddr,
    provide: Option<Provide>,
    validate: bool,
    /// Whether the node may ask for the grant of an account that the ledger does not know.
    faucet: Faucet,
    /// The account key, while the words are at hand.
    account_key: Option<AccountSigner>,
}

/// What becomes of an account that the ledger does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faucet {
    /// The faucet is asked for its grant, where the network has one.
    Asked,
    /// Nothing: it may be the account of wrong words.
    LeftAlone,
}

impl Faucet {
    fn params(self, params: &Params) -> Params {
        match self {
            Self::Asked => params.clone(),
            Self::LeftAlone => Params {
                faucet: None,
                ..params.clone()
            },
        }
    }
}

impl Settings {
    fn recovery(account: Signer) -> Self {
        Self {
            listen: Vec::new(),
            rpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            provide: None,
            validate: false,
            faucet: Faucet::LeftAlone,
            account_key: Some(AccountSigner::own(account)),
        }
    }

    fn of(home: &Home, options: UpOptions) -> Result<Self, AppError> {
        let file = &home.config.up;
        let listen = [
            options.listen,
            file.listen.clone(),
            LISTEN.map(str::to_owned).to_vec(),
        ]
        .into_iter()
        .find(|l| !l.is_empty())
        .unwrap_or_default();
        let quota = match options.provide {
            Some(quota) => Some(quota),
            None => configured(home, "provide", file.provide.as_ref())?,
        };
        let price = match options.price {
            Some(price) => Some(price),
            None => configured(home, "price", file.price.as_ref())?,
        };
        let region = options
            .region
            .or_else(|| file.region.clone())
            .unwrap_or_default();
        let operator = options
            .operator
            .or_else(|| file.operator.clone())
            .unwrap_or_default();
        short("region", &region, larder_contracts::offer::MAX_REGION)?;
        short("operator", &operator, larder_contracts::offer::MAX_OPERATOR)?;
        if let Some(quota) = quota.filter(|q| q.0 < LEAST_QUOTA.0) {
            return Err(AppError::LittleQuota(quota));
        }
        let price = price.unwrap_or(PRICE);
        Ok(Self {
            listen: listen
                .into_iter()
                .map(|l| l.parse().map_err(|_| AppError::Addr(l)))
                .collect::<Result<_, _>>()?,
            rpc: options
                .rpc
                .or(file.rpc)
                .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, RPC_PORT))),
            provide: quota.map(|quota| Provide {
                quota,
                price,
                egress_price: Amount::ZERO,
                region,
                operator,
            }),
            validate: options.validate || file.validate,
            faucet: Faucet::Asked,
            account_key: None,
        })
    }
}

fn short(what: &'static str, value: &str, most: usize) -> Result<(), AppError> {
    if value.len() > most {
        Err(AppError::TooLong(what, most))
    } else {
        Ok(())
    }
}

async fn up(
    home: Home,
    settings: Settings,
    stop: CancellationToken,
    ready: impl FnOnce(Ready),
) -> Result<(), AppError> {
    let started = now();
    // The RPC's address is the commonest thing to be taken; but nothing serves before the rest
    // stands, so the order is: home, database, transport, chain, engine, RPC.
    let store = Store::open(&home.dir.join("node.db")).await?;
    let (net, events) = start_net(&home, &settings).await?;
    let genesis = tokio::select! {
        genesis = genesis(&home, &net) => genesis?,
        () = stop.cancelled() => return Ok(()),
    };
    let (node, account) = (home.keys.node.node(), home.keys.account());
    let chain = Chain::open(store.clone(), &genesis, node, account).await?;
    let ledger = chain.ledger();

    let mut tasks: JoinSet<(&'static str, Result<(), AppError>)> = JoinSet::new();
    let mut solo = None;
    let mut own_blocks = None;
    if settings.validate {
        let spawned = validate(&home, &chain)?;
        solo = Some(spawned.solo);
        own_blocks = Some(spawned.blocks);
        tasks.spawn(async move {
            let ended = spawned.task.await;
            if let Ok(Err(e)) = &ended {
                tracing::error!("consensus: {e}");
            }
            ("consensus", Err(AppError::Ended("consensus")))
        });
    }

    let (driver, inbox) = driver::inbox();
    let calls = Calls::default();
    let spool = Spool::open(&home.dir).map_err(AppError::Spool)?;
    let (suspects, suspected) = scrub::suspects();
    let validators = Validators {
        own: node,
        validator: genesis.validator,
        solo,
        net: net.clone(),
    };
    let identity = Identity {
        genesis: genesis.hash(),
        params: settings.faucet.params(&genesis.params),
        schedule: Schedule::new(genesis.start, &genesis.params),
        node_key: home.keys.node.clone(),
        ledger_key: match settings.account_key {
            Some(account) => account,
            None => home.keys.ledger_key(),
        },
        delegation: Some(home.keys.delegation.clone()),
        device_key: home.keys.device.clone(),
        cert: home.keys.cert.clone(),
        recovery: home.recovery_keys()?,
    };
    let engine = Engine::restore(
        identity,
        settings.provide.clone(),
        store.engine_rows().await?,
    )?;
    let known = engine.stored_shards();
    let shards = open_shards(&home, settings.provide.as_ref(), &known)?;
    let streams = Streams::new(driver.clone(), shards.clone(), suspects.clone());
    spool
        .keep_only(&engine.uploading())
        .map_err(AppError::Spool)?;
    if let Some(shards) = &shards
        && settings.provide.is_some()
    {
        trash_strays(shards, &known)?;
    }
    let pool = Pool {
        driver: driver.clone(),
        net: net.clone(),
        spool: spool.clone(),
        shards: shards.clone(),
        store: store.clone(),
        suspects,
        vault: home.keys.vault.clone(),
        node_key: home.keys.node.clone(),
        genesis: genesis.hash(),
        turns: Turns::default(),
    };
    let shell = Shell {
        handle: driver.clone(),
        store: store.clone(),
        net: net.clone(),
        ledger: ledger.clone(),
        pool,
        streams: streams.clone(),
        validators: validators.clone(),
        calls: calls.clone(),
    };
    let token = stop.clone();
    tasks.spawn(async move {
        (
            "engine",
            driver::run(engine, inbox, shell, token)
                .await
                .map_err(AppError::from),
        )
    });
    let (heard, hearing) = blocks::queue();
    let follower = Follower {
        chain,
        net: net.clone(),
        driver: driver.clone(),
        own: own_blocks,
        validator: genesis.validator,
    };
    let token = stop.clone();
    tasks.spawn(async move {
        (
            "chain",
            follower.run(hearing, token).await.map_err(AppError::from),
        )
    });
    let pump = Pump {
        driver: driver.clone(),
        heard,
        net: net.clone(),
        store: store.clone(),
        validators,
        streams,
        ledger: ledger.clone(),
        genesis: codec::encode(&genesis),
        unknown: Pump::room(),
    };
    let token = stop.clone();
    tasks.spawn(async move {
        pump.run(events, token).await;
        ("network", Ok(()))
    });
    if let Some(shards) = shards {
        let scrubber = Scrubber {
            store: shards.clone(),
            driver: driver.clone(),
            suspects: suspected,
            epoch: genesis.params.epoch,
            again: scrub::AGAIN,
        };
        let token = stop.clone();
        tasks.spawn(async move {
            token.run_until_cancelled(scrubber.run()).await;
            ("scrubber", Ok(()))
        });
        let token = stop.clone();
        tasks.spawn(async move {
            token.run_until_cancelled(empty_trash(shards)).await;
            ("trash", Ok(()))
        });
    }
    tell_addresses(&driver, &net).await;
    let (token, announcing) = (
        stop.clone(),
        heads::announce(driver.clone(), net.clone(), Arc::clone(&calls.head)),
    );
    tasks.spawn(async move {
        token.run_until_cancelled(announcing).await;
        ("heads", Ok(()))
    });

    let vault = Vault::open(home.dir.join("vault"), home.keys.vault.clone()).await?;
    let segments = NetSegments {
        driver: driver.clone(),
        spool,
    };
    let jobs = Jobs::new(
        vault,
        segments,
        driver.clone(),
        home.dir.clone(),
        stop.child_token(),
    );
    let cataloguer = Cataloguer {
        driver: driver.clone(),
        vault: jobs.vault.clone(),
        segments: Arc::clone(jobs.segments()),
        wanted: calls.catalogue,
    };
    let token = stop.clone();
    tasks.spawn(async move {
        token.run_until_cancelled(cataloguer.run()).await;
        ("catalogue", Ok(()))
    });
    let recovery = Recovery {
        driver: driver.clone(),
        ledger: ledger.clone(),
        net: net.clone(),
        keys: match &home.keys.cert {
            Some(_) => Some(home.recovery_keys()?),
            None => None,
        },
        account,
        device: home.keys.device.public(),
        genesis: genesis.hash(),
        home: home.dir.clone(),
    };
    let api = Arc::new(NodeApi {
        driver,
        ledger,
        store: store.clone(),
        net: net.clone(),
        jobs,
        recovery,
        genesis,
        node,
        account,
        subkey: home.keys.sub_key(),
        provide: settings.provide,
        validates: settings.validate,
        started,
        stop: stop.clone(),
    });
    let server = serve(
        settings.rpc,
        &larder_rpc::endpoint::cookie_path(&home.dir),
        api,
    )
    .await?;
    let endpoint = Endpoint::own(server.address());
    endpoint.publish(&home.dir).map_err(AppError::Spool)?;
    ready(Ready {
        rpc: server.address(),
        peer_id: crate::net::peer_id(&node)?.to_string(),
        listen: net
            .listen_addrs()
            .await?
            .iter()
            .map(ToString::to_string)
            .collect(),
    });

    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = tasks.join_next() => match ended {
            Ok((_, Err(e))) => Err(e),
            Ok((name, Ok(()))) if stop.is_cancelled() => { tracing::debug!("{name} stopped"); Ok(()) }
            Ok((name, Ok(()))) => Err(AppError::Ended(name)),
            Err(_) => Err(AppError::Ended("a")),
        },
    };
    stop.cancel();
    if let Err(e) = Endpoint::withdraw(&home.dir) {
        tracing::debug!("rpc.json stays behind: {e}");
    }
    server.stop().await;
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, drained).await.is_err() {
        tracing::warn!("some tasks did not stop in time");
    }
    net.shutdown().await;
    store.close().await;
    ended
}

async fn start_net(
    home: &Home,
    settings: &Settings,
) -> Result<(NetHandle, tokio::sync::mpsc::Receiver<crate::net::NetEvent>), AppError> {
    let bootstrap = home
        .config
        .network
        .bootstrap
        .iter()
        .map(|addr| addr.parse().map_err(|_| AppError::Addr(addr.clone())))
        .collect::<Result<Vec<Multiaddr>, _>>()?;
    Ok(Net::start(NetConfig {
        key: home.keys.node.clone(),
        genesis: home.genesis_hash()?,
        listen: settings.listen.clone(),
        // On a network of this machine alone, whether we listen there or were invited there.
        loopback_ok: settings.listen.iter().chain(&bootstrap).any(is_loopback),
        bootstrap,
    })
    .await?)
}

/// Whether an address is of this machine alone. Who listens at one means to meet others there; to
/// everybody else, such an address in gossip is only a way to make us dial our own services.
fn is_loopback(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.to_canonical().is_loopback(),
        Some(_) | None => false,
    }
}

/// The genesis document: from the home, or from the peers of the invite, checked by its hash.
async fn genesis(home: &Home, net: &NetHandle) -> Result<Genesis, AppError> {
    if let Some(genesis) = home.genesis()? {
        return Ok(genesis);
    }
    let wanted = home.genesis_hash()?;
    let peers: Vec<_> = home
        .config
        .network
        .bootstrap
        .iter()
        .filter_map(|addr| addr.rsplit_once("/p2p/")?.1.parse().ok())
        .filter_map(|peer| node_id(&peer))
        .collect();
    tracing::info!("asking for the network's genesis document");
    loop {
        for peer in &peers {
            let call = codec::encode(&Call::Genesis);
            let answer = net.request(*peer, call, GENESIS_WAIT * 10).await;
            let Some(Answer::Genesis(bytes)) =
                answer.ok().and_then(|bytes| codec::decode(&bytes).ok())
            else {
                continue;
            };
            match codec::decode::<Genesis>(&bytes) {
                Ok(genesis) if genesis.hash() == wanted && genesis.check().is_ok() => {
                    home.keep_genesis(&genesis)?;
                    return Ok(genesis);
                }
                Err(_) if *blake3::hash(&bytes).as_bytes() == wanted.0 => {
                    return Err(AppError::OtherVersion);
                }
                Ok(_) | Err(_) => tracing::warn!(%peer, "a peer sent another genesis document"),
            }
        }
        tracing::warn!("no peer of the invite answers yet; trying again");
        tokio::time::sleep(GENESIS_WAIT).await;
    }
}

fn validate(home: &Home, chain: &Chain) -> Result<larder_consensus::solo::Spawned, AppError> {
    let bls = home.keys.bls.clone().ok_or(AppError::NotValidator)?;
    let state = chain.ledger().read().0.clone();
    let proposer =
        Proposer::new(home.keys.node.clone(), bls, &state).map_err(|_| AppError::NotValidator)?;
    let clock: Clock = Arc::new(now);
    Ok(Solo::spawn(proposer, state, Limits::default(), clock))
}

fn open_shards(
    home: &Home,
    provide: Option<&Provide>,
    known: &[ShardRoot],
) -> Result<Option<ShardStore>, AppError> {
    let dir = home.dir.join("shards");
    let quota = match provide {
        Some(provide) => provide.quota,
        // What was promised is still served, though nothing new is taken.
        None if dir.exists() || !known.is_empty() => Bytes(0),
        None => return Ok(None),
    };
    let config = StoreConfig {
        dir,
        twin: home.dir.join("shards.mark"),
        quota,
        reserve: RESERVE,
    };
    Ok(Some(ShardStore::open(&config, known)?))
}

/// Shards without a row: the node was killed between a shard's sync and its row's, or between a
/// row's end and its shard's.
fn trash_strays(store: &ShardStore, known: &[ShardRoot]) -> Result<(), AppError> {
    let known: BTreeSet<&ShardRoot> = known.iter().collect();
    for root in store.list()?.iter().filter(|root| !known.contains(root)) {
        tracing::info!(%root, "a shard that belongs to no contract goes to the trash");
        store.delete(root, now())?;
    }
    Ok(())
}

/// Deletes what has rested in the trash long enough, at the start and each hour.
async fn empty_trash(store: ShardStore) {
    let keep = larder_types::Millis(TRASH_DAYS * 86_400_000);
    let mut hours = tokio::time::interval(TRASH_EVERY);
    loop {
        hours.tick().await;
        let store = store.clone();
        match tokio::task::spawn_blocking(move || store.empty_trash(now(), keep)).await {
            Ok(Ok(freed)) => tracing::debug!("{freed} of trash deleted"),
            Ok(Err(e)) => tracing::warn!("the trash was not emptied: {e}"),
            Err(e) => tracing::error!("the trash was not emptied: {e}"),
        }
    }
}

async fn tell_addresses(driver: &driver::DriverHandle, net: &NetHandle) {
    let addrs = net.listen_addrs().await.unwrap_or_default();
    let addrs = addrs.iter().map(ToString::to_string).collect();
    let told = larder_engine::Input::Command(larder_engine::Command::Addresses(addrs));
    if driver.input(told).await.is_err() {
        tracing::debug!("the engine has stopped");
    }
}

fn stop_on_signals(stop: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let stop = stop.clone();
        match signal(kind) {
            Ok(mut signals) => {
                tokio::spawn(async move {
                    signals.recv().await;
                    stop.cancel();
                });
            }
            Err(e) => tracing::warn!("a signal cannot be handled: {e}"),
        }
    }
}
