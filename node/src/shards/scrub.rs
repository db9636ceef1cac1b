//! The scrubber: reads every shard that the provider's side answers for, at a bounded rate, and
//! tells the engine which ones the disk does not give back as they were stored: one pass at the
//! start and one every seven epochs, and at once whatever serving or proving stumbled over. A
//! declared loss costs less than one that is found out, but it cannot be taken back: so each shard
//! is looked at twice, and a disk that does not answer at all is the operator's business, not a
//! loss. `docs/protocol.md` §3.10 *A provider's loss*.

use super::{Look, ShardStore, StoreError};
use crate::driver::{DriverHandle, Stopping};
use larder_engine::{Command, Engine, Input};
use larder_types::size::MIB;
use larder_types::{Millis, ShardRoot};
use rand::RngExt as _;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

/// Bytes read in a second. A tenth of what a slow disk gives, so that serving and proving do not
/// feel it, and yet 1 TiB takes 18 hours of a week.
const RATE: u64 = 16 * MIB;
/// A pass begins so many epochs after the one before it began.
const EVERY_EPOCHS: u64 = 7;
/// Suspects that wait; what finds no room is looked at in the next pass.
const SUSPECTS: usize = 256;
/// So many shards that cannot be read, one after the other in an order that has nothing to do with
/// where they lie on the disk, mean that the disk is gone, and not just they.
const DEAD_DISK: usize = 4;
/// If not one of so many shards has a file, the folder is not the one that they were stored in: a
/// disk that was not mounted, most likely.
const OTHER_FOLDER: usize = 16;

/// Where serving and proving name shards that seem damaged.
#[derive(Debug, Clone)]
pub struct Suspects(mpsc::Sender<ShardRoot>);

impl Suspects {
    /// The shard is to be looked at soon. Returns at once.
    pub fn add(&self, root: ShardRoot) {
        if self.0.try_send(root).is_err() {
            tracing::debug!(%root, "the next pass of the scrubber looks at it");
        }
    }
}

/// The queue of suspects.
#[must_use]
pub fn suspects() -> (Suspects, mpsc::Receiver<ShardRoot>) {
    let (sender, receiver) = mpsc::channel(SUSPECTS);
    (Suspects(sender), receiver)
}

/// The scrubber of one store.
#[derive(Debug)]
pub struct Scrubber {
    /// Where the shards are.
    pub store: ShardStore,
    /// Who is told, and says what there should be.
    pub driver: DriverHandle,
    /// What is looked at out of turn.
    pub suspects: mpsc::Receiver<ShardRoot>,
    /// The network's epoch.
    pub epoch: Millis,
}

