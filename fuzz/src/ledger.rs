//! `State::apply`, driven by whoever signs: renters and providers that sign anything, and a
//! validator that puts it into blocks and gives any verdicts. Whatever they do, no credit is made
//! or lost, what may be claimed is there, and a block that is refused changes nothing.
//! `docs/protocol.md` §3.3–3.6, §3.12.

mod keys;
mod seats;

use crate::bend::{bend, bent, false_proof, shards};
use crate::examples::{START, signer};
use crate::rules::document;
use crate::{Dice, Make};
use larder_contracts::{Auth, Draft, SignedLeaf, Tally, Voucher, egress, extend, revise};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::block::{tx_root, verdict_root};
use larder_ledger::check::Place;
use larder_ledger::{
    ApplyError, Block, CloseFaulted, Deposit, Event, Evidence, Faucet, Header, Leave, Loss,
    Maintenance, Op, Reason, Register, State, Transfer, TreeUpdate, Tx, Verdict, VerdictBatch,
    Vouch, Withdraw, verify,
};
use larder_proofs::{ContentTree, ContractLeaf, Single};
use larder_types::{AccountId, Amount, ContractId, Epoch, Hash, Millis, NodeId, Time, codec};
use std::collections::{BTreeMap, BTreeSet};

/// Seeds of the renters' keys.
pub(crate) const RENTERS: [u8; 2] = [40, 41];
/// Seeds of the providers' keys.
pub(crate) const PROVIDERS: [u8; 2] = [50, 51];
/// Seeds of the keys to which renters delegate.
const DEVICES: [u8; 2] = [60, 61];
/// Most that one input does.
const MOST_ACTS: usize = 200;

/// What a validator says of proofs: verdicts, and the false proofs behind its FAILs.
type Said = (Vec<VerdictBatch>, Vec<Evidence>);

struct World {
    state: State,
    now: Time,
    /// What the next block holds.
    txs: Vec<Tx>,
    /// What blocks held: it may come again.
    old: Vec<Tx>,
    /// Every content tree there was, by its root.
    trees: BTreeMap<Hash, ContentTree>,
    drafts: u8,
    events: Vec<Event>,
}

/// A history that `bytes` choose.
pub fn apply(bytes: &[u8]) {
    drop(history(bytes));
}

/// The same: what happened in it, and the state at its end.
#[must_use]
pub fn history(bytes: &[u8]) -> (Vec<Event>, State) {
    let mut dice = Dice::of(bytes);
    let mut world = World::new(&mut dice);
    for _ in 0..MOST_ACTS {
        if dice.is_empty() {
            break;
        }
        world.act(&mut dice);
    }
    world.block(&mut dice);
    (world.events, world.state)
}

/// Random histories: long enough for contracts to open, change, fail and end.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..2u64)
        .map(|n| {
            let mut bytes = vec![0; 3_000];
            Dice::noise("apply", n).fill(&mut bytes);
            bytes
        })
        .collect()
}

/// An account by its own key.
fn own(seed: u8) -> AccountSigner {
    AccountSigner::own(signer(seed))
}

impl World {
    fn new(dice: &mut Dice<'_>) -> Self {
        let state = State::genesis(&document(dice)).expect("a sound genesis");
        let mut world = Self {
            state,
            now: START,
            txs: Vec::new(),
            old: Vec::new(),
            trees: BTreeMap::new(),
            drafts: 0,
            events: Vec::new(),
        };
        let net = world.state.genesis_hash();
        if world.state.params().faucet.is_some() {
            for seed in RENTERS.into_iter().chain(PROVIDERS) {
                world.txs.push(Tx::Faucet(Faucet::sign(&own(seed), &net)));
            }
        }
        world.block(dice);
        for seed in PROVIDERS {
            let collateral = Amount::from_credits(50);
            let auth = world.auth(&signer(seed).account(), 0);
            let register = Register::sign(&signer(seed), &own(seed), collateral, auth, &net);
            world.txs.push(Tx::Register(register));
        }
        world.block(dice);
        world
    }

    fn act(&mut self, dice: &mut Dice<'_>) {
        match dice.below(8) {
            0 => {
                let tx = self.of_accounts(dice);
                self.txs.push(tx);
            }
            1..=3 => {
                let node = self.provider(dice);
                let ops = (0..=dice.below(3))
                    .filter_map(|_| self.op(&node, dice))
                    .collect();
                self.update(&node, ops, dice);
            }
            4 => {
                if let Some(tx) = dice.pick(&self.old) {
                    self.txs.push(tx.clone());
                }
            }
            5 => {
                let epochs = if dice.once_in(16) { dice.below(4) } else { 0 };
                self.now = self.now.after(Millis(8_000 * epochs));
            }
            _ => {
                self.now = self.now.after(Millis(20 * u64::from(dice.byte())));
                self.block(dice);
            }
        }
    }

