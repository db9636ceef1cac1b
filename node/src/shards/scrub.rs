//! The scrubber: reads every shard that the provider's side answers for, at a bounded rate, and
//! tells the engine which ones the disk does not give back as they were stored: one pass at the
//! start and one every seven epochs, and at once whatever serving or proving stumbled over. A
//! declared loss costs less than one that is found out, but it cannot be taken back: so each shard
//! is looked at twice, what is not there or cannot be read once more at the end of a pass, and a
//! disk that does not answer, is not mounted, or lacks much at once is the operator's business, not
//! a loss. `docs/protocol.md` §3.10 *A provider's loss*.

use super::{Look, StoreError, Volumes};
use crate::driver::{DriverHandle, Stopping};
use larder_engine::{Command, Engine, Input, VolumeId};
use larder_types::size::MIB;
use larder_types::{Millis, ShardRoot};
use rand::RngExt as _;
use std::collections::BTreeMap;
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
/// If so many shards have no file, and they are more than a quarter of all, they were moved, or
/// their disk is not mounted, most likely.
const MANY_ABSENT: usize = 4;
/// Between two looks at a shard that seems damaged.
pub const AGAIN: Duration = Duration::from_millis(250);

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

/// The scrubber of a provider's volumes.
#[derive(Debug)]
pub struct Scrubber {
    /// Where the shards are.
    pub store: Volumes,
    /// Who is told, and says what there should be.
    pub driver: DriverHandle,
    /// What is looked at out of turn.
    pub suspects: mpsc::Receiver<ShardRoot>,
    /// The network's epoch.
    pub epoch: Millis,
    /// Between two looks at a shard that seems damaged.
    pub again: Duration,
}

impl Scrubber {
    /// Scrubs until the engine stops.
    pub async fn run(mut self) {
        let every = Duration::from_millis(self.epoch.0.saturating_mul(EVERY_EPOCHS).max(1));
        let mut passes = tokio::time::interval(every);
        passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut whole = true;
        loop {
            let scrubbed = tokio::select! {
                biased;
                Some(root) = self.suspects.recv() => {
                    // Where a pass has just found too much amiss, another one finds it, too.
                    self.suspected(root).await.map(|damaged| damaged && whole)
                }
                _ = passes.tick() => self.pass().await.map(|found| {
                    whole = found;
                    false
                }),
            };
            match scrubbed {
                // Where one shard is damaged, others may be.
                Ok(true) => passes.reset_immediately(),
                Ok(false) => {}
                Err(Stopping) => return tracing::debug!("the engine has stopped"),
            }
        }
    }

    /// Everything that is stored, one volume after the other. Whether all that is amiss could be
    /// reported.
    async fn pass(&mut self) -> Result<bool, Stopping> {
        let mut volumes: BTreeMap<VolumeId, Vec<ShardRoot>> = BTreeMap::new();
        for root in self.driver.query(Engine::sound_shards).await? {
            let volume = self.store.of(&root);
            volumes.entry(volume).or_default().push(root);
        }
        let mut whole = true;
        for (volume, roots) in volumes {
            let ailing = self.pass_over(volume, roots).await?;
            whole &= ailing.is_none();
            self.store.set_ailing(volume, ailing);
        }
        Ok(whole)
    }

    /// All of a volume, in the order of the roots, from anywhere on: a node that is restarted often
    /// gets everywhere all the same. What is amiss with its disk as a whole, so that it could not be
    /// reported, if anything is.
    async fn pass_over(
        &mut self,
        volume: VolumeId,
        mut roots: Vec<ShardRoot>,
    ) -> Result<Option<String>, Stopping> {
        if let Some(elsewhere) = self.is_elsewhere(volume).await {
            return Ok(Some(elsewhere));
        }
        roots.sort_unstable();
        let first = rand::rng().random_range(0..roots.len());
        roots.rotate_left(first);
        let (mut findings, all) = (Findings::default(), roots.len());
        for root in roots {
            while let Ok(suspect) = self.suspects.try_recv() {
                self.suspected(suspect).await?;
            }
            // It may have been moved since.
            if self.store.of(&root) != volume {
                continue;
            }
            let began = Instant::now();
            let look = self.look(root).await;
            if let Look::Unreadable(e @ StoreError::Elsewhere { .. }) = &look {
                tracing::error!("{e}. Nothing is declared lost");
                return Ok(Some(e.to_string()));
            }
            let rest = pause(&look).saturating_sub(began.elapsed());
            if findings.add(root, look) {
                self.report(vec![root]).await?;
            }
            tokio::time::sleep(rest).await;
        }
        tracing::debug!("{all} shards scrubbed");
        let (mut absent, mut lost) = (Vec::new(), Vec::new());
        let (later, mut ailing) = findings.end();
        for root in self.still(later).await? {
            match self.look(root).await {
                Look::Sound { .. } => tracing::warn!(%root, "a shard is readable again"),
                Look::Damaged(StoreError::Absent { .. }) => absent.push(root),
                Look::Damaged(_) => lost.push(root),
                Look::Unreadable(e) if e.is_mediums() => lost.push(root),
                Look::Unreadable(e) => tracing::error!("{e}; check the disk"),
            }
        }
        if absent.len() < MANY_ABSENT || absent.len() * 4 <= all {
            lost.append(&mut absent);
        } else {
            let why = format!(
                "{} of {all} stored shards are not in the shard folder: were they moved, or is \
                 their disk not mounted? They are not declared lost; each epoch that is not \
                 proven costs its pay",
                absent.len()
            );
            tracing::error!("{why}");
            ailing = Some(why);
        }
        if !lost.is_empty()
            && let Some(elsewhere) = self.is_elsewhere(volume).await
        {
            return Ok(Some(elsewhere));
        }
        self.report(lost).await.map(|()| ailing)
    }

