//! `larder doctor` and `node_doctor`: what is wrong with a node, and how to mend it. Judged here from
//! what was found; each check is a line.

use crate::cli::{DAMAGE, FAILED};
use crate::home::read_cert;
use crate::home::rebirth::is_recovering;
use larder_rpc::{Alert, Check, ConsensusStatus, NodeStatus, ProviderStatus, Repairs, Wrong};
use larder_types::size::GIB;
use larder_types::{Amount, Bytes};
use std::io;
use std::path::Path;

/// Less free disk space than this may stop a backup's spool or a provider.
const LOW_SPACE: Bytes = Bytes(GIB);

/// Alerts whose cause is a check of its own.
const COVERED: [&str; 2] = ["no_peers", "proofs_missed"];

/// What a running node knows of itself.
#[derive(Debug)]
pub struct Known<'a> {
    /// The node at a glance.
    pub status: &'a NodeStatus,
    /// The redundancy of what it stores.
    pub repairs: &'a Repairs,
    /// Providers that are paid for room and take no shards.
    pub refusing: usize,
    /// The open alerts.
    pub alerts: &'a [Alert],
}

/// What a home alone says, whether its node runs or not.
///
/// # Errors
/// [`io::Error`] if the disk cannot be looked at.
pub fn of_home(home: &Path) -> io::Result<Vec<Check>> {
    Ok(vec![space(home)?, words(home)])
}

/// What a running node says beside that.
#[must_use]
pub fn of_node(known: &Known<'_>) -> Vec<Check> {
    let Known {
        status, repairs, ..
    } = known;
    let mut checks = vec![
        check(
            "node",
            format!("block {}, epoch {}", status.height, status.epoch),
            (!status.ready).then_some("wait until it has caught up"),
        ),
        check(
            "network",
            format!("{} peers", status.peers),
            (status.peers == 0).then_some("check that the invite's addresses can be reached"),
        ),
        blocks(&status.consensus),
        check(
            "market",
            format!("{} offers", status.offers),
            (status.offers == 0)
                .then_some("wait for a provider, or start one with `larder up --provide SIZE`"),
        ),
        check(
            "credit",
            format!("{} credits", status.balance.0),
            (status.balance.0 == Amount::ZERO).then_some("ask somebody for `larder wallet send`"),
        ),
        data(repairs),
    ];
    checks.extend(repairs.trouble.iter().map(|trouble| {
        let mend = "lost shards find no new provider: see to that";
        check("repair", trouble.clone(), Some(mend))
    }));
    checks.extend(renting(known.refusing));
    checks.extend(head(status));
    checks.extend(status.provider.iter().flat_map(provided));
    let news = known
        .alerts
        .iter()
        .filter(|a| !COVERED.contains(&a.code.as_str()));
    checks.extend(news.map(alert));
    checks
}

fn check(name: &str, found: impl Into<String>, mend: Option<&str>) -> Check {
    Check {
        check: name.to_owned(),
        found: found.into(),
        wrong: mend.map(|mend| Wrong {
            mend: mend.to_owned(),
            exit_code: FAILED,
        }),
    }
}

/// What is wrong with data itself.
fn grave(check: Check) -> Check {
    Check {
        wrong: check.wrong.map(|wrong| Wrong {
            exit_code: DAMAGE,
            ..wrong
        }),
        ..check
    }
}

fn space(home: &Path) -> io::Result<Check> {
    let disk = rustix::fs::statvfs(home)?;
    let free = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
    let mend = (free < LOW_SPACE).then_some("free some disk space");
    Ok(check("disk", format!("{free} free"), mend))
}

/// Whether the words would bring this home back.
fn words(home: &Path) -> Check {
    let (found, mend) = match read_cert(home) {
        Err(e) => {
            let mend = "bring it back from a copy, or recover the home from its words";
            return check("words", e.to_string(), Some(mend));
        }
        Ok(_) if is_recovering(home) => (
            "the recovery of this home has not come to its end",
            Some("run `larder recover` again, with the same words and home"),
        ),
        Ok(None) => (
            "this home is not certified: the words alone do not bring its backups back",
            Some("make a new home with `larder init`, and back up anew"),
        ),
        Ok(Some(cert)) if cert.expiry < crate::home::now() => (
            "this home's certificate is past: heads that it makes are refused",
            Some("make a new home with `larder recover`"),
        ),
        Ok(Some(_)) => (
            "this home is certified: the words bring its backups back",
            None,
        ),
    };
    check("words", found, mend)
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
    let found =
        format!("{part}, {reached} of {validators} validators reached, the newest is {age} s old");
    check("blocks", found, mend)
}

fn data(repairs: &Repairs) -> Check {
    let found = format!(
        "{} segments, {} below full redundancy ({} being repaired), {} unreadable",
        repairs.segments, repairs.segments_below_full, repairs.repairing, repairs.segments_lost
    );
    let mend = "bring their providers back: `larder repairs` names the segments";
    grave(check(
        "data",
        found,
        (repairs.segments_lost > 0).then_some(mend),
    ))
}

