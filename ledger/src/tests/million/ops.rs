//! What the mill grinds: one more transaction, of any kind, by whoever, good or not.

use super::{HANDS, Mill, SIG};
use crate::{
    CloseFaulted, Delegate, Deposit, Loss, Maintenance, May, Op, Revoke, Transfer, TreeUpdate, Tx,
};
use larder_contracts::{Auth, Draft, SignedLeaf, Voucher, egress};
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{AccountId, Amount, Hash, Millis, NodeId, ShardRoot, SubKeyId};

impl Mill {
    /// The key that signs for an account: its own or a sub-key, authorised or not.
    pub(super) fn hand(&mut self) -> Option<SubKeyId> {
        self.dice.chance(40).then(|| self.sub_key())
    }

    pub(super) fn sub_key(&mut self) -> SubKeyId {
        let number = self.dice.below(u64::from(HANDS));
        SubKeyId([u8::try_from(number).unwrap(); 32])
    }

    pub(super) fn delegate(&mut self) -> Option<Tx> {
        self.operations += 1;
        let account = self.dice.pick(&self.accounts)?;
        let now = self.state.head().time;
        let issued = now.after(Millis(self.dice.below(20_000)));
        let cap = self.dice.chance(80).then(|| self.dice.magnitude(37));
        Some(Tx::Delegate(Delegate {
            account,
            admin: [9; 32],
            subkey: self.sub_key(),
            may: May(u8::try_from(self.dice.below(16)).unwrap()),
            cap: cap.map(Amount),
            issued,
            until: issued.after(Millis(self.dice.below(400_000))),
            sig_account: SIG,
            sig_admin: SIG,
        }))
    }

    pub(super) fn revoke(&mut self) -> Option<Tx> {
        self.operations += 1;
        Some(Tx::Revoke(Revoke {
            account: self.dice.pick(&self.accounts)?,
            admin: [9; 32],
            subkey: self.sub_key(),
            issued: self.state.head().time,
            sig_admin: SIG,
        }))
    }

    /// Every active contract with its provider.
    pub(super) fn active(&self) -> Vec<(NodeId, ContractLeaf)> {
        self.state
            .providers()
            .flat_map(|p| p.active.iter().map(|(_, leaf)| (p.node, *leaf)))
            .collect()
    }

    pub(super) fn update(&mut self, provider: NodeId, ops: Vec<Op>) -> Tx {
        self.operations += u64::try_from(ops.len()).unwrap();
        Tx::TreeUpdate(TreeUpdate {
            provider,
            epoch: self.state.epoch(),
            ops,
            sig_provider: SIG,
        })
    }

    pub(super) fn put(&mut self, leaf: ContractLeaf, auth: Option<Auth>) -> Op {
        Op::Put(SignedLeaf {
            leaf,
            auth,
            by: self.hand(),
            sig_renter: SIG,
        })
    }

    pub(super) fn open(&mut self) -> Tx {
        let (_, provider) = self.dice.pick(&self.nodes).unwrap();
        // In these tests a provider's account has its node's key.
        let own = AccountId(provider.0);
        let renter = match self.dice.chance(30) {
            true => own,
            false => self.dice.pick(&self.accounts).unwrap(),
        };
        self.drafts += 1;
        let mut nonce16 = [0; 16];
        nonce16[..8].copy_from_slice(&self.drafts.to_le_bytes());
        let start = self.state.epoch()
            + u32::try_from([1, 1, 1, 1, 2, 3, 0][usize::try_from(self.dice.below(7)).unwrap()])
                .unwrap();
        let term = u32::try_from(1 + self.dice.below(24)).unwrap();
        let mut leaf = Draft {
            provider,
            renter,
            nonce16,
            start,
            term,
            capacity_chunks: 1 << 14,
            price: Amount::from_credits(1),
            collateral_epochs: 0,
        }
        .leaf(self.state.params());
        leaf.rate = Amount(self.dice.magnitude(33).max(1));
        leaf.collateral = Amount(leaf.rate.0 * self.dice.below(9));
        leaf.egress_deposit = Amount(self.dice.magnitude(30) * self.dice.below(2));
        leaf.egress_price = Amount(self.dice.magnitude(12));
        let ahead = self.dice.below(40);
        let auth = self.auth(&renter, ahead);
        let op = self.put(leaf, Some(auth));
        self.update(provider, vec![op])
    }

    pub(super) fn content(&mut self, key: NodeId, leaf: &ContractLeaf) -> Tx {
        let mut tree = self
            .trees
            .get(&leaf.content_root)
            .cloned()
            .unwrap_or_default();
        for _ in 0..1 + self.dice.below(4) {
            let mut root = [0; 32];
            root[..8].copy_from_slice(&self.dice.roll().to_le_bytes());
            let (root, chunks, tag) = (ShardRoot(root), 16, [0; 8]);
            tree.push(ShardLeaf { root, chunks, tag }).unwrap();
        }
        let next = ContractLeaf {
            revision: leaf.revision + 1,
            depth: tree.depth(),
            content_root: tree.root(),
            used_chunks: tree.chunks(),
            ..*leaf
        };
        self.keep(tree);
        let op = self.put(next, None);
        let ops = match self.dice.chance(30) {
            true => self.owing(leaf, vec![op]),
            false => vec![op],
        };
        self.update(key, ops)
    }

