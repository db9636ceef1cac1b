//! What goes into the engine and what comes out of it: closed enums, grouped by subsystem. Effects
//! run in order; `Persist` is durable before anything after it. No effect returns a value: answers
//! come back as [`Input::Done`] under the operation's id. STYLE, *The engine's contract*.

use crate::head::{SegmentEntry, SignedHead};
use crate::provider::{Disks, Provide};
use crate::rows::{VolumeId, Write};
use crate::share::SharedSegment;
use crate::view::BlockInput;
use crate::wire::{BulkHeader, BulkReply, Deny, PlaceShard, ReadCap, Request, Response};
use larder_coding::layout::Code;
use larder_contracts::{ShardAck, SignedOffer};
use larder_ledger::{ProofAck, Reduction, Tx};
use larder_proofs::{Challenge, Commitment};
use larder_types::{
    AccountId, Amount, Bytes, Class, ContractId, Epoch, NodeId, SegmentId, ShardRoot, SlotNo, Time,
    TxId,
};
use std::sync::Arc;

mod commands;

pub use commands::{DeviceCommand, FriendsCommand};

/// An operation that the shell works on for the engine. Unique over one run of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// The shell's name for a peer's request or stream that awaits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// The process has started: everything that is still owed is emitted again.
    Started,
    /// [`crate::Engine::deadline`] has come.
    Tick,
    /// The ledger has applied a block.
    Block(Box<BlockInput>),
    /// An offer came by gossip or answer; nothing of it has been checked.
    Offer(SignedOffer),
    /// A peer wants something.
    Peer(PeerInput),
    /// The node's own user or backup wants something.
    Command(Command),
    /// A validator answered a proof of ours with an acknowledgement; nothing of it has been checked.
    Acked {
        /// Who answered, authenticated by the transport.
        from: NodeId,
        /// With what.
        ack: ProofAck,
    },
    /// An operation has ended.
    Done {
        /// Which.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
}

/// What a peer wants. Tokens are answered exactly once.
#[derive(Debug)]
pub enum PeerInput {
    /// A control request, with what the ledger says of the account it names.
    Request {
        /// The peer, authenticated by the transport.
        from: NodeId,
        /// Answered by [`Effect::Reply`].
        token: Token,
        /// What it asks.
        request: Request,
        /// What the renter in question can spend now.
        renter_balance: Amount,
    },
    /// The head of a bulk stream.
    Bulk {
        /// The peer, authenticated by the transport.
        from: NodeId,
        /// Answered by a [`BulkEffect`].
        token: Token,
        /// What it wants to place or read.
        header: BulkHeader,
    },
    /// What became of a [`BulkEffect::Receive`].
    Received {
        /// The stream.
        token: Token,
        /// Where the shard rests on disk, hashed and synced.
        stored: Result<VolumeId, Deny>,
    },
}

