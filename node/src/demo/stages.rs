//! The demo's stages, one after another: start, back up, wait for proofs, restore, compare.

use super::DemoArgs;
use super::chosen::{Size, choose};
use super::compare::{Comparison, compare};
use super::fleet::{Node, Yard};
use super::summary::{Paid, Stages, Summary};
use super::usage::Usage;
use crate::cli::progress::watch;
use crate::cli::{Failure, Out};
use larder_rpc::client::all;
use larder_rpc::{
    BackupParams, BackupSummary, Client, Empty, JobResult, LedgerProvider, ProviderParams,
    RestoreParams, Text,
};
use larder_types::size::GIB;
use larder_types::{Bytes, Class, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long all offers may take to reach the keeper, and shards to be whole.
const SETTLE: Duration = Duration::from_secs(60);
/// How many epochs a whole backup may take to be proven. Two are needed: one until the ledger
/// shows the contracts, one in which they are challenged.
const EPOCHS: u32 = 6;
/// The least that a provider offers.
const QUOTA: u64 = 2 * GIB;
/// Where the providers say they are.
const REGIONS: [&str; 12] = [
    "de", "fr", "nl", "se", "us", "ca", "br", "jp", "kr", "in", "au", "za",
];

/// The whole demo.
pub(super) async fn run(args: DemoArgs, out: Out) -> Result<(), Failure> {
    let (paths, size) = choose(args.path.as_deref())?;
    let dir = tempfile::Builder::new().prefix("larder-demo-").tempdir()?;
    let mut stages = Stages::start();
    out.remark(format_args!(
        "1  a network of a validator, {} providers and a keeper, in {}",
        args.providers,
        dir.path().display()
    ))?;
    let mut net = start(&args, dir.path(), size).await?;
    until_offered(&mut net, usize::from(args.providers)).await?;
    stages.end("start");
    let backup = store(&net.keeper.client, &paths, size, out).await?;
    stages.end("backup");
    out.remark("3  waiting for an epoch in which every provider proves what it holds")?;
    let ledger = until_proven(&mut net, args.epoch).await?;
    stages.end("proof");
    let target = dir.path().join("restored");
    let found = bring_back(&net.keeper.client, paths, target, out).await?;
    stages.end("restore");
    let whole = net.keeper.client.renter_repairs(&Empty {}).await?;
    let summary = sum_up(&net, &backup, &ledger, &found, whole.full_redundancy);
    summary.tell(&stages, out)?;
    judge(&found, &backup, whole.full_redundancy, out)?;
    if args.keep {
        keep(net, dir, out);
    }
    Ok(())
}

/// The nodes of the demo.
struct Network {
    validator: Node,
    providers: Vec<Node>,
    keeper: Node,
}

impl Network {
    /// Refuses to go on if a node has ended.
    fn check(&mut self) -> Result<(), Failure> {
        self.validator.check()?;
        self.keeper.check()?;
        self.providers.iter_mut().try_for_each(Node::check)
    }
}

async fn start(args: &DemoArgs, dir: &Path, size: Size) -> Result<Network, Failure> {
    let yard = Yard::new(dir, args.keep)?;
    let epoch = args.epoch.to_string();
    yard.init(
        "validator",
        &["--new-network", "--profile", "dev", "--epoch", &epoch],
    )?;
    let validator = yard.up("validator", &["--validate"])?.ready().await?;
    let invite = validator.client.node_invite(&Empty {}).await?.invite;
    let quota = quota(size, args.providers).to_string();
    let mut starting = Vec::new();
    for (i, region) in (1..=args.providers).zip(REGIONS.iter().cycle()) {
        let (name, operator) = (format!("provider-{i:02}"), format!("operator-{i:02}"));
        yard.init(&name, &["--join", &invite])?;
        let words = [
            "--provide",
            &quota,
            "--price",
            "2",
            "--region",
            region,
            "--operator",
            &operator,
        ];
        starting.push(yard.up(&name, &words)?);
    }
    yard.init("keeper", &["--join", &invite])?;
    let keeper = yard.up("keeper", &[])?;
    let mut providers = Vec::new();
    for provider in starting {
        providers.push(provider.ready().await?);
    }
    Ok(Network {
        validator,
        providers,
        keeper: keeper.ready().await?,
    })
}

/// What each provider offers, bytes: four times its even share, so that any class fits.
fn quota(size: Size, providers: u16) -> u64 {
    QUOTA.max(size.bytes.saturating_mul(4) / u64::from(providers))
}

/// Waits until the keeper has heard every offer and can pay.
async fn until_offered(net: &mut Network, wanted: usize) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let status = net.keeper.client.node_status(&Empty {}).await?;
        let heard = usize::try_from(status.offers).unwrap_or(usize::MAX);
        if heard >= wanted && status.ready && status.balance.0.nano() > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                21,
                format_args!(
                    "after {} s the keeper knows {heard} of {wanted} offers and holds {} credits",
                    SETTLE.as_secs(),
                    status.balance.0
                ),
            ));
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn store(
    keeper: &Client,
    paths: &[PathBuf],
    size: Size,
    out: Out,
) -> Result<BackupSummary, Failure> {
    let first = paths.first().map(|p| p.display().to_string());
    let more = if paths.len() > 1 { " and others" } else { "" };
    out.remark(format_args!(
        "2  backing up {}{more}: {} in {} files, class normal",
        first.unwrap_or_default(),
        Bytes(size.bytes),
        size.files
    ))?;
    let params = BackupParams {
        paths: paths.iter().map(|p| text(p)).collect::<Result<_, _>>()?,
        class: Some(Text(Class::Normal)),
        tags: vec!["demo".to_owned()],
        excludes: Vec::new(),
        dry_run: false,
    };
    let job = keeper.backup_start(&params).await?.job;
    match watch(keeper, job, out).await? {
        JobResult::Backup(summary) => Ok(summary),
        JobResult::Restore(_) | JobResult::Recover(_) => Err(another_job()),
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        Failure::new(
            2,
            format_args!("{} is not UTF-8: name another folder", path.display()),
        )
    })
}

