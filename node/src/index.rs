//! The index: which block holds a transaction, and what moved on accounts. It follows the chain behind the
//! blocks, in batches: a block never waits for it, but at the start of an epoch, so that what it lacks
//! after a crash is always among the blocks that a start replays. What a new setting or an account from
//! elsewhere wants of the past is filled in by replaying the chain.

mod coverage;
mod db;
mod fill;
mod rows;

pub use rows::{Fed, Row, TxPlace};

use crate::store::{Store, StoreError};
use coverage::{Coverage, Subject};
use db::Db;
use fill::Filler;
use larder_ledger::Genesis;
use larder_types::{AccountId, TxId};
use rows::Rows;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Blocks that wait to be written; beyond it the next block waits.
const QUEUE: usize = 64;

/// Why the index failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its database failed.
    #[error("index.db: {0}; it may be deleted while the node is down")]
    Store(#[from] StoreError),
    /// A block that must be in the node's database is not, or is not sound.
    #[error(
        "block {0} is missing from the node's database or unsound; restore node.db from a copy"
    )]
    Missing(u64),
    /// The genesis is unsound.
    #[error("the network's genesis is unsound")]
    Genesis,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Whose movements are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Everybody's.
    pub everybody: bool,
    /// These accounts' in any case.
    pub own: BTreeSet<AccountId>,
}

/// Whether an account's past is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Whole,
    /// It is being filled in: so many blocks of so many are done.
    Filling(u64, u64),
    /// It is not kept.
    Not,
}

enum Msg {
    Begin {
        from: u64,
        head: u64,
        done: oneshot::Sender<u64>,
    },
    Block(Box<Fed>),
    Adopt {
        account: AccountId,
        is_new: bool,
        done: oneshot::Sender<()>,
    },
}

/// How far the index has come, for those who wait.
#[derive(Debug, Clone)]
struct Counted {
    written: Arc<watch::Sender<u64>>,
    filled: Arc<watch::Sender<u64>>,
}

impl Counted {
    fn filled(&self, height: i64) {
        self.filled.send_replace(u64::try_from(height).unwrap_or(0));
    }
}

/// The way to the index.
#[derive(Debug, Clone)]
pub struct Index {
    db: Db,
    inbox: mpsc::Sender<Msg>,
    counted: Counted,
}

impl Index {
    /// Opens the index of the home in `dir`, whose blocks lie in `store`. The task ends when nobody holds the
    /// index any more.
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn start(
        dir: &Path,
        store: Store,
        genesis: Genesis,
        scope: Scope,
    ) -> Result<(Self, JoinHandle<Result<(), IndexError>>), IndexError> {
        let db = Db::open(&dir.join("index.db")).await?;
        let counted = Counted {
            written: Arc::new(watch::Sender::new(db.height().await?)),
            filled: Arc::default(),
        };
        let (inbox, queue) = mpsc::channel(QUEUE);
        let filler = Filler {
            db: db.clone(),
            store,
            genesis,
            counted: counted.clone(),
        };
        let writer = Writer {
            filler,
            scope,
            filling: None,
            gave_up: false,
        };
        let task = tokio::spawn(writer.run(queue));
        let index = Self { db, inbox, counted };
        Ok((index, task))
    }

    /// Says where the chain begins to be replayed: `from` is the height of the state that was kept, `head` that
    /// of the newest block. Gives the height from which on blocks are to be fed.
    ///
    /// # Errors
    /// [`IndexError::Stopping`].
    pub async fn begin(&self, from: u64, head: u64) -> Result<u64, IndexError> {
        let (done, begun) = oneshot::channel();
        self.tell(Msg::Begin { from, head, done }).await?;
        begun.await.map_err(|_| IndexError::Stopping)
    }

    /// Takes a block in, one after the other; waits while too many wait.
    ///
    /// # Errors
    /// [`IndexError::Stopping`].
    pub async fn feed(&self, fed: Fed) -> Result<(), IndexError> {
        self.tell(Msg::Block(Box::new(fed))).await
    }

    /// Waits until the block of this height is in.
    ///
    /// # Errors
    /// [`IndexError::Stopping`].
    pub async fn reached(&self, height: u64) -> Result<(), IndexError> {
        let mut written = self.counted.written.subscribe();
        let reached = written.wait_for(|written| *written >= height);
        tokio::select! {
            reached = reached => reached.map(drop).map_err(|_| IndexError::Stopping),
            // The task drops its end only when it has failed.
            () = self.inbox.closed() => Err(IndexError::Stopping),
        }
    }

    /// Keeps another account's movements from now on; its past is filled in unless the account is new.
    ///
    /// # Errors
    /// [`IndexError::Stopping`].
    pub async fn adopt(&self, account: AccountId, is_new: bool) -> Result<(), IndexError> {
        let (done, adopted) = oneshot::channel();
        let adopt = Msg::Adopt {
            account,
            is_new,
            done,
        };
        self.tell(adopt).await?;
        adopted.await.map_err(|_| IndexError::Stopping)
    }

    /// Hears of every height that has come in.
    #[must_use]
    pub fn heights(&self) -> watch::Receiver<u64> {
        self.counted.written.subscribe()
    }

    /// Where a transaction stands, if it is in a block.
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn tx(&self, id: &TxId) -> Result<Option<TxPlace>, IndexError> {
        Ok(self.db.tx(id).await?)
    }

    /// Whether transactions of every block are found.
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn knows_txs(&self) -> Result<Kept, IndexError> {
        self.kept(|subject| subject == Subject::Transactions).await
    }

    /// Whether an account's past is at hand.
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn knows(&self, account: AccountId) -> Result<Kept, IndexError> {
        let own = Subject::Account(account);
        let concerns = |subject| subject == Subject::Everybody || subject == own;
        self.kept(concerns).await
    }

