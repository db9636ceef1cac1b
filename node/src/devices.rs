//! The account's other devices, as far as the shell has a part in it: their catalogues are read, what
//! they stored is entered into the vault, and only then does our head say that theirs were read. What
//! counts of their heads, the engine decides. `docs/protocol.md` §3.9.

use crate::driver::{DriverHandle, Stopping};
use crate::jobs::{Jobs, host};
use crate::recovery::read_catalogue;
use crate::segments::NetSegments;
use larder_backup::{RebuildError, Vault};
use larder_engine::head::DeviceId;
use larder_engine::standing::DeviceState;
use larder_engine::{Command, DeviceCommand, Engine, Input};
use larder_types::SegmentId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often it is looked without a word.
const LOOK_THROUGH: Duration = Duration::from_secs(60);
/// After a look that did not come to its end.
const AGAIN: Duration = Duration::from_secs(3);
/// How long the shards of another device's segments may take to be found.
const FOUND_WAIT: Duration = Duration::from_secs(20);
/// Between two looks for them.
const LOOK: Duration = Duration::from_millis(250);

/// What reads other devices' heads to their end.
#[derive(Debug, Clone)]
pub struct Others {
    /// The engine.
    pub driver: DriverHandle,
    /// Where what they stored is entered.
    pub vault: Vault,
    /// What reads it.
    pub segments: Arc<NetSegments>,
    /// Told when a head has come.
    pub changed: Arc<Notify>,
}

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error(transparent)]
    Vault(#[from] RebuildError),
}

/// What other devices are told that this machine is called.
pub fn called() -> Command {
    Command::Device(DeviceCommand::Call(host()))
}

impl Others {
    /// What follows the other devices for these jobs' vault; `changed` is told when a head has come.
    #[must_use]
    pub fn of(driver: DriverHandle, jobs: &Jobs, changed: Arc<Notify>) -> Self {
        Self {
            driver,
            vault: jobs.vault.clone(),
            segments: Arc::clone(jobs.segments()),
            changed,
        }
    }

    /// Follows the other devices until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let following = self.follow(&stop);
        stop.run_until_cancelled(following).await;
    }

    async fn follow(&self, stop: &CancellationToken) {
        let mut read = BTreeSet::new();
        loop {
            let wait = match self.merge(&mut read, stop).await {
                Ok(true) => LOOK_THROUGH,
                Ok(false) => AGAIN,
                Err(MergeError::Stopping(_)) => return,
                Err(e) => {
                    tracing::warn!("what another device stored is not entered yet: {e}");
                    AGAIN
                }
            };
            // A word or the time: either way everything is looked through.
            let _word = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    /// Reads what is new; whether all of it could be read.
    async fn merge(
        &self,
        read: &mut BTreeSet<SegmentId>,
        stop: &CancellationToken,
    ) -> Result<bool, MergeError> {
        let devices = self.driver.query(Engine::devices).await?;
        let news: Vec<&DeviceState> = devices.iter().filter(|d| d.seq > d.merged).collect();
        if news.is_empty() {
            return Ok(true);
        }
        self.drop_dropped().await?;
        let mut whole = self.read_catalogues(read).await?;
        whole &= self.wait_until_found().await?;
        let dooms = devices
            .iter()
            .flat_map(|d| &d.dooms)
            .map(|doom| doom.0)
            .collect();
        let merged = self.vault.merge(&self.segments, &dooms, stop).await?;
        self.drop_dropped().await?;
        whole &= merged.lost.is_empty();
        if whole {
            for device in news {
                self.merged(device.device, device.seq).await?;
            }
        } else {
            for (id, why) in &merged.lost {
                tracing::debug!(segment = %id, "another device's segment is not read yet: {why}");
            }
        }
        Ok(whole)
    }

    /// What marks say is gone, the others' too, is looked for no more.
    async fn drop_dropped(&self) -> Result<(), MergeError> {
        let dropped = self.vault.dropped().await.map_err(RebuildError::from)?;
        self.tell(Command::Drop(dropped.into_iter().collect()))
            .await?;
        Ok(())
    }

    async fn merged(&self, device: DeviceId, seq: u64) -> Result<(), Stopping> {
        self.tell(Command::Device(DeviceCommand::Merged { device, seq }))
            .await
    }

    async fn tell(&self, command: Command) -> Result<(), Stopping> {
        self.driver.input(Input::Command(command)).await
    }

    /// Tells the engine what the catalogues of other devices list; whether all could be read.
    async fn read_catalogues(&self, read: &mut BTreeSet<SegmentId>) -> Result<bool, Stopping> {
        let known = |e: &Engine| (e.known_segments(), e.others_segments());
        let (known, theirs) = self.driver.query(known).await?;
        let theirs: BTreeSet<SegmentId> = theirs.into_iter().collect();
        let mut whole = true;
        for it in known
            .iter()
            .filter(|s| s.catalogue && theirs.contains(&s.segment))
        {
            let catalogue = it.segment;
            if read.contains(&catalogue) {
                continue;
            }
            match read_catalogue(catalogue, &self.vault, &self.segments).await {
                Ok(entries) => {
                    self.tell(Command::Known { catalogue, entries }).await?;
                    read.insert(catalogue);
                }
                Err(reason) => {
                    tracing::warn!(%catalogue, "another device's catalogue is not read: {reason}");
                    whole = false;
                }
            }
        }
        Ok(whole)
    }

    /// Waits until so many shards of every segment of theirs are found that it can be read; not for
    /// ever. Whether they are.
    async fn wait_until_found(&self) -> Result<bool, Stopping> {
        let began = Instant::now();
        loop {
            if self.driver.query(Engine::others_found).await? {
                return Ok(true);
            }
            if began.elapsed() >= FOUND_WAIT {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
