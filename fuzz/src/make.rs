//! Values of every wire type, made from [`Dice`]: one line for each field and variant. A new field
//! does not compile until it stands here, a new variant neither: vectors and fuzzing then cover it.

use crate::Dice;
use larder_coding::blob::{BlobHeader, BlobKind};
use larder_coding::{Code, IndexEntry, Listing, Manifest, Place, RepairManifest};
use larder_contracts::{
    Auth, Gift, Offer, Pact, Party, Refusal, Revision, ShardAck, SignedLeaf, SignedOffer, Voucher,
};
use larder_engine::head::{
    DeviceCert, DeviceId, Doom, Head, HeadContract, Revocation, SeenHead, SegmentEntry, SignedHead,
};
use larder_engine::rows::{
    AskedRow, AuditRow, DeviceRow, FriendRow, HeadRow, InvitedRow, LossRow, LossTotals, OwnDevice,
    OwnHead, RentedRow, RepairTotals, RevokingRow, SegmentRow, ShardRow, VolumeId,
};
use larder_engine::share::{
    SegmentShare, Share, SharedBlob, SharedPlace, SharedProvider, SignedShare,
};
use larder_engine::wire::{
    Audit, Befriend, BulkHeader, BulkReply, Deny, PlaceShard, ReadCap, ReadPass, Reduce, Request,
    Response, RevokeReader,
};
use larder_keys::{GivenKey, SharingCert};
use larder_ledger::{
    Account, AckedShard, Approve, Block, Candidacy, Censored, Certified, Change, CloseFaulted,
    Closing, Consensus, Delegate, Deposit, Equivocation, Evidence, Faucet, ForceRevision, Forced,
    Founding, Genesis, Handover, Header, Leave, Loss, Maintenance, May, Nonces, Op, ProofAck,
    Reason, Reduction, Register, Resign, Reveal, Revoke, Supply, Targeted, Transfer, TreeUpdate,
    Tx, VerdictBatch, Vouch, Withdraw,
};
use larder_proofs::contract_leaf::FLAGS;
use larder_proofs::{
    ContractLeaf, LostShard, ProviderRoot, ShardLeaf, Sibling, SignedVote, Vote, VoteKind,
};
use larder_types::{
    AccountId, Amount, BlobId, BlockHash, Bytes, Class, ContractId, GenesisHash, Hash, Millis,
    NodeId, Params, Profile, SegmentId, ShardRoot, Signature, SubKeyId, Time, TxId,
};

/// A type whose values can be made.
pub trait Make: Sized {
    /// The value that the dice show.
    fn make(dice: &mut Dice<'_>) -> Self;
}

/// `Name { field, … }`: every field is made.
macro_rules! structs {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl Make for $name {
            fn make(dice: &mut Dice<'_>) -> Self {
                Self { $($field: Make::make(dice)),* }
            }
        }
    )*};
}

/// `Name { Unit, Tuple(part, …), Struct { field, … } }`: every variant is as likely.
macro_rules! enums {
    ($($name:ident { $($variant:ident $(($($part:ident),*))? $({ $($field:ident),* })?),* $(,)? })*) => {$(
        impl Make for $name {
            fn make(dice: &mut Dice<'_>) -> Self {
                let ways: &[fn(&mut Dice<'_>) -> Self] = &[$(
                    |_dice| Self::$variant
                        $(($({ let $part = Make::make(_dice); $part }),*))?
                        $({ $($field: Make::make(_dice)),* })?
                ),*];
                let way = ways[dice.index(ways.len())];
                way(dice)
            }
        }

        // A variant that is not listed does not compile.
        const _: fn(&$name) = |value| match value { $($name::$variant { .. } => ()),* };
    )*};
}

/// Names for 32 bytes.
macro_rules! ids {
    ($($name:ident),*) => {$(
        impl Make for $name {
            fn make(dice: &mut Dice<'_>) -> Self {
                Self(dice.array())
            }
        }
    )*};
}

/// Names for one number.
macro_rules! numbers {
    ($($name:ident),*) => {$(
        impl Make for $name {
            fn make(dice: &mut Dice<'_>) -> Self {
                Self(Make::make(dice))
            }
        }
    )*};
}

ids!(
    AccountId,
    BlobId,
    BlockHash,
    ContractId,
    GenesisHash,
    GivenKey,
    Hash,
    NodeId,
    SegmentId,
    ShardRoot,
    SubKeyId,
    TxId
);
numbers!(Amount, Bytes, May, Millis, Time, VolumeId);

