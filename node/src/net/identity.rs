//! Node ids and libp2p peer ids name the same ed25519 key: conversion is by bytes.

use larder_keys::Signer;
use larder_types::NodeId;
use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey, ed25519};

use super::NetError;

/// What precedes the 32 key bytes in an ed25519 peer id's identity multihash: protobuf of key type 1
/// and a field of 32 bytes.
const ED25519_PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];

/// The peer id of a node.
///
/// # Errors
/// [`NetError::NotAKey`] when the id's bytes are no ed25519 public key.
pub fn peer_id(node: &NodeId) -> Result<PeerId, NetError> {
    ed25519::PublicKey::try_from_bytes(&node.0)
        .map(|key| PublicKey::from(key).to_peer_id())
        .map_err(|_| NetError::NotAKey { node: *node })
}

/// The node id of a peer; `None` when its key is not ed25519, which no node of ours has.
#[must_use]
pub fn node_id(peer: &PeerId) -> Option<NodeId> {
    let digest = peer.as_ref().digest();
    let key = digest.strip_prefix(&ED25519_PREFIX)?;
    key.try_into().ok().map(NodeId)
}

/// The node's key as libp2p wants it.
pub(super) fn keypair(signer: &Signer) -> Keypair {
    let mut seed = signer.to_seed();
    Keypair::ed25519_from_bytes(&mut seed[..]).expect("32 bytes are an ed25519 seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_convert_both_ways() {
        let signer = Signer::from_seed(&[7; 32]);
        let peer = keypair(&signer).public().to_peer_id();
        assert_eq!(node_id(&peer), Some(signer.node()));
        assert_eq!(peer_id(&signer.node()).unwrap(), peer);
    }

    #[test]
    fn what_is_no_key_is_no_peer() {
        let mut bytes = [0xff; 32];
        bytes[31] = 0x7f;
        let bad = (0..=255u8)
            .map(|b| {
                bytes[0] = b;
                NodeId(bytes)
            })
            .filter(|id| peer_id(id).is_err())
            .count();
        assert!(bad > 0, "half of all strings are no point of the curve");
        assert_eq!(
            node_id(&PeerId::random()),
            None,
            "a random peer id is a sha-256"
        );
    }
}
