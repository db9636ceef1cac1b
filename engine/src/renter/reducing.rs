//! Segments that nothing needs any more: they are not repaired, and their shards are taken back from
//! providers. That takes the admin key, so it happens in two steps: what is to be signed is asked for, and
//! what was signed is sent. A segment's row goes when no tree names a shard of it any more.
//! `docs/protocol.md` §3.3, §3.10.

use super::Renter;
use super::lease::Lease;
use crate::ctx::{Ctx, Identity};
use crate::io::Unreachable;
use crate::ops::Pending;
use crate::provider::losses::reducing::MAX_REDUCED;
use crate::provider::requests::signature;
use crate::rows::Write;
use crate::wire::{Reduce, Request, Response};
use larder_contracts::{SignedLeaf, clear};
use larder_ledger::Reduction;
use larder_proofs::ContractLeaf;
use larder_types::params::CHUNK;
use larder_types::{Bytes, ContractId, Epoch, NodeId, SegmentId, ShardRoot};
use std::collections::BTreeSet;

/// Epochs for which a contract waits for a reduction that its provider agreed to: it gives up before.
const WAITS: Epoch = 4;

/// A revision that takes shards back, for the admin key to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToReduce {
    /// With whom.
    pub provider: NodeId,
    /// The revision, as this device signed it.
    pub signed: SignedLeaf,
    /// How many shards.
    pub shards: u32,
    /// How long they are in all.
    pub bytes: Bytes,
}

/// How the dropped segments stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropping {
    /// What can be signed now.
    pub ready: Vec<ToReduce>,
    /// Contracts that hold shards of dropped segments and wait: for a change that is under way, for an
    /// answer, for a boundary.
    pub waiting: u32,
    /// Those of them whose provider has agreed: they wait for the boundary.
    pub agreed: u32,
}

impl Renter {
    /// These segments are not needed any more, unless they are being placed or rebuilt.
    pub(crate) fn drop_segments(&mut self, ctx: &mut Ctx<'_>, segments: &[SegmentId]) {
        let mut rows = Vec::new();
        for id in segments {
            if self.uploads.contains_key(id) || self.repairs.contains_key(id) {
                continue;
            }
            if let Some(row) = self.segments.get_mut(id).filter(|row| !row.dropped) {
                row.dropped = true;
                rows.push(Write::segment(id, Some(row)));
                self.reindex(id);
            }
        }
        rows.extend(self.bury());
        ctx.persist(rows);
    }