/// What the node's own side wants.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make room for about `bytes` at a class; answered by [`Notice::Prepared`].
    Prepare {
        /// The caller's name for this.
        job: u64,
        /// The class.
        class: Class,
        /// An estimate of the bytes to come.
        bytes: u64,
    },
    /// Place a sealed segment that lies in the spool; answered by [`Notice::SegmentDurable`].
    Store {
        /// The segment.
        segment: SegmentId,
        /// Its class.
        class: Class,
        /// Whether it holds metadata.
        meta: bool,
        /// Length of its ciphertext C, bytes.
        len: u64,
    },
    /// Bring a segment's ciphertext back; answered by [`Notice::SegmentReady`].
    Fetch {
        /// The segment.
        segment: SegmentId,
    },
    /// The same, but every shard that is held is read: one that is not what was stored is lost from
    /// then on. What was found says [`crate::Engine::probed`] until the segment is released.
    Probe {
        /// The segment.
        segment: SegmentId,
    },
    /// What lacks shards is repaired now, and not when it is its time.
    Repair,
    /// The fetched file is no longer needed.
    Release {
        /// The segment.
        segment: SegmentId,
    },
    /// Rent from a provider, unless it is rented from; whether it was opened,
    /// [`crate::Engine::contracts`] says.
    Rent {
        /// From whom.
        provider: NodeId,
        /// At least so much.
        size: Bytes,
    },
    /// Propose a later end for a contract; whether the provider agreed, its leaf says.
    Renew {
        /// Which.
        contract: ContractId,
    },
    /// From now on contracts may cost so much in 30 days and no more; `None`: what the account has. What
    /// is rented already stays, and is renewed as it is.
    Allow(Option<Amount>),
    /// Nothing needs these segments any more: they are not repaired, and their shards are to be taken
    /// back.
    Drop(Vec<SegmentId>),
    /// Shards are taken back, as the admin key has signed; how it stands, [`crate::Engine::dropping`] says.
    Reduce(Vec<Reduction>),
    /// Send credit; answered by [`Notice::TxQueued`].
    Send {
        /// The caller's name for this.
        job: u64,
        /// To whom.
        to: AccountId,
        /// How much.
        amount: Amount,
    },
    /// Have a transaction stand in a block that was signed elsewhere, as with the words; answered
    /// by [`Notice::TxQueued`].
    Submit {
        /// The caller's name for this.
        job: u64,
        /// It, with good signatures.
        tx: Box<Tx>,
    },
    /// Take free collateral of this node's provider back; answered by [`Notice::TxQueued`].
    Withdraw {
        /// The caller's name for this.
        job: u64,
        /// How much.
        amount: Amount,
    },
    /// Put this node forward for validator with its BLS key: as soon as its account can put the bond down,
    /// unless the ledger knows it as one.
    Stand(Box<larder_proofs::bls::SecretKey>),
    /// The addresses that peers reach this node by have changed.
    Addresses(Vec<String>),
    /// Shards of ours that the disk does not give back as they were stored: found by the scrubber,
    /// while serving or while proving.
    Damaged(Vec<ShardRoot>),
    /// What the provider's operator and its disks say.
    Provider(ProviderCommand),
    /// A catalogue segment is durable; it describes these segments.
    Listed {
        /// The catalogue.
        catalogue: SegmentId,
        /// What it lists.
        segments: Vec<SegmentId>,
    },
    /// Segments of another account that a share lets us read: they can be fetched until
    /// [`Command::Return`]. Those that are our own are fetched as such.
    Borrow(Vec<SharedSegment>),
    /// They are read no more.
    Return(Vec<SegmentId>),
    /// Take back what a reader may read under these contracts. How far that is,
    /// [`crate::Engine::revocation`] says.
    Revoke {
        /// The reader.
        reader: NodeId,
        /// When the last of its rights ends.
        until: Time,
        /// Under which contracts it has any.
        contracts: Vec<ContractId>,
    },
    /// Segments that are described in a catalogue: they are its device's. Those of the heads
    /// themselves come with [`Command::Recovered`].
    Known {
        /// The catalogue.
        catalogue: SegmentId,
        /// What it lists.
        entries: Vec<SegmentEntry>,
    },
    /// The account's devices.
    Device(DeviceCommand),
    /// What friends give each other.
    Friends(FriendsCommand),
    /// What a recovery found: from here on this device publishes heads above theirs.
    Recovered {
        /// The newest head of each device: [`crate::head::Chosen::heads`].
        heads: Vec<SignedHead>,
        /// Whether the words say that no other device is in use: then what the others looked after
        /// is this one's at once, and not only when they have not shown that they live.
        alone: bool,
    },
}

/// What a provider's operator wants, and what its disks are found to be.
#[derive(Debug, Clone)]
pub enum ProviderCommand {
    /// What is offered from now on.
    Offer(Provide),
    /// What the disks are found to be.
    Disks(Disks),
    /// Announce an absence; answered by [`Notice::TxQueued`].
    Maintain {
        /// The caller's name for this.
        job: u64,
        /// The first epoch away.
        first: Epoch,
        /// How many.
        epochs: u32,
    },
    /// Shards lie on another volume now.
    Moved {
        /// On which.
        volume: VolumeId,
        /// Which.
        roots: Vec<ShardRoot>,
    },
}

