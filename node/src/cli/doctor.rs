//! `larder doctor`: what is wrong and how to mend it. Each check is a line; the exit code says
//! whether all is well.

use super::connect::{Asked, require_home, runtime};
use super::exit::{DAMAGE, FAILED, Failure};
use super::output::Out;
use crate::home::read_cert;
use crate::home::rebirth::is_recovering;
use larder_rpc::client::all;
use larder_rpc::{Client, ConsensusStatus, Empty, ProviderStatus};
use larder_types::size::GIB;
use larder_types::{Amount, Bytes};
use serde_json::json;
use std::path::Path;

/// Less free disk space than this may stop a backup's spool or a provider.
const LOW_SPACE: Bytes = Bytes(GIB);

/// One thing looked at.
struct Check {
    name: &'static str,
    found: String,
    /// How to mend it, and the exit code if it stays; `None`: it is well.
    mend: Option<(&'static str, u8)>,
}

pub(super) fn doctor(home: &Path, out: Out) -> Asked {
    require_home(home)?;
    let mut checks = vec![space(home)?, words(home)?];
    match Client::of_home(home) {
        Ok(node) => runtime()?.block_on(ask_node(&node, &mut checks))?,
        Err(e) => checks.push(Check {
            name: "node",
            found: e.to_string(),
            mend: Some(("start it with `larder up`", e.exit_code())),
        }),
    }
    report(&checks, out)
}

fn space(home: &Path) -> Result<Check, Failure> {
    let disk = rustix::fs::statvfs(home).map_err(std::io::Error::from)?;
    let free = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
    let mend = (free < LOW_SPACE).then_some(("free some disk space", FAILED));
    Ok(Check {
        name: "disk",
        found: format!("{free} free"),
        mend,
    })
}

/// Whether the words would bring this home back.
fn words(home: &Path) -> Result<Check, Failure> {
    let cert = read_cert(home).map_err(|e| Failure::new(e.exit_code(), e))?;
    let (found, mend) = match cert {
        _ if is_recovering(home) => (
            "the recovery of this home has not come to its end",
            Some("run `larder recover` again, with the same words and home"),
        ),
        None => (
            "this home is not certified: the words alone do not bring its backups back",
            Some("make a new home with `larder init`, and back up anew"),
        ),
        Some(cert) if cert.expiry < crate::home::now() => (
            "this home's certificate is past: heads that it makes are refused",
            Some("make a new home with `larder recover`"),
        ),
        Some(_) => (
            "this home is certified: the words bring its backups back",
            None,
        ),
    };
    Ok(Check {
        name: "words",
        found: found.to_owned(),
        mend: mend.map(|mend| (mend, FAILED)),
    })
}

async fn ask_node(node: &Client, checks: &mut Vec<Check>) -> Asked {
    let status = match node.node_status(&Empty {}).await {
        Ok(status) => status,
        Err(e) => {
            checks.push(Check {
                name: "node",
                found: e.to_string(),
                mend: Some(("start it with `larder up`", e.exit_code())),
            });
            return Ok(());
        }
    };
    let repairs = node.renter_repairs(&Empty {}).await?;
    let wrong = |bad: bool, mend: &'static str, exit: u8| bad.then_some((mend, exit));
    checks.extend([
        Check {
            name: "node",
            found: format!("block {}, epoch {}", status.height, status.epoch),
            mend: wrong(!status.ready, "wait until it has caught up", FAILED),
        },
        Check {
            name: "network",
            found: format!("{} peers", status.peers),
            mend: wrong(
                status.peers == 0,
                "check that the invite's addresses can be reached",
                FAILED,
            ),
        },
        blocks(&status.consensus),
        Check {
            name: "market",
            found: format!("{} offers", status.offers),
            mend: wrong(
                status.offers == 0,
                "wait for a provider, or start one with `larder up --provide SIZE`",
                FAILED,
            ),
        },
        Check {
            name: "credit",
            found: format!("{} credits", status.balance.0),
            mend: wrong(
                status.balance.0 == Amount::ZERO,
                "ask somebody for `larder wallet send`",
                FAILED,
            ),
        },
        Check {
            name: "data",
            found: format!(
                "{} segments, {} below full redundancy ({} being repaired), {} unreadable",
                repairs.segments,
                repairs.segments_below_full,
                repairs.repairing,
                repairs.segments_lost
            ),
            mend: wrong(
                repairs.segments_lost > 0,
                "bring their providers back: `larder repairs` names the segments",
                DAMAGE,
            ),
        },
    ]);
    if let Some(trouble) = repairs.trouble {
        checks.push(Check {
            name: "repair",
            found: trouble,
            mend: Some(("lost shards find no new provider: see to that", FAILED)),
        });
    }
    let contracts = all(|page| async move { node.renter_list_contracts(&page).await }).await?;
    let refusing = contracts.iter().filter(|c| c.refuses).count();
    if refusing > 0 {
        checks.push(Check {
            name: "renting",
            found: format!("{refusing} providers are paid for room and take no shards"),
            mend: Some((
                "nothing more is placed there: `larder contracts` names them",
                FAILED,
            )),
        });
    }
    let keeper = status.keeper;
    if keeper.segments > 0 {
        checks.push(Check {
            name: "head",
            found: format!(
                "{} providers hold what the words bring the data back by, {} should",
                keeper.head_holders, keeper.head_wanted
            ),
            mend: wrong(
                keeper.head_holders < keeper.head_wanted,
                "leave the node running until more are reachable",
                FAILED,
            ),
        });
    }
    checks.extend(status.provider.iter().flat_map(provided));
    Ok(())
}

/// A validator that does not vote weakens all; a follower that reaches none learns nothing.
fn blocks(consensus: &ConsensusStatus) -> Check {
    let ConsensusStatus {
        seated,
        votes,
        stands,
        validators,
        validators_reached: reached,
        ..
    } = *consensus;
    let part = match (votes, seated, stands) {
        (true, _, _) => "this node votes",
        (false, true, _) => "this node is a validator and does not vote",
        (false, false, true) => "this node waits to be taken in",
        (false, false, false) => "this node follows",
    };
    let age = consensus.last_block_age_ms / 1_000;
    let mend = if seated && !votes {
        Some(
            "run it with `larder up --validate`, or take it out by `larder network remove-validator`",
        )
    } else if reached == 0 {
        Some("no validator is reached: check the network, and that theirs run")
    } else if votes && u64::from(reached) * 3 <= u64::from(validators) * 2 {
        Some("more than two thirds of the validators must be reached for blocks to be made")
    } else {
        None
    };
    Check {
        name: "blocks",
        found: format!(
            "{part}, {reached} of {validators} validators reached, the newest is {age} s old"
        ),
        mend: mend.map(|mend| (mend, FAILED)),
    }
}

fn provided(provider: &ProviderStatus) -> Vec<Check> {
    let ProviderStatus {
        shards,
        damaged,
        declared,
        faulted,
        ..
    } = provider;
    let state = if *faulted { "FAULTED, " } else { "" };
    let mut checks = vec![Check {
        name: "provider",
        found: format!(
            "{state}{shards} shards, {damaged} found damaged so far, {declared} declared lost"
        ),
        mend: faulted.then_some((
            "find out why proofs were missed; it may take new contracts once all of its old ones \
             are closed",
            FAILED,
        )),
    }];
    checks.push(Check {
        name: "strikes",
        found: format!(
            "{} of the last 30 epochs were missed, {} in a row; {} more in a row make it FAULTED",
            provider.strikes, provider.misses_in_a_row, provider.misses_left
        ),
        mend: (provider.misses_in_a_row > 0 && !faulted).then_some((
            "see `larder offer show` for the reasons, and keep the node running; announce what can \
             be planned with `larder offer maintenance`",
            FAILED,
        )),
    });
    checks.extend(provider.volume_trouble.iter().map(|why| Check {
        name: "volume",
        found: why.clone(),
        mend: Some((
            "mount the disk before the next proof is due; `larder volume list` names it",
            DAMAGE,
        )),
    }));
    checks.extend(provider.refuses.iter().map(|why| Check {
        name: "offer",
        found: format!("nothing is taken on: {why}"),
        mend: Some((
            "mend the disk, or make it faster: see `larder offer show`",
            FAILED,
        )),
    }));
    checks
}

fn report(checks: &[Check], out: Out) -> Asked {
    for check in checks {
        let mend = check.mend.map(|(mend, _)| mend);
        out.object(&json!({
            "message_type": "check",
            "check": check.name,
            "ok": mend.is_none(),
            "found": check.found,
            "mend": mend,
        }))?;
        match mend {
            None => out.line(format_args!("ok    {:<8} {}", check.name, check.found))?,
            Some(mend) => out.line(format_args!(
                "WRONG {:<8} {}: {mend}",
                check.name, check.found
            ))?,
        }
    }
    let exit = checks
        .iter()
        .filter_map(|c| c.mend)
        .map(|(_, exit)| exit)
        .max();
    let problems = checks.iter().filter(|c| c.mend.is_some()).count();
    out.object(&json!({ "message_type": "summary", "problems": problems }))?;
    exit.map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}
