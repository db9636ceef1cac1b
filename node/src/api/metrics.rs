//! `/healthz`, `/readyz` and `/metrics` of a node: facts are gathered here, and shown by
//! [`crate::metrics`].

use super::NodeApi;
use crate::home::now;
use crate::metrics::{Chain, Kept, Provided, Sample, database_bytes, exposition, resident_bytes};
use larder_engine::Engine;
use larder_rpc::{Probes, RpcMetrics};
use larder_types::{Millis, Schedule, Time};
use std::time::Duration;

/// The engine answers within this, or something holds it up.
const ALIVE: Duration = Duration::from_secs(5);

impl Probes for NodeApi {
    async fn alive(&self) -> bool {
        let answer = self.driver.query(|_| ());
        matches!(tokio::time::timeout(ALIVE, answer).await, Ok(Ok(())))
    }

    async fn lacking(&self) -> Vec<String> {
        let mut lacking = Vec::new();
        if !self.alive().await {
            lacking.push("the engine does not answer: see the node's log".to_owned());
        }
        let (height, time) = self.state(|s| (s.head().height, s.head().time));
        let schedule = Schedule::new(self.genesis.start, &self.genesis.params);
        let patience = self.rules.now().limits.ledger_after;
        lacking.extend(behind(height, time, &schedule, (now(), patience)));
        lacking
    }

    fn counts(&self) -> RpcMetrics {
        self.rpc.clone()
    }

    async fn metrics(&self) -> String {
        exposition(&self.sample().await, &self.rpc)
    }
}

/// What is wrong with the chain as this node has it, if anything.
fn behind(
    height: u64,
    time: Time,
    schedule: &Schedule,
    (now, patience): (Time, Millis),
) -> Option<String> {
    if height == 0 {
        return Some("no block has come yet: check that a validator is reached".to_owned());
    }
    let late = now > schedule.next_event(time).after(patience);
    let seconds = now.since(time).0 / 1_000;
    late.then(|| {
        format!("the newest block is {seconds} s old: it catches up, or the ledger stands still")
    })
}

impl NodeApi {
    async fn sample(&self) -> Sample {
        let consensus = self.consensus_now().await;
        let (head, epoch) = self.state(|s| (s.head(), s.epoch()));
        let tally = self.ledger.read().1.get(&self.node).copied();
        let tally = tally.unwrap_or_default();
        let asked = |e: &Engine| {
            (
                e.segments(),
                e.provided(),
                e.contracts(),
                e.offers(now()).len(),
            )
        };
        let (segments, provided, contracts, offers) =
            self.driver.query(asked).await.unwrap_or_default();
        let home = self.config.home().to_owned();
        let size = tokio::task::spawn_blocking(move || database_bytes(&home)).await;
        Sample {
            chain: Chain {
                height: head.height,
                epoch: u64::from(epoch),
                age_seconds: consensus.last_block_age_ms / 1_000,
                validators: u64::from(consensus.validators),
                reached: u64::from(consensus.validators_reached),
            },
            peers: self.net.peers().await.map_or(0, |peers| peers.len() as u64),
            offers: offers as u64,
            alerts: self.board.counts(),
            jobs: self.jobs.open() as u64,
            started: self.started,
            now: now(),
            resident: resident_bytes(),
            kept: Kept {
                segments: segments.segments,
                below_full: segments.below_full,
                lost: segments.lost,
                bytes: segments.bytes_stored,
                repaired: segments.shards_repaired,
                contracts: contracts.iter().filter(|c| c.rented).count() as u64,
            },
            provided: provided.map(|p| Provided {
                quota: p.quota,
                sold: p.sold,
                used: p.used,
                free: p.free,
                shards: p.shards,
                damaged: p.damaged,
                passed: tally.passed,
                missed: tally.missed,
                earned: tally.earned,
            }),
            database: size.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::{Params, Profile};

    #[test]
    fn a_node_is_ready_while_blocks_come_when_they_are_due() {
        let params = Params::profile(Profile::Private);
        let schedule = Schedule::new(Time(0), &params);
        let patience = Millis(120_000);
        let at = |height, time, now| behind(height, Time(time), &schedule, (Time(now), patience));
        assert!(at(0, 0, 1).is_some());
        assert_eq!(at(1, 1_000, 2_000), None);
        let due = schedule.next_event(Time(1_000)).0;
        assert_eq!(at(1, 1_000, due + 100_000), None, "it is hardly late");
        assert!(at(1, 1_000, due + 120_001).is_some());
    }
}
