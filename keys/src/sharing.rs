//! What is shared is sealed to a person: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20-Poly1305. The key pair comes from the words under a label of its own and
//! does nothing else; its secret half rests on the device, for a device must open what was shared
//! with it, and opens nothing else: no data of the account, no credit. The public half is bound to
//! the account by the account key, and travels as a *share address*. `docs/protocol.md` §3.13.

use crate::{Signer, Tag, verify};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use larder_types::layout::Layout;
use larder_types::{AccountId, GenesisHash, Signature};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

type Private = <X25519HkdfSha256 as Kem>::PrivateKey;
type Public = <X25519HkdfSha256 as Kem>::PublicKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// The account key's tag on its sharing key.
pub const SHARING_KEY: Tag = Tag("sharing key");
/// How a sealed share begins.
const MAGIC: [u8; 8] = *b"LRDSHR01";
/// Bytes of the encapsulated key behind it.
const ENCAPPED: usize = 32;
/// Plaintext bytes of each sealed piece but the last.
const PIECE: usize = 1 << 20;
/// Bytes of a piece's tag.
const TAG: usize = 16;

/// The secret half of a sharing key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharingKey([u8; 32]);

/// A key that is given away with a share: of one blob, of one segment's outer encryption or masks, or
/// the one that reads.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GivenKey(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// The account says which sharing key is its own: what a share address carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharingCert {
    /// Whose.
    pub account: AccountId,
    /// The public half, X25519.
    #[serde(with = "serde_bytes")]
    pub sharing_pk: [u8; 32],
    /// By the account key, over both.
    pub sig: Signature,
}

/// Bytes that do not open: damaged, cut, or sealed to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It does not begin as a sealed share.
    #[error("this is no share of larder's")]
    Magic,
    /// The seal is another's, or broken.
    #[error("the share is for another account, or damaged")]
    Seal,
}

/// A public half that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sharing key is none that anything can be sealed to")]
pub struct BadSharingKey;

impl SharingKey {
    /// The key whose X25519 secret is `secret`.
    #[must_use]
    pub const fn from_secret(secret: &[u8; 32]) -> Self {
        Self(*secret)
    }

    /// The secret, to be kept in a file of mode 0600.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: any 32 bytes are an X25519 secret.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let public = X25519HkdfSha256::sk_to_pk(&self.private()).to_bytes();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&public);
        bytes
    }

    fn private(&self) -> Private {
        Private::from_bytes(&self.0).expect("any 32 bytes are an X25519 secret")
    }

    /// Opens what was sealed to this key of `account` on the network `net`.
    ///
    /// # Errors
    /// [`UnsealError`] for anything else; nothing of it is handed on.
    pub fn open(
        &self,
        account: &AccountId,
        net: &GenesisHash,
        sealed: &[u8],
    ) -> Result<Vec<u8>, UnsealError> {
        let rest = sealed.strip_prefix(&MAGIC).ok_or(UnsealError::Magic)?;
        let (encapped, pieces) = rest.split_at_checked(ENCAPPED).ok_or(UnsealError::Seal)?;
        let encapped = Encapped::from_bytes(encapped).map_err(|_| UnsealError::Seal)?;
        let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private(),
            &encapped,
            &info(account, &self.public(), net),
        )
        .map_err(|_| UnsealError::Seal)?;
        let mut plain = Vec::with_capacity(pieces.len());
        let count = pieces.len().div_ceil(PIECE + TAG);
        for (i, piece) in pieces.chunks(PIECE + TAG).enumerate() {
            let last = u8::from(i + 1 == count);
            let opened = context.open(piece, &[last]);
            plain.extend(opened.map_err(|_| UnsealError::Seal)?);
        }
        if count == 0 {
            return Err(UnsealError::Seal);
        }
        Ok(plain)
    }
}

impl SharingCert {
    /// Binds `sharing` to the account. Takes the words' key.
    #[must_use]
    pub fn sign(account: &Signer, sharing: &SharingKey, net: &GenesisHash) -> Self {
        let mut cert = Self {
            account: account.account(),
            sharing_pk: sharing.public(),
            sig: Signature::default(),
        };
        cert.sig = account.sign(SHARING_KEY, net, &cert.layout());
        cert
    }

    /// Whether the account says so, on this network.
    #[must_use]
    pub fn is_good(&self, net: &GenesisHash) -> bool {
        let layout = self.layout();
        verify(&self.account.0, SHARING_KEY, net, &layout, &self.sig)
    }

    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.sharing_pk)
            .finish()
    }

    /// Seals `plain` to the account: `LRDSHR01` ‖ encapsulated key\[32\] ‖ pieces of 1 MiB, each with
    /// its tag. The last one says that it is, so that nothing can be cut off.
    ///
    /// # Errors
    /// [`BadSharingKey`] if nothing can be sealed to the key.
    ///
    /// # Panics
    /// Never: the cipher takes pieces of 1 MiB, and more of them than there ever are.
    pub fn seal(
        &self,
        plain: &[u8],
        net: &GenesisHash,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, BadSharingKey> {
        let public = Public::from_bytes(&self.sharing_pk).map_err(|_| BadSharingKey)?;
        let (encapped, mut context) =
            hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &public,
                &info(&self.account, &self.sharing_pk, net),
                rng,
            )
            .map_err(|_| BadSharingKey)?;
        let mut sealed = MAGIC.to_vec();
        sealed.extend_from_slice(&encapped.to_bytes());
        let count = plain.len().div_ceil(PIECE).max(1);
        for i in 0..count {
            let piece = &plain[i * PIECE..plain.len().min((i + 1) * PIECE)];
            let last = u8::from(i + 1 == count);
            let piece = context.seal(piece, &[last]);
            sealed.extend(piece.expect("the cipher takes pieces of 1 MiB"));
        }
        Ok(sealed)
    }
}

