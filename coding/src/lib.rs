//! Bytes ⇄ shards: cut, compress, seal, pack into segments, erasure-code, mask, describe.
//! Pure: it works on slices and on `Read`, `Write` and `Seek` that others hold; randomness (ids,
//! nonces) is passed in. `docs/protocol.md` §3.2.

#![deny(clippy::float_arithmetic)]

pub mod blob;
pub mod cut;
pub mod given;
pub mod index;
pub mod layout;
pub mod listing;
pub mod manifest;
pub mod mask;
pub mod sealed;
pub mod segment;
pub mod shards;
pub mod stripes;

pub use blob::{BlobHeader, BlobKind, OpenError, SealError, blob_id, open, seal};
pub use cut::{Cutter, Pieces};
pub use given::{GivenKeys, OpenKeys};
pub use index::IndexEntry;
pub use layout::{Code, CodeError, STRIPE_LEN, shard_len};
pub use listing::Listing;
pub use manifest::{Manifest, Place, RepairManifest};
pub use mask::Mask;
pub use sealed::{open_message, seal_message};
pub use segment::{SegmentReader, SegmentSummary, SegmentWriter};
pub use shards::{decode_segment, encode_segment, rebuild_shards};
pub use stripes::{StripeDecoder, StripeEncoder, StripeError};
