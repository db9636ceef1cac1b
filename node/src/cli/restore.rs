//! `larder restore`: files back, by the node as a job.

use super::args::RestoreArgs;
use super::backup::absolute;
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, IN_PART};
use super::listing::split;
use super::output::Out;
use super::progress::watch;
use larder_rpc::{JobResult, RestoreParams, RestoreSummary};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;

pub(super) fn restore(home: &Path, args: RestoreArgs, out: Out) -> Asked {
    let (snapshot, path) = split(&args.what);
    let params = RestoreParams {
        snapshot,
        path,
        target: absolute(&args.target)?,
        include: args.include,
        exclude: args.exclude,
        verify: args.verify,
    };
    ask(home, |node| async move {
        let job = node.backup_restore(&params).await?.job;
        let JobResult::Restore(summary) = watch(&node, job, out).await? else {
            return Err(Failure::new(FAILED, "the node answered with another job"));
        };
        report(&summary, out)
    })
}

pub(super) fn report(summary: &RestoreSummary, out: Out) -> Asked {
    for failure in &summary.failures {
        out.trouble(&failure.path, &failure.reason);
    }
    out.object(&json!({
        "message_type": "summary",
        "snapshot": summary.snapshot,
        "target": summary.target,
        "files": summary.files,
        "dirs": summary.dirs,
        "bytes": summary.bytes,
        "errors": summary.errors,
        "unrestored": summary.unrestored,
        "verified": summary.verified,
        "seconds": summary.seconds,
    }))?;
    let verified = if summary.verified { ", verified" } else { "" };
    out.remark(format_args!(
        "restored {} in {} files and {} folders to {}{verified}, {:.1} s",
        Bytes(summary.bytes),
        summary.files,
        summary.dirs,
        summary.target,
        summary.seconds
    ))?;
    for line in &summary.unrestored {
        out.warn(line);
    }
    if summary.errors > 0 {
        return Err(Failure::new(
            IN_PART,
            format_args!(
                "{} paths are incomplete, the rest is restored: find out what they lack with \
                 `larder check --read-data`, mend it with `larder repair`, then restore again; what is \
                 merely out of reach (`larder repairs`) comes back with its providers",
                summary.errors
            ),
        ));
    }
    Ok(())
}
