//! Everything that is read from bytes and is no DAG-CBOR: fixed layouts, sealed things, words that
//! people type. Each function takes bytes from anywhere; what it can read has one form only.

use crate::{Dice, Make, examples, seen};
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use larder_coding::blob::{self, BlobHeader, BlobKind};
use larder_coding::segment::{SegmentReader, SegmentWriter};
use larder_coding::{index, listing, open_message, seal_message};
use larder_keys::VaultKeys;
use larder_keys::words::Words;
use larder_proofs::map::{MapProof, Part, value_digest};
use larder_proofs::{
    Certificate, Checkpoint, ContentTree, ContractLeaf, Final, Header, Outboard, ProviderRoot,
    ShardHasher, ShardLeaf, ValidatorSet, bls,
};
use larder_types::{
    AccountId, Amount, BlockHash, Bytes, Class, Hash, Millis, Profile, SegmentId, ShardRoot,
    Signature, cid,
};
use std::io::Cursor;

/// The segment of all examples.
const SEGMENT: SegmentId = SegmentId([24; 32]);

fn keys() -> VaultKeys {
    VaultKeys::from_root(&[25; 32])
}

/// A layout of a fixed width: `read` gives it back as bytes.
fn fixed<E, B: AsRef<[u8]>>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<B, E>) {
    let Ok(again) = read(bytes) else {
        return;
    };
    assert_eq!(again.as_ref(), bytes, "it has another form");
    let longer = [bytes, &[0]].concat();
    assert!(read(&longer).is_err(), "a byte may follow");
}

/// A contract leaf.
pub fn contract_leaf(bytes: &[u8]) {
    fixed(bytes, |b| ContractLeaf::from_bytes(b).map(|l| l.to_bytes()));
}

/// A shard leaf.
pub fn shard_leaf(bytes: &[u8]) {
    fixed(bytes, |b| ShardLeaf::from_bytes(b).map(|l| l.to_bytes()));
}

/// A provider node.
pub fn provider_root(bytes: &[u8]) {
    fixed(bytes, |b| ProviderRoot::from_bytes(b).map(|r| r.to_bytes()));
}

/// An outboard.
pub fn outboard(bytes: &[u8]) {
    fixed(bytes, |b| Outboard::from_bytes(b).map(|o| o.to_bytes()));
    if let Ok(outboard) = Outboard::from_bytes(bytes) {
        seen(outboard.root());
        seen(outboard.holds(u64::MAX, bytes));
        seen(outboard.holds(0, &bytes[..bytes.len().min(16_384)]));
    }
}

/// A content tree's leaves, with a root that is looked for among its beginnings.
pub fn content_tree(bytes: &[u8]) {
    fixed(bytes, |b| ContentTree::from_bytes(b).map(|t| t.to_bytes()));
    if let Ok(tree) = ContentTree::from_bytes(bytes) {
        let half = ContentTree::from_leaves(tree.leaves()[..tree.leaves().len() / 2].to_vec());
        let half = half.expect("a part of what is sound");
        let found = tree.prefix_with_root(half.root(), half.chunks());
        assert_eq!(found.map(|t| t.root()), Some(half.root()));
    }
}

/// A proof in an authenticated map: also checked, as any record's and as nobody's.
pub fn map_proof(bytes: &[u8]) {
    fixed(bytes, |b| MapProof::from_bytes(b).map(|p| p.to_bytes()));
    if let Ok(proof) = MapProof::from_bytes(bytes) {
        let root = Hash([1; 32]);
        for value in [None, Some(&b"a value"[..])] {
            assert!(
                proof.verify(&root, &[2; 32], value).is_err(),
                "no root is found"
            );
        }
    }
}

/// A header as its hash covers it.
pub fn header_layout(bytes: &[u8]) {
    fixed(bytes, |b| Header::from_layout(b).map(|h| h.to_layout()));
}

/// A certificate of a set of one: also checked.
pub fn certificate(bytes: &[u8]) {
    let set = validators();
    fixed(bytes, |b| {
        Certificate::from_bytes(b, &set).map(|c| c.to_bytes())
    });
    if let Ok(certificate) = Certificate::from_bytes(bytes, &set) {
        seen(certificate.verify(&set, &examples::NET));
    }
}

fn validators() -> ValidatorSet {
    (*examples::authority().validators).clone()
}

/// A BLS key.
pub fn bls_key(bytes: &[u8]) {
    fixed(bytes, |b| {
        let b = b.try_into().map_err(seen)?;
        bls::PublicKey::from_bytes(b)
            .map(|k| k.to_bytes())
            .map_err(seen)
    });
}

