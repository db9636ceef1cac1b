//! Catalogues: when too many segments stand in the head alone, they are described in a segment of
//! their own. One task, so that never two are made at once. `docs/protocol.md` §3.9.

use crate::driver::{DriverHandle, Msg, Stopping};
use crate::segments::NetSegments;
use larder_backup::Vault;
use larder_backup::{CatalogueError, MAX_CATALOGUE, SealedSegment, Segments as _, SegmentsError};
use larder_engine::head::SegmentEntry;
use larder_engine::{Command, Engine, Input, NoRoom};
use larder_types::{Class, codec};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How long after a failure before the next try, unless the engine asks again.
const RETRY: Duration = Duration::from_secs(60);

/// Why no catalogue was stored.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(transparent)]
    Seal(#[from] CatalogueError),
    #[error(transparent)]
    Store(#[from] SegmentsError),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// What makes catalogues.
#[derive(Debug, Clone)]
pub struct Cataloguer {
    /// The engine.
    pub driver: DriverHandle,
    /// Seals them.
    pub vault: Vault,
    /// Stores them.
    pub segments: Arc<NetSegments>,
    /// Told when one is wanted.
    pub wanted: Arc<Notify>,
}

impl Cataloguer {
    /// Makes a catalogue whenever one is wanted, until the node stops.
    pub async fn run(self) {
        loop {
            self.wanted.notified().await;
            match self.make().await {
                Ok(listed) => tracing::info!("a catalogue of {listed} segments is stored"),
                Err(StoreError::Stopping(_)) => return,
                Err(e) => {
                    tracing::warn!("no catalogue was stored, trying again later: {e}");
                    tokio::time::sleep(RETRY).await;
                    self.wanted.notify_one();
                }
            }
        }
    }

    /// Stores a catalogue of what stands in none; how many segments it describes.
    async fn make(&self) -> Result<usize, StoreError> {
        let mut entries = self.driver.query(Engine::unlisted).await?;
        let contents = fitting(&mut entries);
        // Whoever loses the catalogue loses all that it describes.
        let Some(class) = entries.iter().map(|e| e.class).max() else {
            return Ok(0);
        };
        self.make_room(class, contents.len()).await?;
        let sealed = self.vault.seal_catalogue(class, contents).await?;
        self.store(sealed, &entries).await?;
        Ok(entries.len())
    }

    async fn make_room(&self, class: Class, len: usize) -> Result<(), StoreError> {
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        let (done, prepared) = oneshot::channel();
        let msg = Msg::Prepare { class, bytes, done };
        self.driver.send(msg).await?;
        prepared.await.map_err(|_| Stopping)??;
        Ok(())
    }

    async fn store(&self, sealed: SealedSegment, of: &[SegmentEntry]) -> Result<(), StoreError> {
        let catalogue = sealed.id;
        self.segments.store(sealed).await?;
        let segments = of.iter().map(|e| e.manifest.segment).collect();
        let listed = Command::Listed {
            catalogue,
            segments,
        };
        Ok(self.driver.input(Input::Command(listed)).await?)
    }
}

/// The entries' encoding. What does not fit into one catalogue is left to the next.
fn fitting(entries: &mut Vec<SegmentEntry>) -> Vec<u8> {
    loop {
        let bytes = codec::encode(entries);
        if bytes.len() <= MAX_CATALOGUE {
            return bytes;
        }
        entries.truncate(entries.len() / 2);
    }
}
