//! A contract's tree, where it did not come about by revisions of ours alone: after a crash between
//! provider and us, after a declared loss, and in a recovery, which begins with none. The provider
//! shows its list page by page; it is believed if its root is that of a leaf that both signed, or of
//! the leaf that is active on the ledger, which needs no signature. Then the positions follow.
//! `docs/protocol.md` §3.3 *The contract's tree at both ends*.

use super::Renter;
use super::lease::Lease;
use super::uploads::Position;
use crate::ctx::Ctx;
use crate::io::Unreachable;
use crate::rows::Write;
use crate::wallet::Wallet;
use crate::wire::{Deny, MAX_LEAVES, Response};
use larder_contracts::Revision;
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{AccountId, ContractId, GenesisHash, SegmentId, ShardRoot};
use std::collections::{BTreeMap, BTreeSet};

/// Most places of a tree that is taken from a provider: 16 TiB in shards of 16 MiB.
const MAX_TREE: usize = 1 << 20;

/// What a provider has shown of its list so far, where one answer does not hold it.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Whether it begins at the first leaf; else it goes on where ours ends.
    anew: bool,
    leaves: Vec<ShardLeaf>,
}

impl Pages {
    /// How many leaves the next page comes after.
    pub(crate) fn have(&self, ours: &ContentTree) -> u64 {
        let base = if self.anew { 0 } else { ours.leaves().len() };
        (base + self.leaves.len()) as u64
    }
}

impl Lease {
    /// Whether what is active was found to be our tree, or the beginning of it.
    pub(crate) fn is_agreed(&self) -> bool {
        let this = |leaf: ContractLeaf| (leaf.content_root, leaf.used_chunks, leaf.revision);
        self.active.is_some() && self.agreed == self.active.map(this)
    }

    /// Whether the tree that we know is that of the newest leaf. In a recovery it is not yet.
    /// What a contract holds that was taken on from the ledger its provider must have told: the
    /// active tree may be empty while a revision that is not posted yet is not.
    pub(crate) fn tree_is_known(&self) -> bool {
        let told = self.sig_provider.is_some() || self.active.is_none();
        told && self.content.root() == self.leaf().content_root
    }

    /// Whether the tree that is active on the ledger is ours or the beginning of ours.
    fn agrees(&self, active: &ContractLeaf) -> bool {
        let (root, used) = (active.content_root, active.used_chunks);
        active.revision <= self.leaf().revision
            && ((self.content.root() == root && self.content.chunks() == used)
                || self.content.prefix_with_root(root, used).is_some())
    }

    /// Whether a leaf that the provider shows counts, and is no older than what we know.
    fn believes(&self, shown: &Revision, account: &AccountId, net: &GenesisHash) -> bool {
        let leaf = &shown.signed.leaf;
        let ours = self.leaf().revision;
        let current = self.active.map_or(ours, |active| active.revision.max(ours));
        let is_active = self.active.is_some_and(|active| same(&active, leaf));
        leaf.contract_id == self.leaf().contract_id
            && leaf.revision >= current
            && (is_active || shown.verify(&self.provider, account, net))
    }
}

/// Whether two leaves are one, apart from what the ledger fills in.
fn same(a: &ContractLeaf, b: &ContractLeaf) -> bool {
    let bare = |leaf: &ContractLeaf| ContractLeaf {
        slash_acc: 0,
        unpaid_at_start: 0,
        ..*leaf
    };
    bare(a) == bare(b)
}

/// What a page leads to.
enum Next {
    /// The list is whole and right.
    Whole(ContentTree),
    /// More is to come.
    More,
    /// Ours is no beginning of it: once more from the first leaf.
    Anew,
    /// It does not lead to the root.
    Wrong,
}

impl Renter {
    /// Compares what is active on the ledger with our trees: where it is something else, the
    /// provider is asked.
    pub(crate) fn compare_trees(&mut self) {
        for lease in self.leases.values_mut() {
            let Some(active) = lease.active.filter(|_| lease.sig_provider.is_some()) else {
                continue;
            };
            let this = (active.content_root, active.used_chunks, active.revision);
            if lease.agreed == Some(this) {
                continue;
            }
            if lease.agrees(&active) {
                lease.agreed = Some(this);
            } else {
                lease.unsure = true;
            }
        }
    }

