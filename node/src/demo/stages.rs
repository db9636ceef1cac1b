//! The demo's stages, one after another: start, back up, prove, lose and repair, lose and recover,
//! restore, check. A stage that fails says which it was; then the folder stays, with all logs.

use super::DemoArgs;
use super::chosen::{Size, choose};
use super::compare::Comparison;
use super::fleet::LOGS;
use super::kept::keep;
use super::network::{LOOK, Network, is_whole, start};
use super::plan::Plan;
use super::recover::{patience, recover};
use super::repair::{Mended, until_mended};
use super::restore::{another_job, bring_back, text};
use super::summary::{Paid, Stages, Summary};
use super::table::Row;
use super::usage::Usage;
use super::{ledger, loss};
use crate::cli::progress::watch;
use crate::cli::{FAILED, Failure, Out};
use larder_rpc::{BackupParams, BackupSummary, Client, Empty, JobResult, Text};
use larder_types::{Bytes, Class};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The whole demo.
pub(super) async fn run(args: DemoArgs, out: Out) -> Result<(), Failure> {
    let plan = Plan::of(&args)?;
    let (paths, size) = choose(args.path.as_deref())?;
    let dir = tempfile::Builder::new().prefix("larder-demo-").tempdir()?;
    match play(plan, paths, size, dir.path(), out).await {
        Ok(net) if plan.keep => keep(net, dir, out),
        Ok(_) => {}
        Err(failure) => return Err(leave(failure, dir)),
    }
    Ok(())
}

/// Names the folder of a demo that failed, and lets it stay.
fn leave(failure: Failure, dir: TempDir) -> Failure {
    if failure.message.is_empty() {
        return failure;
    }
    let dir = dir.keep();
    let why = failure.message;
    Failure::new(
        failure.exit,
        format_args!(
            "{why} (logs in {}; delete {} when you have read them)",
            dir.join(LOGS).display(),
            dir.display()
        ),
    )
}

async fn play(
    plan: Plan,
    paths: Vec<PathBuf>,
    size: Size,
    dir: &Path,
    out: Out,
) -> Result<Network, Failure> {
    let mut stages = Stages::start();
    let mut rows = Vec::new();
    out.remark(format_args!(
        "1  a network of {}, {} providers and a keeper, in {}",
        validators(plan.validators),
        plan.providers,
        dir.display()
    ))?;
    let mut net = stages.run("start", start(&plan, dir, size)).await?;

    say_backup(&paths, size, out)?;
    let saved = store(&net.keeper.client, &paths, out);
    let backup = stages.run("backup", saved).await?;
    out.remark("3  waiting for an epoch in which every provider proves what it holds")?;
    let proof = ledger::until_proven(&mut net, plan.epoch);
    stages.run("proof", proof).await?;
    rows.push(row("before", &net).await?);

    let mending = lose_and_mend(&mut net, &plan, &mut rows, out);
    let mended = stages.run("repair", mending).await?;
    out.remark("5  killing the keeper, deleting its home, recovering it from its words")?;
    let snapshot = backup.snapshot.clone().unwrap_or_default();
    let recovering = recover(&mut net, &plan, &snapshot);
    let recovered_from_words = stages.run("recover", recovering).await?;

    out.remark("6  restoring into an empty folder and comparing byte for byte")?;
    let target = dir.join("restored");
    let restoring = bring_back(&net.keeper.client, paths, target, out);
    let found = stages.run("restore", restoring).await?;
    let checking = until_whole(&mut net, patience(plan.epoch));
    let full_redundancy = stages.run("check", checking).await?;
    rows.push(row("recovered", &net).await?);
    let summary = Summary {
        recovered_from_words,
        full_redundancy,
        rows,
        ..sum_up(&net, &backup, mended, &found).await?
    };
    summary.tell(&stages, out)?;
    judge(&summary, &found, &backup, out)?;
    Ok(net)
}

fn validators(count: u16) -> String {
    match count {
        1 => "a validator".to_owned(),
        2 | 3 => format!("{count} validators (which bear no failure: 4 bear one)"),
        _ => format!("{count} validators"),
    }
}

fn say_backup(paths: &[PathBuf], size: Size, out: Out) -> Result<(), Failure> {
    let first = paths.first().map(|p| p.display().to_string());
    let more = if paths.len() > 1 { " and others" } else { "" };
    out.remark(format_args!(
        "2  backing up {}{more}: {} in {} files, class normal",
        first.unwrap_or_default(),
        Bytes(size.bytes),
        size.files
    ))
}

