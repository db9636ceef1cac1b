//! ed25519 with domain separation. A signature covers
//! `derive_key("larder v1 <type>", genesis_hash ‖ bytes)`: its type and its network, so that none
//! is ever good for anything else. `docs/protocol.md` §3.1.

use crate::batch::Claim;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use larder_types::{AccountId, GenesisHash, NodeId, Signature};
use std::fmt;
use zeroize::Zeroizing;

/// A signed type's tag: the `<type>` of its derivation context. One constant per type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub &'static str);

impl Tag {
    /// The context string of the derivation.
    #[must_use]
    pub fn context(self) -> String {
        format!("larder v1 {}", self.0)
    }
}

/// An ed25519 secret key. Which key of an account or node it is, its owner's field name says.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl Signer {
    /// The key whose RFC 8032 seed is `seed`.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The RFC 8032 seed, to be written to a key file of mode 0600 or handed to libp2p.
    #[must_use]
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public key, where this is an account key.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId(self.public())
    }

    /// The public key, where this is a node key.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.public())
    }

    /// Signs `bytes` as a `tag` of the network `genesis`.
    #[must_use]
    pub fn sign(&self, tag: Tag, genesis: &GenesisHash, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&sign_layout(tag, genesis, bytes)).to_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(secret)")
    }
}

/// What is really signed: the 32 bytes of the derivation.
#[must_use]
pub fn sign_layout(tag: Tag, genesis: &GenesisHash, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(&tag.context());
    hasher.update(&genesis.0).update(bytes);
    *hasher.finalize().as_bytes()
}

/// Whether `public` is a key that a signature can be checked against.
#[must_use]
pub fn verify_key(public: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| !key.is_weak())
}

/// Whether `signature` by `public` is good: strict RFC 8032, weak keys refused.
#[must_use]
pub fn verify(
    public: &[u8; 32],
    tag: Tag,
    genesis: &GenesisHash,
    bytes: &[u8],
    signature: &Signature,
) -> bool {
    Claim::new(public, tag, genesis, bytes, signature).is_good()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Tag = Tag("a");
    const B: Tag = Tag("b");

    #[test]
    fn a_signature_is_good_for_its_type_network_and_bytes_only() {
        let key = Signer::from_seed(&[1; 32]);
        let (net, other) = (GenesisHash([2; 32]), GenesisHash([3; 32]));
        let sig = key.sign(A, &net, b"bytes");
        assert!(verify(&key.public(), A, &net, b"bytes", &sig));
        assert!(!verify(&key.public(), B, &net, b"bytes", &sig));
        assert!(!verify(&key.public(), A, &other, b"bytes", &sig));
        assert!(!verify(&key.public(), A, &net, b"byteS", &sig));
        assert!(!verify(
            &Signer::from_seed(&[4; 32]).public(),
            A,
            &net,
            b"bytes",
            &sig
        ));
        assert!(
            !verify(&[0; 32], A, &net, b"bytes", &sig),
            "a weak key signs nothing"
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(
            format!("{:?}", Signer::from_seed(&[7; 32])),
            "Signer(secret)"
        );
    }
}
