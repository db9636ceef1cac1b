//! Every wire type in canonical DAG-CBOR: how its values are made, and how a stranger's bytes are
//! read. Its home is the crate whose `vectors/` pin it.

use crate::{Dice, Make, examples, seen};
use larder_coding::{Code, Manifest, RepairManifest};
use larder_contracts::{Revision, Room, ShardAck, SignedLeaf, SignedOffer, Voucher, judge};
use larder_engine::head::{DeviceCert, Head, SegmentEntry, SignedHead};
use larder_engine::share::{Share, SignedShare};
use larder_engine::wire::{BulkHeader, BulkReply, PlaceShard, ReadCap, Request, Response};
use larder_keys::SharingCert;
use larder_ledger::{Account, Block, Genesis, Header, State, Tx, VerdictBatch, verify};
use larder_types::{
    AccountId, Amount, Class, Hash, NodeId, Params, Profile, Signature, Time, codec,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A wire type.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    /// The type, as files and targets are named.
    pub name: &'static str,
    /// The crate's folder.
    pub home: &'static str,
    /// Encodings of chosen values, each with what it shows.
    pub examples: fn() -> Vec<(&'static str, Vec<u8>)>,
    /// The encoding of the value that dice show.
    pub make: fn(&mut Dice<'_>) -> Vec<u8>,
    /// What is done with bytes from anywhere, and whether they are such a value.
    pub read: fn(&[u8]) -> bool,
}

/// `name, Type, home, examples, what a node does with a value that it was sent`.
macro_rules! wires {
    ($($name:literal $type:ty, $home:literal, $examples:expr, $use:expr;)*) => {
        /// All of them.
        pub const WIRES: &[Wire] = &[$(Wire {
            name: $name,
            home: $home,
            examples: || $examples,
            make: |dice| codec::encode(&<$type>::make(dice)),
            read: |bytes| read::<$type>(bytes, $use),
        }),*];
    };
}

wires! {
    "code" Code, "coding", Vec::new(), seen;
    "manifest" Manifest, "coding", Vec::new(), |m| seen(m.check());
    "repair_manifest" RepairManifest, "coding", Vec::new(), |m| seen(m.check());
    "offer" SignedOffer, "contracts", examples::offer(), use_offer;
    "signed_leaf" SignedLeaf, "contracts", examples::signed_leaf(), use_leaf;
    "revision" Revision, "contracts", examples::revision(), |r| seen(r.verify(&NodeId::default(), &r.signed.leaf.renter, &examples::NET));
    "shard_ack" ShardAck, "contracts", examples::shard_ack(), |ack| seen(ack.verify(&NodeId::default(), &examples::NET));
    "voucher" Voucher, "contracts", examples::voucher(), |voucher| seen(voucher.verify(&examples::NET));
    "tx" Tx, "ledger", examples::tx(), |tx| seen(verify::tx(&examples::NET, tx));
    "header" Header, "ledger", examples::header(), |header| seen(header.verify(&Signature::default(), &examples::NET));
    "block" Block, "ledger", examples::block(), |block| {
        seen(verify::block(&examples::authority(), block));
    };
    "account" Account, "ledger", examples::account(), seen;
    "verdict_batch" VerdictBatch, "ledger", examples::verdict_batch(), seen;
    "genesis" Genesis, "ledger", examples::genesis_document(), |g| seen(State::genesis(&g));
    "request" Request, "engine", examples::revoke(), seen;
    "response" Response, "engine", Vec::new(), seen;
    "bulk_header" BulkHeader, "engine", Vec::new(), seen;
    "bulk_reply" BulkReply, "engine", Vec::new(), seen;
    "place_shard" PlaceShard, "engine", examples::place_shard(), |place| seen(place.is_signed_by(&AccountId([1; 32]), &examples::NET));
    "read_cap" ReadCap, "engine", examples::read_cap(), |cap| {
        seen(cap.is_signed_by(&AccountId([1; 32]), &examples::NET));
        seen(cap.lets(&NodeId::default(), Time(1), &examples::NET));
    };
    "sharing_cert" SharingCert, "keys", examples::sharing_cert(), |cert| seen(cert.is_good(&examples::NET));
    "share" Share, "engine", Vec::new(), |share| {
        seen(share.check());
        seen(share.to_borrow());
    };
    "signed_share" SignedShare, "engine", Vec::new(), seen;
    "device_cert" DeviceCert, "engine", examples::device_cert(), |cert| seen(cert.holds(Time(1), &examples::NET));
    "signed_head" SignedHead, "engine", examples::signed_head(), |head| {
        seen(head.open(&examples::recovery_keys(), &head.cert.account, &examples::NET));
    };
    "head" Head, "engine", Vec::new(), |head| head.segments.iter().for_each(use_entry);
    "segment_entry" SegmentEntry, "engine", Vec::new(), |entry| use_entry(&entry);
    "params" Params, "types", vec![
        ("dev", codec::encode(&Params::profile(Profile::Dev))),
        ("private", codec::encode(&Params::profile(Profile::Private))),
        ("public", codec::encode(&Params::profile(Profile::Public))),
    ], |p| seen(p.are_sound());
    "class" Class, "types", Class::ALL.map(|c| (c.name(), codec::encode(&c))).to_vec(), seen;
    "hash" Hash, "types", Vec::new(), seen;
    "amount" Amount, "types", Vec::new(), seen;
}

/// Decodes bytes and hands the value on. What decodes has no other form: no byte can follow it, and
/// it comes back from its own encoding.
fn read<T>(bytes: &[u8], used: impl FnOnce(T)) -> bool
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = codec::decode::<T>(bytes) else {
        return false;
    };
    assert_eq!(codec::encode(&value), bytes, "{value:?} has another form");
    let longer = [bytes, &[0]].concat();
    assert!(codec::decode::<T>(&longer).is_err(), "a byte may follow");
    assert_eq!(codec::decode::<T>(bytes), Ok(value), "decoded twice");
    let value = codec::decode(bytes).expect("it decoded before");
    used(value);
    true
}

fn use_offer(offer: SignedOffer) {
    let params = Params::profile(Profile::Dev);
    let now = offer.offer.issued;
    seen(offer.check(now, &params, &examples::NET));
    seen(larder_contracts::rate(
        offer.offer.price,
        offer.offer.free_chunks(),
        &params,
    ));
}

fn use_leaf(signed: SignedLeaf) {
    let params = Params::profile(Profile::Public);
    let room = Room {
        epoch: signed.leaf.start_epoch,
        quota_free_chunks: u64::MAX,
        renter_balance: Amount(u64::MAX),
        collateral_free: Amount(u64::MAX),
    };
    seen(judge(&signed.leaf, &examples::offered(), &room, &params));
    seen(signed.verify(&NodeId::default(), &examples::NET));
}

fn use_entry(entry: &SegmentEntry) {
    if entry.manifest.check().is_ok() {
        // What a plan of its fetch computes.
        seen(larder_coding::layout::stripes(entry.manifest.shard_len));
    }
}
