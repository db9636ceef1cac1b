//! Many ed25519 signatures checked at once, by the same verdict as one by one. The usual batch equation
//! is blind to parts of small order, so that whether a block is valid would depend on how a node
//! checked it. Here those parts are looked for by themselves: what the strict rule refuses is refused,
//! but for one chance in 2^40 for each batch that somebody tries. `docs/protocol.md` §3.1.
//!
//! With the defect D = sB − kA − R of each signature (strict: D = 0, R and A of large order and R in
//! canonical form): Σ zD times the cofactor is 0 for random z of 128 bits only if every D is of small
//! order. D's part of small order is that of −((k mod 8)A + R). Sums of these over 40 random halves of
//! the batch all have none only if none of them has one.

use crate::signing::{Tag, sign_layout};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{Identity, IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::VerifyingKey;
use larder_types::{GenesisHash, Signature};
use sha2::{Digest, Sha512};

/// Fewer are checked one by one: a batch has a cost of its own.
const LEAST: usize = 96;
/// Random halves are drawn eight at a time: a byte says in which of them a signature is.
const OCTETS: usize = 5;
/// Buckets of eight halves.
const BUCKETS: usize = 256;
/// Random bytes for each signature.
const RANDOM: usize = 16 + OCTETS;

/// One signature to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    public: [u8; 32],
    message: [u8; 32],
    signature: [u8; 64],
}

impl Claim {
    /// That `public` signed `bytes` of a type on a network.
    #[must_use]
    pub fn new(
        public: &[u8; 32],
        tag: Tag,
        genesis: &GenesisHash,
        bytes: &[u8],
        signature: &Signature,
    ) -> Self {
        Self {
            public: *public,
            message: sign_layout(tag, genesis, bytes),
            signature: signature.0,
        }
    }

    /// Whether it is good: strict RFC 8032, weak keys refused.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.public)
            .is_ok_and(|key| key.verify_strict(&self.message, &signature).is_ok())
    }

    /// Its parts, if each by itself is what the strict rule asks for.
    fn parts(&self) -> Option<Parts> {
        let (r_bytes, s_bytes) = self.signature.split_first_chunk::<32>()?;
        let s_bytes = s_bytes.first_chunk::<32>()?;
        let key = VerifyingKey::from_bytes(&self.public).ok()?;
        let s = Option::from(Scalar::from_canonical_bytes(*s_bytes))?;
        let r = CompressedEdwardsY(*r_bytes).decompress()?;
        let a = key.to_edwards();
        let is_sound = is_canonical(r_bytes) && !r.is_small_order() && !a.is_small_order();
        let hash = Sha512::new()
            .chain_update(r_bytes)
            .chain_update(self.public)
            .chain_update(self.message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        is_sound.then_some(Parts { r, a, s, k })
    }
}

/// Which of these are good, in their order. `secret` is random, and nobody who has a say in `claims`
/// knows it: with it a bad one could be made to pass.
#[must_use]
pub fn verify_all(claims: &[Claim], secret: &[u8; 32]) -> Vec<bool> {
    match claims.len() >= LEAST && are_good(claims, secret) {
        true => vec![true; claims.len()],
        false => claims.iter().map(Claim::is_good).collect(),
    }
}

struct Parts {
    r: EdwardsPoint,
    a: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Parts {
    /// (k mod 8)A + R: what it has of small order is what the defect has, but for the sign.
    fn small(&self) -> EdwardsPoint {
        let (mut sum, mut doubled) = (self.r, self.a);
        for bit in [1, 2, 4] {
            if self.k.as_bytes()[0] & bit != 0 {
                sum += doubled;
            }
            doubled += doubled;
        }
        sum
    }
}

/// Whether all are good, but for the chance above; `false` says nothing of any of them.
fn are_good(claims: &[Claim], secret: &[u8; 32]) -> bool {
    let mut random = blake3::Hasher::new_keyed(secret).finalize_xof();
    let mut halves = vec![EdwardsPoint::identity(); BUCKETS * OCTETS];
    let (mut scalars, mut points, mut base) = (Vec::new(), Vec::new(), Scalar::ZERO);
    for claim in claims {
        let Some(parts) = claim.parts() else {
            return false;
        };
        let mut bytes = [0; RANDOM];
        random.fill(&mut bytes);
        let (z, octets) = bytes.split_first_chunk().expect("16 bytes and more");
        let z = Scalar::from(u128::from_le_bytes(*z));
        let small = parts.small();
        for (buckets, octet) in halves.chunks_mut(BUCKETS).zip(octets) {
            if let Some(bucket) = buckets.get_mut(usize::from(*octet)) {
                *bucket += small;
            }
        }
        base -= z * parts.s;
        scalars.extend([z, z * parts.k]);
        points.extend([parts.r, parts.a]);
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    let sum = EdwardsPoint::vartime_multiscalar_mul(&scalars, &points);
    sum.mul_by_cofactor().is_identity() && halves.chunks_mut(BUCKETS).all(has_no_small)
}

/// Whether none of the eight sums, each over the buckets whose number has one bit, has a part of
/// small order. Halves the row with each bit, the highest first.
fn has_no_small(mut row: &mut [EdwardsPoint]) -> bool {
    while row.len() > 1 {
        let (low, high) = row.split_at_mut(row.len() / 2);
        let mut sum = EdwardsPoint::identity();
        for (low, high) in low.iter_mut().zip(&*high) {
            sum += *high;
            *low += *high;
        }
        if !is_torsion_free(&sum) {
            return false;
        }
        row = low;
    }
    true
}

/// ℓP = 0, as (ℓ − 1)P + P: faster than the library's own, which takes the same time for every point.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    let minus = -Scalar::ONE;
    let rest = EdwardsPoint::vartime_double_scalar_mul_basepoint(&minus, point, &Scalar::ZERO);
    (rest + point).is_identity()
}

/// Whether y, the encoding but for its highest bit, is below 2^255 − 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || middle.iter().any(|byte| *byte != 0xff) || high & 0x7f != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;
    use curve25519_dalek::constants::EIGHT_TORSION;