// contracts
structs! {
    Auth { nonce, expiry }
    SignedLeaf { leaf, auth, by, sig_renter }
    Revision { signed, sig_provider }
    ShardAck { contract_id, root, chunks, sig }
    Voucher { provider, reader, contract, bytes_total, credits_total, nonce, by, sig_reader }
    Offer {
        provider, account, price, egress_price, free, min_term, max_term, collateral_epochs,
        region, operator, addrs, issued, valid_until,
    }
    SignedOffer { offer, sig }
    Party { node, account, gives }
    Pact { token, host, guest }
    Gift { offer, to, sig }
}
enums! {
    Refusal {
        Start { start, earliest, latest },
        End { end },
        Term { term, min, max },
        Rate { rate, needed },
        CollateralLow { collateral, needed },
        CollateralHigh { collateral, most },
        CollateralFree { needed, have },
        Quota { needed, have },
        CapacityLow { capacity, least },
        Balance { needed, have },
        Overflow,
        Ended { end },
        Shrinks { capacity, bought },
        ShardLength { chunks },
        Full { needed, capacity },
        Duplicate,
        WrongContent,
        TooDeep,
        Signature,
        WrongRevision,
        UnknownContract,
        Closed,
        Storage,
        Identity,
        NoShard { index },
        Slow { expected, most },
    }
}

// ledger
structs! {
    Account { balance, deposit, nonces, granted, admin, revoked, ties }
    Faucet { account, by, sig }
    Transfer { from, to, amount, auth, by, sig }
    Register { provider, account, collateral, auth, by, sig_account, sig_provider }
    Deposit { provider, from, amount, auth, by, sig }
    CloseFaulted { contract, renter, expiry, by, sig }
    Delegate { account, admin, subkey, may, cap, issued, until, sig_account, sig_admin }
    Revoke { account, admin, subkey, issued, sig_admin }
    Handover { contract, to, signed, sig_to }
    Targeted { contract, renter, draws, fee, auth, by, sig }
    Vouch { guarantor, member, limit, auth, by, sig }
    Leave { account, to, auth, sig }
    Closing { contract, renter, key, expiry, sig }
    Candidacy { node, account, bls, possession, bond, auth, by, sig_account, sig_node }
    Approve { change, expiry, by, sig }
    Resign { node, since, sig }
    Equivocation { a, b, reporter }
    SignedVote { vote, by, sig }
    Vote { kind, height, round, value }
    Censored { ack }
    ProofAck { slot, provider, blob_hash, by, sig }
    Withdraw { provider, account, amount, auth, by, sig }
    Reduction { signed, key, sig }
    ForceRevision { provider, revision }
    AckedShard { shard, sig_provider }
    Maintenance { provider, first, epochs, sig_provider }
    TreeUpdate { provider, epoch, ops, sig_provider }
    Loss { contract, revision, shards }
    LostShard { index, leaf, path }
    Sibling { hash, chunks }
    Header {
        height, round, time, prev, proposer, validators, next_validators, epoch, slot, beacon, tx_root,
        verdict_root, state_root,
    }
    Certified { block, certificate }
    Founding { node, bls, possession }
    Block { header, sig, txs, verdicts, evidence }
    VerdictBatch { slot, results, targeted, proofs_root }
    Evidence { slot, provider, blob }
    Genesis { version, network, start, params, founder, supply, consensus, validators, nonce }
    Params {
        profile, epoch, slots, window, challenges, faulted_after, fee_ppm, burn_ppm, vesting,
        min_term, max_term, min_capacity_chunks, min_rate, collateral_epochs,
        collateral_most, starter_capacity_chunks, notice, draw_fee, tx_fee_per_byte, existence, faucet,
        sub_key_cap, capacity_step, block_interval, offer_ttl, max_expiry, validator_bond, unbonding,
    }
}
enums! {
    Tx {
        Faucet(tx), Transfer(tx), Register(tx), Deposit(tx), TreeUpdate(tx), CloseFaulted(tx),
        Maintenance(tx), Delegate(tx), Revoke(tx), CloseByRenter(tx), ForceRevision(tx), Targeted(tx),
        Vouch(tx), Leave(tx), Candidacy(tx), Approve(tx), Resign(tx), Equivocation(tx), Censored(tx),
        Withdraw(tx),
    }
    Change { Add { node, since }, Remove { node, since } }
    VoteKind { Prevote, Precommit }
    Consensus { Solo, Bft }
    Supply { Faucet { total }, Fixed { allocation }, Mutual { allocation } }
    Op { Put(op), CloseExpired(op), DeclareLoss(op), CloseMutual(op), Reduce(op), Renew(op),
        Transfer(op), Settle(op),
    }
    Forced { Signed(revision), Acked { signed, added } }
    Reason {
        Silent, Late, Foreign, Unsigned, Crowded, Malformed, Wrong, Excused, Maintenance,
    }
    Profile { Dev, Private, Public }
}