    /// A renter, by its own key or by a device's.
    fn renter(&self, dice: &mut Dice<'_>) -> AccountSigner {
        let key = signer(RENTERS[dice.index(RENTERS.len())]);
        match dice.below(4) {
            0 => AccountSigner::sub(key.account(), signer(DEVICES[dice.index(DEVICES.len())])),
            _ => AccountSigner::own(key),
        }
    }

    fn provider(&self, dice: &mut Dice<'_>) -> Signer {
        signer(PROVIDERS[dice.index(PROVIDERS.len())])
    }

    /// A nonce that is free, or some way from it.
    fn auth(&self, account: &AccountId, ahead: u64) -> Auth {
        let first = self.state.free_nonce(account, 0).unwrap_or(0);
        Auth {
            nonce: first.saturating_add(ahead),
            expiry: self.state.head().height.saturating_add(1_000),
        }
    }

    fn any_auth(&self, account: &AccountId, dice: &mut Dice<'_>) -> Auth {
        match dice.below(8) {
            0 => Make::make(dice),
            _ => self.auth(account, dice.below(4)),
        }
    }

    /// Some part of what an account has, all of it, more, or anything.
    fn amount(&self, account: &AccountId, dice: &mut Dice<'_>) -> Amount {
        let balance = self.state.balance(account).0;
        Amount(match dice.below(5) {
            0 => balance,
            1 => balance.saturating_add(1),
            2 => Make::make(dice),
            _ => dice.below(balance.max(1)),
        })
    }

    fn of_accounts(&self, dice: &mut Dice<'_>) -> Tx {
        let net = self.state.genesis_hash();
        let (from, node) = (self.renter(dice), self.provider(dice));
        let account = from.account();
        let (auth, amount) = (self.any_auth(&account, dice), self.amount(&account, dice));
        match dice.below(20) {
            10..=18 => self.of_validators(&from, auth, dice),
            19 => {
                let own = AccountSigner::own(node.clone());
                let auth = self.any_auth(&own.account(), dice);
                let free = self.state.provider(&node.node()).map(|p| p.free);
                let amount = Amount(dice.below(free.unwrap_or_default().0.saturating_add(2)));
                Tx::Withdraw(Withdraw::sign(node.node(), &own, amount, auth, &net))
            }
            8 => {
                let member = self.renter(dice).account();
                Tx::Vouch(Vouch::sign(&from, member, amount, auth, &net))
            }
            9 => {
                let leaves = signer(RENTERS[dice.index(RENTERS.len())]);
                let to = self.renter(dice).account();
                Tx::Leave(Leave::sign(&leaves, to, auth, &net))
            }
            0 => Tx::Faucet(Faucet::sign(&own(dice.byte()), &net)),
            1 => Tx::Transfer(Transfer::sign(
                &from,
                self.renter(dice).account(),
                amount,
                auth,
                &net,
            )),
            2 => {
                let node = signer(dice.byte());
                Tx::Register(Register::sign(&node, &from, amount, auth, &net))
            }
            3 => Tx::Deposit(Deposit::sign(node.node(), &from, amount, auth, &net)),
            4 | 5 => self.of_keys(dice),
            6 => {
                let first = self.state.epoch().saturating_add(Make::make(dice));
                let epochs = u32::from(dice.byte() % 5);
                Tx::Maintenance(Maintenance::sign(&node, first, epochs, &net))
            }
            _ => {
                let contract = self
                    .contract(dice)
                    .map_or_else(|| ContractId(dice.array()), |(_, leaf)| leaf.contract_id);
                Tx::CloseFaulted(CloseFaulted::sign(&from, contract, auth.expiry, &net))
            }
        }
    }

    /// An active contract.
    fn contract(&self, dice: &mut Dice<'_>) -> Option<(NodeId, ContractLeaf)> {
        let all: Vec<_> = self
            .state
            .providers()
            .flat_map(|p| p.active.iter().map(|(_, leaf)| (p.node, *leaf)))
            .collect();
        dice.pick(&all).copied()
    }

