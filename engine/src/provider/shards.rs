//! Taking shards in and giving them out. A shard is acknowledged only after it rests on disk,
//! hashed and synced, and after its row is durable: an acknowledged shard survives `kill -9`.

use super::Provider;
use crate::ctx::Ctx;
use crate::io::{BulkEffect, Effect, Token};
use crate::rows::{ShardRow, VolumeId, Write};
use crate::wire::{BulkHeader, BulkReply, Deny, PlaceShard, ReadCap};
use larder_contracts::ShardAck;
use larder_ledger::May;
use larder_proofs::ShardLeaf;
use larder_types::{Amount, ContractId, NodeId};

/// Most shards that are received at once, in all and under one contract; each holds a stream and a
/// file.
const MAX_RECEIVING: usize = 64;
const MAX_RECEIVING_EACH: usize = 8;

impl Provider {
    /// A stream wants to place or read a shard.
    pub(crate) fn bulk(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        token: Token,
        header: &BulkHeader,
    ) {
        let answer = match header {
            BulkHeader::Place(place) => self.place(ctx, token, place),
            BulkHeader::Read(cap) => self.read(ctx, from, token, cap),
        };
        let effect = answer.unwrap_or_else(|deny| BulkEffect::Reply {
            token,
            reply: BulkReply::Denied(deny),
        });
        ctx.out.push(Effect::Bulk(effect));
    }

    fn place(
        &mut self,
        ctx: &Ctx<'_>,
        token: Token,
        place: &PlaceShard,
    ) -> Result<BulkEffect, Deny> {
        let PlaceShard { contract, leaf, .. } = place;
        let held = self
            .contracts
            .get_mut(contract)
            .ok_or(Deny::UnknownContract)?;
        if !place.is_signed_by(&held.leaf().renter, &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        let renter = held.leaf().renter;
        ctx.permit((&renter, place.by), May::ADD, Amount::ZERO)?;
        if !leaf.is_sound() {
            return Err(Deny::WrongBytes);
        }
        if self.faulted {
            return Err(Deny::NotProviding);
        }
        // Once its loss has acted it is as good as new.
        if self.losses.damaged.contains(&leaf.root) {
            return Err(Deny::Busy);
        }
        match self.shards.get(&leaf.root) {
            Some((owner, stored)) if owner == contract && stored == leaf => {
                let reply = BulkReply::Ack(acknowledge(ctx, *contract, leaf));
                return Ok(BulkEffect::Reply { token, reply });
            }
            Some(_) => return Err(Deny::NoRoom),
            None => {}
        }
        self.fitness.judge(ctx.me).map_err(Deny::Contract)?;
        let receiving = self.receiving.values();
        let of_one = receiving.filter(|(c, _)| c == contract).count();
        if self.receiving.len() >= MAX_RECEIVING
            || of_one >= MAX_RECEIVING_EACH
            || self
                .receiving
                .values()
                .any(|(_, other)| other.root == leaf.root)
        {
            return Err(Deny::Busy);
        }
        let needed = held
            .spoken_chunks()
            .checked_add(leaf.chunks)
            .ok_or(Deny::NoRoom)?;
        if needed > held.room(ctx.chain.epoch) {
            return Err(Deny::NoRoom);
        }
        held.incoming += leaf.chunks;
        self.receiving.insert(token, (*contract, *leaf));
        Ok(BulkEffect::Receive {
            token,
            root: leaf.root,
            chunks: leaf.chunks,
        })
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: NodeId,
        token: Token,
        cap: &ReadCap,
    ) -> Result<BulkEffect, Deny> {
        let held = self
            .contracts
            .get(&cap.contract)
            .ok_or(Deny::UnknownContract)?;
        let good = cap.lets(&from, ctx.now, &ctx.me.genesis)
            && ctx.now <= cap.expiry
            && cap.is_signed_by(&held.leaf().renter, &ctx.me.genesis);
        if !good {
            return Err(Deny::BadSignature);
        }
        if self.revoked.has(&cap.contract, &cap.reader) {
            return Err(Deny::Revoked);
        }
        let renter = held.leaf().renter;
        ctx.permit((&renter, cap.by), May::NOTHING, Amount::ZERO)?;
        let owner = self.shards.get(&cap.root).map(|(owner, _)| owner);
        if owner != Some(&cap.contract) || self.losses.damaged.contains(&cap.root) {
            return Err(Deny::UnknownShard);
        }
        Ok(BulkEffect::Serve {
            token,
            root: cap.root,
        })
    }

    /// A shard rests on disk, or does not.
    pub(crate) fn received(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        stored: Result<VolumeId, Deny>,
    ) {
        let Some((contract, leaf)) = self.receiving.remove(&token) else {
            return;
        };
        let reply = match (stored, self.contracts.get_mut(&contract)) {
            (Ok(volume), Some(held)) => {
                // The contract may have been forgotten and proposed again meanwhile.
                held.incoming = held.incoming.saturating_sub(leaf.chunks);
                held.loose.insert(leaf.root, (leaf, Some(ctx.now)));
                self.shards.insert(leaf.root, (contract, leaf));
                let row = ShardRow::loose(contract, leaf);
                let mut rows = vec![Write::shard(&leaf.root, Some(&row))];
                rows.extend(self.places.put(leaf.root, volume));
                ctx.persist(rows);
                BulkReply::Ack(acknowledge(ctx, contract, &leaf))
            }
            (Ok(_), None) => {
                ctx.out
                    .push(Effect::Bulk(BulkEffect::Drop { root: leaf.root }));
                BulkReply::Denied(Deny::UnknownContract)
            }
            (Err(deny), held) => {
                if let Some(held) = held {
                    held.incoming = held.incoming.saturating_sub(leaf.chunks);
                }
                BulkReply::Denied(deny)
            }
        };
        ctx.out
            .push(Effect::Bulk(BulkEffect::Reply { token, reply }));
    }
}

fn acknowledge(ctx: &Ctx<'_>, contract: ContractId, leaf: &ShardLeaf) -> ShardAck {
    ShardAck::sign(
        contract,
        leaf.root,
        leaf.chunks,
        &ctx.me.node_key,
        &ctx.me.genesis,
    )
}
