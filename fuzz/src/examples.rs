//! Chosen values: signed with known keys, so that what lies under a signature is pinned too.

use larder_contracts::{Auth, Draft, Offer, ShardAck, SignedLeaf, Tally, Voucher};
use larder_engine::head::{DeviceCert, Head, SignedHead};
use larder_engine::wire::{PlaceShard, ReadCap, Request, RevokeReader};
use larder_keys::{AccountSigner, RecoveryKeys, SharingCert, SharingKey, Signer, VaultKeys};
use larder_ledger::block::{tx_root, verdict_root};
use larder_ledger::{
    Account, AckedShard, Approve, Authority, Block, Candidacy, Censored, Change, CloseFaulted,
    Closing, Consensus, Delegate, Deposit, Equivocation, Evidence, Faucet, ForceRevision, Forced,
    Founding, Genesis, Grant, Handover, Header, Leave, Loss, Maintenance, May, Nonces, Op,
    ProofAck, Reason, Reduction, Register, Resign, Revoke, Supply, Targeted, Transfer, TreeUpdate,
    Tx, VerdictBatch, Vouch, Withdraw,
};
use larder_proofs::bls::SecretKey;
use larder_proofs::{
    ContractLeaf, LostShard, Reveal, ShardLeaf, Sibling, SignedVote, Single, Vote, VoteKind,
};
use larder_types::{
    AccountId, Amount, BlockHash, Bytes, ContractId, GenesisHash, Hash, NodeId, Params, Profile,
    ShardRoot, SubKeyId, Time, codec,
};
use serde::Serialize;
use std::sync::Arc;

/// The network.
pub const NET: GenesisHash = GenesisHash([5; 32]);
/// Its start.
pub const START: Time = Time(1_800_000_000_000);

