//! Files that are lent to whoever asked for a segment.

use super::{DriverHandle, Gone as _};
use larder_engine::{Command, Input};
use larder_types::SegmentId;
use tokio::runtime::Handle;

/// A fetched segment's file, lent until it is released. Whoever waited for it may have gone, before
/// this was sent or after: dropped unclaimed, it releases the file by itself.
#[derive(Debug)]
pub struct Borrowed {
    pub(super) segment: SegmentId,
    pub(super) driver: Option<DriverHandle>,
}

impl Borrowed {
    /// From now on the caller releases it, by [`Command::Release`].
    pub fn claim(mut self) {
        self.driver = None;
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let release = Input::Command(Command::Release {
            segment: self.segment,
        });
        // Without a runtime the node has stopped, and the folder is cleared at the start.
        if let (Some(driver), Ok(runtime)) = (self.driver.take(), Handle::try_current()) {
            runtime.spawn(async move { driver.input(release).await.or_gone() });
        }
    }
}