    /// The provider's newest revision, and leaves that we asked for.
    pub(crate) fn latest(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        id: ContractId,
        answer: Result<Response, Unreachable>,
    ) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.busy = false;
        match answer {
            Ok(Response::Latest {
                signed,
                sig_provider,
                puts,
            }) => {
                let shown = Revision {
                    signed,
                    sig_provider,
                };
                self.shown(ctx, &id, shown, puts);
                if let Some(lease) = self.leases.get(&id) {
                    wallet.commit(id, lease.owes(ctx.chain.epoch));
                    // A device that is lost may have promised it.
                    lease.signed.auth.inspect(|auth| wallet.learned(ctx, *auth));
                }
            }
            Ok(Response::Denied(Deny::UnknownContract))
                if lease.active.is_none() && ctx.chain.live =>
            {
                self.drop_lease(ctx, wallet, &id);
            }
            Ok(_) | Err(_) => self.set_back(ctx, &id),
        }
    }

    fn shown(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: &ContractId,
        mut shown: Revision,
        puts: Vec<ShardLeaf>,
    ) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        if !lease.believes(&shown, &ctx.me.account(), &ctx.me.genesis) {
            // It is behind us or the chain, or lies. What we agreed on stands.
            lease.pages = Pages::default();
            lease.unsure = lease.active.is_some_and(|active| !lease.agrees(&active));
            return self.set_back(ctx, id);
        }
        if lease.active.is_some_and(|a| same(&a, &shown.signed.leaf)) {
            // Its signatures were not looked at, and the money has moved.
            shown.signed.auth = None;
        }
        match lease.turn(&shown.signed.leaf, puts) {
            Next::Whole(content) => self.take_tree(ctx, id, shown, content),
            Next::More | Next::Anew => {
                lease.unsure = true;
                lease.retry_at = ctx.now;
            }
            Next::Wrong => {
                lease.unsure = true;
                self.set_back(ctx, id);
            }
        }
    }

    /// Takes a tree over that a provider showed: rows, then positions.
    fn take_tree(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: &ContractId,
        shown: Revision,
        content: ContentTree,
    ) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let provider = lease.provider;
        let newer = lease.sig_provider.is_none()
            || shown.signed.leaf.revision > lease.leaf().revision
            || content != lease.content;
        lease.unsure = false;
        lease.fails = 0;
        if newer {
            let old = std::mem::replace(&mut lease.content, content);
            lease.signed = shown.signed;
            lease.sig_provider = Some(shown.sig_provider);
            lease.tried = None;
            lease.opened |= lease.active.is_some();
            let mut rows = vec![Write::rented(id, Some(&lease.row()))];
            rows.extend(leaf_rows(id, old.leaves(), lease.content.leaves()));
            rows.extend(self.follow_tree(id, old.leaves()));
            ctx.persist(rows);
        }
        self.served(&provider);
        self.tell_placed(ctx);
    }

    /// Positions follow a tree that has changed: what it holds is placed, what it held is lost.
    /// Shards in places beyond its end are not lost: a loss that was declared voids what was
    /// co-signed after it, and the provider still has them. They are to be signed for again.
    fn follow_tree(&mut self, id: &ContractId, old: &[ShardLeaf]) -> Vec<Write> {
        let Some(lease) = self.leases.get_mut(id) else {
            return Vec::new();
        };
        let new = lease.content.leaves().to_vec();
        let roots = |leaves: &[ShardLeaf]| -> BTreeSet<ShardRoot> {
            let sound = leaves.iter().filter(|l| l.is_sound());
            sound.map(|l| l.root).collect()
        };
        let (before, after) = (roots(old), roots(&new));
        lease.acked.retain(|(.., leaf)| !after.contains(&leaf.root));
        let fresh: Vec<ShardLeaf> = new
            .iter()
            .filter(|l| l.is_sound() && !before.contains(&l.root))
            .copied()
            .collect();
        let gone: BTreeMap<ShardRoot, (usize, ShardLeaf)> = (0..)
            .zip(old)
            .filter(|(_, l)| l.is_sound() && !after.contains(&l.root))
            .map(|(index, leaf)| (leaf.root, (index, *leaf)))
            .collect();
        let provider = lease.provider;
        if !gone.is_empty() {
            self.audits.is_dealt_with(&provider);
        }
        let mut rows = self.place(id, &fresh);
        let (found, changed) = self.find(id, &fresh);
        rows.extend(found);
        for (segment, position, root) in self.held_in(id) {
            match gone.get(&root) {
                Some((index, leaf)) if *index >= new.len() => {
                    self.ack_again(id, (segment, position, *leaf));
                }
                Some(_) => rows.extend(self.lose(&segment, position)),
                None => {}
            }
        }
        self.holders_changed(&changed);
        if !gone.is_empty() {
            rows.extend(self.bury());
        }
        rows
    }

    /// Positions that nobody holds, and whose shards a contract turns out to hold.
    fn find(&mut self, id: &ContractId, fresh: &[ShardLeaf]) -> (Vec<Write>, BTreeSet<SegmentId>) {
        let fresh: BTreeSet<ShardRoot> = fresh.iter().map(|l| l.root).collect();
        let (mut rows, mut changed) = (Vec::new(), BTreeSet::new());
        if fresh.is_empty() || !self.readable_leases().any(|(readable, _)| readable == id) {
            return (rows, changed);
        }
        for (segment, row) in &mut self.segments {
            let mut found = false;
            for (root, holder) in row.roots.iter().zip(&mut row.holders) {
                if holder.is_none() && fresh.contains(root) {
                    *holder = Some(*id);
                    found = true;
                }
            }
            if found {
                rows.push(Write::segment(segment, Some(row)));
                changed.insert(*segment);
            }
        }
        (rows, changed)
    }

    fn held_in(&self, id: &ContractId) -> Vec<(SegmentId, u16, ShardRoot)> {
        let mut held = Vec::new();
        for (segment, row) in &self.segments {
            for ((j, root), holder) in (0u16..).zip(&row.roots).zip(&row.holders) {
                if holder.as_ref() == Some(id) {
                    held.push((*segment, j, *root));
                }
            }
        }
        held
    }

    fn ack_again(&mut self, id: &ContractId, shard: (SegmentId, u16, ShardLeaf)) {
        if let Some(lease) = self.leases.get_mut(id)
            && !lease.acked.contains(&shard)
        {
            lease.acked.push_back(shard);
        }
    }

    /// After a start: shards that count as held and stand in no tree were to be signed for again.
    pub(crate) fn sign_again(&mut self) {
        let ids: Vec<ContractId> = self.leases.keys().copied().collect();
        for id in ids {
            let Some(lease) = self.leases.get(&id).filter(|l| l.tree_is_known()) else {
                continue;
            };
            let known: BTreeSet<ShardRoot> =
                lease.content.leaves().iter().map(|l| l.root).collect();
            for (segment, position, root) in self.held_in(&id) {
                if !known.contains(&root)
                    && let Some(leaf) = self.shard_leaf(&segment, position)
                {
                    self.ack_again(&id, (segment, position, leaf));
                }
            }
        }
    }

    /// A provider knows no such shards: of those that we asked it to sign for again, all are lost.
    pub(crate) fn lose_acked(&mut self, id: &ContractId) -> Vec<Write> {
        let Some(lease) = self.leases.get(id) else {
            return Vec::new();
        };
        let asked: Vec<(SegmentId, u16)> = lease.acked.iter().map(|(s, j, _)| (*s, *j)).collect();
        let held = |segment: &SegmentId, j: u16| {
            let row = self.segments.get(segment);
            let holder = row.and_then(|r| r.holders.get(usize::from(j)));
            holder == Some(&Some(*id))
        };
        let lost: Vec<_> = asked.into_iter().filter(|(s, j)| held(s, *j)).collect();
        lost.iter().filter_map(|(s, j)| self.lose(s, *j)).collect()
    }

    /// Who holds what of these has changed otherwise than by a transfer or a loss.
    pub(super) fn holders_changed(&mut self, segments: &BTreeSet<SegmentId>) {
        for id in segments {
            let (Some(upload), Some(row)) = (self.uploads.get_mut(id), self.segments.get(id))
            else {
                continue;
            };
            for (position, holder) in upload.positions.iter_mut().zip(&row.holders) {
                if holder.is_some() && matches!(position, Position::Waiting | Position::Gone) {
                    *position = Position::Placed;
                }
            }
        }
        self.recount_claims();
        for id in segments {
            self.reindex(id);
        }
    }
}

