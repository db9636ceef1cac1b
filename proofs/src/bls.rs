//! BLS signatures on BLS12-381, minimal public keys: public key 48 bytes in G1, signature 96 bytes
//! in G2. A signature is unique, which is what the beacon needs. Every point that is read is
//! checked to be in its subgroup. Signing is not constant-time (arkworks): it signs public
//! messages at public moments. `docs/protocol.md` §3.8, draft-irtf-cfrg-bls-signature, RFC 9380.

use ark_bls12_381::{Bls12_381, Fr, G1Affine, G1Projective, G2Affine, G2Projective, g2};
use ark_ec::hashing::HashToCurve as _;
use ark_ec::hashing::curve_maps::wb::WBMap;
use ark_ec::hashing::map_to_curve_hasher::MapToCurveBasedHasher;
use ark_ec::pairing::Pairing as _;
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::field_hashers::DefaultFieldHasher;
use ark_ff::{PrimeField as _, Zero as _};
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use larder_keys::{Tag, sign_layout};
use larder_types::GenesisHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2_10::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The domain of proofs of possession, the suite's own.
const POSSESSION: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// The ciphersuite, which is also the hash's domain.
const SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

type HashToG2 =
    MapToCurveBasedHasher<G2Projective, DefaultFieldHasher<Sha256, 128>, WBMap<g2::Config>>;

/// Bytes that are no key or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a BLS12-381 {0} in canonical compressed form and in its subgroup")]
pub struct PointError(&'static str);

/// A secret key: a scalar other than 0. Zeroized when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey(Fr);

/// A public key: a point of G1 other than the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(G1Affine);

/// A signature: a point of G2. One that is read is not the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(G2Affine);

impl SecretKey {
    /// The key of a 32-byte seed, which must be random and secret: what a validator keeps in a
    /// file of mode 0600.
    ///
    /// # Panics
    /// If 512 derived bits are 0 modulo the group's order, which no seed will be found to do.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut wide = Zeroizing::new([0; 64]);
        blake3::Hasher::new_derive_key("larder v1 bls secret key")
            .update(seed)
            .finalize_xof()
            .fill(&mut *wide);
        let scalar = Fr::from_le_bytes_mod_order(&*wide);
        assert!(!scalar.is_zero(), "a secret key of 0");
        Self(scalar)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey((G1Affine::generator() * self.0).into_affine())
    }

    /// The proof that whoever shows this key's public half knows the key: a signature over that
    /// half. Without it a key could be made of others' keys that cancels them out of a sum.
    #[must_use]
    pub fn prove_possession(&self) -> Signature {
        let hash = hash_to_g2(POSSESSION, &self.public().to_bytes());
        Signature((hash * self.0).into_affine())
    }

    /// Signs `bytes` as a `tag` of the network `genesis`.
    #[must_use]
    pub fn sign(&self, tag: Tag, genesis: &GenesisHash, bytes: &[u8]) -> Signature {
        let message = sign_layout(tag, genesis, bytes);
        Signature((hash_to_g2(SUITE, &message) * self.0).into_affine())
    }
}

impl PublicKey {
    /// Whether `signature` is this key's over `bytes` as a `tag` of the network `genesis`.
    #[must_use]
    pub fn verify(
        &self,
        tag: Tag,
        genesis: &GenesisHash,
        bytes: &[u8],
        signature: &Signature,
    ) -> bool {
        self.is_signed(
            hash_to_g2(SUITE, &sign_layout(tag, genesis, bytes)),
            signature,
        )
    }

    /// Whether `proof` shows that the key's owner knows its secret half.
    #[must_use]
    pub fn is_possessed(&self, proof: &Signature) -> bool {
        self.is_signed(hash_to_g2(POSSESSION, &self.to_bytes()), proof)
    }

    /// e(pk, H) = e(g, sig), as one product.
    fn is_signed(&self, hash: G2Affine, signature: &Signature) -> bool {
        Bls12_381::multi_pairing([self.0, -G1Affine::generator()], [hash, signature.0]).is_zero()
    }

    /// The key that a sum of signatures over the same bytes is checked against. Sound only for keys
    /// whose possession was proved. `None` where the keys cancel out, or there are none.
    #[must_use]
    pub fn sum<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let sum: G1Projective = keys.into_iter().map(|key| key.0).sum();
        (!sum.is_zero()).then(|| Self(sum.into_affine()))
    }

    /// The compressed form.
    ///
    /// # Panics
    /// Never: a G1 point takes 48 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        self.0
            .serialize_compressed(&mut out[..])
            .expect("a G1 point takes 48 bytes");
        out
    }

    /// Reads the compressed form.
    ///
    /// # Errors
    /// Bytes that are no point, not the canonical form of one, outside the subgroup, or the
    /// identity.
    pub fn from_bytes(bytes: &[u8; 48]) -> Result<Self, PointError> {
        let refuse = PointError("public key");
        let key = Self(G1Affine::deserialize_compressed(&bytes[..]).map_err(|_| refuse)?);
        if key.0.is_zero() || key.to_bytes() != *bytes {
            return Err(refuse);
        }
        Ok(key)
    }
}

impl Signature {
    /// One signature that stands for all of these, over the same bytes.
    #[must_use]
    pub fn sum<'a>(signatures: impl IntoIterator<Item = &'a Self>) -> Self {
        let sum: G2Projective = signatures.into_iter().map(|signature| signature.0).sum();
        Self(sum.into_affine())
    }

    /// The compressed form.
    ///
    /// # Panics
    /// Never: a G2 point takes 96 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 96] {
        let mut out = [0; 96];
        self.0
            .serialize_compressed(&mut out[..])
            .expect("a G2 point takes 96 bytes");
        out
    }

    /// Reads the compressed form.
    ///
    /// # Errors
    /// Bytes that are no point, not the canonical form of one, outside the subgroup, or the
    /// identity, which no key of ours makes.
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, PointError> {
        let refuse = PointError("signature");
        let signature = Self(G2Affine::deserialize_compressed(&bytes[..]).map_err(|_| refuse)?);
        if signature.0.is_zero() || signature.to_bytes() != *bytes {
            return Err(refuse);
        }
        Ok(signature)
    }
}

/// RFC 9380 `hash_to_curve` of suite `BLS12381G2_XMD:SHA-256_SSWU_RO_`.
fn hash_to_g2(domain: &[u8], message: &[u8]) -> G2Affine {
    HashToG2::new(domain)
        .and_then(|hasher| hasher.hash(message))
        .expect("the curve's own map is sound")
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(secret)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:02x?})", &self.to_bytes()[..8])
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x?})", &self.to_bytes()[..8])
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.to_bytes())
    }
}

/// Points that are not in the subgroup are refused.
impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes: [u8; 48] = serde_bytes::deserialize(d)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "bls/interop.rs"]
mod interop;
#[cfg(test)]
#[path = "bls/tests.rs"]
mod tests;