fn renting(refusing: usize) -> Option<Check> {
    let found = format!("{refusing} providers are paid for room and take no shards");
    let mend = "nothing more is placed there: `larder contracts` names them";
    (refusing > 0).then(|| check("renting", found, Some(mend)))
}

fn head(status: &NodeStatus) -> Option<Check> {
    let keeper = status.keeper;
    let found = format!(
        "{} providers hold what the words bring the data back by, {} should",
        keeper.head_holders, keeper.head_wanted
    );
    let few = keeper.head_holders < keeper.head_wanted;
    let mend = few.then_some("leave the node running until more are reachable");
    (keeper.segments > 0).then(|| check("head", found, mend))
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
    let mut checks = vec![check(
        "provider",
        format!("{state}{shards} shards, {damaged} found damaged so far, {declared} declared lost"),
        faulted.then_some(
            "find out why proofs were missed; it may take new contracts once all of its old ones \
             are closed",
        ),
    )];
    checks.push(check(
        "strikes",
        format!(
            "{} of the last 30 epochs were missed, {} in a row; {} more in a row make it FAULTED",
            provider.strikes, provider.misses_in_a_row, provider.misses_left
        ),
        (provider.misses_in_a_row > 0 && !faulted).then_some(
            "see `larder offer show` for the reasons, and keep the node running; announce what can \
             be planned with `larder offer maintenance`",
        ),
    ));
    checks.extend(provider.volume_trouble.iter().map(|why| {
        let mend = "mount the disk before the next proof is due; `larder volume list` names it";
        grave(check("volume", why.clone(), Some(mend)))
    }));
    checks.extend(provider.refuses.iter().map(|why| {
        let mend = "mend the disk, or make it faster: see `larder offer show`";
        check("offer", format!("nothing is taken on: {why}"), Some(mend))
    }));
    checks
}

/// An open alert: its message names the mend.
fn alert(alert: &Alert) -> Check {
    let (found, mend) = alert
        .message
        .split_once(": ")
        .unwrap_or((&alert.message, "see `larder alerts`"));
    check("alert", format!("{}: {found}", alert.code), Some(mend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_rpc::{Consensus, KeeperStatus, Moment, Nano, Severity, Text};
    use larder_types::{BlockHash, Time};

    fn status() -> NodeStatus {
        NodeStatus {
            ready: true,
            height: 7,
            block_hash: Text(BlockHash([0; 32])),
            epoch: 1,
            peers: 3,
            offers: 2,
            balance: Nano(Amount(1)),
            jobs: 0,
            consensus: ConsensusStatus {
                kind: Consensus::Solo,
                seated: false,
                votes: false,
                stands: false,
                validators: 1,
                validators_reached: 1,
                last_block: Moment(Time(1)),
                last_block_age_ms: 10,
            },
            keeper: KeeperStatus::default(),
            provider: None,
        }
    }

    fn repairs() -> Repairs {
        Repairs {
            segments: 4,
            segments_below_full: 0,
            segments_lost: 0,
            full_redundancy: true,
            suspect: 0,
            repairing: 0,
            shards_repaired: 0,
            bytes_read: 0,
            bytes_written: 0,
            trouble: None,
            below_full: Vec::new(),
            repairs: Vec::new(),
        }
    }

    /// The checks that are wrong, with their exit codes.
    fn wrong(status: &NodeStatus, repairs: &Repairs, alerts: &[Alert]) -> Vec<(String, u8)> {
        let known = Known {
            status,
            repairs,
            refusing: 0,
            alerts,
        };
        let checks = of_node(&known).into_iter();
        checks
            .filter_map(|c| Some((c.check, c.wrong?.exit_code)))
            .collect()
    }

    #[test]
    fn a_sound_node_has_no_problem() {
        assert_eq!(wrong(&status(), &repairs(), &[]), []);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_exit_code() {
        let mut ill = status();
        (ill.peers, ill.balance) = (0, Nano(Amount::ZERO));
        ill.provider = Some(ProviderStatus {
            volume_trouble: vec!["/mnt/a: gone".into()],
            misses_in_a_row: 1,
            ..ProviderStatus::default()
        });
        let lost = Repairs {
            segments_lost: 1,
            ..repairs()
        };
        let found = wrong(&ill, &lost, &[]);
        let named = |name: &str, exit| found.contains(&(name.to_owned(), exit));
        assert!(
            named("network", FAILED) && named("credit", FAILED),
            "{found:?}"
        );
        assert!(
            named("data", DAMAGE) && named("volume", DAMAGE),
            "{found:?}"
        );
        assert!(named("strikes", FAILED) && found.len() == 5, "{found:?}");
    }

    #[test]
    fn an_open_alert_is_a_problem_and_brings_its_mend() {
        let alert = Alert {
            code: "backup_old".into(),
            subject: None,
            severity: Severity::Warning,
            since: Moment(Time(1)),
            cleared: None,
            message: "the newest snapshot is 9 days old: make one with `larder backup`".into(),
        };
        assert_eq!(
            wrong(&status(), &repairs(), std::slice::from_ref(&alert)).len(),
            1
        );
        let check = super::alert(&alert);
        assert_eq!(check.wrong.unwrap().mend, "make one with `larder backup`");
    }
}
