//! What is to happen, in order of time and, at one moment, of being planned.

use crate::chain::Applied;
use crate::faults::Fault;
use larder_engine::io::{Input, Submission};
use larder_engine::wire::{BulkHeader, Request};
use larder_engine::{OpId, Token};
use larder_types::{SegmentId, Time};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

/// One life of one node: from a start to the next stop. What was meant for an earlier life is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Which node.
    pub(crate) node: usize,
    /// Which of its lives, counted from 1.
    pub(crate) life: u32,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An engine gets an input.
    Input(Life, Input),
    /// An engine's deadline has come, unless it was moved meanwhile.
    Tick(Life, u64),
    /// A block reaches a node.
    Block(Life, Arc<Applied>),
    /// A node that has come online catches up with the chain.
    Sync(Life),
    /// The validator looks at its clock, unless it was told another time meanwhile.
    Validate(u64),
    /// A submission reaches the validator.
    Submit(Life, OpId, Submission),
    /// A control request reaches a peer.
    Request {
        /// Who asks, and under which call it is answered.
        from: usize,
        /// The call.
        token: Token,
        /// Who is asked.
        to: usize,
        /// What.
        request: Request,
    },
    /// The head of a stream reaches a peer.
    Stream {
        /// Who opens it, and under which call it is answered.
        from: usize,
        /// The call.
        token: Token,
        /// Whom it reaches.
        to: usize,
        /// Its head.
        header: BulkHeader,
    },
    /// A shard's bytes have reached a provider.
    Arrived(Life, Token),
    /// A call has taken too long.
    Timeout(Token),
    /// A node comes or goes.
    Session(usize),
    /// The power goes at the latest now, wherever the node stands.
    Out(Life),
    /// A provider is gone for good, with its disk.
    Death(usize),
    /// A new provider joins.
    Join,
    /// A provider's disk is looked through for what it does not give back as it was stored.
    Scrub(Life),
    /// A planned fault.
    Fault(Fault),
    /// A keeper looks whether it needs to hear offers.
    Gossip(usize),
    /// A keeper's next backup.
    Backup(usize),
    /// A keeper hands segments that are not saved yet over again.
    Resume(Life),
    /// A keeper hands one segment over again.
    Again(Life, SegmentId),
    /// A keeper reads something back.
    Restore(usize),
    /// A provider begins to cheat, or its twin does not.
    Turn(usize),
    /// A cheating provider throws shards away.
    Cheat(usize),
    /// Checkers look at everything.
    Checkpoint,
    /// A virtual day has passed.
    Day,
}

#[derive(Debug)]
struct Entry {
    at: Reverse<(Time, u64)>,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

/// Everything that is planned.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

impl Queue {
    /// Plans something.
    pub(crate) fn push(&mut self, at: Time, what: Happening) {
        let at = Reverse((at, self.next));
        self.next += 1;
        self.heap.push(Entry { at, what });
    }

    /// The next thing, if anything is planned.
    pub(crate) fn pop(&mut self) -> Option<(Time, Happening)> {
        let entry = self.heap.pop()?;
        Some((entry.at.0.0, entry.what))
    }
}