// engine
structs! {
    PlaceShard { contract, leaf, by, sig }
    Befriend { pact, sig, addrs }
    FriendRow { name, pact, sig_guest, sig_host, addrs }
    InvitedRow { name, gives, until }
    Reduce { contract, places, reduction }
    Audit { contract, leaf, beacon, nonce, by, sig }
    AuditRow { passed, failed, silent }
    AskedRow { contract, epoch, times, faulted }
    ReadCap { contract, root, reader, expiry, by, sig, pass }
    ReadPass { node, expiry, sig }
    RevokeReader { contract, reader, until, by, sig }
    RevokingRow { until, left, told }
    Share {
        id, name, created, expiry, files, dirs, bytes, tree, reader, providers, segments, blobs,
    }
    SharedProvider { node, addrs }
    SegmentShare { manifest, outer, mask, places }
    SharedPlace { position, provider, cap }
    SharedBlob { id, key, segment, offset, len, plain_len }
    SignedShare { share, cert, sig }
    SharingCert { account, sharing_pk, sig }
    DeviceCert { account, admin_pk, device_pk, expiry, sig_account, sig_admin }
    SignedHead { key, seq, sealed, cert, sig }
    Head { seq, segments, contracts, time, name, subkey, prev, seen, dooms, revoked }
    HeadContract { contract, provider, revision, addrs, claim }
    SeenHead { device, seq }
    Revocation { device, seq, sig }
    DeviceRow { head, merged, doubted, lost, forked, revoked }
    OwnDevice { sole, dooms, since, revoked }
    SegmentEntry { class, meta, catalogue, manifest }
    HeadRow { head, gone }
    LossRow { epoch, revision, places, lost, reduction }
    LossTotals { damaged, declared }
    OwnHead { seq, named, hash }
    RentedRow { provider, signed, sig_provider, opened, tried, of, claim }
    RepairTotals { shards, bytes_read, bytes_written }
    SegmentRow {
        class, meta, code, len, shard_len, roots, holders, spooled, catalogue, listed,
        denied, dropped, of,
    }
    ShardRow { contract, leaf, index, damaged }
}
enums! {
    Request {
        Propose(signed),
        Revise { contract, puts, signed },
        Reduce(reduce),
        GetLatest { contract, have },
        GetOffers,
        PutHead(head),
        GetHeads { key, have },
        Audit(audit),
        Befriend(befriend),
        GetGift,
        Revoke(revoke),
    }
    Response {
        Signed(sig),
        Latest { signed, sig_provider, puts },
        Offers(offers),
        Gift(gift),
        Kept { seq },
        Heads(heads),
        Proof(blob),
        Revoked,
        Denied(deny),
    }
    Deny {
        Contract(refusal), NotProviding, UnknownContract, UnknownShard, SubKey, BadSignature, Stale,
        NoRoom, Disk, WrongBytes, Busy, Stranger, Revoked,
    }
    BulkHeader { Place(place), Read(cap) }
    BulkReply { Go, Ack(ack), Denied(deny) }
}

// coding
structs! {
    Place { provider, contract }
    Listing { segment, class, len, blobs }
}
enums! {
    Class { Low, Normal, High, Critical }
    BlobKind { Data, Tree, Snapshot, List, Index, Listing, Catalogue, Marks }
}

impl Make for bool {
    fn make(dice: &mut Dice<'_>) -> Self {
        dice.byte() & 1 == 1
    }
}

impl Make for u8 {
    fn make(dice: &mut Dice<'_>) -> Self {
        dice.byte()
    }
}

impl Make for u16 {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self::from_le_bytes(dice.array())
    }
}

impl Make for u32 {
    fn make(dice: &mut Dice<'_>) -> Self {
        let drawn = Self::from_le_bytes(dice.array());
        match dice.below(4) {
            0 => drawn % 24,
            1 => drawn % 1000,
            2 => drawn,
            _ => Self::MAX - drawn % 2,
        }
    }
}

impl Make for u64 {
    /// Each length that a number can have on the wire, and its bounds, come often.
    fn make(dice: &mut Dice<'_>) -> Self {
        let drawn = dice.word();
        match dice.below(8) {
            0 => drawn % 24,
            1 => drawn % 256,
            2 => drawn % (1 << 16),
            3 => drawn % (1 << 32),
            4 => Self::MAX - drawn % 2,
            5 => (1 << 63) - drawn % 2,
            _ => drawn,
        }
    }
}

impl<const N: usize> Make for [u8; N] {
    fn make(dice: &mut Dice<'_>) -> Self {
        dice.array()
    }
}

impl Make for Signature {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self(dice.array())
    }
}

/// Up to three that were spent out of turn.
impl Make for DeviceId {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self(Hash::make(dice).0)
    }
}

