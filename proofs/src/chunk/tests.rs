//! Chunk proofs against a slow model: a tree over all bytes, built by recursion, as
//! `reference/blake3_tree.py` has it.

use super::*;
use crate::ShardHasher;
use proptest::prelude::*;

/// Sibling CVs of chunk `index`, from the top down, all from the bytes.
fn slow_path(bytes: &[u8], index: usize) -> Vec<Cv> {
    fn cv(bytes: &[u8], first: usize) -> Cv {
        let chunks = bytes.len().div_ceil(CHUNK);
        if chunks == 1 {
            return cv_of(first as u64, bytes);
        }
        let left = chunks.next_power_of_two() / 2;
        let (l, r) = bytes.split_at(left * CHUNK);
        join(&cv(l, first), &cv(r, first + left))
    }
    let (mut out, mut rest, mut first) = (Vec::new(), bytes, 0);
    while rest.len() > CHUNK {
        let left = rest.len().div_ceil(CHUNK).next_power_of_two() / 2;
        let (l, r) = rest.split_at(left * CHUNK);
        if index - first < left {
            out.push(cv(r, first + left));
            rest = l;
        } else {
            out.push(cv(l, first));
            rest = r;
            first += left;
        }
    }
    out
}

fn shard(len: usize) -> (Vec<u8>, ShardRoot, Outboard, BTreeMap<u64, Vec<u8>>) {
    let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
    let mut hasher = ShardHasher::new();
    hasher.update(&bytes);
    let (root, outboard) = hasher.finalize();
    let groups = (0..).zip(bytes.chunks(GROUP).map(<[u8]>::to_vec)).collect();
    (bytes, root, outboard, groups)
}

#[test]
fn every_chunk_of_every_length_is_proved_and_no_other() {
    for len in [
        1, 1024, 1025, 2048, 5000, 16_384, 16_385, 31_744, 32_768, 49_152, 70_000, 147_456, 278_528,
    ] {
        let (bytes, root, outboard, groups) = shard(len);
        let n = outboard.chunks();
        for index in 0..n {
            let at = usize::try_from(index).unwrap();
            let chunk = &bytes[at * CHUNK..len.min((at + 1) * CHUNK)];
            let cvs = path(&outboard, &[index], &groups);
            assert_eq!(cvs, slow_path(&bytes, at), "{index} of {len}");
            assert!(verify(&root, n, index, chunk, &cvs));
            let mut other = chunk.to_vec();
            other[0] ^= 1;
            assert!(!verify(&root, n, index, &other, &cvs), "another byte");
            assert!(!verify(&root, n, index + 1, chunk, &cvs), "another place");
            assert!(!verify(&root, n, n, chunk, &cvs), "beyond the end");
            let longer = [&cvs[..], &[[0; 32]]].concat();
            assert!(!verify(&root, n, index, chunk, &longer), "one CV too many");
            if let Some((_, fewer)) = cvs.split_last() {
                assert!(!verify(&root, n, index, chunk, fewer), "one CV too few");
            }
            if chunk.len() > 1 {
                assert!(!verify(&root, n, index, &chunk[1..], &cvs), "a byte short");
            }
        }
    }
}

#[test]
fn an_absurd_length_is_refused_quickly() {
    let bytes = [0; CHUNK];
    for chunks in [0, u64::MAX, u64::MAX / CHUNK as u64 + 1] {
        assert!(!verify(
            &ShardRoot([0; 32]),
            chunks,
            0,
            &bytes,
            &[[0; 32]; 54]
        ));
    }
}

proptest! {
    #[test]
    fn several_chunks_share_their_cvs(len in 1usize..300_000, picks in prop::collection::btree_set(any::<u64>(), 1..20)) {
        let (bytes, root, outboard, groups) = shard(len);
        let n = outboard.chunks();
        let mut indices: Vec<u64> = picks.into_iter().map(|p| p % n).collect();
        indices.sort_unstable();
        indices.dedup();
        let cvs = path(&outboard, &indices, &groups);
        let shown: Vec<Shown<'_>> = indices
            .iter()
            .map(|i| (*i, bytes.chunks(CHUNK).nth(usize::try_from(*i).unwrap()).unwrap()))
            .collect();
        let mut rest = cvs.iter();
        let rebuilt = root_of(n, &shown, &mut || rest.next().copied().ok_or(()));
        prop_assert_eq!(rebuilt, Ok(root));
        prop_assert!(rest.next().is_none(), "every CV is used");
        // No CV is one that the single paths lack, and none comes twice.
        let single: Vec<Cv> = indices
            .iter()
            .flat_map(|i| slow_path(&bytes, usize::try_from(*i).unwrap()))
            .collect();
        let mut at = 0;
        for cv in &cvs {
            // The order is that of the paths, chunk by chunk, shared ones left out.
            let found = single[at..].iter().position(|s| s == cv);
            prop_assert!(found.is_some());
            at += found.unwrap() + 1;
        }
    }
}