    /// Forgets dropped segments of which no tree names a shard any more.
    pub(crate) fn bury(&mut self) -> Vec<Write> {
        let named = |renter: &Self, id: &SegmentId| {
            renter
                .claims
                .get(id)
                .is_some_and(|claims| !claims.is_empty())
        };
        let gone: Vec<SegmentId> = self
            .segments
            .iter()
            .filter(|(id, row)| {
                row.dropped && row.holders.iter().all(Option::is_none) && !named(self, id)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut rows = Vec::new();
        for id in &gone {
            self.segments.remove(id);
            self.claims.remove(id);
            self.lacking.forget(id);
            rows.push(Write::segment(id, None));
        }
        if self.heads.forget(&gone) {
            rows.push(self.heads.row());
        }
        rows
    }

    /// What the admin key is to sign so that dropped segments' shards are taken back.
    pub(crate) fn dropping(&self, me: &Identity, epoch: Epoch) -> Dropping {
        let dropped = self.dropped_roots();
        let mut dropping = Dropping::default();
        if dropped.is_empty() {
            return dropping;
        }
        for lease in self
            .leases
            .values()
            .filter(|l| !l.faulted && l.of.is_none())
        {
            let places = lease.places_of(&dropped);
            if places.is_empty() {
                continue;
            }
            match lease.cleared(&places).filter(|_| lease.may_reduce(epoch)) {
                Some(leaf) => {
                    let key = &me.ledger_key;
                    let signed = SignedLeaf::sign(leaf, None, &lease.provider, key, &me.genesis);
                    let freed = lease.leaf().used_chunks.saturating_sub(leaf.used_chunks);
                    dropping.ready.push(ToReduce {
                        provider: lease.provider,
                        signed,
                        shards: u32::try_from(places.len()).unwrap_or(u32::MAX),
                        bytes: Bytes(freed * CHUNK),
                    });
                }
                None => {
                    dropping.waiting += 1;
                    dropping.agreed += u32::from(lease.is_reducing(epoch) && !lease.busy);
                }
            }
        }
        dropping
    }

    fn dropped_roots(&self) -> BTreeSet<ShardRoot> {
        let dropped = self.segments.values().filter(|row| row.dropped);
        dropped.flat_map(|row| row.roots.iter().copied()).collect()
    }

    /// The admin key has signed these. What does not follow from what there is now is left out: it is to
    /// be signed anew.
    pub(crate) fn reduce(&mut self, ctx: &mut Ctx<'_>, reductions: Vec<Reduction>) {
        let dropped = self.dropped_roots();
        for reduction in reductions {
            let id = reduction.signed.leaf.contract_id;
            let Some(lease) = self.leases.get_mut(&id) else {
                continue;
            };
            let places = lease.places_of(&dropped);
            let leaf = lease.cleared(&places);
            if leaf != Some(reduction.signed.leaf)
                || !lease.may_reduce(ctx.chain.epoch)
                || !reduction.verify(&lease.provider, &ctx.me.genesis)
            {
                continue;
            }
            lease.busy = true;
            lease.reducing = Some((reduction.signed.leaf.revision, ctx.chain.epoch + WAITS));
            let ask = Reduce {
                contract: id,
                places: places.into_iter().collect(),
                reduction,
            };
            let request = Request::Reduce(Box::new(ask));
            ctx.request(lease.provider, request, Pending::Reduce { contract: id });
        }
    }

    /// The provider's answer.
    pub(crate) fn reduced(
        &mut self,
        ctx: &Ctx<'_>,
        id: ContractId,
        answer: Result<Response, Unreachable>,
    ) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.busy = false;
        let provider = lease.provider;
        if let Ok(Ok(_)) = answer.map(signature) {
            self.served(&provider);
        } else {
            lease.reducing = None;
            lease.unsure = true;
            self.set_back(ctx, &id);
        }
    }
}

impl Lease {
    /// Whether its provider agreed to a reduction that has not acted yet.
    pub(crate) fn is_reducing(&self, epoch: Epoch) -> bool {
        let acted = |revision| {
            self.active
                .is_some_and(|active| active.revision >= revision)
        };
        self.reducing
            .is_some_and(|(revision, until)| !acted(revision) && epoch <= until)
    }

    /// Whether nothing else of it is under way.
    fn may_reduce(&self, epoch: Epoch) -> bool {
        let settled = self.sig_provider.is_some() && self.active.is_some() && self.tried.is_none();
        settled
            && self.of.is_none()
            && !self.busy
            && !self.unsure
            && !self.money_pending()
            && !self.is_reducing(epoch)
            && self.acked.is_empty()
            && self.tree_is_known()
    }

    /// The places of its tree that hold such shards.
    fn places_of(&self, roots: &BTreeSet<ShardRoot>) -> BTreeSet<u32> {
        (0..)
            .zip(self.content.leaves())
            .filter(|(_, leaf)| leaf.is_sound() && roots.contains(&leaf.root))
            .map(|(index, _)| index)
            .take(MAX_REDUCED)
            .collect()
    }

    /// Its next leaf, without these.
    fn cleared(&self, places: &BTreeSet<u32>) -> Option<ContractLeaf> {
        let newest = ContractLeaf {
            slash_acc: 0,
            unpaid_at_start: 0,
            ..*self.leaf()
        };
        clear(&newest, &self.content, places)
            .ok()
            .map(|(leaf, _)| leaf)
    }
}
