//! Golden vectors: what would make existing vaults unreadable if it changed by a bit.

use crate::{keys, noise, pinned, prose};
use larder_coding::blob::{self, BlobHeader, BlobKind};
use larder_coding::cut::Cutter;
use larder_coding::layout::{Code, shard_len};
use larder_coding::manifest::{Manifest, repair_id, shard_tag};
use larder_coding::mask::Mask;
use larder_coding::segment::SegmentWriter;
use larder_coding::{IndexEntry, Listing, encode_segment, listing};
use larder_types::{BlobId, Class, SegmentId, ShardRoot};
use std::fmt::Write as _;
use std::io::Cursor;

const CODES: [(u16, u16); 8] = [
    (4, 8),
    (20, 60),
    (4, 12),
    (29, 80),
    (6, 9),
    (8, 13),
    (1, 3),
    (2, 2),
];

/// C of a vector: three groups a shard, so that a short stripe is among them.
fn segment(k: u16) -> Vec<u8> {
    noise(u64::from(k), usize::from(k) * (48 << 10) - 5)
}

#[test]
fn reed_solomon() {
    let mut text = String::new();
    for (k, n) in CODES {
        let code = Code::new(k, n, k).unwrap();
        let c = segment(k);
        let mut shards = vec![Vec::new(); n.into()];
        encode_segment(
            code,
            &[1; 32],
            &mut Cursor::new(&c),
            c.len() as u64,
            &mut shards,
        )
        .unwrap();
        let mut parity = blake3::Hasher::new();
        for j in k..n {
            let shard = &mut shards[usize::from(j)];
            Mask::new(&[1; 32], j).apply(0, shard);
            parity.update(shard);
        }
        let len = shard_len(c.len() as u64, k);
        writeln!(
            text,
            "{} | L={len} | parity {}",
            code.descriptor(),
            parity.finalize()
        )
        .unwrap();
    }
    pinned(
        "reed-solomon.txt",
        include_str!("../../vectors/reed-solomon.txt"),
        &text,
    );
}

#[test]
fn mask() {
    let mut text = String::new();
    for (position, offset) in [(0, 0), (1, 0), (258, 0), (0, 65_536), (1, 1_000_003)] {
        let mut stream = [0; 32];
        Mask::new(&[1; 32], position).apply(offset, &mut stream);
        writeln!(
            text,
            "position {position} offset {offset} {}",
            hex::encode(stream)
        )
        .unwrap();
    }
    pinned("mask.txt", include_str!("../../vectors/mask.txt"), &text);
}

#[test]
fn blob_header_and_seal() {
    let header = BlobHeader {
        kind: BlobKind::Tree,
        compressed: true,
        plain_len: 0x0004_0302,
        sealed_len: 0x0003_0201,
        id: BlobId([0xaa; 32]),
        nonce: [0xbb; 12],
    };
    assert_eq!(BlobHeader::parse(&header.to_bytes()), Ok(header));
    let plain = b"twenty-four words";
    let id = blob::blob_id(&keys(), plain);
    let sealed = blob::seal(&keys(), BlobKind::Data, id, plain, [3; 12]).unwrap();
    let text = format!(
        "header {}\nid {}\nsealed {}\n",
        hex::encode(header.to_bytes()),
        hex::encode(id.0),
        hex::encode(&sealed)
    );
    pinned("blob.txt", include_str!("../../vectors/blob.txt"), &text);
}

/// Blobs are incompressible, so that zstd's version is not part of the vector.
#[test]
fn segment_format() {
    let mut writer = SegmentWriter::new(Vec::new(), &keys(), SegmentId([5; 32]));
    let mut text = String::new();
    for (seed, len) in [(1, 4096), (2, 0), (3, 100_000)] {
        let plain = noise(seed, len);
        let id = blob::blob_id(&keys(), &plain);
        let sealed = blob::seal(&keys(), BlobKind::Data, id, &plain, [3; 12]).unwrap();
        let at = writer.push(&sealed).unwrap();
        writeln!(text, "blob at {} of {} bytes", at.offset, at.len).unwrap();
    }
    let (summary, c) = writer.finish(4, [4; 12]).unwrap();
    writeln!(text, "C of {} bytes {}", summary.len, blake3::hash(&c)).unwrap();
    writeln!(text, "first 64 {}", hex::encode(&c[..64])).unwrap();
    writeln!(text, "last 64 {}", hex::encode(&c[c.len() - 64..])).unwrap();
    pinned(
        "segment.txt",
        include_str!("../../vectors/segment.txt"),
        &text,
    );
}

#[test]
fn listing_format() {
    let entry = |n: u8| IndexEntry {
        id: BlobId([n; 32]),
        kind: BlobKind::Data,
        offset: u32::from(n) * 0x0001_0203,
        len: 0x0201_0000,
        plain_len: 0x0000_0403,
    };
    let listing = |n: u8, class, blobs| Listing {
        segment: SegmentId([n; 32]),
        class,
        len: 0x0102_0304_0506_0708,
        blobs,
    };
    let plain = listing::encode(&[
        listing(5, Class::High, vec![entry(0), entry(7)]),
        listing(6, Class::Low, Vec::new()),
    ]);
    let kinds = (BlobKind::Listing.byte(), BlobKind::Catalogue.byte());
    let text = format!("kinds {kinds:?}\nplaintext {}\n", hex::encode(plain));
    pinned(
        "listing.txt",
        include_str!("../../vectors/listing.txt"),
        &text,
    );
}

#[test]
fn cuts() {
    let mut text = String::new();
    for (name, cutter, bytes) in [
        (
            "content noise",
            Cutter::content(&keys()),
            noise(1, 16 << 20),
        ),
        (
            "metadata noise",
            Cutter::metadata(&keys()),
            noise(2, 2 << 20),
        ),
        (
            "metadata letters",
            Cutter::metadata(&keys()),
            prose(3, 2 << 20),
        ),
    ] {
        let mut rest = &bytes[..];
        write!(text, "{name}:").unwrap();
        while let Some(len) = cutter.cut(rest, true) {
            write!(text, " {len}").unwrap();
            rest = &rest[len..];
        }
        text.push('\n');
    }
    pinned("cuts.txt", include_str!("../../vectors/cuts.txt"), &text);
}

#[test]
fn manifest() {
    let segment = SegmentId([5; 32]);
    let code = Code::new(2, 3, 2).unwrap();
    let roots = (0..3).map(|j| ShardRoot([j; 32])).collect();
    let manifest = Manifest::new(segment, 100_000, code, roots).unwrap();
    let repair = manifest.repair(Vec::new());
    let text = format!(
        "manifest {}\ncid {}\nrepair {}\ncid {}\ntag of position 2 {}\n",
        hex::encode(manifest.to_bytes()),
        manifest.cid(),
        hex::encode(repair.to_bytes()),
        repair.cid(),
        hex::encode(shard_tag(&repair_id(&segment), 2))
    );
    pinned(
        "manifest.txt",
        include_str!("../../vectors/manifest.txt"),
        &text,
    );
}