    fn tree(&self, leaf: &ContractLeaf) -> ContentTree {
        let tree = self.trees.get(&leaf.content_root);
        tree.cloned().unwrap_or_default()
    }

    fn op(&mut self, node: &Signer, dice: &mut Dice<'_>) -> Option<Op> {
        match dice.below(18) {
            0..=3 => {
                let leaf = self.draft(node, dice);
                Some(self.put(node, leaf, true, dice))
            }
            4..=7 => {
                let (_, leaf) = self.contract(dice)?;
                let (next, tree) = revise(&leaf, &self.tree(&leaf), &shards(dice)).ok()?;
                self.trees.insert(tree.root(), tree);
                Some(self.put(node, next, false, dice))
            }
            8..=9 => {
                let (_, leaf) = self.contract(dice)?;
                let capacity = leaf.capacity_chunks.saturating_mul(1 + dice.below(3));
                let (price, start) = (Amount(1 << 30), self.state.epoch().saturating_add(1));
                let next = extend(&leaf, capacity, price, 2, start, self.state.params()).ok()?;
                Some(self.put(node, next, true, dice))
            }
            10..=11 => {
                let (_, leaf) = self.contract(dice)?;
                Some(Op::CloseExpired(leaf.contract_id))
            }
            12..=14 => {
                let (_, leaf) = self.contract(dice)?;
                self.loss(&leaf, dice).map(Op::DeclareLoss)
            }
            15..=16 => {
                let (_, leaf) = self.contract(dice)?;
                Some(self.owed(node, &leaf, dice))
            }
            _ => Some(Op::make(dice)),
        }
    }

    /// A voucher, by the contract's renter or by another, now and then for too much.
    fn owed(&self, node: &Signer, leaf: &ContractLeaf, dice: &mut Dice<'_>) -> Op {
        let bytes = Make::make(dice);
        let most = egress(leaf.egress_price, bytes).0;
        let credits = Amount(match dice.below(8) {
            0 => most.saturating_add(1),
            _ => dice.below(most.max(1)),
        });
        let reader = self.key_of(&leaf.renter, dice);
        let start = leaf.start_epoch.saturating_sub(u32::from(dice.once_in(8)));
        let (net, tally) = (self.state.genesis_hash(), Tally { bytes, credits });
        let voucher = Voucher::sign(&reader, node.node(), leaf.contract_id, start, tally, &net);
        Op::Settle(Box::new(voucher))
    }

    fn draft(&mut self, node: &Signer, dice: &mut Dice<'_>) -> ContractLeaf {
        self.drafts = self.drafts.wrapping_add(1);
        let leaf = Draft {
            provider: node.node(),
            renter: self.renter(dice).account(),
            nonce16: [self.drafts; 16],
            start: self.state.epoch().saturating_add(1),
            term: 1 + u32::from(dice.byte() % 30),
            capacity_chunks: 1 << dice.below(20),
            price: Amount(1 << dice.below(50)),
            collateral_epochs: u32::from(dice.byte() % 40),
        }
        .leaf(self.state.params());
        ContractLeaf {
            egress_price: Amount(dice.below(1_000)),
            egress_deposit: Amount(dice.below(1 << 30)),
            ..leaf
        }
    }

    /// A renter's own key, now and then another's or a device's.
    fn key_of(&self, renter: &AccountId, dice: &mut Dice<'_>) -> AccountSigner {
        let any = self.renter(dice);
        let own = RENTERS
            .map(own)
            .into_iter()
            .find(|key| key.account() == *renter);
        own.filter(|_| !dice.once_in(4)).unwrap_or(any)
    }

    /// Signs a leaf, now and then a bent one or with a key that is not the renter's.
    fn put(&self, node: &Signer, mut leaf: ContractLeaf, moves: bool, dice: &mut Dice<'_>) -> Op {
        if dice.once_in(4) {
            bend(&mut leaf, dice);
        }
        let auth = (moves != dice.once_in(8)).then(|| self.any_auth(&leaf.renter, dice));
        let key = self.key_of(&leaf.renter, dice);
        let net = self.state.genesis_hash();
        Op::Put(SignedLeaf::sign(leaf, auth, &node.node(), &key, &net))
    }