async fn store(keeper: &Client, paths: &[PathBuf], out: Out) -> Result<BackupSummary, Failure> {
    let params = BackupParams {
        paths: paths.iter().map(|p| text(p)).collect::<Result<_, _>>()?,
        class: Some(Text(Class::Normal)),
        tags: vec!["demo".to_owned()],
        excludes: Vec::new(),
        dry_run: false,
    };
    let job = keeper.backup_start(&params).await?.job;
    let JobResult::Backup(summary) = watch(keeper, job, out).await? else {
        return Err(another_job());
    };
    Ok(summary)
}

/// Kills as many providers as planned, waits until others hold what they held.
async fn lose_and_mend(
    net: &mut Network,
    plan: &Plan,
    rows: &mut Vec<Row>,
    out: Out,
) -> Result<Mended, Failure> {
    if plan.kill == 0 {
        out.remark("4  no provider is killed")?;
        return Ok(Mended::default());
    }
    let before = net.on_disk().await?;
    let loss = loss::lose(net, plan.kill).await?;
    let on_disk = net.on_disk().await?;
    out.remark(format_args!(
        "4  killed {} providers and deleted their homes: {} of {} shards are gone; waiting for \
         repair",
        loss.providers, loss.shards, before.shards
    ))?;
    let place = rows.len();
    let mended = until_mended(net, plan, before, loss, out).await?;
    out.remark(format_args!(
        "   {} shards rebuilt and placed with others",
        mended.shards
    ))?;
    let repaired = row("repaired", net).await?;
    let whole = repaired.segments.saturating_sub(mended.worst);
    rows.insert(
        place,
        Row {
            moment: format!("{} killed", loss.providers),
            on_disk,
            whole,
            segments: repaired.segments,
        },
    );
    rows.push(repaired);
    Ok(mended)
}

/// The network as it stands now.
async fn row(moment: &str, net: &Network) -> Result<Row, Failure> {
    let repairs = net.keeper.client.renter_repairs(&Empty {}).await?;
    Ok(Row {
        moment: moment.to_owned(),
        on_disk: net.on_disk().await?,
        whole: repairs.segments.saturating_sub(repairs.segments_below_full),
        segments: repairs.segments,
    })
}

/// Waits until the keeper says that all is whole; whether it did in time.
async fn until_whole(net: &mut Network, within: Duration) -> Result<bool, Failure> {
    let deadline = Instant::now() + within;
    loop {
        if is_whole(&net.keeper.client).await? {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn sum_up(
    net: &Network,
    backup: &BackupSummary,
    mended: Mended,
    found: &Comparison,
) -> Result<Summary, Failure> {
    let shown = ledger::providers(net).await?;
    let paid = shown.into_iter().map(|(name, shown)| Paid {
        name,
        stored: shown.active_bytes,
        passed: shown.passed,
        missed: shown.missed,
        earned: shown.earned.0,
    });
    let live = net.providers.iter().map(|p| p.usage());
    Ok(Summary {
        files: backup.files,
        bytes: backup.bytes,
        bytes_stored: backup.bytes_stored,
        segments: backup.segments,
        k: backup.k,
        n: backup.n,
        cost: backup.cost.0,
        validators: net.voting().await?,
        killed: net.fallen.len(),
        mended,
        paid: paid.collect(),
        recovered_from_words: false,
        identical: found.differences == 0 && found.files > 0,
        compared_files: found.files,
        full_redundancy: false,
        rows: Vec::new(),
        keeper: net.past_keeper.join(net.keeper.usage()),
        validator: {
            let running = [&net.validator].into_iter().chain(&net.validators);
            running.fold(net.past_validators, |sum, node| sum.join(node.usage()))
        },
        providers: live
            .chain(net.fallen.iter().map(|f| f.usage))
            .collect::<Vec<Usage>>(),
    })
}

/// The demo succeeded only if all came back as it was, and all is as safe as before.
fn judge(
    summary: &Summary,
    found: &Comparison,
    backup: &BackupSummary,
    out: Out,
) -> Result<(), Failure> {
    for difference in &found.named {
        out.note(difference);
    }
    if !summary.identical {
        return Err(Failure::new(
            FAILED,
            format_args!(
                "restore: {} differences between the folder and its copy, {} files compared ({} \
                 paths could not be read)",
                found.differences, found.files, backup.errors
            ),
        ));
    }
    if !summary.recovered_from_words {
        return Err(Failure::new(
            FAILED,
            "recover: the recovered keeper has another account, or the old home is still there",
        ));
    }
    if !summary.full_redundancy {
        return Err(Failure::new(
            FAILED,
            "check: some segments are below full redundancy",
        ));
    }
    Ok(())
}
