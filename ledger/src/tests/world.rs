//! A small network for tests: its keys, its validator's state, and a second node that applies
//! every block from its bytes.

use crate::mempool::Limits;
use crate::movement::net;
use crate::propose::{due, has_reason};
use crate::{
    AdmitError, Admitted, Applied, Block, Cause, CloseFaulted, Consensus, Delegate, Event, Faucet,
    Founding, Genesis, Grant, Loss, Maintenance, Mempool, Movement, Op, ProofsPool, Proposer,
    Provider, Register, Revoke, Skip, State, SubKey, SubKeys, Supply, Transfer, TreeUpdate, Tx,
    Verified, verify,
};
use larder_contracts::{Auth, Draft, SignedLeaf};
use larder_keys::{AccountSigner, Signer, Tag};
use larder_proofs::bls::SecretKey;
use larder_proofs::{Challenge, ContentTree, ContractLeaf, ShardLeaf, VerifyError};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Amount, ContractId, Epoch, GenesisHash, Hash, Millis, NodeId, Params, Profile,
    SubKeyId, Time, codec,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const START: Time = Time(1_000_000);

pub(super) struct World {
    pub(super) state: State,
    pub(super) mempool: Mempool,
    pub(super) pool: ProofsPool,
    pub(super) now: Time,
    pub(super) blocks: Vec<Block>,
    pub(super) events: Vec<Event>,
    /// Providers that do not answer.
    pub(super) silent: BTreeSet<NodeId>,
    /// Contracts whose own questions are not answered.
    pub(super) deaf: BTreeSet<ContractId>,
    /// Contracts whose own questions get a false answer.
    pub(super) false_targets: BTreeSet<ContractId>,
    /// Providers whose proofs are false.
    pub(super) liars: BTreeSet<NodeId>,
    /// Every content tree there was, by its root.
    pub(super) trees: BTreeMap<Hash, ContentTree>,
    /// The newest leaf signed for each contract.
    pub(super) signed: BTreeMap<ContractId, SignedLeaf>,
    /// The sub-keys by which accounts sign; the others sign themselves.
    pub(super) hands: BTreeMap<u8, AccountSigner>,
    /// Transactions that the mempool refused.
    pub(super) refused: u32,
    /// Those who may come to make blocks, by their node keys.
    pub(super) proposers: BTreeMap<NodeId, Proposer>,
    drafts: u8,
}

pub(super) fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

/// The account of this seed, by its own key.
pub(super) fn owner(seed: u8) -> AccountSigner {
    AccountSigner::own(signer(seed))
}

/// Its admin key.
pub(super) fn admin(seed: u8) -> Signer {
    signer(seed + 100)
}

/// The id of the sub-key of this seed.
pub(super) fn sub_key(seed: u8) -> SubKeyId {
    SubKeyId(signer(seed).public())
}

pub(super) fn dev() -> Params {
    Params::profile(Profile::Dev).with_epoch(Millis(8_000))
}

pub(super) fn genesis(params: Params) -> Genesis {
    let founder = signer(1).account();
    Genesis {
        version: crate::VERSION,
        network: "test".into(),
        start: START,
        supply: Supply::to_founder(founder, Amount::from_credits(1_000_000), &params),
        params,
        founder,
        consensus: Consensus::Solo,
        validators: vec![Founding::new(
            signer(2).node(),
            &SecretKey::from_seed(&[3; 32]),
        )],
        nonce: [4; 32],
    }
}

/// The BLS key of the validator of this seed.
pub(super) fn bls(seed: u8) -> SecretKey {
    let seed = if seed == 2 { 3 } else { seed };
    SecretKey::from_seed(&[seed; 32])
}

/// A network of several validators.
pub(super) fn genesis_of(params: Params, validators: &[u8]) -> Genesis {
    let founding = |seed: &u8| Founding::new(signer(*seed).node(), &bls(*seed));
    let mut validators: Vec<Founding> = validators.iter().map(founding).collect();
    validators.sort_by_key(|founding| founding.node);
    Genesis {
        consensus: Consensus::Bft,
        validators,
        ..genesis(params)
    }
}

