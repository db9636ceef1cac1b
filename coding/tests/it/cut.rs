//! The cutter: the same cuts however the bytes are fed, sizes kept, insertions stay local.

use crate::{keys, noise};
use larder_coding::cut::{Cutter, Pieces};
use proptest::prelude::*;
use std::io::{Cursor, Read};

/// Blob lengths of a whole slice, the obvious way.
fn cuts(cutter: &Cutter, mut bytes: &[u8]) -> Vec<usize> {
    let mut lens = Vec::new();
    while let Some(len) = cutter.cut(bytes, true) {
        lens.push(len);
        bytes = &bytes[len..];
    }
    lens
}

/// Blob lengths when the buffer grows by `steps` in turn, and is asked after each.
fn fed(cutter: &Cutter, bytes: &[u8], steps: &[usize]) -> Vec<usize> {
    let (mut lens, mut start, mut end) = (Vec::new(), 0, 0);
    for step in steps.iter().cycle() {
        end = (end + step).min(bytes.len());
        while let Some(len) = cutter.cut(&bytes[start..end], end == bytes.len()) {
            assert!(end - start <= cutter.sizes().max + steps.iter().max().unwrap());
            lens.push(len);
            start += len;
        }
        if end == bytes.len() {
            return lens;
        }
    }
    lens
}

/// A reader that gives at most `1` bytes at a time.
struct Drip(Cursor<Vec<u8>>, usize);

impl Read for Drip {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(self.1);
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cuts_do_not_depend_on_feeding(
        seed: u64,
        len in 0_usize..3_000_000,
        steps in prop::collection::vec(1_usize..400_000, 1..5),
        drip in 1_usize..100_000,
        // A stretch of zeros never meets the cut condition: the largest size applies.
        zeros in 0_usize..1_500_000,
    ) {
        let cutter = Cutter::metadata(&keys());
        let mut bytes = noise(seed, len);
        bytes.resize(len + zeros, 0);
        let want = cuts(&cutter, &bytes);
        prop_assert_eq!(want.iter().sum::<usize>(), bytes.len());
        prop_assert_eq!(&fed(&cutter, &bytes, &steps), &want);
        let mut pieces = Pieces::new(&cutter, Drip(Cursor::new(bytes.clone()), drip));
        let mut at = 0;
        for len in &want {
            prop_assert_eq!(pieces.next_piece().unwrap(), Some(&bytes[at..at + len]));
            at += len;
        }
        prop_assert_eq!(pieces.next_piece().unwrap(), None);
    }
}

#[test]
fn sizes_are_kept() {
    for cutter in [Cutter::content(&keys()), Cutter::metadata(&keys())] {
        let sizes = cutter.sizes();
        let mut bytes = noise(1, 24 << 20);
        bytes.resize(44 << 20, 0);
        let lens = cuts(&cutter, &bytes);
        let (_, but_last) = lens.split_last().unwrap();
        assert!(but_last.iter().all(|l| (sizes.min..=sizes.max).contains(l)));
        assert!(lens.contains(&sizes.max), "zeros give the largest size");
    }
}

#[test]
fn content_streams_like_its_slice() {
    let cutter = Cutter::content(&keys());
    let mut bytes = noise(2, 11 << 20);
    bytes.resize(30 << 20, 0);
    let mut pieces = Pieces::new(&cutter, &bytes[..]);
    let mut lens = Vec::new();
    while let Some(piece) = pieces.next_piece().unwrap() {
        lens.push(piece.len());
    }
    assert_eq!(lens, cuts(&cutter, &bytes));
}

#[test]
fn an_insertion_changes_few_blobs() {
    let cutter = Cutter::metadata(&keys());
    let before = noise(3, 8 << 20);
    let mut after = before.clone();
    after.splice(4_000_000..4_000_000, *b"inserted");
    let ends = |bytes: &[u8]| {
        cuts(&cutter, bytes)
            .iter()
            .rev()
            .scan(0, |tail, len| {
                *tail += len;
                Some(*tail)
            })
            .collect::<Vec<usize>>()
    };
    let (old, new) = (ends(&before), ends(&after));
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    assert!(same > old.len() / 3, "the tail is cut as before");
}

#[test]
fn accounts_cut_differently() {
    let bytes = noise(4, 4 << 20);
    let other = larder_keys::VaultKeys::from_root(&[8; 32]);
    assert_ne!(
        cuts(&Cutter::metadata(&keys()), &bytes),
        cuts(&Cutter::metadata(&other), &bytes)
    );
}
