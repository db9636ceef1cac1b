//! The ledger's state: what every node holds after each block, read here, advanced by
//! [`State::apply`]. Serialising it gives a snapshot; its root covers accounts and provider records,
//! each of which can be shown alone ([`State::prove_account`]), and all the rest as one hash.
//! `docs/protocol.md` §3.3, §3.5, §3.8.

use crate::buckets::Buckets;
use crate::check::Place;
use crate::deal::Deal;
use crate::provider::Provider;
use crate::targeted::Target;
use crate::validator::Roll;
use crate::{
    Account, Authority, Consensus, Deed, Genesis, GenesisError, Handover, Left, Line, May, Op,
    SubKeyError, SubKeys, Supply, pairs,
};
use larder_contracts::life::{EXPIRING, Stage};
use larder_contracts::{Remains, SignedLeaf, Voucher};
use larder_proofs::{ContractLeaf, Roots, StateProof, ValidatorSet};
use larder_types::{
    AccountId, Amount, BlockHash, ContractId, Epoch, GenesisHash, Hash, NodeId, Params, Schedule,
    SlotNo, Time, codec,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// 0 before the first block.
    pub height: u64,
    /// Before the first block, the genesis hash.
    pub hash: BlockHash,
    /// Before the first block, the genesis' start.
    pub time: Time,
}

/// A slot of this epoch that a block opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opened {
    pub(crate) slot: SlotNo,
    #[serde(with = "serde_bytes")]
    pub(crate) beacon: [u8; 32],
}

/// What waits for the epoch's end for one contract.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The highest revision put.
    pub put: Option<SignedLeaf>,
    /// Whether to remove it if it has ended.
    pub close: bool,
    /// What of it was declared lost.
    pub loss: Option<Lost>,
    /// Whether its renter ends it, as its provider is FAULTED.
    pub fault: bool,
    /// Whether both sides end it.
    pub mutual: bool,
    /// Whether it goes on for another term.
    pub renews: bool,
    /// Where it moves.
    pub handover: Option<Box<Handover>>,
    /// Whether `put` may take back what the contract promises.
    pub reduces: bool,
    /// What a reader owes: of several the one that owes most.
    pub voucher: Option<Box<Voucher>>,
}

/// A declared loss, checked against the active content root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// What is left.
    pub remains: Remains,
    /// The places of what is not.
    pub indices: Vec<u32>,
}

/// One provider's pending operations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Queue(#[serde(with = "pairs")] pub(crate) BTreeMap<ContractId, Pending>);

/// Where a contract is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seat {
    /// The provider's index.
    pub(crate) provider: u32,
    /// The leaf's place in its tree.
    pub(crate) place: u32,
}

/// What contracts are found by: the half of their id that tells the parties. So each account has one
/// contract with a provider at a time. The leaf has the whole id.
pub(crate) type SeatKey = [u8; 16];

/// Under which key a contract's seat lies.
pub(crate) fn seat_key(id: &ContractId) -> SeatKey {
    let (key, _) = id.0.split_first_chunk().expect("an id has 32 bytes");
    *key
}

/// The whole ledger after one block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) genesis: GenesisHash,
    pub(crate) start: Time,
    pub(crate) params: Params,
    pub(crate) founder: AccountId,
    pub(crate) supply: Amount,
    /// Whether accounts may go below zero.
    pub(crate) is_mutual: bool,
    pub(crate) consensus: Consensus,
    /// Who makes the next block.
    pub(crate) validators: Arc<ValidatorSet>,
    /// What is known of each of them, of candidates, and of those that were.
    pub(crate) roll: Arc<Roll>,
    /// Has what of the newest block's fees is not burned.
    pub(crate) payee: AccountId,
    pub(crate) head: Head,
    pub(crate) epoch: Epoch,
    /// The newest beacon.
    #[serde(with = "serde_bytes")]
    pub(crate) beacon: [u8; 32],
    /// The first beacon of this epoch: it deals the slots.
    #[serde(with = "serde_bytes")]
    pub(crate) epoch_beacon: [u8; 32],
    /// The newest slot opened, ever.
    pub(crate) last_slot: Option<SlotNo>,
    /// This epoch's open slots, in order.
    pub(crate) opened: Vec<Opened>,
    /// This epoch's slots with a verdict batch.
    pub(crate) judged: BTreeSet<SlotNo>,
    pub(crate) accounts: Buckets<AccountId, Account>,
    pub(crate) subkeys: SubKeys,
    /// How far accounts may go below zero, and are.
    pub(crate) lines: Buckets<AccountId, Line>,
    /// What each guarantor has set aside, by the member that it vouches for.
    pub(crate) vouches: Buckets<(AccountId, AccountId), Amount>,
    /// What is kept of accounts that have left.
    pub(crate) left: Buckets<AccountId, Left>,
    /// Contracts that end because their renters gave notice, and when.
    #[serde(with = "pairs")]
    pub(crate) notices: BTreeMap<ContractId, Epoch>,
    /// Questions for single contracts, by the epoch in which they are asked.
    #[serde(with = "pairs")]
    pub(crate) targets: BTreeMap<(Epoch, ContractId), Target>,
    /// Contracts that are faulted by themselves, and since when.
    #[serde(with = "pairs")]
    pub(crate) lost_alone: BTreeMap<ContractId, Epoch>,
    pub(crate) providers: Buckets<NodeId, Provider>,
    /// Providers by index.
    pub(crate) registered: Arc<Vec<NodeId>>,
    pub(crate) contracts: Buckets<SeatKey, Seat>,
    pub(crate) pending: Buckets<NodeId, Queue>,
    /// Which slot asks whom: follows from the rest.
    #[serde(skip)]
    pub(crate) deal: Deal,
    pub(crate) burned: Amount,
}

