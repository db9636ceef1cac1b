//! CIDs of what Larder stores: shards (`raw`) and manifests (`dag-cbor`), both over plain BLAKE3.
//! `docs/protocol.md` §3.2.

use crate::{Hash, ShardRoot};
use ::cid::Cid;
use multihash_codetable::Code;
use multihash_codetable::MultihashDigest as _;

/// Multicodec of raw bytes.
const RAW: u64 = 0x55;
/// Multicodec of DAG-CBOR.
const DAG_CBOR: u64 = 0x71;
/// Multihash code of BLAKE3.
const BLAKE3: u64 = 0x1e;

fn cid(codec: u64, digest: [u8; 32]) -> Cid {
    let hash = ::cid::multihash::Multihash::<64>::wrap(BLAKE3, &digest)
        .expect("32 bytes fit a 64-byte multihash");
    Cid::new_v1(codec, hash)
}

/// A shard's CID: bytes `01 55 1e 20 ‖ root`, text `bafkr4i…`.
#[must_use]
pub fn shard(root: &ShardRoot) -> Cid {
    cid(RAW, root.0)
}

/// The CID of a canonical DAG-CBOR document, text `bafyr4i…`.
#[must_use]
pub fn document(bytes: &[u8]) -> Cid {
    Cid::new_v1(DAG_CBOR, Code::Blake3_256.digest(bytes))
}

/// A CID of a document whose BLAKE3 hash is known.
#[must_use]
pub fn document_hash(hash: &Hash) -> Cid {
    cid(DAG_CBOR, hash.0)
}

/// The root that a shard's CID names; `None` for any other kind of CID.
#[must_use]
pub fn shard_root(cid: &Cid) -> Option<ShardRoot> {
    if cid.codec() != RAW || cid.hash().code() != BLAKE3 {
        return None;
    }
    cid.hash().digest().try_into().ok().map(ShardRoot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cids_have_the_bytes_and_prefixes_of_the_protocol() {
        let cid = shard(&ShardRoot([9; 32]));
        let bytes = cid.to_bytes();
        assert_eq!(bytes[..4], [0x01, 0x55, 0x1e, 0x20]);
        assert_eq!(bytes.len(), 36);
        assert!(cid.to_string().starts_with("bafkr4i"));
        assert_eq!(shard_root(&cid), Some(ShardRoot([9; 32])));
        let doc = document(b"x");
        assert!(doc.to_string().starts_with("bafyr4i"));
        assert_eq!(doc, document_hash(&Hash(*blake3::hash(b"x").as_bytes())));
        assert_eq!(shard_root(&doc), None);
    }
}