/// A signed answer to `challenge` that shows nothing.
pub(super) fn false_proof(challenge: &Challenge, node: &Signer, net: &GenesisHash) -> Vec<u8> {
    let mut blob = Layout::new()
        .fixed(b"DSP1")
        .u32(challenge.provider_index)
        .u64(challenge.slot_no)
        .fixed(challenge.beacon)
        .u8(challenge.c)
        .fixed(challenge.active.hash)
        .fixed([0; 4])
        .finish();
    let sig = node.sign(Tag("proof"), net, &blob);
    blob.extend(sig.0);
    blob
}

impl World {
    pub(super) fn new(params: Params) -> Self {
        Self::of(&genesis(params))
    }

    /// The network that begins with this document.
    pub(super) fn of(document: &Genesis) -> Self {
        let state = State::genesis(document).unwrap();
        let proposer = |seed| Proposer::candidate(signer(seed), bls(seed));
        let seeds = std::iter::once(2).chain(60..70);
        let proposers = seeds.map(proposer).map(|p| (p.node(), p)).collect();
        Self {
            mempool: Mempool::new(Limits::default()),
            pool: ProofsPool::new(START),
            now: START,
            blocks: Vec::new(),
            events: Vec::new(),
            silent: BTreeSet::new(),
            liars: BTreeSet::new(),
            deaf: BTreeSet::new(),
            false_targets: BTreeSet::new(),
            trees: BTreeMap::new(),
            signed: BTreeMap::new(),
            hands: BTreeMap::new(),
            state,
            refused: 0,
            proposers,
            drafts: 0,
        }
    }

    /// With these accounts granted and these providers registered, and one block made.
    pub(super) fn with(params: Params, renters: &[u8], providers: &[u8]) -> Self {
        let mut world = Self::new(params);
        for account in renters {
            world.submit(Tx::Faucet(Faucet::sign(
                &owner(*account),
                &world.state.genesis_hash(),
            )));
        }
        for node in providers {
            world.submit(world.register(*node, Amount::ZERO));
        }
        world.block();
        world
    }

    pub(super) fn register(&self, node: u8, collateral: Amount) -> Tx {
        let account = self.hand(node);
        let auth = self.auth(&account.account());
        let net = self.state.genesis_hash();
        Tx::Register(Register::sign(
            &signer(node),
            &account,
            collateral,
            auth,
            &net,
        ))
    }

    pub(super) fn auth(&self, account: &AccountId) -> Auth {
        Auth {
            nonce: self.state.free_nonce(account, 0).unwrap(),
            expiry: self.state.head().height + 1_000,
        }
    }

    pub(super) fn transfer(&self, from: u8, to: u8, amount: Amount) -> Tx {
        let auth = self.auth(&signer(from).account());
        let (from, to) = (self.hand(from), signer(to).account());
        Tx::Transfer(Transfer::sign(
            &from,
            to,
            amount,
            auth,
            &self.state.genesis_hash(),
        ))
    }

    /// The key by which an account signs.
    pub(super) fn hand(&self, account: u8) -> AccountSigner {
        let own = || owner(account);
        self.hands.get(&account).cloned().unwrap_or_else(own)
    }

    /// From now on the sub-key `key` signs for `account`.
    pub(super) fn hand_to(&mut self, account: u8, key: u8) {
        let hand = AccountSigner::sub(signer(account).account(), signer(key));
        self.hands.insert(account, hand);
    }

    pub(super) fn delegate(&self, account: u8, key: u8, grant: Grant) -> Tx {
        let net = self.state.genesis_hash();
        let (own, admin) = (signer(account), admin(account));
        Tx::Delegate(Delegate::sign(&own, &admin, sub_key(key), grant, &net))
    }

    pub(super) fn revoke(&self, account: u8, key: u8, issued: Time) -> Tx {
        let (net, account, admin) = (
            self.state.genesis_hash(),
            signer(account).account(),
            admin(account),
        );
        Tx::Revoke(Revoke::sign(account, &admin, sub_key(key), issued, &net))
    }

    /// A sub-key's record.
    pub(super) fn sub_key(&self, account: u8, key: u8) -> Option<&SubKey> {
        let account = signer(account).account();
        self.state.sub_keys().get(&account, &sub_key(key))
    }

