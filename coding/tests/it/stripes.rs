//! The code: any k of n positions give C back; what is rebuilt is what there was.

use crate::noise;
use larder_coding::layout::{self, Code, Rate};
use larder_coding::mask::Mask;
use larder_coding::stripes::{StripeDecoder, StripeEncoder, StripeError};
use larder_coding::{decode_segment, encode_segment, rebuild_shards};
use larder_types::ShardRoot;
use proptest::prelude::*;
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateEncoder, LowRateEncoder, RateEncoder};
use std::io::Cursor;
use std::ops::Range;

const KEY: [u8; 32] = [9; 32];

fn encode(code: Code, c: &[u8]) -> (Vec<ShardRoot>, Vec<Vec<u8>>) {
    let mut shards = vec![Vec::new(); code.n().into()];
    let roots = encode_segment(code, &KEY, &mut Cursor::new(c), c.len() as u64, &mut shards);
    (roots.unwrap(), shards)
}

fn codes() -> impl Strategy<Value = Code> {
    prop_oneof![
        Just((1, 1)),
        Just((1, 3)),
        Just((3, 3)),
        Just((2, 3)),
        Just((4, 8)),
        Just((4, 12)),
        Just((20, 60)),
        (1_u16..24, 0_u16..40).prop_map(|(k, m)| (k, k + m)),
    ]
    .prop_map(|(k, n)| Code::new(k, n, k).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_k_of_n_give_c_back(
        (code, order) in codes().prop_flat_map(|code| {
            let positions: Vec<u16> = (0..code.n()).collect();
            (Just(code), Just(positions).prop_shuffle())
        }),
        seed: u64,
        len in 0_usize..700_000,
    ) {
        let c = noise(seed, len);
        let (roots, shards) = encode(code, &c);
        let shard_len = layout::shard_len(len as u64, code.k());
        for (root, shard) in roots.iter().zip(&shards) {
            prop_assert_eq!(shard.len() as u64, shard_len);
            prop_assert_eq!(*root, ShardRoot(blake3::hash(shard).into()));
        }
        let (have, missing) = order.split_at(code.k().into());
        let mut sources: Vec<_> = have
            .iter()
            .map(|j| (*j, Cursor::new(&shards[usize::from(*j)])))
            .collect();
        let mut decoded = Cursor::new(Vec::new());
        decode_segment(code, &KEY, &mut sources, len as u64, &mut decoded).unwrap();
        prop_assert!(decoded.into_inner() == c);

        let mut rebuilt = vec![Vec::new(); missing.len()];
        let again =
            rebuild_shards(code, &KEY, &mut sources, shard_len, missing, &mut rebuilt).unwrap();
        for ((j, shard), root) in missing.iter().zip(&rebuilt).zip(again) {
            prop_assert_eq!(root, roots[usize::from(*j)]);
            prop_assert!(shard == &shards[usize::from(*j)]);
        }
    }

    /// A byte range of C is read from data positions alone, without the rest of the shard.
    #[test]
    fn a_range_is_unmasked_alone(seed: u64, len in 1_usize..300_000, a: prop::sample::Index, b: prop::sample::Index) {
        let code = Code::new(4, 6, 5).unwrap();
        let c = noise(seed, len);
        let (_, shards) = encode(code, &c);
        let (a, b) = (a.index(len), b.index(len));
        let range = a.min(b)..a.max(b);
        let shard_len = layout::shard_len(len as u64, code.k());
        let mut got = Vec::new();
        for (j, part) in layout::locate(shard_len, range.start as u64..range.end as u64) {
            let (start, end) = (usize::try_from(part.start).unwrap(), usize::try_from(part.end).unwrap());
            let mut bytes = shards[usize::from(j)][start..end].to_vec();
            Mask::new(&KEY, j).apply(part.start, &mut bytes);
            got.extend(bytes);
        }
        prop_assert!(got == c[range]);
    }
}

/// Parity of whole shards by the package's explicit encoders.
fn whole<E: RateEncoder<DefaultEngine>>(code: Code, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (k, m) = (code.k().into(), code.parity().into());
    let mut encoder = E::new(k, m, data[0].len(), DefaultEngine::new(), None).unwrap();
    data.iter()
        .for_each(|row| encoder.add_original_shard(row).unwrap());
    let result = encoder.encode().unwrap();
    result.recovery_iter().map(<[u8]>::to_vec).collect()
}

/// The descriptor's rate is the one that the package took, and stripes change nothing.
#[test]
fn stripes_give_the_whole_shards_parity_at_the_rate_described() {
    for (k, n) in [
        (4, 8),
        (4, 12),
        (20, 60),
        (29, 80),
        (6, 9),
        (8, 13),
        (2, 3),
        (5, 13),
        (2, 256),
    ] {
        let code = Code::new(k, n, k).unwrap();
        let shard_len = 80 << 10; // a stripe and a quarter
        let c = noise(n.into(), usize::from(k) * shard_len);
        let data: Vec<Vec<u8>> = c.chunks(shard_len).map(<[u8]>::to_vec).collect();
        let want = match code.rate() {
            Rate::High => whole::<HighRateEncoder<DefaultEngine>>(code, &data),
            Rate::Low => whole::<LowRateEncoder<DefaultEngine>>(code, &data),
            Rate::Copy => unreachable!("k > 1 and n > k"),
        };
        let (_, shards) = encode(code, &c);
        for (j, shard) in (0_u16..).zip(shards) {
            let mut unmasked = shard;
            Mask::new(&KEY, j).apply(0, &mut unmasked);
            let plain = data.iter().chain(&want).nth(j.into()).unwrap();
            assert!(&unmasked == plain, "{code}: position {j}");
        }
    }
}

#[test]
fn one_masks_shards_share_nothing() {
    let code = Code::new(1, 3, 1).unwrap();
    let (roots, shards) = encode(code, &noise(1, 1000));
    assert!(shards[0] != shards[1] && shards[1] != shards[2]);
    assert_ne!(roots[0], roots[1]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let code = Code::new(2, 4, 3).unwrap();
    assert!(StripeEncoder::new(code, 1000, &KEY).is_err());
    assert!(StripeDecoder::new(code, 0, &KEY).is_err());
    let mut decoder = StripeDecoder::new(code, 16 << 10, &KEY).unwrap();
    let row = vec![0; 16 << 10];
    let all = 0..16 << 10;
    let mut refused =
        |columns: &Range<u64>, shards: &[(u16, &[u8])]| decoder.decode(columns, shards).err();
    assert_eq!(
        refused(&all, &[(1, &row), (1, &row)]),
        Some(StripeError::TooFew { need: 2, got: 1 })
    );
    assert_eq!(
        refused(&all, &[(0, &row), (4, &row)]),
        Some(StripeError::Position { position: 4, n: 4 })
    );
    assert!(matches!(
        refused(&all, &[(0, &row), (1, &row[1..])]),
        Some(StripeError::SliceLen { .. })
    ));
    for bad in [0..0, 0..63, 32..96, 0..32 << 10] {
        assert!(matches!(
            refused(&bad, &[(0, &row), (1, &row)]),
            Some(StripeError::Columns { .. })
        ));
    }
    let mut encoder = StripeEncoder::new(code, 16 << 10, &KEY).unwrap();
    assert!(encoder.encode(&all, &[&row]).is_err());
    assert!(encoder.encode(&all, &[&row, &row[1..]]).is_err());
}

#[test]
fn a_short_source_is_an_error_not_zeros() {
    let code = Code::new(2, 3, 2).unwrap();
    let (_, shards) = encode(code, &noise(1, 100_000));
    let mut sources = [
        (0, Cursor::new(&shards[0][..1000])),
        (2, Cursor::new(&shards[2][..])),
    ];
    let mut sink = Cursor::new(Vec::new());
    assert!(decode_segment(code, &KEY, &mut sources, 100_000, &mut sink).is_err());
    let mut sinks = vec![Vec::new(); 3];
    let short = noise(1, 1000);
    assert!(encode_segment(code, &KEY, &mut Cursor::new(short), 2000, &mut sinks).is_err());
}