/// A BLS signature.
pub fn bls_signature(bytes: &[u8]) {
    fixed(bytes, |b| {
        let b = b.try_into().map_err(seen)?;
        bls::Signature::from_bytes(b)
            .map(|s| s.to_bytes())
            .map_err(seen)
    });
}

/// An ed25519 key and a signature under it.
pub fn ed25519(bytes: &[u8]) {
    if let Some((key, rest)) = bytes.split_first_chunk()
        && let Some((sig, message)) = rest.split_first_chunk()
    {
        let good = larder_keys::verify(
            key,
            larder_contracts::offer::OFFER,
            &examples::NET,
            message,
            &Signature(*sig),
        );
        assert!(!good || larder_keys::verify_key(key), "a weak key signs");
    }
}

/// A segment's index.
pub fn segment_index(bytes: &[u8]) {
    fixed(bytes, |b| {
        index::decode(&SEGMENT, b).map(|entries| index::encode(&SEGMENT, &entries))
    });
}

/// Listings of segments.
pub fn segment_listing(bytes: &[u8]) {
    fixed(bytes, |b| listing::decode(b).map(|l| listing::encode(&l)));
}

/// A sealed blob: its header alone, and all of it.
pub fn sealed_blob(bytes: &[u8]) {
    if let Ok(header) = BlobHeader::parse(bytes) {
        assert_eq!(header.to_bytes()[..], bytes[..64], "it has another form");
    }
    if blob::open(&keys(), bytes).is_ok() {
        let longer = [bytes, &[0]].concat();
        assert!(blob::open(&keys(), &longer).is_err(), "a byte may follow");
    }
}

/// A segment, given as it is before the outer cipher: as it is, and with a trailer whose check is
/// good.
pub fn segment(bytes: &[u8]) {
    read_segment(bytes);
    let mut bytes = bytes.to_vec();
    if let Some(trailer) = bytes.last_chunk_mut::<64>() {
        let check = *blake3::hash(&trailer[..60]).as_bytes();
        trailer[60..].copy_from_slice(&check[..4]);
        read_segment(&bytes);
    }
}

/// Index, trailer, and what a scan finds.
fn read_segment(bytes: &[u8]) {
    let mut c = bytes.to_vec();
    let key = keys().segment_key(&SEGMENT);
    ctr::Ctr128BE::<aes::Aes256>::new((&*key).into(), &[0; 16].into()).apply_keystream(&mut c);
    let Ok(mut reader) = SegmentReader::new(Cursor::new(c), &keys(), SEGMENT) else {
        return;
    };
    seen(reader.read_index());
    seen(reader.read_blob(u64::MAX, u64::MAX));
    let found = reader.scan().expect("memory does not fail");
    for entry in found {
        let whole = reader.read_blob(entry.offset.into(), entry.len.into());
        assert!(whole.is_ok(), "what a scan finds can be read");
    }
}

/// A small sealed message.
pub fn sealed_message(bytes: &[u8]) {
    seen(open_message(&[26; 32], b"context", bytes));
}

/// What people type and what is printed.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    fn printed<T>(text: &str)
    where
        T: std::str::FromStr + ToString + PartialEq,
        T::Err: std::fmt::Debug,
    {
        if let Ok(value) = text.parse::<T>() {
            let again = value.to_string().parse::<T>().expect("what is printed");
            assert!(again == value, "{text} is printed as another");
        }
    }
    printed::<AccountId>(text);
    printed::<Checkpoint>(text);
    printed::<Amount>(text);
    printed::<Class>(text);
    printed::<Profile>(text);
    // These are printed rounded.
    seen(text.parse::<Bytes>());
    seen(text.parse::<Millis>().map(|m| m.to_string()));
    seen(Words::parse(text));
}

/// What each of them reads, made by the code itself.
pub(crate) mod seeds {
    use super::*;

    /// Values' bytes.
    fn made<T: Make>(name: &str, bytes: impl Fn(T) -> Vec<u8>) -> Vec<Vec<u8>> {
        let make = |n| bytes(T::make(&mut Dice::noise(name, n)));
        (0..4).map(make).collect()
    }

    pub(crate) fn contract_leaf() -> Vec<Vec<u8>> {
        made("contract leaf", |l: ContractLeaf| l.to_bytes().to_vec())
    }

    pub(crate) fn shard_leaf() -> Vec<Vec<u8>> {
        made("shard leaf", |l: ShardLeaf| l.to_bytes().to_vec())
    }

    pub(crate) fn provider_root() -> Vec<Vec<u8>> {
        made("provider root", |r: ProviderRoot| r.to_bytes().to_vec())
    }

    pub(crate) fn outboard() -> Vec<Vec<u8>> {
        let of = |len| {
            let mut hasher = ShardHasher::new();
            hasher.update(&vec![1; len]);
            hasher.finalize().1.to_bytes()
        };
        vec![of(0), of(16_384), of(5 * 16_384)]
    }