    pub(super) fn admit(&mut self, tx: Tx) -> Result<Admitted, AdmitError> {
        let tx = verify::tx(&self.state.genesis_hash(), tx).unwrap();
        self.mempool.admit(tx, &self.state, self.now)
    }

    pub(super) fn submit(&mut self, tx: Tx) {
        self.admit(tx).unwrap();
    }

    /// Submits what may well be refused.
    pub(super) fn attempt(&mut self, tx: Tx) {
        if self.admit(tx).is_err() {
            self.refused += 1;
        }
    }

    /// A draft that starts with the next epoch.
    pub(super) fn draft(&mut self, provider: u8, renter: u8, term: u32) -> ContractLeaf {
        self.drafts += 1;
        Draft {
            provider: signer(provider).node(),
            renter: signer(renter).account(),
            nonce16: [self.drafts; 16],
            start: self.state.epoch() + 1,
            term,
            capacity_chunks: 1 << 16,
            price: Amount::from_credits(100),
            collateral_epochs: 0,
        }
        .leaf(self.state.params())
    }

    pub(super) fn sign(
        &mut self,
        provider: u8,
        leaf: ContractLeaf,
        renter: u8,
        auth: Option<Auth>,
    ) -> Op {
        let (provider, renter) = (signer(provider).node(), self.hand(renter));
        let net = self.state.genesis_hash();
        let signed = SignedLeaf::sign(leaf, auth, &provider, &renter, &net);
        self.signed.insert(leaf.contract_id, signed.clone());
        Op::Put(signed)
    }

    pub(super) fn update(&self, provider: u8, ops: Vec<Op>) -> Tx {
        let net = self.state.genesis_hash();
        Tx::TreeUpdate(TreeUpdate::sign(
            &signer(provider),
            self.state.epoch(),
            ops,
            &net,
        ))
    }

    /// Drafts, signs and posts an Open.
    pub(super) fn open(&mut self, provider: u8, renter: u8, term: u32) -> ContractLeaf {
        let leaf = self.draft(provider, renter, term);
        // A nonce of its own, as the ones before may still wait for the boundary.
        let nonce = u64::from(self.drafts);
        let auth = Auth {
            nonce,
            ..self.auth(&leaf.renter)
        };
        let op = self.sign(provider, leaf, renter, Some(auth));
        self.submit(self.update(provider, vec![op]));
        leaf
    }

    /// The tree that a leaf commits to.
    pub(super) fn tree(&self, leaf: &ContractLeaf) -> ContentTree {
        self.trees
            .get(&leaf.content_root)
            .cloned()
            .unwrap_or_default()
    }

    /// Signs the next revision of an active contract, with `shards` more shards of 16 chunks.
    pub(super) fn fill(
        &mut self,
        provider: u8,
        leaf: &ContractLeaf,
        renter: u8,
        shards: u8,
    ) -> (ContractLeaf, Op) {
        let mut tree = self.tree(leaf);
        for _ in 0..shards {
            let number = tree.leaves().len().to_le_bytes();
            let root = larder_types::ShardRoot([number[0].wrapping_add(1); 32]);
            let (chunks, tag) = (16, [0; 8]);
            tree.push(ShardLeaf { root, chunks, tag }).unwrap();
        }
        let next = ContractLeaf {
            revision: leaf.revision + 1,
            depth: tree.depth(),
            content_root: tree.root(),
            used_chunks: tree.chunks(),
            ..*leaf
        };
        self.trees.insert(tree.root(), tree);
        (next, self.sign(provider, next, renter, None))
    }

    /// Declares shards of an active contract lost, as its provider.
    pub(super) fn declare(&mut self, leaf: &ContractLeaf, lost: &[u32], revision: u64) -> Loss {
        let mut tree = self.tree(leaf);
        let shards = tree.lost_shards(&lost.iter().copied().collect()).unwrap();
        for index in lost {
            tree.clear(*index);
        }
        self.trees.insert(tree.root(), tree);
        Loss {
            contract: leaf.contract_id,
            revision,
            shards,
        }
    }

