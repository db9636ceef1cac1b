//! The words that every crate of Larder shares: identifiers, amounts, sizes, times, the
//! protocol's parameters, and the two encodings (canonical DAG-CBOR on the wire, fixed
//! little-endian layouts for what is hashed or signed). `docs/protocol.md` §3.1.

pub mod amount;
pub mod cid;
pub mod class;
pub mod codec;
pub mod ids;
pub mod layout;
pub mod params;
pub mod schedule;
pub mod size;
pub mod time;

pub use amount::Amount;
pub use class::Class;
pub use ids::{
    AccountId, BlobId, BlockHash, ContractId, GenesisHash, Hash, NodeId, SegmentId, ShardRoot,
    Signature, SubKeyId, TxId,
};
pub use params::{Params, Profile};
pub use schedule::{Epoch, Schedule, SlotNo};
pub use size::Bytes;
pub use time::{Millis, Time};