    pub(crate) fn content_tree() -> Vec<Vec<u8>> {
        let leaf = |n: u8| ShardLeaf {
            root: ShardRoot([n; 32]),
            chunks: 16 * u64::from(n),
            tag: [n; 8],
        };
        let leaves = [
            leaf(1),
            leaf(2),
            ShardLeaf::EMPTY,
            leaf(4),
            ShardLeaf::EMPTY,
        ];
        (0..=5)
            .map(|n| leaves[..n].iter().flat_map(ShardLeaf::to_bytes).collect())
            .collect()
    }

    pub(crate) fn map_proof() -> Vec<Vec<u8>> {
        let parts: Vec<_> = (0..8)
            .map(|n| [n << 5; 32])
            .map(|key| (key, Part::leaf(&key, b"value")))
            .collect();
        let of =
            |parts: &[_], key| MapProof::of(parts, &key, |_| value_digest(b"value")).to_bytes();
        vec![of(&parts, [32; 32]), of(&parts, [33; 32]), of(&[], [0; 32])]
    }

    pub(crate) fn header_layout() -> Vec<Vec<u8>> {
        made("header layout", |header: Header| header.to_layout())
    }

    pub(crate) fn certificate() -> Vec<Vec<u8>> {
        let of = Final {
            height: 7,
            round: 1,
            block: BlockHash([8; 32]),
        };
        let vote = of.vote(&examples::validator_bls(), &examples::NET);
        vec![Certificate::sum(of, &[(0, vote)], &validators()).to_bytes()]
    }

    pub(crate) fn bls_key() -> Vec<Vec<u8>> {
        vec![examples::validator_bls().public().to_bytes().to_vec()]
    }

    pub(crate) fn bls_signature() -> Vec<Vec<u8>> {
        let header = examples::full_block().header;
        header.beacon.map(|r| r.0.to_vec()).into_iter().collect()
    }

    pub(crate) fn ed25519() -> Vec<Vec<u8>> {
        let (offer, key) = (examples::offered(), examples::provider());
        let sig = offer.clone().sign(&key, &examples::NET).sig;
        vec![[&key.public()[..], &sig.0, &offer.to_layout()].concat()]
    }

    pub(crate) fn segment_index() -> Vec<Vec<u8>> {
        made("index", |e| {
            index::encode(&SEGMENT, &Vec::from_iter::<Vec<_>>(e))
        })
    }

    pub(crate) fn segment_listing() -> Vec<Vec<u8>> {
        made("listing", |mut l: Vec<larder_coding::Listing>| {
            for listing in &mut l {
                listing.blobs.sort_by_key(|b| b.offset);
                listing.blobs.dedup_by_key(|b| b.offset);
            }
            listing::encode(&l)
        })
    }

    pub(crate) fn sealed_blob() -> Vec<Vec<u8>> {
        let seal = |plain: &[u8]| {
            let id = blob::blob_id(&keys(), plain);
            blob::seal(&keys(), BlobKind::Tree, id, plain, [27; 12]).expect("it is short")
        };
        vec![seal(b""), seal(b"bytes"), seal(&[0; 4_000])]
    }

    pub(crate) fn segment() -> Vec<Vec<u8>> {
        let of = |blobs: &[Vec<u8>]| {
            let mut writer = SegmentWriter::new(Vec::new(), &keys(), SEGMENT);
            for blob in blobs {
                writer.push(blob).expect("memory does not fail");
            }
            let (_, mut c) = writer.finish(1, [28; 12]).expect("memory does not fail");
            let key = keys().segment_key(&SEGMENT);
            ctr::Ctr128BE::<aes::Aes256>::new((&*key).into(), &[0; 16].into())
                .apply_keystream(&mut c);
            c
        };
        vec![of(&[]), of(&sealed_blob())]
    }

    pub(crate) fn sealed_message() -> Vec<Vec<u8>> {
        let seal = |message: &[u8]| seal_message(&[26; 32], [29; 12], b"context", message);
        vec![
            seal(b"").expect("it is short"),
            seal(&[1; 2_000]).expect("it is short"),
        ]
    }

    pub(crate) fn text() -> Vec<Vec<u8>> {
        let words = ["abandon"; 23].join(" ") + " art";
        let id = examples::renter().account().to_string();
        let shard = cid::shard(&ShardRoot([1; 32])).to_string();
        [
            "0.000000001",
            "18446744073.709551615",
            "1.5 GiB",
            "90s",
            "critical",
            "dev",
            "7:z4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([words, id, shard])
        .map(String::into_bytes)
        .collect()
    }
}