impl Make for Doom {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self(u64::make(dice).to_be_bytes())
    }
}

impl Make for Nonces {
    fn make(dice: &mut Dice<'_>) -> Self {
        let base = u64::make(dice) >> 1;
        let mut nonces = Self::from_base(base);
        for _ in 0..dice.index(4) {
            // One that is spent already stays so.
            nonces.spend(base + 1 + u64::from(u8::make(dice) >> 1)).ok();
        }
        nonces
    }
}

impl Make for Reveal {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self(dice.array())
    }
}

impl Make for String {
    fn make(dice: &mut Dice<'_>) -> Self {
        let letters = ['a', 'z', '/', '.', '0', 'ä', '∞', '\0'];
        let len = dice.index(20);
        (0..len)
            .filter_map(|_| dice.pick(&letters).copied())
            .collect()
    }
}

impl<A: Make, B: Make> Make for (A, B) {
    fn make(dice: &mut Dice<'_>) -> Self {
        (A::make(dice), B::make(dice))
    }
}

impl<T: Make> Make for Option<T> {
    fn make(dice: &mut Dice<'_>) -> Self {
        bool::make(dice).then(|| T::make(dice))
    }
}

impl<T: Make> Make for Box<T> {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self::new(T::make(dice))
    }
}

impl<T: Make> Make for Vec<T> {
    fn make(dice: &mut Dice<'_>) -> Self {
        let len = dice.index(4);
        (0..len).map(|_| T::make(dice)).collect()
    }
}

/// A sound leaf, now and then a hole.
impl Make for ShardLeaf {
    fn make(dice: &mut Dice<'_>) -> Self {
        if dice.once_in(8) {
            return Self::EMPTY;
        }
        Self {
            root: Make::make(dice),
            chunks: (1 + dice.below(1 << 40)) * 16,
            tag: Make::make(dice),
        }
    }
}

impl Make for ProviderRoot {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self {
            hash: Make::make(dice),
            sum: Make::make(dice),
            min_end: Make::make(dice),
        }
    }
}

/// What a reader takes; nothing says that anyone would sign it.
impl Make for ContractLeaf {
    fn make(dice: &mut Dice<'_>) -> Self {
        let used: u64 = Make::make(dice);
        let more: u64 = Make::make(dice);
        Self {
            version: 1,
            flags: dice.byte() & FLAGS,
            egress_class: Make::make(dice),
            depth: dice.byte() % 33,
            start_epoch: Make::make(dice),
            end_epoch: Make::make(dice),
            terms_version: Make::make(dice),
            contract_id: Make::make(dice),
            renter: Make::make(dice),
            content_root: Make::make(dice),
            used_chunks: used,
            capacity_chunks: used.saturating_add(more),
            rate: Make::make(dice),
            collateral: Make::make(dice),
            slash_acc: Make::make(dice),
            revision: Make::make(dice),
            egress_price: Make::make(dice),
            included_egress_chunks: Make::make(dice),
            terms_hash: Make::make(dice),
            egress_deposit: Make::make(dice),
            egress_paid: Make::make(dice),
            unpaid_at_start: Make::make(dice),
        }
    }
}

impl Make for Code {
    fn make(dice: &mut Dice<'_>) -> Self {
        let [k, r, n] = [8, 8, 8].map(|most| u16::from(dice.byte() % most));
        Self::new(1 + k, 1 + k + r + n, 1 + k + r).expect("k ≤ r ≤ n ≤ 22")
    }
}

impl Make for Manifest {
    fn make(dice: &mut Dice<'_>) -> Self {
        let (segment, code): (SegmentId, Code) = (Make::make(dice), Make::make(dice));
        let roots = (0..code.n()).map(|_| Make::make(dice)).collect();
        Self::new(segment, dice.below(1 << 40), code, roots).expect("a root for each position")
    }
}

impl Make for RepairManifest {
    fn make(dice: &mut Dice<'_>) -> Self {
        let places = Make::make(dice);
        Manifest::make(dice).repair(places)
    }
}

impl Make for IndexEntry {
    fn make(dice: &mut Dice<'_>) -> Self {
        Self {
            id: Make::make(dice),
            kind: Make::make(dice),
            offset: Make::make(dice),
            len: Make::make(dice),
            plain_len: Make::make(dice),
        }
    }
}

impl Make for BlobHeader {
    fn make(dice: &mut Dice<'_>) -> Self {
        let plain_len = 64 + u32::from(u16::make(dice));
        let compressed = Make::make(dice);
        Self {
            kind: Make::make(dice),
            compressed,
            plain_len,
            sealed_len: plain_len + 16 - if compressed { 33 } else { 0 },
            id: Make::make(dice),
            nonce: Make::make(dice),
        }
    }
}
