//! The beacon: one unpredictable value per slot, from which challenges follow. Verifiable by all;
//! of [`Single`], the one validator knows the values ahead. `docs/protocol.md` §3.8.

use crate::bls::{PublicKey, SecretKey, Signature};
use crate::layout_reader::serde_as_bytes;
use larder_keys::Tag;
use larder_types::codec::DecodeError;
use larder_types::{GenesisHash, SlotNo};

/// What a reveal signs.
const BEACON: Tag = Tag("beacon");

/// A validator's unique signature over a slot, which anyone turns into the slot's beacon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reveal(pub [u8; 96]);

impl Reveal {
    fn to_bytes(self) -> [u8; 96] {
        self.0
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let reveal = bytes.try_into().map_err(|_| DecodeError::Field {
            field: "reveal",
            offset: 0,
        })?;
        Ok(Self(reveal))
    }
}

serde_as_bytes!(Reveal);

/// The beacon of a network with a single validator:
/// `R_h = BLAKE3(R_{h−1} ‖ BLS_sk(genesis hash ‖ h))`.
#[derive(Clone, Copy, Debug)]
pub struct Single;

impl Single {
    /// The beacon of `slot` after `prev`, and the reveal that proves it.
    #[must_use]
    pub fn next(
        prev: &[u8; 32],
        genesis: &GenesisHash,
        slot: SlotNo,
        key: &SecretKey,
    ) -> ([u8; 32], Reveal) {
        let reveal = Reveal(key.sign(BEACON, genesis, &slot.to_le_bytes()).to_bytes());
        (mix(prev, &reveal), reveal)
    }

    /// The beacon of `slot` after `prev` if the reveal is the validator's; else `None`.
    #[must_use]
    pub fn check(
        prev: &[u8; 32],
        genesis: &GenesisHash,
        slot: SlotNo,
        key: &PublicKey,
        reveal: &Reveal,
    ) -> Option<[u8; 32]> {
        let signature = Signature::from_bytes(&reveal.0).ok()?;
        key.verify(BEACON, genesis, &slot.to_le_bytes(), &signature)
            .then(|| mix(prev, reveal))
    }
}

/// `R_h = BLAKE3(R_{h−1} ‖ reveal)`, for a reveal that was checked.
#[must_use]
pub fn mix(prev: &[u8; 32], reveal: &Reveal) -> [u8; 32] {
    *blake3::Hasher::new()
        .update(prev)
        .update(&reveal.0)
        .finalize()
        .as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_is_checked_by_all_and_made_by_one() {
        let (key, net) = (SecretKey::from_seed(&[5; 32]), GenesisHash([6; 32]));
        let other = SecretKey::from_seed(&[7; 32]).public();
        let (first, reveal) = Single::next(&[0; 32], &net, 1, &key);
        let check = Single::check;
        let good = check(&[0; 32], &net, 1, &key.public(), &reveal);
        assert_eq!(good, Some(first));
        assert_ne!(check(&[1; 32], &net, 1, &key.public(), &reveal), good);
        assert_eq!(check(&[0; 32], &net, 2, &key.public(), &reveal), None);
        assert_eq!(check(&[0; 32], &net, 1, &other, &reveal), None);
        let elsewhere = GenesisHash([8; 32]);
        assert_eq!(check(&[0; 32], &elsewhere, 1, &key.public(), &reveal), None);
        let mut bent = reveal;
        bent.0[95] ^= 1;
        assert_eq!(check(&[0; 32], &net, 1, &key.public(), &bent), None);
        let (second, _) = Single::next(&first, &net, 2, &key);
        assert_ne!(first, second);
    }

    #[test]
    fn a_reveal_travels_as_a_byte_string() {
        let reveal = Reveal([9; 96]);
        let bytes = larder_types::codec::encode(&reveal);
        assert_eq!(bytes[..2], [0x58, 96]);
        assert_eq!(larder_types::codec::decode(&bytes), Ok(reveal));
    }
}
