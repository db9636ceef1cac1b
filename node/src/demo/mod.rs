//! `larder demo`: the main job, once, on this machine. Real processes on loopback, a real folder:
//! found a network, offer space, back up, prove, be paid, lose providers for good, repair, lose the
//! keeper, recover it from its words, restore, compare. Whatever way it ends, its processes end with
//! it, unless `--keep` was given; its folder goes too, unless something failed.

mod chosen;
mod compare;
mod fleet;
mod kept;
mod ledger;
mod loss;
mod network;
mod plan;
mod recover;
mod repair;
mod restore;
mod stages;
mod summary;
mod table;
mod usage;
mod validators;

use crate::cli::{Failure, Out, runtime};
use clap::Args;
use larder_types::Millis;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// What `larder demo` was asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// What to back up [default: some 230 MB of real files at hand].
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// How many providers to start.
    #[arg(long, value_name = "N", default_value_t = 12,
        value_parser = clap::value_parser!(u16).range(1..=64))]
    providers: u16,
    /// How many of them to kill for good, data and all [default: 4, or as many as the code bears].
    #[arg(long, value_name = "N")]
    kill: Option<u16>,
    /// How many validators to start: one alone, or several that agree. Of 4 and more, one is killed
    /// and started again on the way; 2 or 3 bear no failure.
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=16))]
    validators: u16,
    /// The length of an epoch.
    #[arg(long, value_name = "DURATION", default_value = "8s")]
    epoch: Millis,
    /// Leave the network running and its folder in place.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo; an interrupt ends it and all that it started.
pub(crate) fn demo(args: DemoArgs, out: Out) -> Result<(), Failure> {
    // One thread, the main one: the kernel ends the nodes with the thread that started them.
    runtime()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            done = stages::run(args, out) => done,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                Err(interrupted())
            }
            _ = terminated.recv() => Err(interrupted()),
        }
    })
}

fn interrupted() -> Failure {
    Failure::new(130, "interrupted: the demo's processes and files are gone")
}
