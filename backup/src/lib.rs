//! Files and folders ⇄ snapshots: walk, cut, deduplicate, seal, pack into segments, index,
//! restore. Where segments go is behind [`Segments`]. Memory stays below 200 MiB for any folder;
//! every queue is bounded. `docs/ARCHITECTURE.md`, the keeper's data path.

pub mod backup;
mod below;
pub mod browse;
pub mod catalogue;
pub mod content;
mod contents;
mod emit;
pub mod entry;
pub mod exclude;
pub mod fetch;
pub mod index;
pub mod local;
pub mod lock;
mod pack;
mod place;
mod plan;
mod planner;
pub mod problems;
pub mod progress;
mod read;
pub mod rebuild;
pub mod restore;
pub mod segments;
pub mod snapshot;
pub mod spool;
pub mod summary;
pub mod tree;
pub mod vault;
mod walk;

pub use backup::{BackupError, BackupOptions};
pub use browse::{BrowseError, Depth, Listed};
pub use catalogue::{CatalogueError, MAX_CATALOGUE};
pub use entry::{Entry, Kind, Meta};
pub use local::LocalSegments;
pub use problems::{Problem, Problems};
pub use progress::{Phase, Progress, State};
pub use rebuild::{RebuildError, RebuildSummary};
pub use restore::{RestoreError, RestoreOptions, RestoreSummary};
pub use segments::{KnownSegment, SealedSegment, SegmentKind, Segments, SegmentsError, Stored};
pub use snapshot::{Snapshot, SnapshotId};
pub use summary::Summary;
pub use vault::Vault;
