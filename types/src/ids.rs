//! Identifiers: 32-byte values, each with a type of its own. They print and parse as multibase
//! base58btc strings (`z…`), and travel as CBOR byte strings.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A string that is not the multibase form of 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a multibase string of 32 bytes, got {0:?}")]
pub struct ParseIdError(String);

/// One macro for one shape: 32 bytes with a name. Traits by hand nine times would differ by chance.
macro_rules! id32 {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&multibase::encode(multibase::Base::Base58Btc, self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(s: &str) -> Result<Self, ParseIdError> {
                multibase::decode(s)
                    .ok()
                    .and_then(|(_, bytes)| <[u8; 32]>::try_from(bytes).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError(s.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                serde_bytes::serialize(&self.0, s)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                serde_bytes::deserialize(d).map(Self)
            }
        }
    )+};
}

id32! {
    /// Any 32-byte BLAKE3 output without a narrower name.
    Hash,
    /// An account: its ed25519 public key.
    AccountId,
    /// A ledger sub-key of an account: its ed25519 public key.
    SubKeyId,
    /// A node (a provider's id): its ed25519 public key, which is also its libp2p key.
    NodeId,
    /// A contract: 16 bytes of its parties' hash, 16 of theirs and its nonce's (`larder_contracts::contract_id`).
    ContractId,
    /// A segment: 32 random bytes, never used again.
    SegmentId,
    /// A masked shard's plain BLAKE3 root.
    ShardRoot,
    /// A blob: keyed BLAKE3 of its plaintext, the key being the account's.
    BlobId,
    /// A block: BLAKE3 of its header's layout.
    BlockHash,
    /// A network: BLAKE3 of its genesis document.
    GenesisHash,
    /// A transaction: BLAKE3 of its canonical encoding.
    TxId,
}

impl GenesisHash {
    /// The chain id that stands in challenge seeds: the hash's first eight bytes, little endian.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(first)
    }
}

/// An ed25519 signature, RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Default for Signature {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signature({})",
            multibase::encode(multibase::Base::Base58Btc, self.0)
        )
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde_bytes::deserialize(d).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        let id = AccountId([7; 32]);
        assert_eq!(id.to_string().parse::<AccountId>(), Ok(id));
        assert!("z111".parse::<AccountId>().is_err());
        assert!("".parse::<AccountId>().is_err());
    }

    #[test]
    fn ids_travel_as_byte_strings() {
        let bytes = crate::codec::encode(&AccountId([7; 32]));
        assert_eq!(bytes[..2], [0x58, 32]);
        assert_eq!(
            crate::codec::decode::<AccountId>(&bytes).unwrap(),
            AccountId([7; 32])
        );
    }
}
