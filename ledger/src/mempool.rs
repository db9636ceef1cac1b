//! Transactions that wait for a block: bounded by count and bytes, in order of arrival. Nothing is
//! applied here; what cannot be included as things stand is refused or, after a block, dropped.
//! `docs/protocol.md` §3.12.

use crate::approval::Change;
use crate::check::Place;
use crate::{Stamp, State, Tx, TxRefusal, Verified};
use larder_types::{NodeId, SlotNo, Time, TxId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Transactions.
    pub count: usize,
    /// Bytes of their canonical encodings.
    pub bytes: usize,
}

impl Default for Limits {
    /// Four full blocks.
    fn default() -> Self {
        Self {
            count: 16_384,
            bytes: 4 << 20,
        }
    }
}

/// What became of a transaction that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It waits now.
    New(TxId),
    /// It waited already.
    Known(TxId),
}

impl Admitted {
    /// The transaction's id.
    #[must_use]
    pub const fn id(self) -> TxId {
        match self {
            Self::New(id) | Self::Known(id) => id,
        }
    }
}

/// Why a transaction may not wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The ledger would refuse it.
    #[error(transparent)]
    Refused(#[from] TxRefusal),
    /// There is no room; later there may be.
    #[error("{count} transactions wait, there is no room for more")]
    Full {
        /// How many wait.
        count: usize,
    },
    /// Larger than a block's share for it.
    #[error("a transaction of {bytes} bytes, the most is {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most.
        most: usize,
    },
}

/// Most bytes of one transaction: an update with all its operations fits.
pub const MAX_TX_BYTES: usize = 256 << 10;

/// What a free transaction is about that could be said in many ways, all of them good: whoever holds
/// evidence could fill the mempool with it. One waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Equivocation(NodeId),
    Censorship(SlotNo, NodeId),
    Approval(NodeId, Change),
}

const fn subject(tx: &Tx) -> Option<Subject> {
    match tx {
        Tx::Equivocation(tx) => Some(Subject::Equivocation(tx.a.by)),
        Tx::Censored(tx) => Some(Subject::Censorship(tx.ack.slot, tx.ack.provider)),
        Tx::Approve(tx) => Some(Subject::Approval(tx.by, tx.change)),
        Tx::Faucet(_)
        | Tx::Transfer(_)
        | Tx::Register(_)
        | Tx::Deposit(_)
        | Tx::TreeUpdate(_)
        | Tx::CloseFaulted(_)
        | Tx::Maintenance(_)
        | Tx::CloseByRenter(_)
        | Tx::ForceRevision(_)
        | Tx::Targeted(_)
        | Tx::Delegate(_)
        | Tx::Revoke(_)
        | Tx::Vouch(_)
        | Tx::Leave(_)
        | Tx::Candidacy(_)
        | Tx::Resign(_)
        | Tx::Withdraw(_) => None,
    }
}

/// The waiting transactions.
#[derive(Debug, Clone)]
pub struct Mempool {
    limits: Limits,
    /// By order of arrival.
    queue: BTreeMap<u64, Verified<Tx>>,
    /// Of those; shared with who checks a block meanwhile.
    ids: Arc<BTreeSet<TxId>>,
    subjects: BTreeSet<Subject>,
    bytes: usize,
    next: u64,
}

impl Mempool {
    /// Nothing waits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: BTreeMap::new(),
            ids: Arc::default(),
            subjects: BTreeSet::new(),
            bytes: 0,
            next: 0,
        }
    }

    /// Admits a transaction if the next block, made at `now`, could include it.
    ///
    /// # Errors
    /// [`AdmitError`]; then nothing changes.
    pub fn admit(
        &mut self,
        tx: Verified<Tx>,
        state: &State,
        now: Time,
    ) -> Result<Admitted, AdmitError> {
        let Stamp { id, bytes } = *tx.stamps();
        if self.ids.contains(&id) {
            return Ok(Admitted::Known(id));
        }
        if bytes > MAX_TX_BYTES {
            return Err(AdmitError::TooLarge {
                bytes,
                most: MAX_TX_BYTES,
            });
        }
        state.check_sized(tx.get(), bytes, Place::next(state, now))?;
        let subject = subject(tx.get());
        if subject.is_some_and(|subject| self.subjects.contains(&subject)) {
            return Err(TxRefusal::Waits.into());
        }
        let grown = self.bytes.saturating_add(bytes);
        if self.queue.len() >= self.limits.count || grown > self.limits.bytes {
            return Err(AdmitError::Full {
                count: self.queue.len(),
            });
        }
        Arc::make_mut(&mut self.ids).insert(id);
        self.subjects.extend(subject);
        self.bytes = grown;
        self.queue.insert(self.next, tx);
        self.next = self.next.saturating_add(1);
        Ok(Admitted::New(id))
    }

    /// Drops what the block after `state`'s head, made at `now`, could no longer include: what was
    /// included, what expired, what another made impossible.
    pub fn prune(&mut self, state: &State, now: Time) {
        let place = Place::next(state, now);
        let ids = Arc::make_mut(&mut self.ids);
        let (subjects, total) = (&mut self.subjects, &mut self.bytes);
        self.queue.retain(|_, tx| {
            let Stamp { id, bytes } = *tx.stamps();
            let stays = state.check_sized(tx.get(), bytes, place).is_ok();
            if !stays {
                ids.remove(&id);
                if let Some(subject) = subject(tx.get()) {
                    subjects.remove(&subject);
                }
                *total = total.saturating_sub(bytes);
            }
            stays
        });
    }

    /// The waiting transactions in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = &Verified<Tx>> {
        self.queue.values()
    }

    /// Those that wait now: their signatures are good.
    #[must_use]
    pub fn ids(&self) -> Arc<BTreeSet<TxId>> {
        Arc::clone(&self.ids)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