    pub(super) fn close_faulted(&self, leaf: &ContractLeaf, renter: u8) -> Tx {
        let (renter, expiry) = (self.hand(renter), self.state.head().height + 1_000);
        let net = self.state.genesis_hash();
        Tx::CloseFaulted(CloseFaulted::sign(&renter, leaf.contract_id, expiry, &net))
    }

    /// Announces an absence.
    pub(super) fn maintenance(&self, node: u8, first: Epoch, epochs: u32) -> Tx {
        let net = self.state.genesis_hash();
        Tx::Maintenance(Maintenance::sign(&signer(node), first, epochs, &net))
    }

    /// A provider's record.
    pub(super) fn record(&self, node: u8) -> &Provider {
        self.state.provider(&signer(node).node()).unwrap()
    }

    /// An active contract's leaf.
    pub(super) fn leaf(&self, contract: &ContractId) -> Option<ContractLeaf> {
        self.state.contract(contract).map(|(_, _, leaf)| *leaf)
    }

    /// Why operations were skipped, in order.
    pub(super) fn skipped(&self) -> Vec<Skip> {
        let why = |event: &Event| {
            let Event::Skipped { why, .. } = event else {
                return None;
            };
            Some(*why)
        };
        self.events.iter().filter_map(why).collect()
    }

    /// Lets time pass to `to`, making every block that is owed on the way.
    pub(super) fn run_to(&mut self, to: Time) {
        loop {
            self.answer();
            let at = due(&self.state, &self.mempool, self.now).max(self.now);
            if at > to {
                break;
            }
            self.now = at;
            if has_reason(&self.state, &self.mempool, self.now) {
                self.block();
            }
        }
        self.now = to;
    }

    /// To shortly after the beginning of epoch `e`.
    pub(super) fn run_to_epoch(&mut self, e: Epoch) {
        self.run_to(self.state.schedule().epoch_start(e).after(Millis(1)));
    }

    /// Makes a block now, or as soon as allowed.
    pub(super) fn block(&mut self) {
        self.now = self.now.max(self.state.earliest_block());
        let made = self.propose(0);
        self.commit(&made);
    }

    /// The block of whoever's turn it is in this round.
    pub(super) fn propose(&self, round: u32) -> Verified<Block> {
        let proposer = &self.proposers[&self.state.proposer(round)];
        let made = proposer.make(&self.state, &self.mempool, &self.pool, round, self.now);
        made.unwrap()
    }

    pub(super) fn commit(&mut self, made: &Verified<Block>) {
        let (epoch, before) = (self.state.epoch(), self.state.sub_keys().clone());
        let state = self.state.clone();
        let events = self.state.apply(made).unwrap();
        check_movements(&Applied {
            before: &state,
            after: &self.state,
            block: made.get(),
            stamps: made.stamps(),
            events: &events,
        });
        self.events.extend(events);
        self.blocks.push(made.get().clone());
        self.mempool.prune(&self.state, self.now);
        self.pool.prune(&self.state);
        self.check_claims(epoch != self.state.epoch());
        self.check_caps(&before);
    }

    /// Every provider that is asked and not silent proves.
    pub(super) fn answer(&mut self) {
        let nodes: Vec<NodeId> = self.state.providers().map(|p| p.node).collect();
        for node in nodes.iter().filter(|node| !self.silent.contains(node)) {
            let Ok(challenge) = self.pool.accept(&self.state, node, &[], self.now) else {
                continue;
            };
            let (blob, result) = match self.liars.contains(node) {
                true => self.lie(&challenge),
                false => (node.0.to_vec(), Ok(())),
            };
            self.pool.record(&challenge, blob, &result);
        }
        for node in &nodes {
            if !self.silent.contains(node) {
                self.answer_targets(node);
            }
        }
    }

    /// Answers the questions for single contracts, unless it is deaf to them.
    fn answer_targets(&mut self, node: &NodeId) {
        for (contract, asked) in self.state.targeted_for(node) {
            if self.deaf.contains(&contract) {
                continue;
            }
            let (blob, result) = match self.false_targets.contains(&contract) {
                true => self.lie(&asked),
                false => ([&[0; 16], &asked.beacon[..]].concat(), Ok(())),
            };
            if let Ok(challenge) = self.pool.accept(&self.state, node, &blob, self.now) {
                assert_eq!(challenge, asked);
                self.pool.record(&challenge, blob, &result);
            }
        }
    }

