//! `larder up`: this process becomes the node, until SIGINT or SIGTERM.

use super::args::UpArgs;
use super::connect::open_home;
use super::exit::{FAILED, Failure};
use super::options::{Ready, UpOptions};
use super::output::Out;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde_json::json;
use std::path::Path;
use tracing_subscriber::EnvFilter;

/// Holds the process id of a parent that this node must not outlive (`larder demo`).
pub(crate) const PARENT: &str = "LARDER_PARENT";

/// What is logged unless more is asked for. That a validator cannot be reached right now, the engine's network
/// says several times a second; `status` says how many are reached.
const USUAL: &str =
    "warn,arc_malachitebft_network=off,arc_malachitebft_discovery=off,libp2p_gossipsub=error";

pub(super) fn up(home: &Path, args: UpArgs, out: Out) -> Result<(), Failure> {
    follow_parent()?;
    let home = open_home(home, &args.unlock)?;
    log(out, USUAL);
    let options = UpOptions {
        listen: args.listen,
        rpc: args.rpc,
        provide: args.provide,
        price: args.price,
        region: args.region,
        operator: args.operator,
        validate: args.validate,
        consensus_listen: args.consensus_listen,
    };
    crate::app::run(home, options, |ready| announce(&ready, out))
        .map_err(|e| Failure::new(e.exit_code(), e))
}

/// Says that the node serves. A closed stdout does not stop it.
fn announce(ready: &Ready, out: Out) {
    let said = out
        .object(&json!({
            "message_type": "ready",
            "rpc": format!("http://{}", ready.rpc),
            "peer_id": ready.peer_id,
            "listen": ready.listen,
        }))
        .and_then(|()| {
            out.line(format_args!(
                "ready: RPC at http://{}/rpc, peer {}, listening on {}",
                ready.rpc,
                ready.peer_id,
                ready.listen.join(" ")
            ))
        });
    if said.is_err() {
        tracing::debug!("nobody reads stdout");
    }
}

/// Asks the kernel to end this process with its parent, if it was started that way.
fn follow_parent() -> Result<(), Failure> {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|p| p.parse().ok()) else {
        return Ok(());
    };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)?;
    // The parent may have ended before the kernel was asked.
    if getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err(Failure::new(
            FAILED,
            "the process that started this node is gone",
        ))
    }
}

/// Logs to stderr, from `usual` on unless more is asked for.
pub(super) fn log(out: Out, usual: &str) {
    let default = if out.verbose { "info" } else { usual };
    let filter = EnvFilter::try_from_env("LARDER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
