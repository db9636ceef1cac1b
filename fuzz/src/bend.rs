//! What is nearly right: leaves and headers with one field bent, shards of any length.

use crate::{Dice, Make};
use larder_keys::{Signer, Tag};
use larder_ledger::Header;
use larder_proofs::contract_leaf::FLAGS;
use larder_proofs::{Challenge, ContractLeaf, ShardLeaf};
use larder_types::layout::Layout;
use larder_types::{GenesisHash, ShardRoot};

/// A few shards, some of lengths that no shard has.
pub(crate) fn shards(dice: &mut Dice<'_>) -> Vec<ShardLeaf> {
    let of = |dice: &mut Dice<'_>| ShardLeaf {
        root: ShardRoot(dice.array()),
        chunks: 16 * dice.below(20),
        tag: [0; 8],
    };
    (0..=dice.below(3)).map(|_| of(dice)).collect()
}

/// One field of a leaf becomes anything.
pub(crate) fn bend(leaf: &mut ContractLeaf, dice: &mut Dice<'_>) {
    match dice.below(16) {
        0 => leaf.flags = dice.byte() & FLAGS,
        1 => leaf.start_epoch = Make::make(dice),
        2 => leaf.end_epoch = 7 * (u32::make(dice) / 7),
        3 => leaf.contract_id = Make::make(dice),
        4 => leaf.renter = Make::make(dice),
        5 => leaf.content_root = Make::make(dice),
        6 => leaf.used_chunks = Make::make(dice),
        7 => leaf.capacity_chunks = Make::make(dice),
        8 => leaf.rate = Make::make(dice),
        9 => leaf.collateral = Make::make(dice),
        10 => leaf.revision = Make::make(dice),
        11 => leaf.egress_deposit = Make::make(dice),
        12 => leaf.egress_paid = Make::make(dice),
        13 => leaf.slash_acc = Make::make(dice),
        14 => leaf.unpaid_at_start = Make::make(dice),
        _ => leaf.depth = dice.byte() % 33,
    }
}

/// One field of a header becomes anything. Its state's root is false anyhow.
pub(crate) fn bent(mut header: Header, dice: &mut Dice<'_>) -> Header {
    match dice.below(7) {
        0 => header.height = Make::make(dice),
        1 => header.time = Make::make(dice),
        2 => header.prev = Make::make(dice),
        3 => header.epoch = Make::make(dice),
        4 => header.slot = Make::make(dice),
        5 => header.beacon = None,
        _ => header.tx_root = Make::make(dice),
    }
    header
}

/// The header of an answer to a challenge, a word after it that is no proof, and a signature over both.
pub(crate) fn false_proof(
    challenge: &Challenge,
    word: u64,
    key: &Signer,
    net: &GenesisHash,
) -> Vec<u8> {
    let mut blob = Layout::new()
        .fixed(b"DSP1")
        .u32(challenge.provider_index)
        .u64(challenge.slot_no)
        .fixed(challenge.beacon)
        .u8(challenge.c)
        .fixed(challenge.active.hash)
        .u64(word)
        .finish();
    let sig = key.sign(Tag("proof"), net, &blob);
    blob.extend_from_slice(&sig.0);
    blob
}
