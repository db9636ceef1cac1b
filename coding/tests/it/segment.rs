//! Segments: whatever is packed is found again, in any order, and after damage.

use crate::{keys, noise, prose};
use larder_coding::blob::{self, BlobKind};
use larder_coding::index::IndexEntry;
use larder_coding::segment::{
    MAX_SEGMENT, ReadError, SegmentReader, SegmentSummary, SegmentWriter, WriteError,
};
use larder_keys::VaultKeys;
use larder_types::SegmentId;
use proptest::prelude::*;
use std::io::Cursor;

const ID: SegmentId = SegmentId([5; 32]);

fn sealed(kind: BlobKind, plain: &[u8]) -> Vec<u8> {
    let keys = keys();
    blob::seal(&keys, kind, blob::blob_id(&keys, plain), plain, [1; 12]).unwrap()
}

fn pack(plains: &[Vec<u8>], k: u16) -> (SegmentSummary, Vec<u8>) {
    let mut writer = SegmentWriter::new(Vec::new(), &keys(), ID);
    for plain in plains {
        writer.push(&sealed(BlobKind::Data, plain)).unwrap();
    }
    writer.finish(k, [2; 12]).unwrap()
}

fn reader(c: &[u8]) -> SegmentReader<Cursor<&[u8]>> {
    SegmentReader::new(Cursor::new(c), &keys(), ID).unwrap()
}

fn plains() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = (any::<u64>(), 0_usize..40_000, any::<bool>()).prop_map(|(seed, len, text)| {
        if text {
            prose(seed, len)
        } else {
            noise(seed, len)
        }
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn blobs_are_found_in_any_order(
        plains in plains(),
        k in 1_u16..30,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (summary, c) = pack(&plains, k);
        prop_assert_eq!(summary.len, c.len() as u64);
        prop_assert_eq!(summary.len % (u64::from(k) * (16 << 10)), 0);
        let mut reader = reader(&c);
        prop_assert_eq!(&reader.read_index().unwrap(), &summary.blobs);
        prop_assert_eq!(&reader.scan().unwrap(), &summary.blobs);
        for pick in order.iter().filter(|_| !plains.is_empty()) {
            let i = pick.index(plains.len());
            let IndexEntry { id, offset, len, .. } = summary.blobs[i];
            let (header, plain) = reader.read_blob(offset.into(), len.into()).unwrap();
            prop_assert_eq!(header.id, id);
            prop_assert_eq!(&plain, &plains[i]);
        }
    }

    /// One damaged byte costs at most the blob that it lies in.
    #[test]
    fn damage_costs_one_blob(plains in plains(), at: prop::sample::Index, flip in 1_u8..=255) {
        let (summary, mut c) = pack(&plains, 1);
        let at = at.index(c.len());
        c[at] ^= flip;
        let mut reader = reader(&c);
        let hit = |e: &IndexEntry| (e.offset..e.offset + e.len).contains(&u32::try_from(at).unwrap());
        let whole: Vec<_> = summary.blobs.iter().filter(|e| !hit(e)).copied().collect();
        prop_assert_eq!(reader.scan().unwrap(), whole);
        if let Ok(index) = reader.read_index() {
            prop_assert_eq!(&index, &summary.blobs, "a damaged index is refused, not believed");
        }
        for entry in &summary.blobs {
            let read = reader.read_blob(entry.offset.into(), entry.len.into());
            prop_assert_eq!(read.is_err(), hit(entry));
        }
    }
}

#[test]
fn a_lone_small_file_is_one_group_per_shard() {
    assert_eq!(pack(&[noise(1, 4096)], 4).0.len, 4 * (16 << 10));
}

#[test]
fn an_empty_segment_reads_back() {
    let (summary, c) = pack(&[], 1);
    assert_eq!(summary.blobs, []);
    assert_eq!(reader(&c).read_index().unwrap(), []);
}

#[test]
fn ciphertext_shows_no_boundaries() {
    let (_, c) = pack(&[vec![0; 100_000], noise(1, 5000)], 1);
    assert!(!c.windows(4).any(|w| w == b"LBLB"));
    assert!(!c.windows(16).any(|w| w == [0; 16]), "padding is covered");
}

#[test]
fn another_id_or_account_reads_nothing() {
    let (_, c) = pack(&[noise(1, 5000)], 1);
    let other = VaultKeys::from_root(&[8; 32]);
    for (keys, id) in [(keys(), SegmentId([6; 32])), (other, ID)] {
        let mut reader = SegmentReader::new(Cursor::new(&c), &keys, id).unwrap();
        assert!(matches!(reader.read_index(), Err(ReadError::Trailer)));
        assert_eq!(reader.scan().unwrap(), []);
    }
}

#[test]
fn a_full_segment_says_so_and_is_still_good() {
    let big = sealed(BlobKind::Data, &noise(1, 8 << 20));
    let mut writer = SegmentWriter::new(Vec::new(), &keys(), ID);
    assert!(
        writer.has_room(big.len()),
        "the largest blob fits an empty segment"
    );
    let mut pushed = 0;
    while writer.has_room(big.len()) {
        writer.push(&big).unwrap();
        pushed += 1;
    }
    assert!(matches!(writer.push(&big), Err(WriteError::Full { .. })));
    let (summary, c) = writer.finish(4, [2; 12]).unwrap();
    assert_eq!((summary.blobs.len(), pushed), (7, 7));
    assert!(summary.len <= MAX_SEGMENT);
    assert_eq!(reader(&c).read_index().unwrap(), summary.blobs);
}

#[test]
fn only_sealed_blobs_are_taken() {
    let mut writer = SegmentWriter::new(Vec::new(), &keys(), ID);
    let mut blob = sealed(BlobKind::Data, b"plain");
    assert!(writer.push(&blob[1..]).is_err());
    blob.push(0);
    assert!(writer.push(&blob).is_err());
    assert!(writer.is_empty());
}

#[test]
fn ranges_outside_are_refused() {
    let (summary, c) = pack(&[noise(1, 10)], 1);
    for (offset, len) in [(summary.len, 1), (0, summary.len + 1), (u64::MAX, 2)] {
        assert!(matches!(
            reader(&c).read_blob(offset, len),
            Err(ReadError::Range { .. })
        ));
    }
}