/// How an operation ended.
#[derive(Debug)]
pub enum Outcome {
    /// A peer's answer, or why there is none.
    Response(Result<Response, Unreachable>),
    /// Segment coded: the masked shards' roots, in order of position.
    Encoded(Result<Vec<ShardRoot>, JobError>),
    /// Shard placed: the provider's acknowledgement, or its refusal.
    Put(Result<ShardAck, PutError>),
    /// Shard fetched and its root verified.
    Got(Result<(), PutError>),
    /// Segment decoded.
    Decoded(Result<(), JobError>),
    /// Missing shards rebuilt into the spool: their roots, in the order asked for.
    Rebuilt(Result<Vec<ShardRoot>, JobError>),
    /// A proof made.
    Proved(Result<Vec<u8>, JobError>),
    /// A transaction or proof handed to a validator.
    Submitted(Result<(), SubmitError>),
}

/// Why a peer did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// No connection, or none in time.
    NoAnswer,
    /// It answered with something that does not decode.
    Garbage,
}

/// Why a local job failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The spool or a shard cannot be read or does not match its hash.
    #[error("{0}")]
    Damaged(String),
    /// No space left, or the disk refuses.
    #[error("{0}")]
    Disk(String),
    /// It did not end in time.
    #[error("it took too long")]
    Cancelled,
}

/// Why a shard's transfer failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutError {
    /// The provider refused.
    Refused(Deny),
    /// The provider did not answer, or broke off.
    Peer(Unreachable),
    /// The provider sent other bytes than those of the root.
    WrongBytes,
    /// Our own side failed.
    Local(JobError),
}

/// Why a validator did not take a transaction or proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// None answered.
    NoAnswer,
    /// It breaks a rule; sending it again will not help.
    Refused(String),
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Effect {
    /// Note where a peer is reached.
    Meet {
        /// Who.
        node: NodeId,
        /// Multiaddrs.
        addrs: Vec<String>,
    },
    /// One transaction of rows, durable before any later effect runs.
    Persist(Vec<Write>),
    /// Ask a peer; answered by [`Outcome::Response`].
    Request {
        /// The operation.
        op: OpId,
        /// Whom.
        to: NodeId,
        /// What.
        request: Request,
    },
    /// Answer a control request.
    Reply {
        /// Which.
        token: Token,
        /// With what.
        response: Response,
    },
    /// A bulk stream's business.
    Bulk(BulkEffect),
    /// Spread our offer.
    Publish(Box<SignedOffer>),
    /// Hand something to the validators; answered by [`Outcome::Submitted`].
    Submit {
        /// The operation.
        op: OpId,
        /// What.
        what: Submission,
    },
    /// Work for the pool; answered by the job's outcome.
    Run {
        /// The operation.
        op: OpId,
        /// The work.
        job: Job,
        /// When it is of no more use.
        deadline: Time,
    },
    /// Tell the node's own side.
    Tell(Notice),
}

/// What becomes of a peer's bulk stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEffect {
    /// Answer and end it.
    Reply {
        /// Which stream.
        token: Token,
        /// The last word.
        reply: BulkReply,
    },
    /// Take the shard in; answered by [`PeerInput::Received`].
    Receive {
        /// Which stream.
        token: Token,
        /// The root that the bytes must have.
        root: ShardRoot,
        /// Their length, 1-KiB chunks.
        chunks: u64,
    },
    /// Send the shard.
    Serve {
        /// Which stream.
        token: Token,
        /// The shard.
        root: ShardRoot,
    },
    /// Move a shard that nobody pays for any more to the trash.
    Drop {
        /// The shard.
        root: ShardRoot,
    },
}

/// What validators are handed.
#[derive(Debug, Clone)]
pub enum Submission {
    /// A transaction.
    Tx(Box<Tx>),
    /// A possession proof for one of our slots.
    Proof {
        /// The slot.
        slot: SlotNo,
        /// The ProofBlob.
        blob: Vec<u8>,
    },
}