    /// Trees of contracts that have ended go, so that memory stays small.
    pub(super) fn keep(&mut self, tree: ContentTree) {
        if self.trees.len() > 4_096 {
            let live: Vec<Hash> = self
                .active()
                .iter()
                .map(|(_, leaf)| leaf.content_root)
                .collect();
            self.trees.retain(|root, _| live.contains(root));
        }
        self.trees.insert(tree.root(), tree);
    }

    pub(super) fn revise_rate(&mut self, key: NodeId, leaf: &ContractLeaf) -> Tx {
        let end = leaf.end_epoch + 7 * u32::try_from(self.dice.below(3)).unwrap();
        let rate = Amount(self.dice.magnitude(34).max(1));
        let next = ContractLeaf {
            revision: leaf.revision + 1,
            start_epoch: self.state.epoch() + 1,
            end_epoch: end,
            rate,
            collateral: Amount(rate.0 * self.dice.below(6)),
            ..*leaf
        };
        let ahead = self.dice.below(40);
        let auth = self.auth(&leaf.renter, ahead);
        let op = self.put(next, Some(auth));
        self.update(key, vec![op])
    }

    /// An operation on a contract, and what its reader owes beside it, mostly no more than it costs.
    pub(super) fn owing(&mut self, leaf: &ContractLeaf, mut ops: Vec<Op>) -> Vec<Op> {
        let bytes = self.dice.magnitude(40);
        let most = egress(leaf.egress_price, bytes).0;
        let nonce = u64::from(leaf.start_epoch) + u64::from(self.dice.chance(5));
        let (_, provider) = self.dice.pick(&self.nodes).unwrap();
        let holder = self.state.contract(&leaf.contract_id).map(|c| c.1);
        ops.push(Op::Settle(Box::new(Voucher {
            provider: holder.unwrap_or(provider),
            reader: leaf.renter,
            contract: leaf.contract_id,
            bytes_total: bytes,
            credits_total: Amount(most.saturating_sub(self.dice.below(9)) + self.dice.below(2)),
            nonce,
            by: self.hand(),
            sig_reader: SIG,
        })));
        ops
    }

    pub(super) fn lose(&mut self, key: NodeId, leaf: &ContractLeaf) -> Option<Tx> {
        let mut tree = self.trees.get(&leaf.content_root)?.clone();
        let held: Vec<u32> = (0u32..)
            .zip(tree.leaves())
            .filter(|(_, shard)| !shard.is_empty())
            .map(|(index, _)| index)
            .collect();
        let lost = held
            .iter()
            .filter(|_| self.dice.chance(40))
            .copied()
            .take(64);
        let lost: std::collections::BTreeSet<u32> = lost.collect();
        let shards = tree.lost_shards(&lost)?;
        for index in &lost {
            tree.clear(*index);
        }
        self.keep(tree);
        let loss = Loss {
            contract: leaf.contract_id,
            revision: leaf.revision + 2,
            shards,
        };
        Some(self.update(key, vec![Op::DeclareLoss(loss)]))
    }

    /// One more transaction, of any kind.
    pub(super) fn next(&mut self, active: &[(NodeId, ContractLeaf)]) -> Option<Tx> {
        let old: Vec<usize> = (0..self.old.len()).collect();
        let kind = self.dice.below(100);
        let one = self.dice.pick(active);
        match (kind, one) {
            (0..4, _) => self.of_validators(),
            (4..20, _) => {
                self.operations += 1;
                let from = self.dice.pick(&self.accounts)?;
                let to = self.dice.pick(&self.accounts)?;
                let amount = Amount(self.dice.magnitude(37));
                let ahead = self.dice.below(60);
                let auth = self.auth(&from, ahead);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::Transfer(Transfer {
                    from,
                    to,
                    amount,
                    auth,
                    by,
                    sig,
                }))
            }
            (20..30, _) => {
                self.operations += 1;
                let again = self.dice.pick(&old)?;
                self.old.get(again).cloned()
            }
            (30..33, _) => {
                self.operations += 1;
                let (_, provider) = self.dice.pick(&self.nodes)?;
                let from = self.dice.pick(&self.accounts)?;
                let amount = Amount(self.dice.magnitude(36));
                let auth = self.auth(&from, 0);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::Deposit(Deposit {
                    provider,
                    from,
                    amount,
                    auth,
                    by,
                    sig,
                }))
            }
            (33, _) => {
                self.operations += 1;
                let (_, provider) = self.dice.pick(&self.nodes)?;
                let first = self.state.epoch() + 1 + u32::try_from(self.dice.below(4)).unwrap();
                let epochs = 1 + u32::try_from(self.dice.below(4)).unwrap();
                Some(Tx::Maintenance(Maintenance {
                    provider,
                    first,
                    epochs,
                    sig_provider: SIG,
                }))
            }
            (34..37, _) => self.delegate(),
            (37, _) => self.revoke(),
            (38..55, _) | (_, None) => Some(self.open()),
            (55..70, Some((key, leaf))) => Some(self.content(key, &leaf)),
            (70..80, Some((key, leaf))) => Some(self.revise_rate(key, &leaf)),
            (80..84, Some((key, leaf))) => self.lose(key, &leaf),
            (84..90, Some((_, leaf))) => {
                self.operations += 1;
                let expiry = self.state.head().height + 50;
                let (contract, renter) = (leaf.contract_id, leaf.renter);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::CloseFaulted(CloseFaulted {
                    contract,
                    renter,
                    expiry,
                    by,
                    sig,
                }))
            }
            (_, Some((key, leaf))) => {
                Some(self.update(key, vec![Op::CloseExpired(leaf.contract_id)]))
            }
        }
    }
}
