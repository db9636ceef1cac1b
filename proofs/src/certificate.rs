//! That a block is final: the signatures of more than two thirds of the validators, summed up to
//! one, with a bit for each who signed. Whoever knows the set checks it with one pairing equation.
//! A certificate of 100 validators takes 153 bytes. `docs/protocol.md` §3.8.

use crate::bls::{PointError, PublicKey, SecretKey, Signature};
use crate::validators::{Validator, ValidatorSet};
use larder_keys::Tag;
use larder_types::layout::Layout;
use larder_types::{BlockHash, GenesisHash};

/// What a vote signs.
const CERTIFICATE: Tag = Tag("certificate");
/// Height, round and block.
const HEAD: usize = 8 + 4 + 32;
/// The signature at the end.
const TAIL: usize = 96;

/// What validators sign of a final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    /// The block's height.
    pub height: u64,
    /// The round of consensus in which it was decided.
    pub round: u32,
    /// The block's hash, which covers its state root and its validators.
    pub block: BlockHash,
}

impl Final {
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .u64(self.height)
            .u32(self.round)
            .fixed(self.block)
            .finish()
    }

    /// One validator's vote.
    #[must_use]
    pub fn vote(&self, key: &SecretKey, net: &GenesisHash) -> Signature {
        key.sign(CERTIFICATE, net, &self.layout())
    }

    /// Whether `vote` is this key's.
    #[must_use]
    pub fn is_voted(&self, key: &PublicKey, net: &GenesisHash, vote: &Signature) -> bool {
        key.verify(CERTIFICATE, net, &self.layout(), vote)
    }
}

/// Votes for one block, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What was voted for.
    pub of: Final,
    /// A bit for each validator of the set, the first one the lowest bit of the first byte.
    signers: Vec<u8>,
    signature: Signature,
}

/// Why bytes are no certificate, or a certificate shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Too short, or too long for any set.
    #[error("a certificate of this set takes {needed} bytes, not {have}")]
    Length {
        /// Bytes that it must have.
        needed: usize,
        /// Bytes that it has.
        have: usize,
    },
    /// Bits for validators that the set does not have.
    #[error("it names a validator that is not in the set")]
    Stranger,
    /// The signature is no point.
    #[error(transparent)]
    Point(#[from] PointError),
    /// The signers are too few.
    #[error("{needed} of the weight must sign, {have} did")]
    Quorum {
        /// Weight that is needed.
        needed: u64,
        /// Weight that signed.
        have: u64,
    },
    /// The signature is not the signers'.
    #[error("the signature is not theirs")]
    Signature,
}

impl Certificate {
    /// Sums up votes, each by the validator at that place of `set`. Of two by one the later counts.
    /// The votes were checked; whether they are enough, [`verify`](Self::verify) says.
    ///
    /// # Panics
    /// If a place is none of the set's.
    #[must_use]
    pub fn sum(of: Final, votes: &[(usize, Signature)], set: &ValidatorSet) -> Self {
        let mut by_place = vec![None; set.members().len()];
        for (place, vote) in votes {
            by_place[*place] = Some(vote);
        }
        let mut signers = vec![0; bytes_for(set)];
        for (place, _) in by_place.iter().enumerate().filter(|(_, v)| v.is_some()) {
            signers[place / 8] |= 1 << (place % 8);
        }
        let signature = Signature::sum(by_place.into_iter().flatten());
        Self {
            of,
            signers,
            signature,
        }
    }

    /// The validators that signed, in order.
    pub fn signers<'a>(&'a self, set: &'a ValidatorSet) -> impl Iterator<Item = &'a Validator> {
        let members = set.members().iter().enumerate();
        members
            .filter(|(place, _)| self.has(*place))
            .map(|(_, m)| m)
    }

    fn has(&self, place: usize) -> bool {
        self.signers
            .get(place / 8)
            .is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// Whether more than two thirds of `set`, by weight, signed for the block on this network.
    ///
    /// # Errors
    /// [`CertificateError`]: why not.
    pub fn verify(&self, set: &ValidatorSet, net: &GenesisHash) -> Result<(), CertificateError> {
        self.fits(set)?;
        let (needed, have) = (set.quorum(), self.signers(set).map(|m| m.power).sum());
        if have < needed {
            return Err(CertificateError::Quorum { needed, have });
        }
        PublicKey::sum(self.signers(set).map(|m| &m.bls))
            .filter(|key| self.of.is_voted(key, net, &self.signature))
            .map(|_| ())
            .ok_or(CertificateError::Signature)
    }

    fn fits(&self, set: &ValidatorSet) -> Result<(), CertificateError> {
        let (needed, have) = (bytes_for(set), self.signers.len());
        if needed != have {
            return Err(CertificateError::Length {
                needed: HEAD + needed + TAIL,
                have: HEAD + have + TAIL,
            });
        }
        let beyond = (set.members().len()..8 * have).any(|place| self.has(place));
        if beyond {
            return Err(CertificateError::Stranger);
        }
        Ok(())
    }

    /// `height u64 ‖ round u32 ‖ block[32] ‖ bitmap[⌈V/8⌉] ‖ signature[96]`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            self.of.layout(),
            self.signers.clone(),
            self.signature.to_bytes().to_vec(),
        ]
        .concat()
    }

    /// Reads a certificate of `set`.
    ///
    /// # Errors
    /// Another length than the set's, a bit for nobody, or a signature that is no point.
    pub fn from_bytes(bytes: &[u8], set: &ValidatorSet) -> Result<Self, CertificateError> {
        let length = CertificateError::Length {
            needed: HEAD + bytes_for(set) + TAIL,
            have: bytes.len(),
        };
        let (height, rest) = bytes.split_first_chunk::<8>().ok_or(length)?;
        let (round, rest) = rest.split_first_chunk::<4>().ok_or(length)?;
        let (block, rest) = rest.split_first_chunk::<32>().ok_or(length)?;
        let (signers, signature) = rest.split_last_chunk::<TAIL>().ok_or(length)?;
        let certificate = Self {
            of: Final {
                height: u64::from_le_bytes(*height),
                round: u32::from_le_bytes(*round),
                block: BlockHash(*block),
            },
            signers: signers.to_vec(),
            signature: Signature::from_bytes(signature)?,
        };
        certificate.fits(set)?;
        Ok(certificate)
    }
}

fn bytes_for(set: &ValidatorSet) -> usize {
    set.members().len().div_ceil(8)
}

#[cfg(test)]
#[path = "certificate/tests.rs"]
mod tests;
