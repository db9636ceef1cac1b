//! Rights to read that their owner has taken back: a reader under a contract, remembered until the
//! last of its rights would have ended, durable before the answer. A stream that is being served
//! goes on to its end. `docs/protocol.md` §3.13.

use super::Provider;
use crate::ctx::Ctx;
use crate::rows::Write;
use crate::wire::{Deny, Response, RevokeReader};
use larder_ledger::May;
use larder_types::{Amount, ContractId, NodeId, Time};
use std::collections::BTreeMap;

/// Most readers that are remembered under one contract, 80 bytes each.
const MAX_READERS: usize = 1_024;

/// Readers without rights, by contract.
#[derive(Debug, Default)]
pub(crate) struct RevokedReaders(BTreeMap<ContractId, BTreeMap<NodeId, Time>>);

impl RevokedReaders {
    /// Takes durable rows up again.
    pub(crate) fn restore(&mut self, rows: Vec<(ContractId, NodeId, Time)>) {
        for (contract, reader, until) in rows {
            self.0.entry(contract).or_default().insert(reader, until);
        }
    }

    /// Whether the reader has no rights under the contract any more.
    pub(crate) fn has(&self, contract: &ContractId, reader: &NodeId) -> bool {
        self.0.get(contract).is_some_and(|r| r.contains_key(reader))
    }

    /// The contract is forgotten, and its readers with it.
    pub(crate) fn forget(&mut self, contract: &ContractId) -> Vec<Write> {
        let readers = self.0.remove(contract).unwrap_or_default();
        let gone = readers.keys();
        gone.map(|reader| Write::revoked(contract, reader, None))
            .collect()
    }

    /// Rights that have ended by themselves need no memory.
    fn lapse(&mut self, now: Time) -> Vec<Write> {
        let mut rows = Vec::new();
        self.0.retain(|contract, readers| {
            readers.retain(|reader, until| {
                let stands = now <= *until;
                if !stands {
                    rows.push(Write::revoked(contract, reader, None));
                }
                stands
            });
            !readers.is_empty()
        });
        rows
    }
}

impl Provider {
    /// A renter takes back what a reader may read.
    pub(crate) fn revoke(
        &mut self,
        ctx: &mut Ctx<'_>,
        revoke: &RevokeReader,
    ) -> Result<Response, Deny> {
        let RevokeReader {
            contract,
            reader,
            until,
            by,
            ..
        } = revoke;
        let held = self.contracts.get(contract).ok_or(Deny::UnknownContract)?;
        let renter = held.leaf().renter;
        if !revoke.is_signed_by(&renter, &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        ctx.permit((&renter, *by), May::NOTHING, Amount::ZERO)?;
        let mut rows = self.revoked.lapse(ctx.now);
        let readers = self.revoked.0.entry(*contract).or_default();
        let known = readers.get(reader).copied();
        if known.is_none() && readers.len() >= MAX_READERS {
            ctx.persist(rows);
            return Err(Deny::NoRoom);
        }
        // A right that ends later than was thought ends with this, too.
        if known.is_none_or(|known| known < *until) {
            readers.insert(*reader, *until);
            rows.push(Write::revoked(contract, reader, Some(*until)));
        }
        ctx.persist(rows);
        Ok(Response::Revoked)
    }

    /// An epoch has begun.
    pub(crate) fn tend_revoked(&mut self, ctx: &mut Ctx<'_>) {
        let rows = self.revoked.lapse(ctx.now);
        ctx.persist(rows);
    }
}