fn another_job() -> Failure {
    Failure::new(1, "the node answered with another job")
}

/// Waits until every provider with a contract has passed a challenge on all that it was given;
/// gives what the ledger then says of each.
async fn until_proven(
    net: &mut Network,
    epoch: Millis,
) -> Result<BTreeMap<NodeId, LedgerProvider>, Failure> {
    let deadline = Instant::now() + SETTLE + epoch.to_std() * EPOCHS;
    // For each provider the epoch in which the ledger first showed all of its contracts.
    let mut settled: BTreeMap<NodeId, u32> = BTreeMap::new();
    loop {
        let (holders, waiting) = holders(&net.keeper.client).await?;
        let now = net.keeper.client.chain_head(&Empty {}).await?.epoch;
        let mut proven = BTreeMap::new();
        for provider in holders.difference(&waiting) {
            let since = *settled.entry(*provider).or_insert(now);
            let shown = on_ledger(&net.keeper.client, *provider).await?;
            if shown.last_passed_epoch.is_some_and(|e| e >= since) {
                proven.insert(*provider, shown);
            }
        }
        if !holders.is_empty() && proven.len() == holders.len() {
            return everyone(net, proven).await;
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                1,
                format_args!(
                    "after {EPOCHS} epochs {} of {} providers have proven all that they hold",
                    proven.len(),
                    holders.len()
                ),
            ));
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Providers with a contract, and those of them whose newest revision the ledger does not show.
async fn holders(keeper: &Client) -> Result<(BTreeSet<NodeId>, BTreeSet<NodeId>), Failure> {
    let contracts = all(|page| async move { keeper.renter_list_contracts(&page).await }).await?;
    let of = |it: &larder_rpc::RenterContract| it.provider.0;
    let waiting = contracts.iter().filter(|c| !c.settled).map(of).collect();
    Ok((contracts.iter().map(of).collect(), waiting))
}

async fn on_ledger(keeper: &Client, provider: NodeId) -> Result<LedgerProvider, Failure> {
    let provider = Text(provider);
    Ok(keeper
        .ledger_get_provider(&ProviderParams { provider })
        .await?)
}

/// Adds the providers that hold nothing.
async fn everyone(
    net: &Network,
    mut shown: BTreeMap<NodeId, LedgerProvider>,
) -> Result<BTreeMap<NodeId, LedgerProvider>, Failure> {
    for node in &net.providers {
        let id = node.info.node.0;
        if let std::collections::btree_map::Entry::Vacant(place) = shown.entry(id) {
            place.insert(on_ledger(&net.keeper.client, id).await?);
        }
    }
    Ok(shown)
}

async fn bring_back(
    keeper: &Client,
    paths: Vec<PathBuf>,
    target: PathBuf,
    out: Out,
) -> Result<Comparison, Failure> {
    out.remark("4  restoring into an empty folder and comparing byte for byte")?;
    let params = RestoreParams {
        snapshot: "latest".to_owned(),
        path: None,
        target: text(&target)?,
        include: Vec::new(),
        exclude: Vec::new(),
        verify: false,
    };
    let job = keeper.backup_restore(&params).await?.job;
    let JobResult::Restore(_) = watch(keeper, job, out).await? else {
        return Err(another_job());
    };
    tokio::task::spawn_blocking(move || compare(&paths, &target))
        .await
        .map_err(|e| Failure::new(1, e))?
        .map_err(|e| Failure::new(1, e))
}

fn sum_up(
    net: &Network,
    backup: &BackupSummary,
    ledger: &BTreeMap<NodeId, LedgerProvider>,
    found: &Comparison,
    full_redundancy: bool,
) -> Summary {
    let paid = net.providers.iter().filter_map(|node| {
        let shown = ledger.get(&node.info.node.0)?;
        Some(Paid {
            name: node.name.clone(),
            stored: shown.active_bytes,
            passed: shown.passed,
            missed: shown.missed,
            earned: shown.earned.0,
        })
    });
    Summary {
        files: backup.files,
        bytes: backup.bytes,
        bytes_stored: backup.bytes_stored,
        segments: backup.segments,
        k: backup.k,
        n: backup.n,
        cost: backup.cost.0,
        validators: 1,
        paid: paid.collect(),
        identical: found.differences == 0,
        compared_files: found.files,
        full_redundancy,
        keeper: net.keeper.usage(),
        validator: net.validator.usage(),
        providers: net
            .providers
            .iter()
            .map(Node::usage)
            .collect::<Vec<Usage>>(),
    }
}

/// The demo succeeded only if all came back as it was.
fn judge(
    found: &Comparison,
    backup: &BackupSummary,
    full_redundancy: bool,
    out: Out,
) -> Result<(), Failure> {
    for difference in &found.named {
        out.note(difference);
    }
    if found.differences > 0 {
        return Err(Failure::new(
            1,
            format_args!(
                "{} differences between the folder and its copy ({} paths could not be read)",
                found.differences, backup.errors
            ),
        ));
    }
    if !full_redundancy {
        return Err(Failure::new(1, "some segments are below full redundancy"));
    }
    Ok(())
}

/// Leaves everything running and says where it is.
fn keep(net: Network, dir: TempDir, out: Out) {
    let dir = dir.keep();
    let Network {
        validator,
        providers,
        keeper,
    } = net;
    out.note(format_args!("\nstill running in {}:", dir.display()));
    let mut pids = Vec::new();
    for node in [validator, keeper].into_iter().chain(providers) {
        out.note(format_args!(
            "{:<12} {}/rpc  --home {}",
            node.name,
            node.rpc,
            node.home.display()
        ));
        pids.push(node.pid().to_string());
        node.leave();
    }
    out.note(format_args!("stop it with: kill {}", pids.join(" ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_grow_with_the_folder() {
        let of = |bytes| quota(Size { files: 1, bytes }, 12);
        assert_eq!(of(1), QUOTA);
        assert_eq!(of(30 * GIB), 10 * GIB);
    }
}