impl Scrubber {
    /// Scrubs until the engine stops.
    pub async fn run(mut self) {
        let every = Duration::from_millis(self.epoch.0.saturating_mul(EVERY_EPOCHS).max(1));
        let mut passes = tokio::time::interval(every);
        passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let scrubbed = tokio::select! {
                biased;
                Some(root) = self.suspects.recv() => self.suspected(root).await,
                _ = passes.tick() => self.pass().await,
            };
            if scrubbed.is_err() {
                return tracing::debug!("the engine has stopped");
            }
        }
    }

    /// Everything that is stored, in the order of the roots, from anywhere on: a node that is
    /// restarted often gets everywhere all the same.
    async fn pass(&mut self) -> Result<(), Stopping> {
        let mut roots = self.driver.query(Engine::sound_shards).await?;
        if roots.is_empty() || self.is_elsewhere(&roots).await {
            return Ok(());
        }
        roots.sort_unstable();
        let first = rand::rng().random_range(0..roots.len());
        roots.rotate_left(first);
        let (mut findings, all) = (Findings::default(), roots.len());
        for root in roots {
            while let Ok(suspect) = self.suspects.try_recv() {
                self.suspected(suspect).await?;
            }
            let began = Instant::now();
            let look = self.look(root).await;
            let rest = pause(&look).saturating_sub(began.elapsed());
            let damaged = findings.add(root, look);
            self.report(damaged).await?;
            tokio::time::sleep(rest).await;
        }
        let damaged = findings.end();
        tracing::debug!("{all} shards scrubbed");
        self.report(damaged).await
    }

    /// One shard that did not come out right.
    async fn suspected(&self, root: ShardRoot) -> Result<(), Stopping> {
        let known = self.driver.query(Engine::sound_shards).await?;
        if self.is_elsewhere(&known).await {
            return Ok(());
        }
        match self.look(root).await {
            Look::Sound { .. } => {
                tracing::warn!(%root, "a shard could not be read once, and is sound now");
                Ok(())
            }
            Look::Damaged(e) => {
                tracing::debug!("{e}");
                self.report(vec![root]).await
            }
            // The next pass tells a bad sector from a disk that is gone.
            Look::Unreadable(e) => {
                tracing::error!("{e}; check the disk");
                Ok(())
            }
        }
    }

    /// Tells the engine, unless it has dropped the shards meanwhile.
    async fn report(&self, damaged: Vec<ShardRoot>) -> Result<(), Stopping> {
        if damaged.is_empty() {
            return Ok(());
        }
        let still = |engine: &Engine| damaged.into_iter().filter(|r| engine.is_sound(r)).collect();
        let damaged: Vec<ShardRoot> = self.driver.query(still).await?;
        for root in &damaged {
            tracing::error!(%root, "a stored shard is damaged; it will be declared lost");
        }
        let told = Input::Command(Command::Damaged(damaged));
        self.driver.input(told).await
    }

    async fn look(&self, root: ShardRoot) -> Look {
        let store = self.store.clone();
        spawn_blocking(move || store.look(&root))
            .await
            .expect("the store does not panic")
    }

    /// Whether the store's folder holds none of many shards.
    async fn is_elsewhere(&self, roots: &[ShardRoot]) -> bool {
        if roots.len() < OTHER_FOLDER {
            return false;
        }
        let (store, roots) = (self.store.clone(), roots.to_vec());
        let elsewhere = spawn_blocking(move || !roots.iter().any(|root| store.contains(root)));
        let elsewhere = elsewhere.await.expect("the store does not panic");
        if elsewhere {
            tracing::error!(
                "the shard folder holds none of the stored shards: is its disk mounted? Nothing \
                 is declared lost; each epoch that is not proven costs its pay"
            );
        }
        elsewhere
    }
}

/// How long a look may take at [`RATE`].
fn pause(look: &Look) -> Duration {
    match look {
        Look::Sound { len } => Duration::from_micros(len.saturating_mul(1_000_000) / RATE),
        Look::Damaged(_) | Look::Unreadable(_) => Duration::ZERO,
    }
}

/// What a pass has come to so far. It tells shards that cannot be read on a disk that answers, which
/// are lost, from a disk that does not.
#[derive(Debug, Default)]
struct Findings {
    /// Whether the disk has answered at all.
    answered: bool,
    /// Shards that could not be read, since the disk last answered.
    unreadable: Vec<ShardRoot>,
}

impl Findings {
    /// Adds one look; gives the shards that are now known to be damaged.
    fn add(&mut self, root: ShardRoot, look: Look) -> Vec<ShardRoot> {
        match look {
            Look::Sound { .. } => {
                self.answered = true;
                self.few_unreadable()
            }
            Look::Damaged(e) => {
                tracing::debug!("{e}");
                let present = !matches!(e, StoreError::Absent { .. });
                self.answered |= present;
                let mut damaged = if present {
                    self.few_unreadable()
                } else {
                    Vec::new()
                };
                damaged.push(root);
                damaged
            }
            Look::Unreadable(e) => {
                tracing::error!("{e}; check the disk");
                self.unreadable.push(root);
                Vec::new()
            }
        }
    }

    /// The pass is over.
    fn end(mut self) -> Vec<ShardRoot> {
        if self.answered {
            return self.few_unreadable();
        }
        if !self.unreadable.is_empty() {
            tracing::error!("no shard can be read: check the disk; nothing is declared lost");
        }
        Vec::new()
    }

    fn few_unreadable(&mut self) -> Vec<ShardRoot> {
        let unreadable = std::mem::take(&mut self.unreadable);
        if unreadable.len() < DEAD_DISK {
            return unreadable;
        }
        tracing::error!(
            "{} shards in a row cannot be read: check the disk; they are not declared lost",
            unreadable.len()
        );
        Vec::new()
    }
}

#[cfg(test)]
#[path = "scrub/tests.rs"]
mod tests;
