//! The network as a keeper of segments: the seam that backups are written against.

use crate::driver::{DriverHandle, Msg, Stopping};
use crate::spool::Spool;
use larder_backup::{SealedSegment, SegmentKind, Segments, SegmentsError, Stored};
use larder_engine::{Command, Input, NoRoom};
use larder_types::SegmentId;
use std::path::PathBuf;
use tokio::sync::oneshot;

/// Segments that lie with providers.
#[derive(Debug, Clone)]
pub struct NetSegments {
    /// The engine.
    pub driver: DriverHandle,
    /// The spool.
    pub spool: Spool,
}

/// Why the network did not take a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The engine's reason.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The node is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl From<PlaceError> for SegmentsError {
    fn from(error: PlaceError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Segments for NetSegments {
    async fn store(&self, sealed: SealedSegment) -> Result<Stored, SegmentsError> {
        let SealedSegment {
            id: segment,
            class,
            kind,
            len,
            path,
        } = sealed;
        let meta = kind == SegmentKind::Meta;
        self.spool.register(segment, path.clone());
        let (done, stored) = oneshot::channel();
        let msg = Msg::Store {
            segment,
            class,
            meta,
            len,
            done,
        };
        self.driver.send(msg).await.map_err(PlaceError::from)?;
        let stored = stored.await.map_err(|_| PlaceError::Stopping(Stopping))?;
        let bytes_stored = stored.map_err(PlaceError::from)?;
        self.spool.unregister(&segment);
        match tokio::fs::remove_file(&path).await {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(SegmentsError::Io { path, source })
            }
            Ok(()) | Err(_) => Ok(Stored { bytes_stored }),
        }
    }

    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        let (done, fetched) = oneshot::channel();
        let msg = Msg::Fetch { segment: id, done };
        self.driver.send(msg).await.map_err(PlaceError::from)?;
        let fetched = fetched.await.map_err(|_| PlaceError::Stopping(Stopping))?;
        fetched.ok_or(SegmentsError::Lost(id))?.claim();
        Ok(self.spool.fetched(&id))
    }

    async fn release(&self, id: SegmentId) {
        let release = Input::Command(Command::Release { segment: id });
        if self.driver.input(release).await.is_err() {
            tracing::debug!("the engine has stopped");
        }
    }

    async fn list(&self) -> Result<Vec<SegmentId>, SegmentsError> {
        let ids = self.driver.query(larder_engine::Engine::segment_ids).await;
        Ok(ids.map_err(PlaceError::from)?)
    }
}
