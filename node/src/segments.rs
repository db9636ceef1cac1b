//! The network as a keeper of segments: the seam that backups are written against.

use crate::driver::{Borrowed, DriverHandle, Msg, Stopping};
use crate::spool::Spool;
use larder_backup::{
    KnownSegment, Probed, SealedSegment, SegmentKind, Segments, SegmentsError, Stored,
};
use larder_engine::report::SegmentReport;
use larder_engine::{Command, Engine, Input, NoRoom};
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

impl NetSegments {
    /// Asks for a segment and waits for it.
    async fn arrived(
        &self,
        id: SegmentId,
        msg: Msg,
        fetched: oneshot::Receiver<Option<Borrowed>>,
    ) -> Result<Borrowed, SegmentsError> {
        self.driver.send(msg).await.map_err(PlaceError::from)?;
        let fetched = fetched.await.map_err(|_| PlaceError::Stopping(Stopping))?;
        fetched.ok_or(SegmentsError::Lost(id))
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
        // A catalogue is coded like metadata; `Command::Listed` says what it is.
        let meta = kind != SegmentKind::Data;
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
        self.arrived(id, msg, fetched).await?.claim();
        Ok(self.spool.fetched(&id))
    }

    async fn probe(&self, id: SegmentId) -> Result<(PathBuf, Probed), SegmentsError> {
        let (done, fetched) = oneshot::channel();
        let msg = Msg::Probe { segment: id, done };
        let borrowed = self.arrived(id, msg, fetched).await?;
        let probed = self.driver.query(move |e| e.probed(&id)).await;
        let probed = probed.map_err(PlaceError::from)?;
        borrowed.claim();
        let probed = probed.map_or_else(Probed::default, |probed| Probed {
            damaged: probed.damaged,
            unread: probed.unread,
        });
        Ok((self.spool.fetched(&id), probed))
    }

    async fn release(&self, id: SegmentId) {
        let release = Input::Command(Command::Release { segment: id });
        if self.driver.input(release).await.is_err() {
            tracing::debug!("the engine has stopped");
        }
    }

    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        let known = self.driver.query(Engine::known_segments).await;
        let known = known.map_err(PlaceError::from)?;
        Ok(known.iter().map(known_segment).collect())
    }
}

fn known_segment(report: &SegmentReport) -> KnownSegment {
    KnownSegment {
        id: report.segment,
        class: report.class,
        kind: match (report.catalogue, report.meta) {
            (true, _) => SegmentKind::Catalogue,
            (false, true) => SegmentKind::Meta,
            (false, false) => SegmentKind::Data,
        },
    }
}
