//! `larder mount`: the snapshots as a folder, by the node as a job, for as long as this command
//! runs or until somebody unmounts it.

use super::args::MountArgs;
use super::backup::absolute;
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, IN_PART, INTERRUPTED};
use super::output::Out;
use crate::jobs::{MOUNTED, UNREADABLE};
use larder_rpc::{
    Client, ClientError, Job, JobLogParams, JobParams, JobResult, MountParams, MountSummary,
};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn mount(home: &Path, args: &MountArgs, out: Out) -> Asked {
    let params = MountParams {
        target: absolute(&args.dir)?,
        allow_other: args.allow_other,
    };
    ask(home, |node| async move {
        // Before the mount: a signal must not end this process and leave it.
        let signals = Signals::new()?;
        let job = node.backup_mount(&params).await?.job;
        let watching = Watching {
            node: &node,
            job,
            target: &params.target,
            out,
            ready: false,
            lines: 0,
        };
        report(&watching.until_over(signals).await?, out)
    })
}

/// What ends a command from the terminal.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    pub(super) async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A mount that is watched.
struct Watching<'a> {
    node: &'a Client,
    job: String,
    target: &'a str,
    out: Out,
    /// Whether it stands.
    ready: bool,
    /// Lines of the job's log that were read.
    lines: usize,
}

impl Watching<'_> {
    async fn until_over(mut self, mut signals: Signals) -> Result<MountSummary, Failure> {
        let params = JobParams {
            job: self.job.clone(),
        };
        let mut look = tokio::time::interval(LOOK);
        let mut asked = false;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = signals.any() => {
                    if asked {
                        return Err(Failure::silent(INTERRUPTED));
                    }
                    asked = true;
                    let cancelled = self.node.job_cancel(&params).await;
                    cancelled.map_err(|e| self.gone(e))?;
                }
            }
            let job = self.node.job_get(&params).await.map_err(|e| self.gone(e))?;
            if !self.ready && job.progress.stage == MOUNTED {
                self.ready = true;
                self.say_ready()?;
            }
            if self.ready {
                self.tell_troubles().await?;
            }
            if job.state.is_over() {
                return outcome(job);
            }
        }
    }

    fn say_ready(&self) -> Result<(), Failure> {
        self.out.object(&json!({
            "message_type": "ready",
            "mount": self.target,
            "job": self.job,
        }))?;
        self.out.remark(format_args!(
            "the snapshots are at {}; Ctrl-C here, or `umount` of it elsewhere, ends that",
            self.target
        ))
    }

    /// Tells what could not be read since the last time.
    async fn tell_troubles(&mut self) -> Result<(), Failure> {
        let from = JobLogParams {
            job: self.job.clone(),
            cursor: Some(self.lines.to_string()),
            limit: None,
        };
        let page = self.node.job_log(&from).await;
        let lines = page.map_err(|e| self.gone(e))?.items;
        self.lines += lines.len();
        for line in lines {
            if let Some(trouble) = line.text.strip_prefix(UNREADABLE) {
                self.out.warn(trouble);
            }
        }
        Ok(())
    }

    /// Why the node does not answer: it unmounts when it stops.
    fn gone(&self, error: ClientError) -> Failure {
        let failure = Failure::from(error);
        match self.ready {
            true => failure.of_stage("the mount ended with its node"),
            false => failure,
        }
    }
}

fn outcome(job: Job) -> Result<MountSummary, Failure> {
    match (job.result, job.error) {
        (Some(JobResult::Mount(summary)), _) => Ok(summary),
        (_, Some(error)) => Err(Failure::new(error.exit_code, error.message)),
        (_, None) => Err(Failure::new(FAILED, "the node answered with another job")),
    }
}

fn report(summary: &MountSummary, out: Out) -> Asked {
    out.object(&json!({
        "message_type": "summary",
        "mount": summary.target,
        "errors": summary.errors,
        "failures": summary.failures,
        "seconds": summary.seconds,
    }))?;
    out.remark(format_args!("{} is unmounted", summary.target))?;
    match summary.errors {
        0 => Ok(()),
        // Each was told when it was met.
        _ => Err(Failure::silent(IN_PART)),
    }
}
