//! The seam to wherever segments are kept: the network, or a local folder. Declared here, since
//! the backup is what calls it; implemented by the node and by [`crate::LocalSegments`].

use larder_types::{Class, SegmentId};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;

/// What a segment holds: file contents, what describes them, or where segments lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// Pieces of files.
    Data,
    /// Directory trees, lists, snapshots and listings of data segments: replicated or coded with
    /// a small k.
    Meta,
    /// A catalogue of other segments, coded like metadata; what it says is the engine's.
    Catalogue,
}

impl SegmentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Data, Self::Meta, Self::Catalogue];

    /// The word that stands for it in file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Meta => "meta",
            Self::Catalogue => "catalogue",
        }
    }
}

/// A segment, as whoever keeps it knows it without looking into it. It prints as
/// `<id>.<class>.<kind>`, which is how segments are named in folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KnownSegment {
    /// Its id.
    pub id: SegmentId,
    /// The class that it was stored in.
    pub class: Class,
    /// What it holds.
    pub kind: SegmentKind,
}

impl KnownSegment {
    /// What a name in a folder stands for; `None` if it is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let known = Self {
            id: parts.next()?.parse().ok()?,
            class: parts.next()?.parse().ok()?,
            kind: parts
                .next()
                .and_then(|n| SegmentKind::ALL.into_iter().find(|k| k.name() == n))?,
        };
        parts.next().is_none().then_some(known)
    }
}

impl fmt::Display for KnownSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.id, self.class, self.kind.name())
    }
}

/// A finished segment in the spool: C, encrypted as a whole, ready to be coded and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its id: 32 random bytes, never used before.
    pub id: SegmentId,
    /// The class whose code it wants.
    pub class: Class,
    /// What it holds.
    pub kind: SegmentKind,
    /// Bytes of C.
    pub len: u64,
    /// Where C lies.
    pub path: PathBuf,
}

impl SealedSegment {
    /// What is known of it once it is stored.
    #[must_use]
    pub const fn known(&self) -> KnownSegment {
        KnownSegment {
            id: self.id,
            class: self.class,
            kind: self.kind,
        }
    }
}

/// What storing a segment took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bytes that lie with providers for it, redundancy included.
    pub bytes_stored: u64,
}

/// What reading all that is kept of a segment found, beside the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// Shards that are not what was stored.
    pub damaged: u16,
    /// Shards that could not be reached.
    pub unread: u16,
}

/// Why a segment could not be stored, fetched or listed.
#[derive(Debug, thiserror::Error)]
pub enum SegmentsError {
    /// No such segment, or too little of it is left.
    #[error("segment {0} cannot be had: too little of it is left or reachable")]
    Lost(SegmentId),
    /// What is there is not what was stored.
    #[error("segment {0} is damaged")]
    Damaged(SegmentId),
    /// A file of the store.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The implementor's own reason, typed; callers that know it downcast.
    #[error(transparent)]
    Store(Box<dyn std::error::Error + Send + Sync>),
}

/// A keeper of segments.
pub trait Segments: Send + Sync + 'static {
    /// Resolves when the segment is durable. From a success on, the spool file is the
    /// implementor's, and it deletes it; after an error (or if this future is dropped) the file
    /// must still lie there, and the same segment is offered again by the next run.
    fn store(
        &self,
        segment: SealedSegment,
    ) -> impl Future<Output = Result<Stored, SegmentsError>> + Send;

    /// The segment's C, whole, in a local file that stands until [`Segments::release`].
    fn fetch(&self, id: SegmentId) -> impl Future<Output = Result<PathBuf, SegmentsError>> + Send;

    /// The same, but everything that is kept of it is read, redundancy included. Whoever keeps
    /// segments without redundancy need not write it.
    fn probe(
        &self,
        id: SegmentId,
    ) -> impl Future<Output = Result<(PathBuf, Probed), SegmentsError>> + Send {
        async move { Ok((self.fetch(id).await?, Probed::default())) }
    }

    /// The fetched file is no longer needed; called once for each fetch.
    fn release(&self, id: SegmentId) -> impl Future<Output = ()> + Send;

    /// Every durable segment, in any order.
    fn list(&self) -> impl Future<Output = Result<Vec<KnownSegment>, SegmentsError>> + Send;
}