    const TAG: Tag = Tag("a");
    const NET: GenesisHash = GenesisHash([2; 32]);

    fn honest(count: u8) -> Vec<Claim> {
        let claim = |n: u8| {
            let key = Signer::from_seed(&[n; 32]);
            let sig = key.sign(TAG, &NET, &[n]);
            Claim::new(&key.public(), TAG, &NET, &[n], &sig)
        };
        (0..count).map(claim).collect()
    }

    /// Signed as RFC 8032 says with `a` and `r`, but with points of small order added to both.
    fn twisted(message: u8, in_key: usize, in_r: usize) -> Claim {
        let secret = |n: u8| Scalar::from_bytes_mod_order([n; 32]);
        let (a, r) = (secret(message | 1), secret(message ^ 0x5a));
        let public = EdwardsPoint::mul_base(&a) + EIGHT_TORSION[in_key];
        let nonce = EdwardsPoint::mul_base(&r) + EIGHT_TORSION[in_r];
        let (public, nonce) = (public.compress().0, nonce.compress().0);
        let message = [message; 32];
        let hash = Sha512::new().chain_update(nonce).chain_update(public);
        let k = hash.chain_update(message).finalize();
        let s = r + Scalar::from_bytes_mod_order_wide(&k.into()) * a;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&nonce);
        signature[32..].copy_from_slice(s.as_bytes());
        Claim {
            public,
            message,
            signature,
        }
    }

    fn one_by_one(claims: &[Claim]) -> Vec<bool> {
        claims.iter().map(Claim::is_good).collect()
    }

    #[test]
    fn honest_ones_pass_together_and_bad_ones_are_found() {
        let mut claims = honest(200);
        assert!(are_good(&claims, &[7; 32]));
        assert_eq!(verify_all(&claims, &[7; 32]), vec![true; 200]);
        claims[120].message[0] ^= 1;
        claims[3].signature[40] ^= 1;
        claims[9].public = [0; 32];
        let verdicts = verify_all(&claims, &[7; 32]);
        let bad: Vec<usize> = (0..200).filter(|at| !verdicts[*at]).collect();
        assert_eq!(bad, [3, 9, 120]);
        assert_eq!(
            verify_all(&claims[..4], &[7; 32]),
            [true, true, true, false]
        );
        assert_eq!(verify_all(&[], &[7; 32]), []);
    }

    #[test]
    fn what_is_of_small_order_counts_as_it_does_one_by_one() {
        let mut kinds = [0, 0];
        for message in 0..200 {
            for (in_key, in_r) in [(1, 0), (4, 0), (0, 4), (0, 2), (3, 5)] {
                let claim = twisted(message, in_key, in_r);
                kinds[usize::from(claim.is_good())] += 1;
                let mut claims = honest(100);
                claims[usize::from(message) % 100] = claim;
                let verdict = are_good(&claims, &[message; 32]);
                assert_eq!(verdict, claim.is_good(), "{message} {in_key} {in_r}");
            }
        }
        assert!(kinds[0] > 500 && kinds[1] > 100, "both happen: {kinds:?}");
    }

    #[test]
    fn defects_do_not_cancel() {
        // Two that are off by the same point of order two: their sum is not off.
        let off = |message| twisted(message, 0, 4);
        assert!(!off(1).is_good() && !off(2).is_good());
        let mut claims = honest(100);
        (claims[10], claims[60]) = (off(1), off(2));
        let passed = (0..=255).filter(|seed| are_good(&claims, &[*seed; 32]));
        assert_eq!(passed.count(), 0);
        assert_eq!(verify_all(&claims, &[0; 32]), one_by_one(&claims));
    }

    #[test]
    fn numbers_beyond_the_field_are_seen() {
        let mut p = [0xff; 32];
        (p[0], p[31]) = (0xed, 0x7f);
        assert!(!is_canonical(&p));
        p[31] = 0xff;
        assert!(!is_canonical(&p), "whatever the sign");
        p[0] = 0xec;
        assert!(is_canonical(&p));
        assert!(is_canonical(&[0; 32]));
    }
}