    /// A false proof, signed, and what its check gives.
    pub(super) fn lie(&self, challenge: &Challenge) -> (Vec<u8>, Result<(), VerifyError>) {
        let mut seeds = 0..=u8::MAX;
        let liar = seeds.find(|seed| signer(*seed).node() == challenge.provider);
        let net = self.state.genesis_hash();
        let blob = false_proof(challenge, &signer(liar.unwrap()), &net);
        let result = larder_proofs::verify(&blob, challenge, &net);
        assert!(result.as_ref().is_err_and(VerifyError::is_fault));
        (blob, result)
    }

    /// What renters may claim is covered; right after a boundary it is exactly the escrow.
    fn check_claims(&self, boundary: bool) {
        for p in self.state.providers() {
            let leaves = || p.active.iter().map(|(_, leaf)| leaf);
            let held: Amount = leaves().map(|leaf| p.remaining_collateral(leaf)).sum();
            assert!(
                // Rounding: less than a nano a contract. `docs/protocol.md` §3.4.
                held.0 <= p.locked.0 + leaves().count() as u64,
                "{held} of collateral claimed, {} locked",
                p.locked
            );
            let collateral: Amount = leaves().map(|leaf| leaf.collateral).sum();
            assert_eq!(Some(collateral), p.locked.checked_add(p.slashed));
            if boundary {
                let claims: Amount = leaves()
                    .map(|leaf| p.claim(leaf, self.state.epoch()).unwrap())
                    .sum();
                assert_eq!(claims, p.escrow, "claims differ from escrow");
            }
        }
        let (counted, owed) = (self.state.total_credit(), self.state.total_owed());
        assert_eq!(counted, u128::from(self.state.supply().0) + owed);
    }

    /// No sub-key has spent more since `before` than its cap allows.
    fn check_caps(&self, before: &SubKeys) {
        let epoch = self.state.epoch();
        for ((account, id), key) in self.state.sub_keys().iter() {
            let spent = key.spent_in(epoch);
            let was = before.get(account, id).map(|key| key.spent_in(epoch));
            assert!(
                was.unwrap_or_default() == spent || key.cap.is_none_or(|cap| spent <= cap),
                "{spent} spent, the cap is {:?}",
                key.cap
            );
        }
    }

    pub(super) fn balance(&self, account: u8) -> Amount {
        self.state.balance(&signer(account).account())
    }

    /// Replays every block from its bytes at a fresh node, and a snapshot's round trip.
    pub(super) fn check_replay(&self, params: Params) {
        self.check_replay_of(&genesis(params));
    }

    /// The same in the network that begins with this document.
    pub(super) fn check_replay_of(&self, document: &Genesis) {
        let mut other = State::genesis(document).unwrap();
        for block in &self.blocks {
            let bytes = codec::encode(block);
            let block = codec::decode::<Block>(&bytes).unwrap();
            let block = verify::block(&other.authority(), block).unwrap();
            other.apply(&block).unwrap();
            other = codec::decode(&codec::encode(&other)).unwrap();
        }
        assert_eq!(other.root(), self.state.root());
        assert_eq!(other, self.state);
    }
}

/// What is told of a block adds up to what it did to each account; fees come to its maker alone.
fn check_movements(applied: &Applied<'_>) {
    let Applied { before, after, .. } = applied;
    let told = applied.movements(|_| true);
    let ids = before.accounts.iter().chain(after.accounts.iter());
    for id in ids.map(|(id, _)| *id).collect::<BTreeSet<_>>() {
        let ours: Vec<_> = told.iter().filter(|m| m.account == id).collect();
        let sum: i128 = ours.iter().map(|m| m.signed()).sum();
        assert_eq!(sum, net(after, &id) - net(before, &id), "{id}: {ours:?}");
        let paid = |m: &&Movement| m.cause == Cause::Fee && m.is_in;
        assert!(!ours.iter().any(paid) || id == after.payee, "{ours:?}");
        let only = applied.movements(|account| *account == id);
        assert!(only.iter().eq(ours), "{id}: {only:?}");
    }
}
