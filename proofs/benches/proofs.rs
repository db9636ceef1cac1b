//! What proofs cost. `shard::larder` beside `shard::blake3` is the price of the outboard;
//! `proof::{prove, verify}` are for 16 draws over 20 contracts of 4 shards of 4 MiB.
#![allow(missing_docs, reason = "divan's macros make items of their own")]
#![allow(clippy::unwrap_used, reason = "a bench may stop")]

fn main() {
    divan::main();
}

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[divan::bench_group]
mod shard {
    use divan::{Bencher, black_box, counter::BytesCount};

    const MIB: usize = 1 << 20;

    #[divan::bench(args = [1, 64])]
    fn blake3(bencher: Bencher<'_, '_>, mib: usize) {
        let bytes = super::bytes(mib * MIB);
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench(|| blake3::hash(black_box(&bytes)));
    }

    #[divan::bench(args = [1, 64])]
    fn larder(bencher: Bencher<'_, '_>, mib: usize) {
        let bytes = super::bytes(mib * MIB);
        bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
            let mut hasher = larder_proofs::ShardHasher::new();
            hasher.update(black_box(&bytes));
            hasher.finalize()
        });
    }
}

#[divan::bench_group]
mod proof {
    use divan::{Bencher, black_box};
    use larder_keys::Signer;
    use larder_proofs::{
        Challenge, Commitment, ContentTree, ContractLeaf, Kind, Outboard, ShardHasher, ShardLeaf,
        ShardReader, prove, verify,
    };
    use larder_types::{Amount, ContractId, GenesisHash, ShardRoot};
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    const NET: GenesisHash = GenesisHash([1; 32]);

    struct Memory(BTreeMap<ShardRoot, (Vec<u8>, Outboard)>);

    impl ShardReader for Memory {
        type Error = Infallible;
        fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Infallible> {
            let at = usize::try_from(group).unwrap();
            Ok(self.0[shard].0.chunks(16_384).nth(at).unwrap().to_vec())
        }
        fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Infallible> {
            Ok(self.0[shard].1.clone())
        }
    }

    fn provider() -> (Commitment, Memory, Challenge, Signer) {
        let (mut commitment, mut memory) = (Commitment::default(), Memory(BTreeMap::new()));
        for c in 0..20u8 {
            let mut content = ContentTree::new();
            for s in 0..4u8 {
                let mut bytes = super::bytes(4 << 20);
                bytes[..2].copy_from_slice(&[c, s]);
                let mut hasher = ShardHasher::new();
                hasher.update(&bytes);
                let (root, outboard) = hasher.finalize();
                let (chunks, tag) = (outboard.chunks(), [0; 8]);
                content.push(ShardLeaf { root, chunks, tag }).unwrap();
                memory.0.insert(root, (bytes, outboard));
            }
            let leaf = ContractLeaf {
                version: 1,
                depth: content.depth(),
                contract_id: ContractId([c; 32]),
                content_root: content.root(),
                used_chunks: content.chunks(),
                capacity_chunks: content.chunks(),
                rate: Amount(100),
                ..ContractLeaf::default()
            };
            commitment.tree.insert(leaf).unwrap();
            commitment.contents.insert(leaf.contract_id, content);
        }
        let key = Signer::from_seed(&[2; 32]);
        let challenge = Challenge {
            kind: Kind::Ledger,
            chain_id: NET.chain_id(),
            slot_no: 7,
            beacon: [3; 32],
            provider: key.node(),
            provider_index: 0,
            active: commitment.tree.root(),
            depth: commitment.tree.depth(),
            contract: None,
            c: 16,
        };
        (commitment, memory, challenge, key)
    }

    #[divan::bench(name = "prove")]
    fn proving(bencher: Bencher<'_, '_>) {
        let (commitment, memory, challenge, key) = provider();
        bencher.bench(|| prove(black_box(&commitment), &challenge, &memory, &key, &NET));
    }

    #[divan::bench(name = "verify")]
    fn verifying(bencher: Bencher<'_, '_>) {
        let (commitment, memory, challenge, key) = provider();
        let blob = prove(&commitment, &challenge, &memory, &key, &NET).unwrap();
        bencher.bench(|| verify(black_box(&blob), &challenge, &NET).unwrap());
    }
}

#[divan::bench_group]
mod beacon {
    use divan::{Bencher, black_box};
    use larder_proofs::{Single, bls::SecretKey};
    use larder_types::GenesisHash;

    const NET: GenesisHash = GenesisHash([1; 32]);

    #[divan::bench]
    fn next(bencher: Bencher<'_, '_>) {
        let key = SecretKey::from_seed(&[5; 32]);
        bencher.bench(|| Single::next(black_box(&[0; 32]), &NET, 1, &key));
    }

    #[divan::bench]
    fn check(bencher: Bencher<'_, '_>) {
        let key = SecretKey::from_seed(&[5; 32]);
        let (_, reveal) = Single::next(&[0; 32], &NET, 1, &key);
        let public = key.public();
        bencher.bench(|| Single::check(black_box(&[0; 32]), &NET, 1, &public, &reveal).unwrap());
    }
}