    fn loss(&mut self, leaf: &ContractLeaf, dice: &mut Dice<'_>) -> Option<Loss> {
        let mut tree = self.tree(leaf);
        let lost: BTreeSet<u32> = (0..8).filter(|_| dice.once_in(2)).collect();
        let mut shards = tree.lost_shards(&lost)?;
        for index in &lost {
            tree.clear(*index);
        }
        self.trees.insert(tree.root(), tree);
        if dice.once_in(4) {
            let which = dice.index(shards.len());
            let shard = shards.get_mut(which)?;
            match dice.below(4) {
                0 => shard.index = Make::make(dice),
                1 => shard.leaf = Make::make(dice),
                2 => shard.path = Make::make(dice),
                _ => drop(shard.path.pop()),
            }
        }
        let revision = match dice.below(4) {
            0 => Make::make(dice),
            _ => leaf.revision.saturating_add(1 + dice.below(3)),
        };
        Some(Loss {
            contract: leaf.contract_id,
            revision,
            shards,
        })
    }

    fn update(&mut self, node: &Signer, ops: Vec<Op>, dice: &mut Dice<'_>) {
        let epoch = match dice.below(16) {
            0 => Epoch::make(dice),
            _ => self.state.schedule().epoch_at(self.now),
        };
        let net = self.state.genesis_hash();
        let update = TreeUpdate::sign(node, epoch, ops, &net);
        self.txs.push(Tx::TreeUpdate(update));
    }

    /// Makes the blocks that are owed: one that opens a slot, if one has begun, and one of what
    /// waits. (Apart, because a reveal takes long to check, and what waits may take many tries.)
    fn block(&mut self, dice: &mut Dice<'_>) {
        self.now = self.now.max(self.state.earliest_block());
        if self.state.slot_to_open(self.now).is_some() {
            let waiting = std::mem::take(&mut self.txs);
            self.make(dice);
            self.txs = waiting;
        }
        if !self.txs.is_empty() {
            self.make(dice);
        }
    }

    /// Makes a block of what waits. Transactions that cannot be included are thrown out one by one,
    /// as a validator's block would be refused for them.
    fn make(&mut self, dice: &mut Dice<'_>) {
        self.now = self.now.max(self.state.earliest_block());
        let net = self.state.genesis_hash();
        let mut txs = std::mem::take(&mut self.txs);
        // What does not decode or is not signed never comes this far.
        txs.retain(|tx| {
            let read = codec::decode::<Tx>(&codec::encode(tx));
            read.is_ok_and(|tx| verify::tx(&net, tx).is_ok())
        });
        let place = Place {
            height: self.state.head().height.saturating_add(1),
            epoch: self.state.epoch(),
            time: self.now,
        };
        // Most of what breaks a rule is left out beforehand, as at a mempool; not all, so that
        // blocks come that hold such.
        txs.retain(|tx| dice.once_in(8) || self.state.check(tx, place).is_ok());
        let said = self.verdicts(dice);
        let slot = self.state.slot_to_open(self.now);
        let (_, bls) = self.maker();
        let reveal = slot.map(|slot| Single::next(self.state.beacon(), &net, slot, &bls).1);
        let mut header = Header {
            height: self.state.head().height.saturating_add(1),
            round: 0,
            time: self.now,
            prev: self.state.head().hash,
            proposer: self.state.proposer(0),
            validators: self.state.validators().hash(),
            next_validators: self.state.validators().hash(),
            epoch: self.state.schedule().epoch_at(self.now),
            slot,
            beacon: reveal,
            tx_root: Hash::default(),
            verdict_root: verdict_root(&said.0, &said.1),
            state_root: Hash::default(),
        };
        if dice.once_in(16) {
            self.refuse(bent(header.clone(), dice), &txs, &said);
        }
        // At most once for each transaction, once for the root, once for the validators, and once for good.
        for _ in 0..txs.len().saturating_add(3) {
            header.tx_root = tx_root(&txs);
            match self.try_apply(header.clone(), &txs, &said) {
                Ok(events) => {
                    let began = |e: &Event| matches!(e, Event::EpochBegan { .. });
                    self.check(events.iter().any(began));
                    self.events.extend(events);
                    self.old.extend(txs);
                    return;
                }
                Err(ApplyError::Tx { index, .. }) => drop(txs.remove(index)),
                Err(ApplyError::StateRoot { got, .. }) => header.state_root = got,
                Err(ApplyError::NextValidators { got, .. }) => header.next_validators = got,
                // Verdicts that do not fit; the next block has others.
                Err(
                    ApplyError::NotOwed(_)
                    | ApplyError::Coverage { .. }
                    | ApplyError::Evidence { .. },
                ) => return,
                Err(other) => panic!("a block as it should be: {other}"),
            }
        }
        panic!("a block that never fits");
    }

