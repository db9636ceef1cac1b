//! What renters ask of a provider over control requests: to open or extend a contract, to
//! countersign a revision, to tell the newest one. `docs/protocol.md` §3.3, §3.10.

use super::heads::MAX_DEVICES;
use super::{Held, Provider, Taking};
use crate::ctx::Ctx;
use crate::rows::{ShardRow, Write};
use crate::wire::{Deny, MAX_LEAVES, Request, Response};
use larder_contracts::{Refusal, Revision, Room, SignedLeaf, judge, revise, same_money};
use larder_ledger::{May, verbs};
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{AccountId, Amount, ContractId, Signature};

/// Most contracts; each costs memory and ledger state.
const MAX_CONTRACTS: usize = 100_000;

impl Provider {
    /// Answers a renter.
    pub(crate) fn answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        request: Request,
        renter_balance: Amount,
    ) -> Response {
        let answer = match request {
            Request::Propose(signed) => self.proposed(ctx, signed, renter_balance),
            Request::Revise {
                contract,
                puts,
                signed,
            } => self.revised(ctx, contract, &puts, signed),
            Request::GetLatest { contract, have } => self.latest(&contract, have),
            Request::Reduce(ask) => self.reduced(ctx, *ask),
            Request::PutHead(head) => self.put_head(ctx, *head),
            Request::GetHeads { key, have } => {
                let pays = |account: &AccountId| self.is_paid_by(account);
                Ok(self.heads.under(&key, &have, pays))
            }
            Request::Revoke(revoke) => self.revoke(ctx, &revoke),
            // The answer to an audit takes a while, and goes its own way.
            Request::GetOffers | Request::Audit(_) | Request::Befriend(_) | Request::GetGift => {
                Err(Deny::NotProviding)
            }
        };
        answer.unwrap_or_else(Response::Denied)
    }

    /// Opens a contract, or takes new money terms for one; what was signed before is signed again.
    fn proposed(
        &mut self,
        ctx: &mut Ctx<'_>,
        signed: SignedLeaf,
        renter_balance: Amount,
    ) -> Result<Response, Deny> {
        if !signed.verify(&ctx.me.node(), &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        let id = signed.leaf.contract_id;
        if let Some(held) = self.contracts.get(&id).filter(|held| held.signed == signed) {
            return Ok(Response::Signed(held.sig_provider));
        }
        let active = self.contracts.get(&id).and_then(|held| held.active);
        let need = verbs(active.as_ref(), &signed.leaf);
        let renter = (&signed.leaf.renter, signed.by);
        ctx.permit(renter, need, first_cost(active, &signed.leaf))?;
        self.judge_proposal(ctx, &signed, renter_balance)?;
        let revision = signed.countersign(&ctx.me.node_key, &ctx.me.genesis);
        let sig = revision.sig_provider;
        ctx.persist(vec![Write::held(&id, Some(&revision))]);
        self.keep(id, revision);
        self.urgent.insert(id);
        self.offer_changed(ctx);
        Ok(Response::Signed(sig))
    }

    fn judge_proposal(
        &self,
        ctx: &Ctx<'_>,
        signed: &SignedLeaf,
        renter_balance: Amount,
    ) -> Result<(), Deny> {
        let leaf = &signed.leaf;
        let free_collateral = self.free_collateral.ok_or(Deny::NotProviding)?;
        if self.faulted {
            return Err(Deny::NotProviding);
        }
        self.fitness.judge(ctx.me).map_err(Deny::Contract)?;
        let old = match self.contracts.get(&leaf.contract_id) {
            Some(held) if held.is_losing() => return Err(Deny::Busy),
            Some(held) => Some(follows(held, leaf)?),
            None => self.is_new(signed)?,
        };
        match self.config.taking {
            Taking::All => {}
            Taking::Paused if old.is_some() => {}
            Taking::Paused | Taking::Leaving => return Err(Deny::Contract(Refusal::Closed)),
        }
        let unlocked = old
            .and_then(|held| held.active)
            .map_or(Amount::ZERO, |l| l.collateral);
        // Collateral that other accepted terms will lock at the boundary is spoken for.
        let promised: u64 = self
            .contracts
            .iter()
            .filter(|(id, held)| {
                **id != leaf.contract_id
                    && held
                        .active
                        .is_none_or(|active| !same_money(&active, held.leaf()))
            })
            .map(|(_, held)| held.leaf().collateral.nano())
            .sum();
        let free_collateral = free_collateral.saturating_sub(Amount(promised));
        let room = Room {
            epoch: ctx.chain.epoch,
            quota_free_chunks: self.free_chunks(
                ctx.chain.epoch,
                Some(&leaf.contract_id),
                Some(&leaf.renter),
            ),
            renter_balance,
            collateral_free: free_collateral
                .checked_add(unlocked)
                .unwrap_or(free_collateral),
        };
        let offer = self.offer_to(ctx, &leaf.renter, leaf.capacity_chunks);
        judge(leaf, &offer, &room, &ctx.me.params).map_err(Deny::Contract)
    }

    /// A contract that we do not know must be empty. Each device of an account may have one.
    fn is_new(&self, signed: &SignedLeaf) -> Result<Option<&Held>, Deny> {
        let leaf = &signed.leaf;
        let fresh = leaf.used_chunks == 0 && leaf.revision == 0 && leaf.depth == 0;
        if !fresh || leaf.content_root != ContentTree::new().root() || !is_plain(leaf) {
            return Err(Deny::UnknownContract);
        }
        let theirs = self.contracts.values();
        let theirs = theirs.filter(|held| held.leaf().renter == leaf.renter);
        if theirs.take(MAX_DEVICES).count() == MAX_DEVICES || self.contracts.len() >= MAX_CONTRACTS
        {
            return Err(Deny::Busy);
        }
        Ok(None)
    }

    fn keep(&mut self, id: ContractId, revision: Revision) {
        match self.contracts.get_mut(&id) {
            Some(held) => {
                held.signed = revision.signed;
                held.sig_provider = revision.sig_provider;
            }
            None => {
                self.contracts.insert(id, Held::new(revision));
            }
        }
    }

    /// Countersigns a revision that adds shards which rest here.
    fn revised(
        &mut self,
        ctx: &mut Ctx<'_>,
        contract: ContractId,
        puts: &[ShardLeaf],
        mut signed: SignedLeaf,
    ) -> Result<Response, Deny> {
        let held = self
            .contracts
            .get_mut(&contract)
            .ok_or(Deny::UnknownContract)?;
        // After a loss the newest leaf is the ledger's, in which these two are filled in; no
        // signature covers them.
        (signed.leaf.slash_acc, signed.leaf.unpaid_at_start) = (0, 0);
        if held.signed == signed {
            return Ok(Response::Signed(held.sig_provider));
        }
        if self.faulted {
            return Err(Deny::NotProviding);
        }
        if held.is_losing() {
            return Err(Deny::Busy);
        }
        if puts.is_empty() || puts.len() > MAX_LEAVES {
            return Err(Deny::WrongBytes);
        }
        if puts
            .iter()
            .any(|put| held.loose.get(&put.root).map(|(leaf, _)| leaf) != Some(put))
        {
            return Err(Deny::UnknownShard);
        }
        let (leaf, content) = revise(held.leaf(), &held.content, puts).map_err(Deny::Contract)?;
        if leaf.used_chunks > held.room(ctx.chain.epoch) {
            return Err(Deny::NoRoom);
        }
        if signed.leaf != leaf {
            return Err(Deny::Stale);
        }
        if needs_auth(held, &signed) && signed.auth != held.signed.auth {
            return Err(Deny::Stale);
        }
        if !signed.verify(&ctx.me.node(), &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        ctx.permit((&signed.leaf.renter, signed.by), May::ADD, Amount::ZERO)?;
        let first = held.content.leaves().len();
        let revision = signed.countersign(&ctx.me.node_key, &ctx.me.genesis);
        let mut rows = vec![Write::held(&contract, Some(&revision))];
        for (i, put) in puts.iter().enumerate() {
            held.loose.remove(&put.root);
            let index = u64::try_from(first + i).ok();
            rows.push(Write::shard(
                &put.root,
                Some(&ShardRow {
                    contract,
                    leaf: *put,
                    index,
                    damaged: false,
                }),
            ));
        }
        held.content = content;
        held.signed = revision.signed;
        held.sig_provider = revision.sig_provider;
        let sig = held.sig_provider;
        ctx.persist(rows);
        Ok(Response::Signed(sig))
    }

    fn latest(&self, contract: &ContractId, have: u64) -> Result<Response, Deny> {
        let held = self.contracts.get(contract).ok_or(Deny::UnknownContract)?;
        let have = usize::try_from(have).unwrap_or(usize::MAX);
        let puts = held.content.leaves().get(have..).unwrap_or(&[]);
        // Who lacks more asks on.
        let puts = &puts[..puts.len().min(MAX_LEAVES)];
        Ok(Response::Latest {
            signed: held.signed.clone(),
            sig_provider: held.sig_provider,
            puts: puts.to_vec(),
        })
    }
}

/// What an Open takes, as far as its renter's sub-key must be allowed to spend it. Of changed
/// terms the ledger also gives back for the old ones, and judges at the boundary.
fn first_cost(active: Option<ContractLeaf>, leaf: &ContractLeaf) -> Amount {
    let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
    match active {
        None => larder_contracts::judge::cost(leaf, term).unwrap_or(Amount(u64::MAX)),
        Some(_) => Amount::ZERO,
    }
}

/// New money terms must keep the content and come next in order.
fn follows<'a>(held: &'a Held, leaf: &larder_proofs::ContractLeaf) -> Result<&'a Held, Deny> {
    let old = held.leaf();
    let same_content = leaf.content_root == old.content_root && leaf.used_chunks == old.used_chunks;
    let shrinks = leaf.end_epoch < old.end_epoch || leaf.capacity_chunks < old.capacity_chunks;
    let next = Some(leaf.revision) == old.revision.checked_add(1);
    if !same_content || !next || leaf.renter != old.renter || shrinks || !is_plain(leaf) {
        return Err(Deny::Stale);
    }
    Ok(held)
}

/// Whether a leaf has only what this version settles: append-only, no egress terms.
fn is_plain(leaf: &larder_proofs::ContractLeaf) -> bool {
    leaf.flags == larder_proofs::APPEND_ONLY
        && leaf.egress_class == 0
        && leaf.egress_price == Amount::ZERO
        && leaf.egress_deposit == Amount::ZERO
        && leaf.egress_paid == Amount::ZERO
        && leaf.included_egress_chunks == 0
}

/// Whether a revision must carry the licence to move money: its terms are not active yet.
fn needs_auth(held: &Held, signed: &SignedLeaf) -> bool {
    held.active
        .is_none_or(|active| !same_money(&active, &signed.leaf))
}

/// The signature of an answer that should hold one.
pub(crate) fn signature(response: Response) -> Result<Signature, Deny> {
    match response {
        Response::Signed(sig) => Ok(sig),
        Response::Denied(deny) => Err(deny),
        Response::Latest { .. }
        | Response::Offers(_)
        | Response::Gift(_)
        | Response::Kept { .. }
        | Response::Heads(_)
        | Response::Proof(_)
        | Response::Revoked => Err(Deny::WrongBytes),
    }
}
