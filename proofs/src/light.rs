//! Following a chain without its blocks: from a block that is trusted, with the validators after it, to
//! any later one that they made final, across changes of the set. It guarantees that what it trusts was
//! certified by the validators that what it trusted before names, and no older than [`TRUSTED_FOR`]: keys
//! of validators who left long ago show nothing. Times in milliseconds. `docs/protocol.md` §3.8.

use crate::{Certificate, CertificateError, Header, ValidatorSet};
use larder_types::{BlockHash, GenesisHash, Hash, Millis, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How long the validators that a trusted block names are believed: whoever left may have lost or sold
/// its keys since, and is no longer punished for what it signs.
pub const TRUSTED_FOR: Millis = Millis::from_secs(14 * 86_400);
/// How far ahead of our clock a block may be: clocks differ.
pub const MAX_AHEAD: Millis = Millis::from_secs(60);

/// A block that somebody trusted names: by its height and its hash, written `HEIGHT:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The block's height.
    pub height: u64,
    /// The block's hash.
    pub block: BlockHash,
}

/// A string that is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is written HEIGHT:HASH, as `larder wallet verify` prints it")]
pub struct ParseCheckpointError;

impl FromStr for Checkpoint {
    type Err = ParseCheckpointError;

    fn from_str(text: &str) -> Result<Self, ParseCheckpointError> {
        let (height, block) = text.split_once(':').ok_or(ParseCheckpointError)?;
        Ok(Self {
            height: height.parse().map_err(|_| ParseCheckpointError)?,
            block: block.parse().map_err(|_| ParseCheckpointError)?,
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.block)
    }
}

/// The newest block that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// The network.
    pub genesis: GenesisHash,
    /// The block's height; 0 for the genesis.
    pub height: u64,
    /// The block's hash; of the genesis, the network's.
    pub block: BlockHash,
    /// When the block was made.
    pub time: Time,
    /// The validators of the blocks after it.
    pub set: ValidatorSet,
}

/// Why a block is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The trusted block is too old to tell who validates now.
    #[error(
        "the newest trusted block, {height}, is older than {} days: its validators may have left and \
         prove nothing now; ask somebody you trust for a newer block and give it with `--checkpoint \
         HEIGHT:HASH`",
        TRUSTED_FOR.0 / 86_400_000
    )]
    Stale {
        /// The trusted block's height.
        height: u64,
    },
    /// Another block at a height that is trusted, or one that does not follow from it.
    #[error(
        "block {height} is another one than the one that is trusted there: the chain was forked; do not \
         rely on this node, and tell the network's members"
    )]
    Fork {
        /// The height.
        height: u64,
    },
    /// From before what is trusted.
    #[error("block {got} lies before block {trusted}, which is trusted")]
    Past {
        /// The block's height.
        got: u64,
        /// The trusted height.
        trusted: u64,
    },
    /// Made before the trusted block, by its own time.
    #[error("the block says that it was made before one that it follows")]
    Backwards,
    /// Made later than now.
    #[error("the block was made in the future; if that is not so, set this machine's clock")]
    Future,
    /// Certified by other validators than those that are trusted.
    #[error(
        "block {height} names other validators than those trusted for it: a change of the set before it \
         is missing, or it is forged"
    )]
    OtherSet {
        /// The block's height.
        height: u64,
    },
    /// The certificate is another block's.
    #[error("the certificate is another block's")]
    OtherBlock,
    /// The certificate does not make the block final.
    #[error("the certificate is bad: {0}")]
    Certificate(#[from] CertificateError),
    /// The next validators are not those that the block names.
    #[error("the validators given for after block {height} are not those that it names")]
    NextSet {
        /// The block's height.
        height: u64,
    },
    /// The block at the checkpoint is another one.
    #[error(
        "the block at height {height} is not the checkpoint's: this node follows another chain"
    )]
    Checkpoint {
        /// The checkpoint's height.
        height: u64,
    },
}

impl Trusted {
    /// A network's beginning: its validators as the genesis document names them.
    #[must_use]
    pub const fn beginning(genesis: GenesisHash, start: Time, set: ValidatorSet) -> Self {
        Self {
            genesis,
            height: 0,
            block: BlockHash(genesis.0),
            time: start,
            set,
        }
    }

    /// The block that a checkpoint names, with the validators after it.
    ///
    /// # Errors
    /// [`LightError::Checkpoint`] if the header is another block's, [`LightError::NextSet`] if it names
    /// other validators.
    pub fn at(
        checkpoint: &Checkpoint,
        genesis: GenesisHash,
        header: &Header,
        set: ValidatorSet,
    ) -> Result<Self, LightError> {
        let height = checkpoint.height;
        if (header.height, header.hash()) != (height, checkpoint.block) {
            return Err(LightError::Checkpoint { height });
        }
        is_set(&set, &header.next_validators, height)?;
        Ok(Self {
            genesis,
            height,
            block: checkpoint.block,
            time: header.time,
            set,
        })
    }

    /// As a checkpoint for others.
    #[must_use]
    pub const fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            height: self.height,
            block: self.block,
        }
    }

    /// Trusts a later block that the trusted validators made final, whatever lies between. `next` are
    /// the validators after it, needed iff it names others than its own.
    ///
    /// # Errors
    /// [`LightError`]: why it is not believed.
    pub fn advance(
        &self,
        header: &Header,
        certificate: &[u8],
        next: Option<ValidatorSet>,
        now: Time,
    ) -> Result<Self, LightError> {
        self.fresh(now)?;
        self.follows(header, now)?;
        let (height, block) = (header.height, header.hash());
        if height == self.height {
            return Ok(self.clone());
        }
        if header.validators != self.set.hash() {
            return Err(LightError::OtherSet { height });
        }
        let certificate = Certificate::from_bytes(certificate, &self.set)?;
        if (certificate.of.height, certificate.of.block) != (height, block) {
            return Err(LightError::OtherBlock);
        }
        certificate.verify(&self.set, &self.genesis)?;
        let set = next.unwrap_or_else(|| self.set.clone());
        is_set(&set, &header.next_validators, height)?;
        Ok(Self {
            genesis: self.genesis,
            height,
            block,
            time: header.time,
            set,
        })
    }

    /// Whether its validators still tell anything at `now`.
    ///
    /// # Errors
    /// [`LightError::Stale`] if the block is older than [`TRUSTED_FOR`].
    pub fn fresh(&self, now: Time) -> Result<(), LightError> {
        let height = self.height;
        match now.since(self.time) > TRUSTED_FOR {
            true => Err(LightError::Stale { height }),
            false => Ok(()),
        }
    }

    /// Whether a block may come after the trusted one, or is it.
    fn follows(&self, header: &Header, now: Time) -> Result<(), LightError> {
        let (got, trusted) = (header.height, self.height);
        if got < trusted {
            return Err(LightError::Past { got, trusted });
        }
        let is_another = match got - trusted {
            0 => header.hash() != self.block,
            1 => header.prev != self.block,
            _ => false,
        };
        if is_another {
            return Err(LightError::Fork { height: got });
        }
        if header.time < self.time {
            return Err(LightError::Backwards);
        }
        if header.time > now.after(MAX_AHEAD) {
            return Err(LightError::Future);
        }
        Ok(())
    }
}

fn is_set(set: &ValidatorSet, named: &Hash, height: u64) -> Result<(), LightError> {
    match set.hash() == *named {
        true => Ok(()),
        false => Err(LightError::NextSet { height }),
    }
}

#[cfg(test)]
#[path = "light/tests.rs"]
mod tests;