/// Work that the pool does by calling a pure function over files. Names, never bytes.
#[derive(Debug, Clone)]
pub enum Job {
    /// Code a sealed segment in the spool into n masked shards in the spool.
    Encode {
        /// The segment.
        segment: SegmentId,
        /// The code.
        code: Code,
        /// Length of C, bytes.
        len: u64,
        /// Length of a shard, bytes.
        shard_len: u64,
    },
    /// Send one shard from the spool to a provider.
    Put {
        /// The segment.
        segment: SegmentId,
        /// The position.
        position: u16,
        /// The provider.
        to: NodeId,
        /// The stream's signed head.
        place: PlaceShard,
    },
    /// Fetch one shard into the fetch folder; its root is verified before it counts.
    Get {
        /// The segment.
        segment: SegmentId,
        /// The position.
        position: u16,
        /// The provider.
        from: NodeId,
        /// The right to read it.
        cap: ReadCap,
        /// Its length, 1-KiB chunks.
        chunks: u64,
    },
    /// Decode a segment from fetched shards.
    Decode {
        /// The segment.
        segment: SegmentId,
        /// The code.
        code: Code,
        /// Length of C, bytes.
        len: u64,
        /// Length of a shard, bytes.
        shard_len: u64,
        /// The positions at hand.
        positions: Vec<u16>,
    },
    /// Rebuild masked shards of `missing` positions from fetched ones, into the spool.
    Rebuild {
        /// The segment.
        segment: SegmentId,
        /// The code.
        code: Code,
        /// Length of a shard, bytes.
        shard_len: u64,
        /// The positions at hand, k of them.
        positions: Vec<u16>,
        /// The positions to rebuild.
        missing: Vec<u16>,
    },
    /// Answer a challenge.
    Prove {
        /// The challenge.
        challenge: Challenge,
        /// What we committed to.
        commitment: Arc<Commitment>,
    },
    /// Delete a segment's shards from the spool (`fetched`: from the fetch folder). No outcome.
    Discard {
        /// The segment.
        segment: SegmentId,
        /// Which of the two places.
        fetched: bool,
    },
}

/// What the node's own side is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Room was made, or cannot be.
    Prepared {
        /// The caller's name for it.
        job: u64,
        /// The plan, or why there is none.
        plan: Result<crate::placement::Plan, crate::renter::NoRoom>,
    },
    /// A segment's success threshold is reached.
    SegmentDurable {
        /// The segment.
        segment: SegmentId,
        /// Bytes that providers hold of it when it is whole.
        bytes_stored: u64,
    },
    /// A segment cannot be placed.
    SegmentFailed {
        /// The segment.
        segment: SegmentId,
        /// Why.
        reason: crate::renter::NoRoom,
    },
    /// A segment's ciphertext lies in the fetch folder.
    SegmentReady {
        /// The segment.
        segment: SegmentId,
    },
    /// Too few of a segment's shards can be had.
    SegmentUnavailable {
        /// The segment.
        segment: SegmentId,
        /// How many of the needed positions were reached.
        reached: u16,
        /// How many are needed.
        needed: u16,
    },
    /// Too many segments for a head stand in no catalogue: the shell is to store one
    /// ([`crate::Engine::unlisted`] says of what) and say [`Command::Listed`].
    CatalogueWanted,
    /// Another device of the account has written something, or is put out:
    /// [`crate::Engine::devices`] says what.
    DevicesChanged,
    /// Providers hold this device's head.
    HeadKept {
        /// Its number.
        seq: u64,
        /// How many of them.
        holders: u32,
    },
    /// A transfer was signed and handed on.
    TxQueued {
        /// The caller's name for it.
        job: u64,
        /// The transaction, or what is missing.
        tx: Result<TxId, crate::wallet::SendRefusal>,
    },
    /// Who invited us has answered.
    Befriended {
        /// Who.
        node: NodeId,
        /// Whether it took us.
        end: Result<(), Deny>,
    },
    /// A transaction of ours has ended.
    TxEnded {
        /// The transaction.
        tx: TxId,
        /// How.
        end: crate::wallet::TxEnd,
    },
}
