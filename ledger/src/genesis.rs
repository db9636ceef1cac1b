//! The document a network begins with. Its hash names the network and stands under every
//! signature. `docs/protocol.md` §3.1, §3.12.

use larder_types::{AccountId, Amount, GenesisHash, NodeId, Params, Time, codec};
use serde::{Deserialize, Serialize};

/// Longest name of a network, bytes.
pub const MAX_NETWORK: usize = 32;
/// The version of all formats that this code reads: genesis, transactions, blocks, state.
pub const VERSION: u32 = 2;
/// Total supply lies below this, nano: sums of balances then never overflow.
pub const MAX_SUPPLY: Amount = Amount(1 << 63);

/// What all members of a network agree on before its first block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// [`VERSION`]. The first had none.
    pub version: u32,
    /// The network's name, at most 32 bytes.
    pub network: String,
    /// t0: when epoch 0 begins.
    pub start: Time,
    /// The rules.
    pub params: Params,
    /// Holds the whole supply at first; the faucet is debited from it.
    pub founder: AccountId,
    /// All credit there will ever be.
    pub supply: Amount,
    /// Makes and signs the blocks.
    pub validator: NodeId,
    /// The validator's BLS key, min-pk, for beacon reveals.
    #[serde(with = "serde_bytes")]
    pub validator_bls: [u8; 48],
    /// Random: tells networks of one name apart.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
}

/// Why a genesis makes no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Formats that this code does not read.
    #[error("its formats are of version {0}, this code reads version {VERSION}")]
    Version(u32),
    /// The name is empty or too long.
    #[error("the network's name must have 1 to {MAX_NETWORK} bytes")]
    Network,
    /// The parameters contradict each other.
    #[error("the parameters are unsound")]
    Params,
    /// The supply is 2^63 nano or more.
    #[error("a supply of {0} is too much")]
    Supply(Amount),
    /// A key that no signature can be checked against.
    #[error("the validator's key is bad")]
    Validator,
}

impl Genesis {
    /// The version that a document names, whatever else is in it; `None`: it is no document of ours,
    /// or of the first version.
    #[must_use]
    pub fn version_of(document: &[u8]) -> Option<u32> {
        #[derive(Deserialize)]
        struct Named {
            version: u32,
        }
        codec::peek::<Named>(document).map(|named| named.version)
    }

    /// BLAKE3 of the canonical encoding.
    #[must_use]
    pub fn hash(&self) -> GenesisHash {
        GenesisHash(*blake3::hash(&codec::encode(self)).as_bytes())
    }

    /// Whether a network can begin with it.
    ///
    /// # Errors
    /// [`GenesisError`] names what is wrong.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.version != VERSION {
            return Err(GenesisError::Version(self.version));
        }
        if self.network.is_empty() || self.network.len() > MAX_NETWORK {
            return Err(GenesisError::Network);
        }
        if !self.params.are_sound() {
            return Err(GenesisError::Params);
        }
        if self.supply >= MAX_SUPPLY {
            return Err(GenesisError::Supply(self.supply));
        }
        if !larder_keys::verify_key(&self.validator.0) {
            return Err(GenesisError::Validator);
        }
        Ok(())
    }
}
