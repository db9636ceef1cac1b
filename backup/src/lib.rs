//! Files and folders ⇄ snapshots: walk, cut, deduplicate, seal, pack into segments, index,
//! restore. Where segments go is behind [`Segments`]. Memory stays below 200 MiB for any folder;
//! every queue is bounded. `docs/ARCHITECTURE.md`, the keeper's data path.

pub mod backup;
pub mod content;
pub mod browse;
mod emit;
pub mod entry;
pub mod exclude;
pub mod fetch;
pub mod index;
pub mod local;
pub mod lock;
mod pack;
pub mod problems;
pub mod progress;
mod read;
pub mod rebuild;
pub mod segments;
pub mod snapshot;
pub mod spool;
pub mod summary;
pub mod tree;
pub mod vault;
mod walk;

pub use backup::{BackupError, BackupOptions};
pub use local::LocalSegments;
pub use problems::{Problem, Problems};
pub use progress::{Phase, Progress, State};
pub use segments::{SealedSegment, SegmentKind, Segments, SegmentsError, Stored};
pub use snapshot::{Snapshot, SnapshotId};
pub use summary::Summary;
pub use vault::Vault;
