//! The crate's vectors: for each wire type a few values to read, and one hash over many made ones.
//! Whoever changes a format on purpose puts there what the failing test prints. Test only.

use crate::bls::SecretKey;
use crate::content::ContentNode;
use crate::contract_leaf::FLAGS;
use crate::map::{MapProof, Part, value_digest};
use crate::sum_tree::Node as _;
use crate::testing::{NET, challenge, key, provider};
use crate::{
    Certificate, Challenge, Commitment, ContractLeaf, Final, Header, Outboard, ProviderRoot,
    Reveal, ShardHasher, ShardLeaf, Validator, ValidatorSet, prove,
};
use larder_types::{
    AccountId, Amount, BlockHash, ContractId, Hash, NodeId, ShardRoot, Time, codec,
};
use std::fmt::Write as _;

/// Values under each hash, and proofs under theirs.
const CORPUS: u32 = 10_000;
const PROOFS: u32 = 200;
/// Certificates under theirs: each takes some signatures.
const CERTIFICATES: u32 = 20;

/// Bytes that only their name and number decide.
struct Noise(blake3::OutputReader);

impl Noise {
    fn new(name: &str, number: u32) -> Self {
        let key = blake3::derive_key("larder v1 proofs vectors", name.as_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&key);
        Self(hasher.update(&number.to_le_bytes()).finalize_xof())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

fn shard_leaf(number: u32) -> ShardLeaf {
    let mut noise = Noise::new("shard leaf", number);
    ShardLeaf {
        root: ShardRoot(noise.bytes()),
        chunks: 16 * (1 + u64::from(noise.u32())),
        tag: noise.bytes(),
    }
}

fn contract_leaf(number: u32) -> ContractLeaf {
    let mut noise = Noise::new("contract leaf", number);
    let (used, spare) = (noise.u32(), noise.u32());
    ContractLeaf {
        version: 1,
        flags: noise.u8() & FLAGS,
        egress_class: noise.u8(),
        depth: noise.u8() % 33,
        start_epoch: noise.u32(),
        end_epoch: noise.u32(),
        terms_version: noise.u32(),
        contract_id: ContractId(noise.bytes()),
        renter: AccountId(noise.bytes()),
        content_root: Hash(noise.bytes()),
        used_chunks: u64::from(used),
        capacity_chunks: u64::from(used) + u64::from(spare),
        rate: Amount(noise.u64() >> 1),
        collateral: Amount(noise.u64()),
        slash_acc: noise.u64(),
        revision: noise.u64(),
        egress_price: Amount(noise.u64()),
        included_egress_chunks: noise.u64(),
        terms_hash: Hash(noise.bytes()),
        egress_deposit: Amount(noise.u64()),
        egress_paid: Amount(noise.u64()),
        unpaid_at_start: noise.u32(),
    }
}

/// The node over two leaves, at some height.
fn provider_node(number: u32) -> Vec<u8> {
    let pair: [ProviderRoot; 2] = [2 * number, 2 * number + 1].map(|n| (&contract_leaf(n)).into());
    let height = u8::try_from(1 + number % 32).unwrap();
    let node = ProviderRoot::join(&pair[0], &pair[1], height).unwrap();
    assert_eq!(ProviderRoot::from_bytes(&node.to_bytes()), Ok(node));
    node.to_bytes().to_vec()
}

fn content_node(number: u32) -> Vec<u8> {
    let pair: [ContentNode; 2] = [2 * number, 2 * number + 1].map(|n| (&shard_leaf(n)).into());
    let height = u8::try_from(1 + number % 32).unwrap();
    let mut bytes = Vec::new();
    ContentNode::join(&pair[0], &pair[1], height)
        .unwrap()
        .write(&mut bytes);
    bytes
}

fn outboard(number: u32) -> Vec<u8> {
    let mut noise = Noise::new("outboard", number);
    let mut shard = vec![0; usize::try_from(noise.u32() % 50_000).unwrap()];
    noise.0.fill(&mut shard);
    let mut hasher = ShardHasher::new();
    hasher.update(&shard);
    let (_, outboard) = hasher.finalize();
    let bytes = outboard.to_bytes();
    assert_eq!(Outboard::from_bytes(&bytes), Ok(outboard));
    bytes
}

/// Of one of up to sixteen records, or of none, by turns.
fn map_proof(number: u32) -> Vec<u8> {
    let mut noise = Noise::new("map proof", number);
    let count = usize::from(noise.u8() % 17);
    let mut records: Vec<([u8; 32], [u8; 8])> =
        (0..count).map(|_| (noise.bytes(), noise.bytes())).collect();
    records.sort_unstable();
    let parts: Vec<_> = records
        .iter()
        .map(|(key, value)| (*key, Part::leaf(key, value)))
        .collect();
    let held = records.get(usize::from(noise.u8()));
    let key = held.map_or_else(|| noise.bytes(), |(key, _)| *key);
    let proof = MapProof::of(&parts, &key, |at| value_digest(&records[at].1));
    let value = held.map(|(_, value)| &value[..]);
    let root = Part::of(&parts, 0).hash();
    assert_eq!(proof.verify(&root, &key, value), Ok(()));
    let bytes = proof.to_bytes();
    assert_eq!(MapProof::from_bytes(&bytes), Ok(proof));
    bytes
}

fn header(number: u32) -> Vec<u8> {
    let mut noise = Noise::new("header", number);
    let opens = noise.u8().is_multiple_of(2);
    let header = Header {
        height: noise.u64(),
        round: noise.u32(),
        time: Time(noise.u64()),
        prev: BlockHash(noise.bytes()),
        proposer: NodeId(noise.bytes()),
        validators: Hash(noise.bytes()),
        next_validators: Hash(noise.bytes()),
        epoch: noise.u32(),
        slot: opens.then(|| noise.u64()),
        beacon: opens.then(|| Reveal(noise.bytes())),
        tx_root: Hash(noise.bytes()),
        verdict_root: Hash(noise.bytes()),
        state_root: Hash(noise.bytes()),
    };
    let layout = header.to_layout();
    assert_eq!(Header::from_layout(&layout), Ok(header));
    layout
}

/// The validators 1 to `count`, by their keys' seeds.
fn validators(count: u8) -> ValidatorSet {
    let member = |seed: u8| Validator {
        node: NodeId([seed; 32]),
        bls: SecretKey::from_seed(&[seed; 32]).public(),
        power: u64::from(seed),
    };
    ValidatorSet::new((1..=count).map(member).collect()).unwrap()
}

/// By some of up to nine validators.
fn certificate(number: u32) -> Vec<u8> {
    let mut noise = Noise::new("certificate", number);
    let set = validators(1 + noise.u8() % 9);
    let of = Final {
        height: noise.u64(),
        round: noise.u32(),
        block: BlockHash(noise.bytes()),
    };
    let signs = noise.u32() | 1;
    let places = (0..set.members().len()).filter(|place| signs >> place & 1 == 1);
    let vote = |place: usize| {
        let seed = u8::try_from(place + 1).unwrap();
        (place, of.vote(&SecretKey::from_seed(&[seed; 32]), &NET))
    };
    let votes: Vec<_> = places.map(vote).collect();
    let bytes = Certificate::sum(of, &votes, &set).to_bytes();
    assert_eq!(
        Certificate::from_bytes(&bytes, &set).unwrap().to_bytes(),
        bytes
    );
    bytes
}

/// Three certificates, and what names the sets.
fn certificates() -> String {
    let mut text = String::new();
    for count in [1, 4, 9] {
        let set = validators(count);
        let (hash, bytes) = (hex::encode(set.hash().0), codec::encode(&set));
        writeln!(text, "# a set of {count}: its hash, then DAG-CBOR\n{hash}").unwrap();
        text += &lines(&bytes);
    }
    let shown = (0..3).map(|n| format!("# certificate {n}\n{}", lines(&certificate(n))));
    text + &shown.collect::<String>() + &corpus(CERTIFICATES, certificate)
}

/// Asks a provider in one way.
type Ask = fn(&Commitment, u32, u8) -> Challenge;

fn drawn(commitment: &Commitment, number: u32, c: u8) -> Challenge {
    challenge(&commitment.tree, u64::from(number), c)
}

fn targeted(commitment: &Commitment, number: u32, c: u8) -> Challenge {
    let id = commitment.tree.get(0).unwrap().contract_id;
    drawn(commitment, number, c).targeted(0, &id, c)
}

fn audit(commitment: &Commitment, number: u32, c: u8) -> Challenge {
    let seed = Noise::new("audit seed", number).bytes();
    Challenge::audit(&NET, key().node(), &commitment.tree, seed, c)
}

/// The proof by a made provider of up to eight contracts of up to five shards.
fn proof(ask: Ask, number: u32) -> Vec<u8> {
    let mut noise = Noise::new("proof", number);
    let contracts: Vec<_> = (0..1 + noise.u8() % 8)
        .map(|_| {
            let shards = (0..noise.u8() % 6).map(|_| 1 + usize::from(noise.u8() % 3));
            let shards = shards.collect();
            (1 + u64::from(noise.u32()), shards)
        })
        .collect();
    let (commitment, memory) = provider(&contracts);
    let asked = ask(&commitment, number, 1 + noise.u8() % 20);
    prove(&commitment, &asked, &memory, &key(), &NET).unwrap()
}

/// The proof that is written out: two contracts, one shard of two groups each, two draws.
fn small_proof(ask: Ask) -> Vec<u8> {
    let (commitment, memory) = provider(&[(100, vec![2]), (300, vec![2])]);
    let asked = ask(&commitment, 5, 2);
    prove(&commitment, &asked, &memory, &key(), &NET).unwrap()
}

/// Sixty-four digits a line.
fn lines(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| hex::encode(line) + "\n");
    lines.collect()
}

/// A proof by its fields.
fn fields(blob: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = blob;
    let mut take = |name: &str, len: usize| {
        let (head, tail) = rest.split_at(len);
        rest = tail;
        let shown = match len {
            4 if name == "format" => String::from_utf8(head.to_vec()).unwrap(),
            1_024 => format!("1024 bytes, BLAKE3 {}", blake3::hash(head)),
            _ => hex::encode(head),
        };
        writeln!(text, "{name}: {shown}").unwrap();
        head.to_vec()
    };
    for (name, len) in [
        ("format", 4),
        ("provider index", 4),
        ("slot", 8),
        ("beacon", 32),
        ("draws", 1),
        ("active root", 32),
    ] {
        take(name, len);
    }
    let count = |bytes: Vec<u8>| usize::from(u16::from_le_bytes(bytes.try_into().unwrap()));
    let contracts = count(take("A: contracts", 2));
    for _ in 0..contracts {
        take("  place", 4);
        take("  contract leaf", 240);
    }
    for _ in 0..count(take("A: siblings", 2)) {
        take("  provider node", 44);
    }
    let mut shards = 0;
    for _ in 0..contracts {
        let here = count(take("B: shards of the next contract", 2));
        shards += here;
        for _ in 0..here {
            take("  place", 4);
            take("  shard leaf", 48);
        }
        for _ in 0..count(take("B: siblings", 2)) {
            take("  content node", 40);
        }
    }
    for _ in 0..shards {
        for _ in 0..count(take("C: chunks of the next shard", 2)) {
            take("  place", 4);
            take("  chunk", 1_024);
        }
        for _ in 0..count(take("C: CVs", 2)) {
            take("  CV", 32);
        }
    }
    take("signature", 64);
    assert!(rest.is_empty());
    text
}

fn corpus(count: u32, make: impl Fn(u32) -> Vec<u8>) -> String {
    let (mut hasher, mut total) = (blake3::Hasher::new(), 0);
    for number in 0..count {
        let bytes = make(number);
        total += bytes.len();
        hasher.update(&bytes);
    }
    format!(
        "# {count} made values, one after another\n{total} bytes, BLAKE3 {}\n",
        hasher.finalize()
    )
}

/// A layout's three first values and its hash.
fn layout(make: impl Fn(u32) -> Vec<u8>) -> String {
    let shown = (0..3).map(|number| format!("# value {number}\n{}", lines(&make(number))));
    shown.collect::<String>() + &corpus(CORPUS, make)
}

fn proofs(ask: Ask) -> String {
    let small = fields(&small_proof(ask));
    let header = "# two contracts of one shard of 32 KiB, two draws";
    format!("{header}\n{small}{}", corpus(PROOFS, |n| proof(ask, n)))
}

#[test]
fn every_layout_is_what_its_vectors_say() {
    let all = [
        (
            "shard_leaf",
            layout(|n| shard_leaf(n).to_bytes().to_vec()),
            include_str!("../vectors/shard_leaf.txt"),
        ),
        (
            "contract_leaf",
            layout(|n| contract_leaf(n).to_bytes().to_vec()),
            include_str!("../vectors/contract_leaf.txt"),
        ),
        (
            "provider_node",
            layout(provider_node),
            include_str!("../vectors/provider_node.txt"),
        ),
        (
            "content_node",
            layout(content_node),
            include_str!("../vectors/content_node.txt"),
        ),
        (
            "outboard",
            layout(outboard),
            include_str!("../vectors/outboard.txt"),
        ),
        (
            "map_proof",
            layout(map_proof),
            include_str!("../vectors/map_proof.txt"),
        ),
        (
            "header",
            layout(header),
            include_str!("../vectors/header.txt"),
        ),
        (
            "certificate",
            certificates(),
            include_str!("../vectors/certificate.txt"),
        ),
        (
            "proof_of_the_draw",
            proofs(drawn),
            include_str!("../vectors/proof_of_the_draw.txt"),
        ),
        (
            "proof_targeted",
            proofs(targeted),
            include_str!("../vectors/proof_targeted.txt"),
        ),
        (
            "proof_of_an_audit",
            proofs(audit),
            include_str!("../vectors/proof_of_an_audit.txt"),
        ),
    ];
    let changed: String = all
        .iter()
        .filter(|(_, got, wanted)| got != wanted)
        .map(|(name, got, _)| format!("==> proofs/vectors/{name}.txt\n{got}"))
        .collect();
    assert!(
        changed.is_empty(),
        "formats have changed. If that is meant, these are the new vectors:\n{changed}"
    );
}