    async fn kept(&self, concerns: impl Fn(Subject) -> bool) -> Result<Kept, IndexError> {
        let covered = self.db.coverage().await?;
        let ours = covered.iter().filter(|c| concerns(c.subject));
        // One of them is enough, the one of which least is missing.
        let Some(best) = ours.min_by_key(|c| c.above.saturating_sub(c.below)) else {
            return Ok(Kept::Not);
        };
        if best.is_whole() {
            return Ok(Kept::Whole);
        }
        let whole = u64::try_from(best.above.saturating_sub(1)).unwrap_or(0);
        Ok(Kept::Filling(*self.counted.filled.borrow(), whole))
    }

    /// An account's movements in blocks up to `head`, newest first, beginning before the one at `before`
    /// (height, place).
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn movements(
        &self,
        account: &AccountId,
        head: u64,
        before: (u64, u32),
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        Ok(self.db.movements(account, head, before, limit).await?)
    }

    /// Writes everything back and closes the file.
    pub async fn close(&self) {
        self.db.close().await;
    }

    async fn tell(&self, msg: Msg) -> Result<(), IndexError> {
        let sent = self.inbox.send(msg).await;
        sent.map_err(|_| IndexError::Stopping)
    }
}

/// The one task that writes what comes as it is made.
struct Writer {
    filler: Filler,
    scope: Scope,
    filling: Option<JoinHandle<Result<(), IndexError>>>,
    /// The past cannot be replayed: it stays as it is until the next start.
    gave_up: bool,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Msg>) -> Result<(), IndexError> {
        let mut some = Vec::with_capacity(QUEUE);
        while queue.recv_many(&mut some, QUEUE).await > 0 {
            let mut blocks = Vec::new();
            for msg in some.drain(..) {
                match msg {
                    Msg::Block(fed) => blocks.push(*fed),
                    Msg::Begin { from, head, done } => {
                        self.write(std::mem::take(&mut blocks)).await?;
                        let held = self.begin(from, head).await?;
                        done.send(held).ok();
                    }
                    Msg::Adopt {
                        account,
                        is_new,
                        done,
                    } => {
                        self.write(std::mem::take(&mut blocks)).await?;
                        self.adopt(account, is_new).await?;
                        done.send(()).ok();
                    }
                }
            }
            self.write(blocks).await?;
            self.fill().await?;
        }
        if let Some(filling) = self.filling.take() {
            // What it has written stays; the rest is filled in at the next start.
            filling.abort();
        }
        Ok(())
    }

    async fn write(&mut self, blocks: Vec<Fed>) -> Result<(), IndexError> {
        let Some(height) = blocks.last().map(|fed| fed.block.header.height) else {
            return Ok(());
        };
        let scope = self.scope.clone();
        let kept = move || {
            let mut rows = Rows::default();
            for fed in &blocks {
                rows.add_txs(fed);
                rows.add_movements(fed, |id| scope.everybody || scope.own.contains(id));
            }
            rows
        };
        let rows = tokio::task::spawn_blocking(kept).await;
        let rows = rows.map_err(|_| IndexError::Stopping)?;
        self.filler.db.append(&rows, height).await?;
        self.filler.counted.written.send_replace(height);
        Ok(())
    }

    /// Settles what is covered, as the chain and the scope are now.
    async fn begin(&mut self, from: u64, head: u64) -> Result<u64, IndexError> {
        let db = &self.filler.db;
        let held = db.height().await?.min(head);
        let height = held.max(from);
        let (held_at, newest) = (as_height(held), as_height(height));
        let before = db.coverage().await?;
        let wanted = [Subject::Transactions]
            .into_iter()
            .chain(self.scope.everybody.then_some(Subject::Everybody))
            .chain(self.scope.own.iter().copied().map(Subject::Account));
        let covered: Vec<Coverage> = wanted
            .map(|subject| {
                let known = before.iter().find(|c| c.subject == subject);
                match known.map(|c| c.cut(as_height(head))) {
                    Some(known) if height > held => known.skipped(held_at, newest),
                    Some(known) => known,
                    None => Coverage::after(subject, newest),
                }
            })
            .collect();
        db.cover(head, &covered, height).await?;
        self.filler.counted.written.send_replace(height);
        Ok(height)
    }

    async fn adopt(&mut self, account: AccountId, is_new: bool) -> Result<(), IndexError> {
        if !self.scope.own.insert(account) {
            return Ok(());
        }
        let height = as_height(*self.filler.counted.written.borrow());
        let subject = Subject::Account(account);
        let coverage = match is_new {
            true => Coverage::new(subject, height),
            false => Coverage::after(subject, height),
        };
        Ok(self.filler.db.adopt(&coverage).await?)
    }

    /// Begins to fill in what is missing, or takes note of how that ended.
    async fn fill(&mut self) -> Result<(), IndexError> {
        if let Some(filling) = self.filling.take_if(|filling| filling.is_finished()) {
            match filling.await.map_err(|_| IndexError::Stopping)? {
                Ok(()) => {}
                Err(e @ (IndexError::Store(_) | IndexError::Stopping)) => return Err(e),
                Err(e @ (IndexError::Missing(_) | IndexError::Genesis)) => {
                    tracing::error!("the history of accounts is not filled in: {e}");
                    self.gave_up = true;
                }
            }
        }
        if self.filling.is_none() && !self.gave_up {
            let covered = self.filler.db.coverage().await?;
            if covered.iter().any(|c| !c.is_whole()) {
                self.filling = Some(tokio::spawn(self.filler.clone().run()));
            }
        }
        Ok(())
    }
}

fn as_height(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
