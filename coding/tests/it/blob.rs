//! Sealed blobs: what was sealed opens, what was touched does not.

use crate::{keys, noise, prose};
use larder_coding::blob::{self, BlobHeader, BlobKind, HEADER_LEN, MAX_PLAIN, OVERHEAD, OpenError};
use larder_keys::VaultKeys;
use proptest::prelude::*;

fn seal(plain: &[u8]) -> Vec<u8> {
    let keys = keys();
    let id = blob::blob_id(&keys, plain);
    blob::seal(&keys, BlobKind::Data, id, plain, [3; 12]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_opens(seed: u64, len in 0_usize..200_000, compressible: bool) {
        let plain = if compressible { prose(seed, len) } else { noise(seed, len) };
        let sealed = seal(&plain);
        let (header, opened) = blob::open(&keys(), &sealed).unwrap();
        prop_assert_eq!(header.len(), sealed.len());
        prop_assert_eq!(header.id, blob::blob_id(&keys(), &plain));
        prop_assert!(sealed.len() <= plain.len() + OVERHEAD);
        prop_assert_eq!(opened, plain);
    }

    #[test]
    fn a_flipped_bit_is_refused(seed: u64, len in 0_usize..5_000, at: prop::sample::Index, bit in 0..8_u8) {
        let mut sealed = seal(&prose(seed, len));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(blob::open(&keys(), &sealed).is_err());
    }

    /// A header changed with its check recomputed reaches the seal, which covers it.
    #[test]
    fn a_forged_header_is_refused(seed: u64, at in 0_usize..60, flip in 1_u8..=255) {
        let mut sealed = seal(&noise(seed, 1000));
        sealed[at] ^= flip;
        let check = blake3::hash(&sealed[..60]);
        sealed[60..64].copy_from_slice(&check.as_bytes()[..4]);
        prop_assert!(blob::open(&keys(), &sealed).is_err());
    }

    #[test]
    fn other_lengths_are_refused(len in 0_usize..300, cut in 1_usize..300) {
        let mut sealed = seal(&noise(1, len));
        sealed.push(0);
        prop_assert!(blob::open(&keys(), &sealed).is_err());
        sealed.truncate(sealed.len().saturating_sub(1 + cut));
        prop_assert!(blob::open(&keys(), &sealed).is_err());
    }
}

#[test]
fn another_accounts_keys_do_not_open() {
    let other = VaultKeys::from_root(&[8; 32]);
    assert_eq!(blob::open(&other, &seal(b"plain")), Err(OpenError::Seal));
}

#[test]
fn compression_is_used_where_it_pays() {
    let text = seal(&prose(1, 1 << 20));
    assert!(text.len() < 1 << 19);
    assert!(BlobHeader::parse(&text).unwrap().compressed);
    let noise = seal(&noise(1, 1 << 20));
    assert_eq!(noise.len(), (1 << 20) + OVERHEAD);
    assert!(!BlobHeader::parse(&noise).unwrap().compressed);
}

#[test]
fn the_largest_blob_is_the_cutters_largest() {
    let largest = prose(2, MAX_PLAIN);
    assert_eq!(blob::open(&keys(), &seal(&largest)).unwrap().1, largest);
    let id = blob::blob_id(&keys(), b"");
    let refused = blob::seal(
        &keys(),
        BlobKind::Data,
        id,
        &vec![0; MAX_PLAIN + 1],
        [0; 12],
    );
    assert_eq!(
        refused,
        Err(blob::SealError::TooLong { len: MAX_PLAIN + 1 })
    );
}

/// The seal is good, but it covers a bomb: 8 MiB of zeros said to be 100 bytes long.
#[test]
fn a_blob_never_expands_beyond_its_word() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let keys = keys();
    let bomb = zstd::bulk::compress(&vec![0; 8 << 20], 1).unwrap();
    let id = blob::blob_id(&keys, b"");
    let header = BlobHeader {
        kind: BlobKind::Data,
        compressed: true,
        plain_len: u32::try_from(bomb.len() + 1).unwrap(),
        sealed_len: u32::try_from(bomb.len() + 16).unwrap(),
        id,
        nonce: [0; 12],
    };
    let key = UnboundKey::new(&AES_256_GCM, &*keys.blob_key(1, &id)).unwrap();
    let mut body = bomb;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key([0; 12]),
            Aad::from(header.to_bytes()),
            &mut body,
        )
        .unwrap();
    let sealed = [&header.to_bytes()[..], &body].concat();
    assert_eq!(
        blob::open(&keys, &sealed),
        Err(OpenError::Expand {
            plain_len: header.plain_len
        })
    );
}

#[test]
fn a_header_that_promises_too_much_is_refused() {
    let mut sealed = seal(&noise(9, 100));
    sealed[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let check = blake3::hash(&sealed[..60]);
    sealed[60..HEADER_LEN].copy_from_slice(&check.as_bytes()[..4]);
    assert_eq!(
        BlobHeader::parse(&sealed),
        Err(OpenError::Header {
            field: "plain_len",
            offset: 8
        })
    );
}