/// What examples are: each with what it shows.
type Examples = Vec<(&'static str, Vec<u8>)>;

/// The key of a seed.
#[must_use]
pub fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

/// The account that pays.
#[must_use]
pub fn renter() -> AccountSigner {
    AccountSigner::own(signer(1))
}

/// The node that stores.
#[must_use]
pub fn provider() -> Signer {
    signer(2)
}

/// The node that makes blocks.
#[must_use]
pub fn validator() -> Signer {
    signer(3)
}

/// Its BLS key.
#[must_use]
pub fn validator_bls() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

fn one<T: Serialize>(what: &'static str, value: &T) -> Examples {
    vec![(what, codec::encode(value))]
}

/// What the provider offers.
#[must_use]
pub fn offered() -> Offer {
    Offer {
        provider: provider().node(),
        account: signer(4).account(),
        price: Amount::from_credits(1),
        egress_price: Amount::ZERO,
        free: Bytes(1 << 40),
        min_term: 7,
        max_term: 365,
        collateral_epochs: 30,
        region: "eu".into(),
        operator: "op-1".into(),
        addrs: vec![
            "/ip4/127.0.0.1/tcp/4001".into(),
            "/dns/a.example/tcp/1".into(),
        ],
        issued: START,
        valid_until: Time(START.0 + 3_600_000),
    }
}

pub(crate) fn offer() -> Examples {
    one("an offer", &offered().sign(&provider(), &NET))
}

/// A contract between renter and provider.
#[must_use]
pub fn leaf() -> ContractLeaf {
    Draft {
        provider: provider().node(),
        renter: renter().account(),
        nonce16: [6; 16],
        start: 5,
        term: 30,
        capacity_chunks: 1 << 20,
        price: Amount::from_credits(1),
        collateral_epochs: 30,
    }
    .leaf(&Params::profile(Profile::Private))
}

const AUTH: Auth = Auth {
    nonce: 7,
    expiry: 1_000,
};

/// The leaf, signed by the renter.
#[must_use]
pub fn signed(auth: Option<Auth>) -> SignedLeaf {
    SignedLeaf::sign(leaf(), auth, &provider().node(), &renter(), &NET)
}

pub(crate) fn signed_leaf() -> Examples {
    vec![
        (
            "a leaf that moves money",
            codec::encode(&signed(Some(AUTH))),
        ),
        ("a leaf that changes content", codec::encode(&signed(None))),
    ]
}

pub(crate) fn revision() -> Examples {
    one(
        "a leaf signed by both",
        &signed(Some(AUTH)).countersign(&provider(), &NET),
    )
}

pub(crate) fn shard_ack() -> Examples {
    let ShardLeaf { root, chunks, .. } = shard();
    let ack = ShardAck::sign(leaf().contract_id, root, chunks, &provider(), &NET);
    one("an acknowledgement", &ack)
}

fn shard() -> ShardLeaf {
    ShardLeaf {
        root: ShardRoot([8; 32]),
        chunks: 4_096,
        tag: [9; 8],
    }
}

fn loss() -> Loss {
    let sibling = Sibling {
        hash: Hash([10; 32]),
        chunks: 16,
    };
    Loss {
        contract: leaf().contract_id,
        revision: 12,
        shards: vec![LostShard {
            index: 3,
            leaf: shard(),
            path: vec![sibling, sibling],
        }],
    }
}

/// The same account, by a sub-key.
fn sub_key() -> AccountSigner {
    AccountSigner::sub(renter().account(), signer(20))
}

fn delegate() -> Delegate {
    let grant = Grant {
        may: May::OPEN.and(May::TRANSFER),
        cap: Some(Amount(2_000_000_000)),
        issued: START,
        until: Time(START.0 + 1_000),
    };
    let subkey = SubKeyId(signer(20).public());
    Delegate::sign(&signer(1), &signer(18), subkey, grant, &NET)
}

fn tree_update(what: &'static str, op: Op) -> (&'static str, Tx) {
    let update = TreeUpdate::sign(&provider(), 4, vec![op], &NET);
    (what, Tx::TreeUpdate(update))
}

/// One transaction of each kind, and an update of each operation.
#[must_use]
pub fn txs() -> Vec<(&'static str, Tx)> {
    let (account, node) = (renter(), provider());
    let (to, amount) = (AccountId([11; 32]), Amount(1_500_000_000));
    let id = leaf().contract_id;
    vec![
        ("faucet", Tx::Faucet(Faucet::sign(&account, &NET))),
        (
            "transfer",
            Tx::Transfer(Transfer::sign(&account, to, amount, AUTH, &NET)),
        ),
        (
            "register",
            Tx::Register(Register::sign(&node, &account, amount, AUTH, &NET)),
        ),
        (
            "deposit",
            Tx::Deposit(Deposit::sign(node.node(), &account, amount, AUTH, &NET)),
        ),
        (
            "close faulted",
            Tx::CloseFaulted(CloseFaulted::sign(&account, id, 1_000, &NET)),
        ),
        (
            "maintenance",
            Tx::Maintenance(Maintenance::sign(&node, 6, 2, &NET)),
        ),
        (
            "transfer by a sub-key",
            Tx::Transfer(Transfer::sign(&sub_key(), to, amount, AUTH, &NET)),
        ),
        ("delegate", Tx::Delegate(delegate())),
        (
            "revoke",
            Tx::Revoke(Revoke::sign(
                account.account(),
                &signer(18),
                SubKeyId(signer(20).public()),
                START,
                &NET,
            )),
        ),
        tree_update("update: put", Op::Put(signed(Some(AUTH)))),
        tree_update("update: close expired", Op::CloseExpired(id)),
        tree_update("update: declare loss", Op::DeclareLoss(loss())),
        tree_update(
            "update: close mutual",
            Op::CloseMutual(Closing::mutual(
                &signer(18),
                account.account(),
                id,
                1_000,
                &NET,
            )),
        ),
        tree_update(
            "update: reduce",
            Op::Reduce(Box::new(Reduction::sign(
                signed(None),
                &node.node(),
                &signer(18),
                &NET,
            ))),
        ),
        tree_update("update: renew", Op::Renew(id)),
        tree_update(
            "update: transfer",
            Op::Transfer(Box::new(Handover::sign(
                id,
                SignedLeaf::sign(leaf(), Some(AUTH), &signer(19).node(), &account, &NET),
                &signer(19),
                &NET,
            ))),
        ),
        tree_update("update: settle", Op::Settle(Box::new(owed(&account)))),
        (
            "vouch",
            Tx::Vouch(Vouch::sign(&account, to, amount, AUTH, &NET)),
        ),
        ("leave", Tx::Leave(Leave::sign(&signer(1), to, AUTH, &NET))),
        (
            "close by renter",
            Tx::CloseByRenter(Closing::notice(
                &signer(18),
                account.account(),
                id,
                1_000,
                &NET,
            )),
        ),
        (
            "a revision that both signed, forced",
            Tx::ForceRevision(ForceRevision {
                provider: node.node(),
                revision: Forced::Signed(Box::new(signed(None).countersign(&node, &NET))),
            }),
        ),
        (
            "a question for one contract",
            Tx::Targeted(Targeted::sign(&account, id, 8, amount, AUTH, &NET)),
        ),
        (
            "a revision that was acknowledged, forced",
            Tx::ForceRevision(acked()),
        ),
        (
            "candidacy",
            Tx::Candidacy(Box::new(Candidacy::sign(
                (&validator(), &validator_bls()),
                &account,
                amount,
                AUTH,
                &NET,
            ))),
        ),
        (
            "approve: add",
            approve(Change::Add {
                node: node.node(),
                since: 7,
            }),
        ),
        (
            "approve: remove",
            approve(Change::Remove {
                node: node.node(),
                since: 7,
            }),
        ),
        ("resign", Tx::Resign(Resign::sign(&validator(), 7, &NET))),
        ("equivocation", Tx::Equivocation(Box::new(equivocation()))),
        (
            "censored",
            Tx::Censored(Censored {
                ack: ProofAck::sign(&validator(), 18, node.node(), b"a proof", &NET),
            }),
        ),
        (
            "withdraw",
            Tx::Withdraw(Withdraw::sign(node.node(), &account, amount, AUTH, &NET)),
        ),
    ]
}

fn approve(change: Change) -> Tx {
    Tx::Approve(Approve::sign(&validator(), change, 1_000, &NET))
}

/// A validator votes for a block and for none, in one round.
fn equivocation() -> Equivocation {
    let vote = |value| {
        let vote = Vote {
            kind: VoteKind::Precommit,
            height: 7,
            round: 1,
            value,
        };
        SignedVote::sign(vote, &validator(), &NET)
    };
    Equivocation {
        a: vote(Some(Hash([13; 32]))),
        b: vote(None),
        reporter: Some(renter().account()),
    }
}

/// A revision whose new shards the provider acknowledged.
fn acked() -> ForceRevision {
    let (provider, node) = (provider(), provider().node());
    let shard = loss().shards.remove(0);
    let ack = ShardAck::sign(
        leaf().contract_id,
        shard.leaf.root,
        shard.leaf.chunks,
        &provider,
        &NET,
    );
    let sig_provider = ack.sig;
    ForceRevision {
        provider: node,
        revision: Forced::Acked {
            signed: Box::new(signed(None)),
            added: vec![AckedShard {
                shard,
                sig_provider,
            }],
        },
    }
}

/// What a reader owes for a mebibyte and a half.
fn owed(reader: &AccountSigner) -> Voucher {
    let tally = Tally {
        bytes: 3 << 19,
        credits: Amount(30_000),
    };
    let leaf = leaf();
    Voucher::sign(
        reader,
        signer(12).node(),
        leaf.contract_id,
        leaf.start_epoch,
        tally,
        &NET,
    )
}

pub(crate) fn voucher() -> Examples {
    let own = owed(&AccountSigner::own(signer(11)));
    let device = AccountSigner::sub(signer(11).account(), signer(17));
    vec![
        ("by the account", codec::encode(&own)),
        ("by a device", codec::encode(&owed(&device))),
    ]
}

pub(crate) fn tx() -> Examples {
    let encoded = |(what, tx): (&'static str, Tx)| (what, codec::encode(&tx));
    txs().into_iter().map(encoded).collect()
}

fn verdicts() -> VerdictBatch {
    VerdictBatch {
        slot: 18,
        results: vec![
            None,
            Some(Reason::Silent),
            Some(Reason::Wrong),
            Some(Reason::Maintenance),
            Some(Reason::Late),
        ],
        targeted: vec![None, Some(Reason::Silent)],
        proofs_root: Hash([12; 32]),
    }
}

/// What a wallet is shown of an account.
pub(crate) fn account() -> Examples {
    let mut nonces = Nonces::default();
    nonces.spend(0).expect("it is unspent");
    nonces.spend(3).expect("it is unspent");
    let account = Account {
        balance: Amount(1_500_000_000),
        nonces,
        granted: true,
        ties: 2,
        ..Account::default()
    };
    one("1.5 credits", &account)
}

pub(crate) fn verdict_batch() -> Examples {
    one("five verdicts", &verdicts())
}

/// A block with all of it.
#[must_use]
pub fn full_block() -> Block {
    let txs: Vec<Tx> = txs().into_iter().map(|(_, tx)| tx).collect();
    let verdicts = vec![verdicts()];
    let evidence = vec![Evidence {
        slot: 18,
        provider: validator().node(),
        blob: vec![15; 20],
    }];
    let (_, reveal): (_, Reveal) = Single::next(&[0; 32], &NET, 20, &validator_bls());
    let header = Header {
        height: 7,
        time: Time(START.0 + 70_000),
        round: 0,
        prev: BlockHash([13; 32]),
        proposer: validator().node(),
        validators: authority().validators.hash(),
        next_validators: Hash([12; 32]),
        epoch: 1,
        slot: Some(20),
        beacon: Some(reveal),
        tx_root: tx_root(&txs),
        verdict_root: verdict_root(&verdicts, &evidence),
        state_root: Hash([14; 32]),
    };
    Block {
        sig: header.sign(&validator(), &NET),
        header,
        txs,
        verdicts,
        evidence,
    }
}

pub(crate) fn header() -> Examples {
    let Block { header, .. } = full_block();
    let quiet = Header {
        slot: None,
        beacon: None,
        ..header
    };
    vec![
        ("a header that opens a slot", codec::encode(&header)),
        ("its hash", header.hash().0.to_vec()),
        ("a header that opens none", codec::encode(&quiet)),
        ("its hash", quiet.hash().0.to_vec()),
    ]
}

pub(crate) fn block() -> Examples {
    one("a block with every transaction", &full_block())
}

/// Who makes blocks.
#[must_use]
pub fn authority() -> Authority {
    let genesis = genesis(Params::profile(Profile::Public));
    Authority {
        genesis: NET,
        validators: Arc::new(genesis.set().expect("the example is sound")),
    }
}

/// A network's beginning.
#[must_use]
pub fn genesis(params: Params) -> Genesis {
    let founder = signer(15).account();
    Genesis {
        version: larder_ledger::VERSION,
        network: "example".into(),
        start: START,
        supply: Supply::to_founder(founder, Amount::from_credits(1_000_000), &params),
        params,
        founder,
        consensus: Consensus::Solo,
        validators: vec![Founding::new(validator().node(), &validator_bls())],
        nonce: [16; 32],
    }
}

pub(crate) fn genesis_document() -> Examples {
    let genesis = genesis(Params::profile(Profile::Public));
    vec![
        ("a genesis", codec::encode(&genesis)),
        ("its hash", genesis.hash().0.to_vec()),
    ]
}

pub(crate) fn place_shard() -> Examples {
    let place = PlaceShard::sign(leaf().contract_id, shard(), &renter(), &NET);
    one("the right to place a shard", &place)
}

pub(crate) fn read_cap() -> Examples {
    let (contract, reader) = (leaf().contract_id, NodeId([17; 32]));
    let cap = ReadCap::sign(contract, shard().root, reader, START, &renter(), &NET);
    let (key, node) = (signer(21), NodeId([17; 32]));
    let shared = ReadCap::sign(contract, shard().root, key.node(), START, &renter(), &NET);
    vec![
        ("the right to read a shard", codec::encode(&cap)),
        (
            "the right of a share's reader, passed to a node",
            codec::encode(&shared.pass_to(node, START, &key, &NET)),
        ),
    ]
}

pub(crate) fn revoke() -> Examples {
    let contract = leaf().contract_id;
    let revoke = RevokeReader::sign(contract, signer(21).node(), START, &renter(), &NET);
    one("a reader's rights taken back", &Request::Revoke(revoke))
}

pub(crate) fn sharing_cert() -> Examples {
    let key = SharingKey::from_secret(&[22; 32]);
    one(
        "an account's sharing key",
        &SharingCert::sign(&signer(1), &key, &NET),
    )
}

fn cert() -> DeviceCert {
    DeviceCert::sign(&signer(1), &signer(18), signer(19).public(), START, &NET)
}

pub(crate) fn device_cert() -> Examples {
    one("a device's certificate", &cert())
}

/// What names and seals the account's heads.
#[must_use]
pub fn recovery_keys() -> RecoveryKeys {
    RecoveryKeys::new(&[20; 32], &VaultKeys::from_root(&[21; 32]), &NET)
}

pub(crate) fn signed_head() -> Examples {
    let head = Head::empty(22);
    let by = (&signer(19), &cert());
    let sealed = SignedHead::seal(&head, [23; 12], &recovery_keys(), by, &NET);
    one("an empty head", &sealed.expect("it is short"))
}

/// A contract's id.
#[must_use]
pub fn contract() -> ContractId {
    leaf().contract_id
}
