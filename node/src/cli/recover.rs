//! `larder recover`: a new home from the words. For as long as it takes, this process runs the home's
//! node, which listens nowhere, and asks it as any other command would.

use super::args::RecoverArgs;
use super::connect::{Asked, runtime};
use super::exit::{FAILED, Failure, IN_PART, INTERRUPTED, NO_PEERS, WRONG_WORDS};
use super::output::Out;
use super::progress::watch;
use super::{up, words};
use crate::app::{AppError, run_recovery};
use crate::home::rebirth::{Reborn, rebirth, unmake};
use crate::home::{Home, HomeError};
use larder_keys::Signer;
use larder_rpc::{Client, JobResult, RecoverParams, RecoverSummary};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long the node may take until it serves: it has to fetch the network's genesis document.
const READY_WAIT: Duration = Duration::from_secs(30);

pub(super) fn recover(home: &Path, args: RecoverArgs, out: Out) -> Asked {
    let words = words::text(args.words_file.as_deref())?;
    let account = words::seed(&words)?.account();
    let passphrase = words::of_home(home, &args.unlock)?;
    let passphrase = words::shown(passphrase.as_ref());
    let reborn = rebirth(home, (words, passphrase), args.join).map_err(of_home)?;
    up::log(out, "error");
    let opened = Home::open(home, passphrase).map_err(of_home)?;
    let ended = with_node(opened, account, args.alone, out);
    match ended {
        // Nobody's words: as if nothing had been done. A home that was there before stays.
        Err(failure) if failure.exit == WRONG_WORDS && reborn == Reborn::Made => {
            unmake(home).map_err(of_home)?;
            Err(failure)
        }
        ended => ended,
    }
}

fn of_home(error: HomeError) -> Failure {
    Failure::new(error.exit_code(), error)
}

/// Runs the home's node and has it recover.
fn with_node(home: Home, account: Signer, alone: bool, out: Out) -> Asked {
    let dir = home.dir.clone();
    let stop = CancellationToken::new();
    let (ready, is_ready) = oneshot::channel();
    let node = std::thread::spawn({
        let stop = stop.clone();
        move || {
            run_recovery(home, account, stop, |_| {
                // Whoever waited may have given up.
                ready.send(()).ok();
            })
        }
    });
    let asked = runtime()?.block_on(async {
        wait_until_ready(is_ready).await?;
        let client = Client::of_home(&dir)?;
        let job = client.backup_recover(&RecoverParams { alone }).await?.job;
        let JobResult::Recover(summary) = watch(&client, job, out).await? else {
            return Err(Failure::new(FAILED, "the node answered with another job"));
        };
        Ok(summary)
    });
    stop.cancel();
    let ended = join(node);
    match (asked, ended) {
        (Ok(summary), Ok(())) => report(&summary, &dir, out),
        // The node's own reason says more than that nobody answered.
        (Err(failure), Ok(())) => Err(failure),
        (_, Err(e)) => Err(Failure::new(e.exit_code(), e)),
    }
}

async fn wait_until_ready(ready: oneshot::Receiver<()>) -> Asked {
    tokio::select! {
        told = tokio::time::timeout(READY_WAIT, ready) => match told {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Failure::new(FAILED, "the node did not start")),
            Err(_) => Err(Failure::new(
                NO_PEERS,
                "no peer of the invite answers; check that its addresses can be reached, or ask \
                 for a new invite",
            )),
        },
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            Err(Failure::new(INTERRUPTED, "interrupted: run the same command again to go on"))
        }
    }
}

fn join(node: JoinHandle<Result<(), AppError>>) -> Result<(), AppError> {
    node.join().unwrap_or(Err(AppError::Ended("node")))
}

fn report(summary: &RecoverSummary, home: &Path, out: Out) -> Asked {
    for failure in &summary.failures {
        out.trouble(&failure.segment, &failure.reason);
    }
    out.object(&object(summary))?;
    for line in lines(summary, home) {
        out.remark(line)?;
    }
    if summary.lost > 0 {
        return Err(Failure::new(
            IN_PART,
            format_args!(
                "{} segments cannot be brought back now: when more providers are reachable, run the \
                 same command again",
                summary.lost
            ),
        ));
    }
    if summary.strangers > 0 {
        return Err(Failure::new(
            IN_PART,
            "newer backups may be missing: when more providers are reachable, run the same command \
             again",
        ));
    }
    Ok(())
}