    fn sealed(&self, header: Header, txs: &[Tx], said: &Said) -> Block {
        Block {
            sig: header.sign(&self.maker().0, &self.state.genesis_hash()),
            header,
            txs: txs.to_vec(),
            verdicts: said.0.clone(),
            evidence: said.1.clone(),
        }
    }

    fn try_apply(
        &mut self,
        header: Header,
        txs: &[Tx],
        said: &Said,
    ) -> Result<Vec<Event>, ApplyError> {
        let block = self.sealed(header, txs, said);
        let block = verify::block(&self.state.authority(), block).expect("all of it is signed");
        let before = self.state.clone();
        let applied = self.state.apply(&block);
        assert!(
            applied.is_ok() || self.state == before,
            "a block that is refused changes nothing"
        );
        applied
    }

    /// A block with a bent header is refused, by the signature's check or by the state.
    fn refuse(&mut self, header: Header, txs: &[Tx], said: &Said) {
        let block = self.sealed(header, txs, said);
        if let Ok(block) = verify::block(&self.state.authority(), block) {
            let before = self.state.clone();
            assert!(
                self.state.apply(&block).is_err(),
                "a block with a false root"
            );
            assert!(
                self.state == before,
                "a block that is refused changes nothing"
            );
        }
    }

    /// Any verdicts on the slots that are owed some, with the evidence for those that need it; now
    /// and then too little or too much.
    fn verdicts(&self, dice: &mut Dice<'_>) -> Said {
        let mut said = Said::default();
        for slot in self.state.slots_to_judge(self.now) {
            let asked = self.state.slot_providers(slot);
            let results: Vec<Option<Reason>> = asked.iter().map(|_| Make::make(dice)).collect();
            for (provider, result) in asked.iter().zip(&results) {
                if result.is_some_and(|reason| reason.verdict() == Verdict::Fail) {
                    said.1.extend(self.evidence(&provider.node, dice));
                }
            }
            said.0.push(VerdictBatch {
                slot,
                results,
                targeted: Vec::new(),
                proofs_root: Make::make(dice),
            });
        }
        match dice.below(32) {
            0 => said.0.push(Make::make(dice)),
            1 => drop(said.0.pop()),
            2 => said.0.extend(said.0.first().cloned()),
            3 => said.1.push(Make::make(dice)),
            4 => drop(said.1.pop()),
            _ => {}
        }
        said
    }

    /// What a provider signed that is no proof: the challenge's header and anything after it.
    fn evidence(&self, provider: &NodeId, dice: &mut Dice<'_>) -> Option<Evidence> {
        let challenge = self.state.challenge_for(provider)?;
        let mut keys = PROVIDERS.map(signer).into_iter();
        let key = keys.find(|key| key.node() == *provider)?;
        let mut blob = false_proof(&challenge, dice.word(), &key, &self.state.genesis_hash());
        if dice.once_in(8) {
            blob.push(0);
        }
        Some(Evidence {
            slot: challenge.slot_no,
            provider: *provider,
            blob,
        })
    }

    /// What must hold after every block. What renters may claim is reckoned at an epoch's beginning.
    fn check(&self, began: bool) {
        let state = &self.state;
        assert_eq!(
            state.total_credit(),
            u128::from(state.supply().0) + state.total_owed(),
            "credit was made or lost"
        );
        assert!(state.is_mutual() || state.total_owed() == 0);
        for p in state.providers() {
            let leaves = || p.active.iter().map(|(_, leaf)| leaf);
            let pledged: Amount = leaves().map(|leaf| p.remaining_collateral(leaf)).sum();
            // Rounding: less than a nano a contract. `docs/protocol.md` §3.4.
            let dust = u64::try_from(leaves().count()).unwrap_or(u64::MAX);
            assert!(
                pledged <= p.locked.checked_add(Amount(dust)).unwrap_or(p.locked),
                "{pledged} pledged, {} locked",
                p.locked
            );
            let claims = leaves().filter_map(|leaf| p.claim(leaf, state.epoch()));
            let claims: Amount = claims.sum();
            assert!(
                !began || claims <= p.escrow,
                "{claims} claimed, {} in escrow",
                p.escrow
            );
        }
        if state.head().height.is_multiple_of(8) {
            let bytes = codec::encode(state);
            let again: State = codec::decode(&bytes).expect("a snapshot reads back");
            assert!(again == *state, "a snapshot says the same");
        }
    }
}