    /// One shard that did not come out right; whether it is damaged.
    async fn suspected(&self, root: ShardRoot) -> Result<bool, Stopping> {
        let known = self.driver.query(Engine::sound_shards).await?;
        let volume = self.store.of(&root);
        if !known.contains(&root) || self.is_elsewhere(volume).await.is_some() {
            return Ok(false);
        }
        match self.look(root).await {
            Look::Sound { .. } => {
                tracing::warn!(%root, "a shard could not be read once, and is sound now");
                Ok(false)
            }
            // A pass tells one that is gone from a disk that is.
            Look::Damaged(e @ StoreError::Absent { .. }) => {
                tracing::error!("{e}");
                Ok(true)
            }
            Look::Damaged(e) => {
                tracing::debug!("{e}");
                self.report(vec![root]).await.map(|()| true)
            }
            // A pass tells a bad sector from a disk that is gone.
            Look::Unreadable(e) => {
                tracing::error!("{e}; check the disk");
                Ok(false)
            }
        }
    }

    /// Tells the engine, unless it has dropped the shards meanwhile.
    async fn report(&self, damaged: Vec<ShardRoot>) -> Result<(), Stopping> {
        if damaged.is_empty() {
            return Ok(());
        }
        let damaged = self.still(damaged).await?;
        for root in &damaged {
            tracing::error!(%root, "a stored shard is damaged; it will be declared lost");
        }
        let told = Input::Command(Command::Damaged(damaged));
        self.driver.input(told).await
    }

    /// Those of which the engine still knows no damage, and which it has not dropped.
    async fn still(&self, roots: Vec<ShardRoot>) -> Result<Vec<ShardRoot>, Stopping> {
        let still = |engine: &Engine| roots.into_iter().filter(|r| engine.is_sound(r)).collect();
        self.driver.query(still).await
    }

    /// Looks at a shard, and once more before anything bad is said of it: what a cable or a
    /// controller got wrong once is not lost. Whether there is a file is a pass's to ask again.
    async fn look(&self, root: ShardRoot) -> Look {
        let look = self.blocking(move |store| store.look(&root)).await;
        if let Look::Sound { .. } | Look::Damaged(StoreError::Absent { .. }) = look {
            return look;
        }
        tokio::time::sleep(self.again).await;
        let again = move |store: &Volumes| {
            store.forget(&root);
            store.look(&root)
        };
        self.blocking(again).await
    }

    /// Why a volume's folder is another one, or does not say.
    async fn is_elsewhere(&self, volume: VolumeId) -> Option<String> {
        let check = move |volumes: &Volumes| volumes.store(volume)?.check();
        let elsewhere = self.blocking(check).await.err()?;
        tracing::error!(
            "{elsewhere}. Nothing is declared lost; each epoch that is not proven costs its pay"
        );
        Some(elsewhere.to_string())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volumes) -> T + Send + 'static,
    ) -> T {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store)).await;
        done.expect("the store does not panic")
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
    /// Shards that the medium did not give, since it last answered.
    unreadable: Vec<ShardRoot>,
    /// What is worth another look at the end: those among such as could be read, and the absent.
    later: Vec<ShardRoot>,
    /// What is amiss with the disk as a whole.
    ailing: Option<String>,
}

impl Findings {
    /// Adds one look; whether the shard is damaged for certain.
    fn add(&mut self, root: ShardRoot, look: Look) -> bool {
        match look {
            Look::Sound { .. } => {
                self.has_answered();
                false
            }
            Look::Damaged(e @ StoreError::Absent { .. }) => {
                tracing::debug!("{e}");
                self.later.push(root);
                false
            }
            Look::Damaged(e) => {
                tracing::debug!("{e}");
                self.has_answered();
                true
            }
            Look::Unreadable(e) => {
                tracing::error!("{e}; check the disk");
                // Handles, memory and rights come back.
                if e.is_mediums() {
                    self.unreadable.push(root);
                }
                false
            }
        }
    }

    /// The pass is over; gives what is to be looked at once more, and what is amiss with the disk as
    /// a whole.
    fn end(mut self) -> (Vec<ShardRoot>, Option<String>) {
        if self.answered {
            self.has_answered();
        } else if !self.unreadable.is_empty() {
            self.amiss("no shard can be read: check the disk; nothing is declared lost".to_owned());
        }
        (self.later, self.ailing)
    }

    fn has_answered(&mut self) {
        self.answered = true;
        let mut unreadable = std::mem::take(&mut self.unreadable);
        if unreadable.len() < DEAD_DISK {
            return self.later.append(&mut unreadable);
        }
        self.amiss(format!(
            "{} shards in a row cannot be read: check the disk; they are not declared lost",
            unreadable.len()
        ));
    }

    fn amiss(&mut self, why: String) {
        tracing::error!("{why}");
        self.ailing = Some(why);
    }
}

#[cfg(test)]
#[path = "scrub/tests.rs"]
mod tests;
