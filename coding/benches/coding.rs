//! What the data path costs: `cargo bench -p larder-coding`. Compare each row with
//! `plain_blake3`, a hash of the same bytes in the same process; the machine's clock cancels out.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use divan::Bencher;
use divan::counter::BytesCount;
use larder_coding::blob::{self, BlobKind};
use larder_coding::cut::Cutter;
use larder_coding::layout::{Code, shard_len};
use larder_coding::mask::Mask;
use larder_coding::{decode_segment, encode_segment};
use larder_keys::VaultKeys;
use std::io::{Cursor, Sink, sink};

/// Bytes of C in each run.
const LEN: usize = 16 << 20;
const CODES: [(u16, u16); 3] = [(4, 12), (20, 60), (29, 80)];

fn main() {
    divan::main();
}

fn keys() -> VaultKeys {
    VaultKeys::from_root(&[7; 32])
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn letters(len: usize) -> Vec<u8> {
    let mut bytes = noise(len);
    bytes.iter_mut().for_each(|b| *b = b'a' + *b % 8);
    bytes
}

#[divan::bench]
fn plain_blake3(bencher: Bencher) {
    let bytes = noise(LEN);
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| blake3::hash(&bytes));
}

#[divan::bench]
fn mask_alone(bencher: Bencher) {
    let mut bytes = noise(LEN);
    let mut mask = Mask::new(&[1; 32], 3);
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench_local(|| {
            bytes.chunks_mut(64 << 10).fold(0, |at, row| {
                mask.apply(at, row);
                at + row.len() as u64
            })
        });
}

/// Bytes counted are those of C: n/k times as many are masked and hashed.
#[divan::bench(args = CODES)]
fn encode_mask_hash(bencher: Bencher, (k, n): (u16, u16)) {
    let code = Code::new(k, n, k).unwrap();
    let c = noise(LEN);
    let mut sinks: Vec<Sink> = (0..n).map(|_| sink()).collect();
    bencher.counter(BytesCount::of_slice(&c)).bench_local(|| {
        encode_segment(code, &[1; 32], &mut Cursor::new(&c), LEN as u64, &mut sinks)
    });
}

/// `lost` data positions are replaced by parity.
fn decode(bencher: Bencher, (k, n): (u16, u16), lost: u16) {
    let code = Code::new(k, n, k).unwrap();
    let c = noise(LEN);
    let mut shards = vec![Vec::new(); n.into()];
    encode_segment(
        code,
        &[1; 32],
        &mut Cursor::new(&c),
        LEN as u64,
        &mut shards,
    )
    .unwrap();
    assert_eq!(shards[0].len() as u64, shard_len(LEN as u64, k));
    let mut sources: Vec<_> = (lost..lost + k)
        .map(|j| (j, Cursor::new(&shards[usize::from(j)])))
        .collect();
    let mut out = Cursor::new(vec![0; LEN]);
    bencher
        .counter(BytesCount::of_slice(&c))
        .bench_local(|| decode_segment(code, &[1; 32], &mut sources, LEN as u64, &mut out));
}

#[divan::bench(args = CODES)]
fn decode_from_data(bencher: Bencher, code: (u16, u16)) {
    decode(bencher, code, 0);
}

#[divan::bench(args = CODES)]
fn decode_with_one_lost(bencher: Bencher, code: (u16, u16)) {
    decode(bencher, code, 1);
}

#[divan::bench]
fn cut(bencher: Bencher) {
    let bytes = noise(LEN);
    let cutter = Cutter::content(&keys());
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let (mut rest, mut blobs) = (&bytes[..], 0);
        while let Some(len) = cutter.cut(rest, true) {
            rest = &rest[len..];
            blobs += 1;
        }
        blobs
    });
}

fn seal(bencher: Bencher, bytes: &[u8]) {
    let keys = keys();
    bencher.counter(BytesCount::of_slice(bytes)).bench(|| {
        let id = blob::blob_id(&keys, bytes);
        blob::seal(&keys, BlobKind::Data, id, bytes, [1; 12])
    });
}

#[divan::bench(args = [4096, 1 << 20])]
fn seal_noise(bencher: Bencher, len: usize) {
    seal(bencher, &noise(len));
}

#[divan::bench(args = [4096, 1 << 20])]
fn seal_letters(bencher: Bencher, len: usize) {
    seal(bencher, &letters(len));
}

#[divan::bench(args = [4096, 1 << 20])]
fn open_letters(bencher: Bencher, len: usize) {
    let (keys, bytes) = (keys(), letters(len));
    let id = blob::blob_id(&keys, &bytes);
    let sealed = blob::seal(&keys, BlobKind::Data, id, &bytes, [1; 12]).unwrap();
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| blob::open(&keys, &sealed));
}
