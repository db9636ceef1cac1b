//! What subscribers are told: each block with its transactions as it is applied, jobs while they go on,
//! and how the node is whenever that changes.

use crate::alerts::Board;
use crate::chain::Ledger;
use crate::jobs::Jobs;
use crate::net::NetHandle;
use crate::shown::count;
use larder_ledger::Block;
use larder_rpc::{BlockNotice, Feeds, Job, JobState, Moment, NodeNotice, Text, TxNotice};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often jobs and the node are looked at: what a person takes for at once.
const LOOK: Duration = Duration::from_millis(500);

/// Tells of a block that was just applied.
pub(crate) fn block(feeds: &Feeds, block: &Block) {
    let header = &block.header;
    let (height, hash) = (header.height, Text(header.hash()));
    let notice = BlockNotice {
        height,
        hash,
        time: Moment(header.time),
        epoch: header.epoch,
        transactions: count(block.txs.len() as u64),
    };
    feeds.chain.tell(&notice, Vec::new);
    if !feeds.tx.is_heard() {
        return;
    }
    for tx in &block.txs {
        let notice = TxNotice {
            tx: Text(tx.id()),
            kind: tx.kind().to_owned(),
            height,
            block_hash: hash,
            accounts: tx.accounts().into_iter().map(Text).collect(),
        };
        let about = || {
            let accounts = notice.accounts.iter().map(ToString::to_string);
            accounts.chain([notice.tx.to_string()]).collect()
        };
        feeds.tx.tell(&notice, about);
    }
}

/// What is looked at while the node runs.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) jobs: Jobs,
    pub(crate) ledger: Ledger,
    pub(crate) net: NetHandle,
    pub(crate) board: Board,
}

impl Watch {
    /// Looks and tells until it is dropped.
    pub(crate) async fn run(self) {
        let mut told = BTreeMap::new();
        let mut last = None;
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.jobs(&mut told);
            self.node(&mut last).await;
        }
    }

    /// An ended job is told of once more, and then never again.
    fn jobs(&self, told: &mut BTreeMap<String, JobState>) {
        if !self.feeds.job.is_heard() {
            return;
        }
        let jobs = self.jobs.list();
        told.retain(|id, _| jobs.iter().any(|job| job.job == *id));
        for job in jobs {
            let before = told.insert(job.job.clone(), job.state);
            if before == Some(job.state) && is_over(&job) {
                continue;
            }
            self.feeds.job.tell(&job, || vec![job.job.clone()]);
        }
    }

    async fn node(&self, last: &mut Option<NodeNotice>) {
        if !self.feeds.node.is_heard() {
            *last = None;
            return;
        }
        let peers = self.net.peers().await.map_or(0, |peers| peers.len());
        let (head, epoch) = {
            let guard = self.ledger.read();
            (guard.0.head(), guard.0.epoch())
        };
        let notice = NodeNotice {
            ready: head.height > 0,
            height: head.height,
            epoch,
            peers: count(peers as u64),
            jobs: count(self.jobs.open() as u64),
            alerts: count(self.board.open().len() as u64),
        };
        if last.replace(notice) != Some(notice) {
            self.feeds.node.tell(&notice, Vec::new);
        }
    }
}

fn is_over(job: &Job) -> bool {
    match job.state {
        JobState::Queued | JobState::Running => false,
        JobState::Done | JobState::Failed | JobState::Cancelled => true,
    }
}
