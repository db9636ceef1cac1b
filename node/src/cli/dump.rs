//! `larder dump`: a file's bytes, or a folder as a tar archive, on standard output. The node restores
//! it beside first, so that nothing is written before all of it is there and verified.

use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, IN_PART, INTERRUPTED, USAGE};
use super::listing::split;
use super::mount::Signals;
use super::output::Out;
use super::progress::watch;
use larder_rpc::{BrowseParams, EntryKind, JobParams, JobResult, RestoreParams};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

pub(super) fn dump(home: &Path, what: &str, out: Out) -> Asked {
    let (snapshot, path) = split(what);
    // What is restored is in the clear: it goes with this command, however that ends.
    let scratch = tempfile::tempdir()?;
    let target = scratch.path().join("dump");
    let text = target.to_str().map(ToOwned::to_owned);
    let text = text.ok_or_else(|| {
        let why = "the folder for temporary files is not UTF-8: name another in $TMPDIR";
        Failure::new(USAGE, why)
    })?;
    // Standard output is the file's.
    let quiet = Out { json: false, ..out };
    ask(home, |node| async move {
        let mut signals = Signals::new()?;
        let browse = BrowseParams {
            snapshot: snapshot.clone(),
            path: path.clone(),
            cursor: None,
            limit: Some(1),
        };
        let page = node.backup_browse(&browse).await?;
        let is_file = page.items.first().is_some_and(|entry| {
            entry.kind == EntryKind::File && path.as_deref() == Some(entry.path.as_str())
        });
        let params = RestoreParams {
            snapshot,
            path,
            target: text,
            include: Vec::new(),
            exclude: Vec::new(),
            verify: false,
        };
        let job = node.backup_restore(&params).await?.job;
        let restored = tokio::select! {
            restored = watch(&node, job.clone(), quiet) => restored?,
            () = signals.any() => {
                // The node writes there until the job has ended.
                node.job_cancel(&JobParams { job: job.clone() }).await?;
                watch(&node, job, quiet).await?;
                return Err(Failure::silent(INTERRUPTED));
            }
        };
        let JobResult::Restore(summary) = restored else {
            return Err(Failure::new(FAILED, "the node answered with another job"));
        };
        for failure in &summary.failures {
            out.trouble(&failure.path, &failure.reason);
        }
        if summary.errors > 0 {
            return Err(Failure::new(
                IN_PART,
                format_args!(
                    "{} paths are incomplete, and nothing was written: `larder restore` brings back the rest",
                    summary.errors
                ),
            ));
        }
        // In a thread that nobody waits for: whoever reads may have stopped reading.
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || {
            let wrote = match is_file {
                true => file(&target),
                false => archive(&target),
            };
            done.send(wrote).ok();
        });
        tokio::select! {
            wrote = written => wrote.unwrap_or_else(|_| {
                Err(Failure::new(FAILED, "the writer ended before it was done"))
            }),
            () = signals.any() => Err(Failure::silent(INTERRUPTED)),
        }
    })
}

/// Writes the one file below a folder.
fn file(below: &Path) -> Asked {
    let mut at: PathBuf = below.to_owned();
    while at.is_dir() {
        let first = fs::read_dir(&at)?.next().transpose()?;
        let first = first.ok_or_else(|| Failure::new(FAILED, "the file did not come back"))?;
        at = first.path();
    }
    let copied = io::copy(&mut File::open(&at)?, &mut io::stdout().lock());
    copied.map(drop).map_err(Failure::from)
}

/// Writes what lies in a folder as a tar archive, links as links.
fn archive(folder: &Path) -> Asked {
    let mut archive = tar::Builder::new(io::stdout().lock());
    archive.follow_symlinks(false);
    archive.append_dir_all(".", folder)?;
    Ok(archive.finish()?)
}