impl Lease {
    /// Takes a page in.
    fn turn(&mut self, leaf: &ContractLeaf, puts: Vec<ShardLeaf>) -> Next {
        let mut pages = std::mem::take(&mut self.pages);
        let full = puts.len() >= MAX_LEAVES;
        pages.leaves.extend(puts);
        let base: &[ShardLeaf] = if pages.anew {
            &[]
        } else {
            self.content.leaves()
        };
        let all = base.iter().chain(&pages.leaves);
        let sum = all.clone().map(|l| l.chunks).try_fold(0, u64::checked_add);
        let fits = sum.is_some_and(|sum| sum <= leaf.used_chunks)
            && base.len() + pages.leaves.len() <= MAX_TREE;
        if fits && full {
            self.pages = pages;
            return Next::More;
        }
        if fits
            && let Ok(tree) = ContentTree::from_leaves(all.copied().collect())
            && (tree.root(), tree.chunks()) == (leaf.content_root, leaf.used_chunks)
        {
            return Next::Whole(tree);
        }
        if pages.anew || base.is_empty() {
            return Next::Wrong;
        }
        self.pages.anew = true;
        Next::Anew
    }
}

/// The rows of a list that has changed.
fn leaf_rows(id: &ContractId, old: &[ShardLeaf], new: &[ShardLeaf]) -> Vec<Write> {
    (0..old.len().max(new.len()))
        .filter(|i| old.get(*i) != new.get(*i))
        .map(|i| Write::rented_leaf(id, i as u64, new.get(i)))
        .collect()
}
