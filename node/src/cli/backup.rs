//! `larder backup`: a snapshot, made by the node as a job.

use super::args::BackupArgs;
use super::connect::{Asked, ask};
use super::exit::{BELOW_CLASS, FAILED, Failure, IN_PART, USAGE};
use super::output::Out;
use super::progress::watch;
use larder_rpc::{BackupParams, BackupSummary, JobResult, Text};
use larder_types::Bytes;
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) fn backup(home: &Path, args: BackupArgs, out: Out) -> Asked {
    let paths = args.paths.iter().map(absolute).collect::<Result<_, _>>()?;
    let params = BackupParams {
        paths,
        class: args.class.map(Text),
        tags: args.tags,
        excludes: args.excludes,
        dry_run: args.dry_run,
    };
    ask(home, |node| async move {
        let job = node.backup_start(&params).await?.job;
        let JobResult::Backup(summary) = watch(&node, job, out).await? else {
            return Err(Failure::new(FAILED, "the node answered with another job"));
        };
        report(&summary, out)
    })
}

/// A path as the node, which runs in another folder, knows it.
pub(super) fn absolute(path: &PathBuf) -> Result<String, Failure> {
    let path = std::path::absolute(path)?;
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        Failure::new(
            USAGE,
            format_args!(
                "{} is not UTF-8 and cannot be named here: name the folder above it",
                path.display()
            ),
        )
    })
}

/// Says what each snapshot came to; fails as the worst of them does.
pub(super) fn report(summary: &BackupSummary, out: Out) -> Asked {
    let mut ended = Ok(());
    for summary in summary.also.iter().chain([summary]) {
        ended = worst(ended, report_one(summary, out))?;
    }
    ended
}

/// What is not in the snapshot counts more than what is not safe enough. A failure to print ends it.
fn worst(first: Asked, second: Asked) -> Result<Asked, Failure> {
    let known = |failure: &Failure| matches!(failure.exit, IN_PART | BELOW_CLASS);
    Ok(match (first, second) {
        (_, Err(failure)) if !known(&failure) => return Err(failure),
        (Err(failure), Err(other)) if other.exit != IN_PART => Err(failure),
        (Err(failure), Ok(())) => Err(failure),
        (_, second) => second,
    })
}

fn report_one(summary: &BackupSummary, out: Out) -> Asked {
    for failure in &summary.failures {
        out.trouble(&failure.path, &failure.reason);
    }
    out.object(&object(summary))?;
    for line in lines(summary) {
        out.remark(line)?;
    }
    if summary.head_holders < summary.head_wanted {
        out.warn(format_args!(
            "only {} of {} providers hold the record from which the words alone bring this back; \
             leave the node running until `larder doctor` finds nothing wrong",
            summary.head_holders, summary.head_wanted
        ));
    }
    if summary.errors > 0 {
        return Err(Failure::new(
            IN_PART,
            format_args!(
                "{} paths could not be read and are not in the snapshot",
                summary.errors
            ),
        ));
    }
    if !summary.class_met && summary.snapshot.is_some() {
        return Err(Failure::new(
            BELOW_CLASS,
            format_args!(
                "saved, but below class {}: it needs more providers, or choose a lower --class",
                summary.class
            ),
        ));
    }
    Ok(())
}

pub(crate) fn object(summary: &BackupSummary) -> serde_json::Value {
    json!({
        "message_type": "summary",
        "snapshot": summary.snapshot,
        "files": summary.files,
        "dirs": summary.dirs,
        "errors": summary.errors,
        "bytes": summary.bytes,
        "bytes_new": summary.bytes_new,
        "bytes_stored": summary.bytes_stored,
        "segments": summary.segments,
        "cost": summary.cost.0.to_string(),
        "class": summary.class,
        "k": summary.k,
        "n": summary.n,
        "repair_at": summary.repair_at,
        "annual_loss": summary.annual_loss,
        "class_met": summary.class_met,
        "head_holders": summary.head_holders,
        "seconds": summary.seconds,
    })
}

fn lines(summary: &BackupSummary) -> Vec<String> {
    let first = match &summary.snapshot {
        Some(id) => format!("snapshot  {id}"),
        None => "dry run: nothing was stored".to_owned(),
    };
    let mut lines = vec![
        first,
        format!(
            "read      {} in {} files and {} folders, {:.1} s",
            Bytes(summary.bytes),
            summary.files,
            summary.dirs,
            summary.seconds
        ),
        format!("new       {}", Bytes(summary.bytes_new)),
    ];
    if summary.snapshot.is_some() {
        lines.push(format!(
            "stored    {} in {} segments, any {} of {} shards bring them back",
            Bytes(summary.bytes_stored),
            summary.segments,
            summary.k,
            summary.n
        ));
        lines.push(format!(
            "cost      {} credits put in escrow",
            summary.cost.0
        ));
        lines.push(format!(
            "class     {}: estimated loss {:.1e} a year",
            summary.class, summary.annual_loss
        ));
    }
    lines
}