/// What the seal is for: a share, this network, this person.
fn info(account: &AccountId, sharing_pk: &[u8; 32], net: &GenesisHash) -> Vec<u8> {
    [b"larder v1 share", &net.0[..], &account.0, sharing_pk].concat()
}

impl fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenKey(secret)")
    }
}

impl fmt::Debug for SharingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharingKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;
    use rand_core::{Infallible, TryCryptoRng, TryRng};

    const NET: GenesisHash = GenesisHash([5; 32]);
    const ZERO: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";

    /// Counts: good for tests only.
    struct Counting(u8);

    impl TryRng for Counting {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.0 = self.0.wrapping_add(1);
            Ok(u32::from(self.0))
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            self.try_next_u32().map(u64::from)
        }
        fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
            for byte in to {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    impl TryCryptoRng for Counting {}

    fn person(seed: u8) -> (SharingKey, SharingCert) {
        let key = SharingKey::from_secret(&[seed; 32]);
        let cert = SharingCert::sign(&Signer::from_seed(&[seed; 32]), &key, &NET);
        (key, cert)
    }

    fn sealed(cert: &SharingCert, plain: &[u8]) -> Vec<u8> {
        cert.seal(plain, &NET, &mut Counting(7)).unwrap()
    }

    #[test]
    fn a_share_opens_for_its_account_on_its_network_only() {
        let ((key, cert), (other, _)) = (person(1), person(2));
        let sealed = sealed(&cert, b"the album");
        assert_eq!(
            key.open(&cert.account, &NET, &sealed).unwrap(),
            b"the album"
        );
        let refused = Err(UnsealError::Seal);
        assert_eq!(other.open(&cert.account, &NET, &sealed), refused);
        let (elsewhere, stranger) = (GenesisHash([6; 32]), AccountId([9; 32]));
        assert_eq!(key.open(&cert.account, &elsewhere, &sealed), refused);
        assert_eq!(key.open(&stranger, &NET, &sealed), refused);
    }

    #[test]
    fn no_bit_can_be_flipped_and_nothing_cut_off_or_moved() {
        let (key, cert) = person(1);
        let short = sealed(&cert, b"the album");
        for at in 0..short.len() {
            let mut bent = short.clone();
            bent[at] ^= 1 << (at % 8);
            assert!(key.open(&cert.account, &NET, &bent).is_err(), "byte {at}");
        }
        let plain: Vec<u8> = (0..=250).cycle().take(2 * PIECE + 5).collect();
        let long = sealed(&cert, &plain);
        assert!(key.open(&cert.account, &NET, &long).unwrap() == plain);
        let (head, piece) = (MAGIC.len() + ENCAPPED, PIECE + TAG);
        for cut in [head, head + piece, head + 2 * piece, long.len() - 1] {
            assert!(key.open(&cert.account, &NET, &long[..cut]).is_err());
        }
        let mut swapped = long;
        let (first, second) = swapped[head..].split_at_mut(piece);
        first.swap_with_slice(&mut second[..piece]);
        assert!(key.open(&cert.account, &NET, &swapped).is_err());
    }

    #[test]
    fn an_empty_share_and_a_whole_piece_open_too() {
        let (key, cert) = person(1);
        for len in [0, PIECE] {
            let plain = vec![3; len];
            let sealed = sealed(&cert, &plain);
            assert!(key.open(&cert.account, &NET, &sealed).unwrap() == plain);
        }
        let other = key.open(&cert.account, &NET, b"something else");
        assert_eq!(other, Err(UnsealError::Magic));
    }

    #[test]
    fn the_account_alone_binds_its_key() {
        let (_, cert) = person(1);
        assert!(cert.is_good(&NET));
        assert!(!cert.is_good(&GenesisHash([6; 32])));
        let mut other = cert;
        other.sharing_pk = person(2).1.sharing_pk;
        assert!(!other.is_good(&NET));
        other.account = person(2).1.account;
        assert!(!other.is_good(&NET));
    }

    /// A change here, and shares that are under way never open again.
    #[test]
    fn the_same_words_have_the_same_sharing_key() {
        let key = Words::parse(ZERO).unwrap().seed().sharing();
        let text = format!("{}\n", larder_types::Hash(key.public()));
        assert_eq!(
            text,
            include_str!("../vectors/sharing-of-zero-words.txt"),
            "\n{text}"
        );
        assert_eq!(format!("{key:?}"), "SharingKey(secret)");
    }
}
