//! What providers answer to proposals, revisions and questions, and what follows: a promise is
//! believed only with both signatures over a leaf of ours.

use super::Renter;
use super::leases::MAX_STARTS;
use crate::ctx::Ctx;
use crate::io::Unreachable;
use crate::provider::requests::signature;
use crate::rows::Write;
use crate::wallet::Wallet;
use crate::wire::{Deny, Response};
use larder_contracts::{Refusal, Revision, SignedLeaf};
use larder_proofs::ShardLeaf;
use larder_types::{ContractId, SegmentId};

impl Renter {
    /// The provider's answer to a proposal.
    pub(crate) fn proposed(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        id: ContractId,
        signed: SignedLeaf,
        answer: Result<Response, Unreachable>,
    ) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.busy = false;
        let provider = lease.provider;
        match answer.map(signature) {
            Ok(Ok(sig)) => {
                let revision = Revision {
                    signed,
                    sig_provider: sig,
                };
                if !revision.verify(&provider, &ctx.me.account(), &ctx.me.genesis) {
                    return self.set_back(ctx, &id);
                }
                lease.signed = revision.signed;
                lease.tried = None;
                lease.sig_provider = Some(sig);
                lease.opened = lease.active.is_some();
                lease.refused = false;
                lease.full = false;
                lease.fails = 0;
                lease.wanted = 0;
                wallet.commit(id, lease.owes(ctx.chain.epoch));
                let row = lease.row();
                ctx.persist(vec![Write::rented(&id, Some(&row))]);
                self.lacking.wake_all();
                self.served(&provider);
            }
            Ok(Err(deny)) => self.refused(ctx, wallet, &id, &deny),
            Err(_) => self.set_back(ctx, &id),
        }
        self.plan_all(ctx, wallet);
    }

    fn refused(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId, deny: &Deny) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        lease.refused = true;
        lease.full = matches!(deny, Deny::Contract(Refusal::Quota { .. }));
        lease.wanted = 0;
        lease.unsure |= matches!(deny, Deny::Stale | Deny::UnknownContract);
        let never = lease.sig_provider.is_none();
        let passing = matches!(
            deny,
            Deny::NotProviding | Deny::SubKey | Deny::Busy | Deny::Stale
        );
        let late = matches!(deny, Deny::Contract(Refusal::Start { .. }));
        if never && late && lease.fails < MAX_STARTS {
            // The boundary came between us: the same terms, one epoch later.
            let capacity = lease.leaf().capacity_chunks;
            self.pause(ctx, id);
            self.renew_terms(ctx, wallet, id, capacity);
        } else if never && !passing {
            self.declined.insert(lease.provider);
            if let Some(auth) = lease.signed.auth {
                wallet.release(auth);
            }
            self.drop_lease(ctx, wallet, id);
        } else {
            self.set_back(ctx, id);
        }
    }

    /// The provider's answer to a revision.
    pub(crate) fn revised(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: ContractId,
        signed: SignedLeaf,
        puts: &[ShardLeaf],
        answer: Result<Response, Unreachable>,
    ) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.busy = false;
        let provider = lease.provider;
        match answer.map(signature) {
            Ok(Ok(sig)) => {
                let revision = Revision {
                    signed,
                    sig_provider: sig,
                };
                if revision.verify(&provider, &ctx.me.account(), &ctx.me.genesis) {
                    self.served(&provider);
                    self.adopt(ctx, &id, revision, puts);
                } else {
                    self.set_back(ctx, &id);
                }
            }
            Ok(Err(deny)) => {
                lease.unsure = true;
                if deny == Deny::UnknownShard {
                    let rows = self.lose_acked(&id);
                    ctx.persist(rows);
                    self.take_back(&id, None);
                }
                self.set_back(ctx, &id);
            }
            Err(_) => self.set_back(ctx, &id),
        }
    }

    /// Shards that were acknowledged under a contract but stand in no revision wait again: all of
    /// them, or those of one segment.
    pub(crate) fn take_back(&mut self, id: &ContractId, only: Option<&SegmentId>) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let (back, stay) = std::mem::take(&mut lease.acked)
            .into_iter()
            .partition::<Vec<_>, _>(|(segment, ..)| only.is_none_or(|only| only == segment));
        lease.acked = stay.into();
        for (segment, position, _) in back {
            self.wait_again(&segment, position);
        }
    }

    /// Takes a co-signed revision over: its shards are placed.
    pub(crate) fn adopt(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: &ContractId,
        revision: Revision,
        puts: &[ShardLeaf],
    ) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let mut content = lease.content.clone();
        let grown = puts.iter().all(|put| content.push(*put).is_ok());
        let leaf = &revision.signed.leaf;
        if !grown || content.root() != leaf.content_root || content.chunks() != leaf.used_chunks {
            return self.set_back(ctx, id);
        }
        let first = lease.content.leaves().len() as u64;
        lease.content = content;
        lease.signed = revision.signed;
        lease.sig_provider = Some(revision.sig_provider);
        lease.fails = 0;
        lease.acked.retain(|(_, _, leaf)| !puts.contains(leaf));
        let mut rows = vec![Write::rented(id, Some(&lease.row()))];
        rows.extend(
            (first..)
                .zip(puts)
                .map(|(i, put)| Write::rented_leaf(id, i, Some(put))),
        );
        rows.extend(self.place(id, puts));
        ctx.persist(rows);
        self.tell_placed(ctx);
    }
}