fn object(summary: &RecoverSummary) -> serde_json::Value {
    json!({
        "message_type": "summary",
        "account": summary.account,
        "balance": summary.balance.0.to_string(),
        "contracts": summary.contracts,
        "providers_silent": summary.providers_silent,
        "segments": summary.segments,
        "snapshots": summary.snapshots,
        "bytes": summary.bytes,
        "heads": {
            "found": summary.heads.found,
            "stale_peers": summary.heads.stale_peers,
            "refused": summary.heads.refused,
            "seq": summary.heads.seq,
        },
        "segments_below_full": summary.segments_below_full,
        "lost": summary.lost,
        "uncovered": summary.uncovered,
        "strangers": summary.strangers,
        "head_holders": summary.head_holders,
        "seconds": summary.seconds,
    })
}

fn lines(summary: &RecoverSummary, home: &Path) -> Vec<String> {
    let heads = summary.heads;
    let mut lines = vec![
        format!("account   {}", summary.account),
        format!("credit    {}", summary.balance.0),
        format!(
            "found     {} snapshots of {}, in {} segments under {} contracts, {:.1} s",
            summary.snapshots,
            Bytes(summary.bytes),
            summary.segments,
            summary.contracts,
            summary.seconds
        ),
    ];
    if summary.providers_silent > 0 {
        lines.push(format!(
            "silent    {} of {} providers did not answer; what they hold counts as there until the \
             network finds it lost",
            summary.providers_silent, summary.contracts
        ));
    }
    if heads.stale_peers > 0 || heads.refused > 0 {
        lines.push(format!(
            "heads     {} peers showed an older one than others, {} were no heads of this account",
            heads.stale_peers, heads.refused
        ));
    }
    if let Some(line) = missed(summary) {
        lines.push(line);
    }
    if summary.segments_below_full > 0 {
        lines.push(format!(
            "repair    {} segments are below full redundancy: the running node repairs them",
            summary.segments_below_full
        ));
    }
    lines.push(format!(
        "next      larder --home {} up, then `larder snapshots` and `larder restore latest --target \
         DIR`",
        home.display()
    ));
    lines
}

/// Whether the heads may have been old.
fn missed(summary: &RecoverSummary) -> Option<String> {
    match (summary.uncovered, summary.strangers) {
        (0, 0) => None,
        (contracts, 0) => Some(format!(
            "warning   {contracts} contracts have moved on since the newest head; no shards were \
             found that it does not explain"
        )),
        (contracts, shards) => Some(format!(
            "warning   {shards} shards belong to nothing that was found, and {contracts} contracts \
             are newer than every head: the newest backups may be missing"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_rpc::{HeadsFound, Nano, Text};
    use larder_types::{AccountId, Amount};

    #[test]
    fn the_summary_is_that_of_the_surface() {
        let mut summary = RecoverSummary {
            account: Text(AccountId([1; 32])),
            balance: Nano(Amount::from_credits(3)),
            contracts: 4,
            providers_silent: 1,
            segments: 5,
            snapshots: 6,
            bytes: 7,
            heads: HeadsFound {
                found: 1,
                stale_peers: 2,
                refused: 3,
                seq: 9,
            },
            segments_below_full: 2,
            lost: 0,
            failures: Vec::new(),
            uncovered: 1,
            strangers: 4,
            head_holders: 3,
            seconds: 1.5,
        };
        let value = object(&summary);
        assert_eq!(value["balance"], "3");
        assert_eq!(value["heads"]["stale_peers"], 2);
        assert_eq!(value["heads"]["seq"], 9);
        assert_eq!(
            (&value["uncovered"], &value["strangers"]),
            (&json!(1), &json!(4))
        );
        let text = lines(&summary, Path::new("h")).join("\n");
        for said in [
            "1 of 4 providers",
            "2 peers showed an older",
            "larder --home h up",
            "4 shards belong to nothing",
        ] {
            assert!(text.contains(said), "{text}");
        }
        let out = Out {
            json: true,
            quiet: true,
            verbose: false,
        };
        let exit =
            |summary: &RecoverSummary| report(summary, Path::new("h"), out).map_err(|f| f.exit);
        assert_eq!(exit(&summary), Err(IN_PART), "strangers decide");
        summary.strangers = 0;
        assert_eq!(exit(&summary), Ok(()), "contracts also move on by repair");
        assert!(missed(&summary).unwrap().contains("1 contracts"));
        summary.uncovered = 0;
        assert_eq!(missed(&summary), None);
    }
}