impl State {
    /// The state before the first block: the founder holds everything.
    ///
    /// # Errors
    /// [`GenesisError`] if no network can begin like this.
    pub fn genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        genesis.check()?;
        let validators = Arc::new(genesis.set()?);
        let roll = Arc::new(Roll::founding(&validators, genesis.founder));
        let hash = genesis.hash();
        let (shares, owed) = genesis.supply.opening(genesis.founder);
        let mut state = Self {
            genesis: hash,
            start: genesis.start,
            params: genesis.params.clone(),
            founder: genesis.founder,
            supply: genesis.supply.total().unwrap_or_default(),
            is_mutual: matches!(genesis.supply, Supply::Mutual { .. }),
            consensus: genesis.consensus,
            validators,
            roll,
            payee: genesis.founder,
            head: Head {
                height: 0,
                hash: BlockHash(hash.0),
                time: genesis.start,
            },
            epoch: 0,
            beacon: hash.0,
            epoch_beacon: hash.0,
            last_slot: None,
            opened: Vec::new(),
            judged: BTreeSet::new(),
            accounts: [(genesis.founder, Account::default())]
                .into_iter()
                .collect(),
            subkeys: SubKeys::default(),
            lines: Buckets::default(),
            vouches: Buckets::default(),
            left: Buckets::default(),
            notices: BTreeMap::new(),
            targets: BTreeMap::new(),
            lost_alone: BTreeMap::new(),
            providers: Buckets::default(),
            registered: Arc::default(),
            contracts: Buckets::default(),
            pending: Buckets::default(),
            deal: Deal::default(),
            burned: Amount::ZERO,
        };
        for (id, share) in shares {
            state.endow(&id, share);
        }
        if owed > Amount::ZERO {
            let limit = Amount::ZERO;
            state
                .lines
                .insert(genesis.founder, Line { limit, debt: owed });
        }
        Ok(state)
    }

    /// The newest block.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The epoch of the newest block.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest beacon.
    #[must_use]
    pub const fn beacon(&self) -> &[u8; 32] {
        &self.beacon
    }

    /// The network's calendar.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.start, &self.params)
    }

    /// The network's rules.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The network.
    #[must_use]
    pub const fn genesis_hash(&self) -> GenesisHash {
        self.genesis
    }

    /// Who held the supply at first; the faucet's source.
    #[must_use]
    pub const fn founder(&self) -> AccountId {
        self.founder
    }

    /// Who may make the next block.
    #[must_use]
    pub fn authority(&self) -> Authority {
        Authority {
            genesis: self.genesis,
            validators: Arc::clone(&self.validators),
        }
    }

    /// How blocks are put in order.
    #[must_use]
    pub const fn consensus(&self) -> Consensus {
        self.consensus
    }

    /// Who makes the next block.
    #[must_use]
    pub const fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }

    /// Who makes the next block in a round of consensus.
    #[must_use]
    pub fn proposer(&self, round: u32) -> NodeId {
        let height = self.head.height.saturating_add(1);
        self.validators.proposer(height, round).node
    }

    /// An account's record, if it has one.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The sub-keys that accounts have authorised.
    #[must_use]
    pub const fn sub_keys(&self) -> &SubKeys {
        &self.subkeys
    }

    /// Whether the key that signed a leaf may put it, as things stand at `time` in `epoch`; what
    /// it spends aside.
    pub(crate) fn permit_put(
        &self,
        signed: &SignedLeaf,
        epoch: Epoch,
        time: Time,
    ) -> Result<(), SubKeyError> {
        let active = self.contract(&signed.leaf.contract_id).map(|c| c.2);
        let deed = Deed {
            need: verbs(active, &signed.leaf),
            amount: Amount::ZERO,
            epoch,
            time,
        };
        self.subkeys.permit(&signed.leaf.renter, signed.by, &deed)
    }

    /// An account's balance; nothing if it has no record.
    #[must_use]
    pub fn balance(&self, id: &AccountId) -> Amount {
        self.account(id)
            .map_or(Amount::ZERO, |account| account.balance)
    }

    /// The least unspent nonce of an account that is at least `from`.
    #[must_use]
    pub fn free_nonce(&self, id: &AccountId, from: u64) -> Option<u64> {
        self.account(id)
            .map(|account| account.nonces)
            .unwrap_or_default()
            .free(from)
    }

    /// A provider's record.
    #[must_use]
    pub fn provider(&self, id: &NodeId) -> Option<&Provider> {
        self.providers.get(id)
    }

    /// Every provider, by id.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// An active contract: its place in its provider's tree, the provider, the leaf.
    #[must_use]
    pub fn contract(&self, id: &ContractId) -> Option<(u32, NodeId, &ContractLeaf)> {
        let Seat { provider, place } = *self.contracts.get(&seat_key(id))?;
        let provider = self.indexed(provider)?;
        let leaf = provider.active.get(place)?;
        (leaf.contract_id == *id).then_some((place, provider.node, leaf))
    }

    /// The provider of this index.
    pub(crate) fn indexed(&self, index: u32) -> Option<&Provider> {
        let node = self.registered.get(usize::try_from(index).ok()?)?;
        self.provider(node)
    }

    /// Where an active contract is in its life; nothing if it is not active.
    #[must_use]
    pub fn stage(&self, id: &ContractId) -> Option<Stage> {
        let (_, provider, leaf) = self.contract(id)?;
        let record = self.provider(&provider)?;
        let is_faulted = record.faulted.is_some() || self.faulted_alone(id).is_some();
        Some(match leaf.end_epoch.checked_sub(self.epoch) {
            _ if is_faulted => Stage::Faulted,
            None | Some(0) => Stage::Ended,
            Some(left) if left <= EXPIRING => Stage::Expiring,
            Some(_) if record.consecutive_misses() >= 2 => Stage::Suspect,
            Some(_) => Stage::Active,
        })
    }

    /// The active contracts that an account pays for.
    pub fn contracts_of(
        &self,
        renter: &AccountId,
    ) -> impl Iterator<Item = (u32, NodeId, &ContractLeaf)> {
        let renter = *renter;
        self.providers()
            .flat_map(|p| p.active.iter().map(|(index, leaf)| (index, p.node, leaf)))
            .filter(move |(_, _, leaf)| leaf.renter == renter)
    }

    /// What waits for the epoch's end for one contract of a provider.
    #[must_use]
    pub fn pending(&self, provider: &NodeId, contract: &ContractId) -> Option<&Pending> {
        self.pending.get(provider)?.0.get(contract)
    }

    pub(crate) fn pending_count(&self, provider: &NodeId) -> usize {
        self.pending.get(provider).map_or(0, |queue| queue.0.len())
    }

    /// What a declared loss leaves of its active contract. `None` for other operations, and for
    /// shards that are not in the active tree.
    pub(crate) fn lost(&self, op: &Op) -> Option<Lost> {
        let Op::DeclareLoss(loss) = op else {
            return None;
        };
        let (_, _, leaf) = self.contract(&loss.contract)?;
        Some(Lost {
            remains: loss.remains(leaf).ok()?,
            indices: loss.shards.iter().map(|shard| shard.index).collect(),
        })
    }

    /// Whether an operation is newer than what is active or pending. What no key of the renter's
    /// may put is not: it would only keep out what the renter did sign.
    pub(crate) fn is_new(&self, provider: &NodeId, op: &Op, place: Place) -> bool {
        let id = op.contract_id();
        let active = self.contract(&id);
        if active.is_some_and(|(_, holder, _)| holder != *provider) {
            return false;
        }
        let pending = self.pending(provider, &id);
        let is_newer = |signed: &SignedLeaf| {
            let newest = active.map(|(_, _, leaf)| leaf.revision).max(
                pending
                    .and_then(|p| p.put.as_ref())
                    .map(|put| put.leaf.revision),
            );
            newest.is_none_or(|newest| signed.leaf.revision > newest)
                && self.permit_put(signed, place.epoch, place.time).is_ok()
        };
        match op {
            Op::Put(signed) => is_newer(signed),
            Op::Reduce(reduction) => active.is_some() && is_newer(&reduction.signed),
            Op::Renew(_) => active.is_some() && pending.is_none_or(|p| !p.renews),
            Op::Transfer(_) => active.is_some() && pending.is_none_or(|p| p.handover.is_none()),
            Op::Settle(voucher) => {
                let waits = pending.and_then(|p| p.voucher.as_ref());
                let paid = active.map(|(_, _, leaf)| leaf.egress_paid);
                paid.is_some_and(|paid| voucher.credits_total > paid)
                    && waits.is_none_or(|waits| voucher.credits_total > waits.credits_total)
            }
            Op::CloseMutual(_) => active.is_some() && pending.is_none_or(|p| !p.mutual),
            Op::CloseExpired(_) => active.is_some() && pending.is_none_or(|p| !p.close),
            Op::DeclareLoss(loss) => {
                // Once an epoch and contract: paths are long, and nobody pays for them.
                pending.is_none_or(|p| p.loss.is_none())
                    && active.is_some_and(|(_, _, leaf)| loss.revision > leaf.revision)
            }
        }
    }

    /// All credit there is, by definition.
    #[must_use]
    pub const fn supply(&self) -> Amount {
        self.supply
    }

    /// Credit burned as fees.
    #[must_use]
    pub const fn burned(&self) -> Amount {
        self.burned
    }

    /// All credit there is, by counting: accounts, what is set aside for others, provider records,
    /// validators' bonds, burned. Equal to the supply and what is owed.
    #[must_use]
    pub fn total_credit(&self) -> u128 {
        let burned = u128::from(self.burned.0);
        let bonds = self.roll.credit();
        [
            self.vouches.credit(),
            self.providers.credit(),
            bonds,
            burned,
        ]
        .into_iter()
        .fold(self.accounts.credit(), u128::saturating_add)
    }

    /// What accounts owe together: nothing, unless credit is mutual.
    #[must_use]
    pub fn total_owed(&self) -> u128 {
        self.lines.credit()
    }

    /// Whether accounts may go below zero.
    #[must_use]
    pub const fn is_mutual(&self) -> bool {
        self.is_mutual
    }

    /// Over the maps of accounts and of providers, and the hash of all else; costs what has changed
    /// since it was last asked for. The head's hash is not in it: a header holds both.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.roots().state_root()
    }

    /// What the root is made of.
    #[must_use]
    pub fn roots(&self) -> Roots {
        Roots {
            accounts: self.accounts.part().hash(),
            providers: self.providers.part().hash(),
            rest: self.rest(),
        }
    }

    /// An account's record, or that it has none, with the way up to the state's root.
    #[must_use]
    pub fn prove_account(&self, id: &AccountId) -> StateProof {
        let (value, path) = self.accounts.prove(id);
        let roots = self.roots();
        StateProof { value, path, roots }
    }

    /// A provider's record, or that it has none, with the way up to the state's root.
    #[must_use]
    pub fn prove_provider(&self, id: &NodeId) -> StateProof {
        let (value, path) = self.providers.prove(id);
        let roots = self.roots();
        StateProof { value, path, roots }
    }

    /// BLAKE3 over sub-keys, pending operations, the calendar's position and all else that is not shown
    /// piece by piece.
    fn rest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("larder v1 state rest");
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
        };
        put(&self.genesis.0);
        put(&self.validators.hash().0);
        put(&self.roll.digest().0);
        put(&codec::encode(&(
            self.head.height,
            self.head.time,
            self.epoch,
            self.last_slot,
        )));
        put(&self.beacon);
        put(&self.epoch_beacon);
        put(&codec::encode(&(&self.opened, &self.judged, self.burned)));
        put(&codec::encode(&(
            self.notices.iter().collect::<Vec<_>>(),
            self.targets.iter().collect::<Vec<_>>(),
            self.lost_alone.iter().collect::<Vec<_>>(),
        )));
        put(&self.subkeys.digest().0);
        put(&self.lines.digest().0);
        put(&self.vouches.digest().0);
        put(&self.left.digest().0);
        put(&self.pending.digest().0);
        Hash(*hasher.finalize().as_bytes())
    }
}

/// What a sub-key must be allowed to turn the `active` leaf of a contract into `new`.
#[must_use]
pub fn verbs(active: Option<&ContractLeaf>, new: &ContractLeaf) -> May {
    let Some(old) = active else {
        return May::OPEN;
    };
    let renews = new.end_epoch > old.end_epoch;
    let adds = new.capacity_chunks > old.capacity_chunks || new.content_root != old.content_root;
    match (renews, adds) {
        (true, true) => May::RENEW.and(May::ADD),
        (true, false) => May::RENEW,
        (false, _) => May::ADD,
    }
}
