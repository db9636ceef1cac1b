//! What every part of the engine is handed: who we are, where the chain stands, the randomness,
//! and where effects go.

use crate::head::DeviceCert;
use crate::io::{Effect, Job, Notice, OpId, Submission};
use crate::ops::{Ops, Pending};
use crate::rows::Write;
use crate::view::BlockInput;
use crate::wire::{Deny, Request};
use larder_keys::{AccountSigner, RecoveryKeys, Signer};
use larder_ledger::{Account, Deed, Delegate, May, SubKeys};
use larder_types::{
    AccountId, Amount, Epoch, GenesisHash, Hash, Millis, NodeId, Params, Schedule, SubKeyId, Time,
};
use rand_core::Rng;
use std::collections::VecDeque;

/// Who the node is, and on which network. Keys sign here: ed25519 is deterministic and cheap.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The network.
    pub genesis: GenesisHash,
    /// Its parameters.
    pub params: Params,
    /// Its calendar.
    pub schedule: Schedule,
    /// The node key: provider id and libp2p identity.
    pub node_key: Signer,
    /// What signs for the account: a ledger sub-key; the account key only while the words are at
    /// hand, in a recovery.
    pub ledger_key: AccountSigner,
    /// What authorises the sub-key: submitted until the ledger shows it.
    pub delegation: Option<Delegate>,
    /// The device key: it signs heads.
    pub device_key: Signer,
    /// Its certificate; without one the node publishes no head.
    pub cert: Option<DeviceCert>,
    /// The name and the seal of the account's heads.
    pub recovery: RecoveryKeys,
}

impl Identity {
    /// The node's id.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node_key.node()
    }

    /// The account's id.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.ledger_key.account()
    }
}

/// Where the chain stands, as far as we have applied it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) height: u64,
    pub(crate) epoch: Epoch,
    /// Whether a block has been seen since the start.
    pub(crate) live: bool,
    pub(crate) account: Option<Account>,
    /// Every account's sub-keys.
    pub(crate) subkeys: SubKeys,
    /// Whether the ledger takes our key's word.
    pub(crate) authorised: bool,
    /// Whether it knows us as a validator or a candidate.
    pub(crate) is_on_roll: bool,
    /// What our key may still spend in this epoch; `None`: all there is.
    pub(crate) left: Option<Amount>,
    /// When its newest block was made.
    pub(crate) time: Time,
    /// The newest beacons, the newest last.
    pub(crate) beacons: VecDeque<Hash>,
}

/// Beacons that are remembered: who is asked may be some slots ahead of, or behind, who asks.
const MAX_BEACONS: usize = 4;

impl Chain {
    /// A block was applied.
    pub(crate) fn follow(&mut self, me: &Identity, block: &BlockInput) {
        self.height = block.height;
        self.epoch = block.epoch;
        self.live = true;
        self.account.clone_from(&block.account);
        self.subkeys.clone_from(&block.subkeys);
        let (account, by) = (me.account(), me.ledger_key.by());
        let key = by.and_then(|by| self.subkeys.get(&account, &by));
        let until = key.map(|key| key.until);
        self.authorised = by.is_none() || until.is_some_and(|until| block.time < until);
        self.left = key.and_then(|key| Some(key.cap?.saturating_sub(key.spent_in(block.epoch))));
        self.is_on_roll = block.is_on_roll;
        self.time = block.time;
        if let Some(beacon) = block.beacon
            && self.beacons.back() != Some(&beacon)
        {
            self.beacons.push_back(beacon);
            let old = self.beacons.len().saturating_sub(MAX_BEACONS);
            self.beacons.drain(..old);
        }
    }

    /// Whether what we know of the chain is of now: each slot makes a block, and the last two
    /// cannot both have been without one.
    pub(crate) fn is_current(&self, params: &Params, now: Time) -> bool {
        let slot = params.epoch.0 / u64::from(params.slots.max(1));
        self.live && now <= self.time.after(Millis(2 * slot))
    }
}

/// One step's surroundings.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Time,
    pub(crate) rng: &'a mut dyn Rng,
    pub(crate) me: &'a Identity,
    pub(crate) chain: &'a Chain,
    pub(crate) ops: &'a mut Ops,
    pub(crate) out: &'a mut Vec<Effect>,
}

impl Ctx<'_> {
    pub(crate) fn persist(&mut self, rows: Vec<Write>) {
        if !rows.is_empty() {
            self.out.push(Effect::Persist(rows));
        }
    }

    pub(crate) fn request(&mut self, to: NodeId, request: Request, what: Pending) -> OpId {
        let op = self.ops.begin(what);
        self.out.push(Effect::Request { op, to, request });
        op
    }

    pub(crate) fn run(&mut self, job: Job, deadline: Time, what: Pending) -> OpId {
        let op = self.ops.begin(what);
        self.out.push(Effect::Run { op, job, deadline });
        op
    }

    pub(crate) fn submit(&mut self, submission: Submission, what: Pending) -> OpId {
        let op = self.ops.begin(what);
        self.out.push(Effect::Submit {
            op,
            what: submission,
        });
        op
    }

    /// Whether the ledger takes a signature for `account` by `by`, as far as we have followed it.
    pub(crate) fn permit(
        &self,
        (account, by): (&AccountId, Option<SubKeyId>),
        need: May,
        amount: Amount,
    ) -> Result<(), Deny> {
        let deed = Deed {
            need,
            amount,
            epoch: self.chain.epoch,
            time: self.now,
        };
        let permitted = self.chain.subkeys.permit(account, by, &deed);
        permitted.map_err(|_| Deny::SubKey)
    }

    pub(crate) fn discard(&mut self, segment: larder_types::SegmentId, fetched: bool) {
        let op = self.ops.unanswered();
        let deadline = self.now.after(Millis::from_secs(600));
        self.out.push(Effect::Run {
            op,
            job: Job::Discard { segment, fetched },
            deadline,
        });
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        self.out.push(Effect::Tell(notice));
    }
}

/// Waiting longer after each failure in a row: half a second, doubled up to a minute.
pub(crate) fn backoff(fails: u32) -> Millis {
    Millis((500u64 << fails.min(7)).min(60_000))
}

/// The earlier of two moments that may not come.
pub(crate) fn sooner(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
