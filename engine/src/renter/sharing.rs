//! What others share with us, and what we take back. A borrowed segment is fetched like our own, with
//! the rights that its share holds; it is never repaired, and nobody's loss of it is ours. Who is told
//! that a reader's rights are void is told again, later and later, until it says that it knows, or
//! until the rights have ended. `docs/protocol.md` §3.13.

use super::Renter;
use super::fetches::CAP_LIFE;
use super::losses::{Source, Trust};
use crate::ctx::{Ctx, backoff, sooner};
use crate::io::{OpId, Unreachable};
use crate::ops::Pending;
use crate::rows::{RevokingRow, Write};
use crate::share::{Revocation, SharedPlace, SharedSegment};
use crate::wire::{Deny, ReadCap, Request, Response, RevokeReader};
use larder_coding::layout::Code;
use larder_types::{ContractId, NodeId, SegmentId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Segments of others, while they are read.
#[derive(Debug, Default)]
pub(crate) struct Borrowed(BTreeMap<SegmentId, Loan>);

#[derive(Debug)]
struct Loan {
    segment: SharedSegment,
    /// Reads that need it.
    uses: u32,
    /// Whether a provider said that the owner has taken the right back.
    revoked: bool,
}

/// What a fetch must know of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) code: Code,
    pub(crate) len: u64,
    pub(crate) shard_len: u64,
}

/// Readers whose rights we take back.
#[derive(Debug, Default)]
pub(crate) struct Revoking(BTreeMap<NodeId, Reader>);

#[derive(Debug)]
struct Reader {
    until: Time,
    left: BTreeMap<ContractId, Tell>,
    told: BTreeSet<ContractId>,
}

/// Word on its way to one provider.
#[derive(Debug, Default)]
struct Tell {
    op: Option<OpId>,
    fails: u32,
    retry_at: Time,
}

impl Revoking {
    /// Takes durable rows up again: whoever was not told is told now.
    pub(crate) fn restore(&mut self, rows: Vec<(NodeId, RevokingRow)>) {
        for (reader, row) in rows {
            let left = row.left.into_iter().map(|id| (id, Tell::default()));
            let reading = Reader {
                until: row.until,
                left: left.collect(),
                told: row.told.into_iter().collect(),
            };
            self.0.insert(reader, reading);
        }
    }
}

impl Reader {
    fn row(&self) -> RevokingRow {
        RevokingRow {
            until: self.until,
            left: self.left.keys().copied().collect(),
            told: self.told.iter().copied().collect(),
        }
    }
}

impl Renter {
    /// What a fetch must know of a segment, ours or lent to us.
    pub(crate) fn shape(&self, segment: &SegmentId) -> Option<Shape> {
        if let Some(row) = self.segments.get(segment) {
            return Some(Shape {
                code: row.code,
                len: row.len,
                shard_len: row.shard_len,
            });
        }
        let manifest = &self.borrowed.0.get(segment)?.segment.manifest;
        Some(Shape {
            code: manifest.code,
            len: manifest.segment_len,
            shard_len: manifest.shard_len,
        })
    }

    pub(crate) fn is_borrowed(&self, segment: &SegmentId) -> bool {
        !self.segments.contains_key(segment) && self.borrowed.0.contains_key(segment)
    }

    /// A share lets us read these.
    pub(crate) fn borrow_segments(&mut self, segments: Vec<SharedSegment>) {
        for segment in segments {
            let id = segment.manifest.segment;
            if self.segments.contains_key(&id) {
                continue;
            }
            let uses = self.borrowed.0.get(&id).map_or(0, |loan| loan.uses);
            let loan = Loan {
                segment,
                uses: uses + 1,
                revoked: false,
            };
            self.borrowed.0.insert(id, loan);
        }
    }

    /// A read is over.
    pub(crate) fn return_segments(&mut self, ctx: &mut Ctx<'_>, segments: &[SegmentId]) {
        for id in segments {
            let Some(loan) = self.borrowed.0.get_mut(id) else {
                continue;
            };
            loan.uses = loan.uses.saturating_sub(1);
            if loan.uses == 0 {
                self.borrowed.0.remove(id);
                if self.fetches.remove(id).is_some() {
                    ctx.discard(*id, true);
                }
            }
        }
    }

    fn lent(&self, segment: &SegmentId, position: u16) -> Option<(&SharedSegment, &SharedPlace)> {
        let segment = &self.borrowed.0.get(segment)?.segment;
        let mut places = segment.places.iter();
        let place = places.find(|place| place.position == position)?;
        Some((segment, place))
    }

    /// Where a position of a borrowed segment can be read.
    pub(crate) fn lent_source(
        &self,
        segment: &SegmentId,
        position: u16,
        now: Time,
    ) -> Option<Source> {
        let (_, place) = self.lent(segment, position)?;
        let trust = match self.is_doubtful(&place.provider, now) {
            true => Trust::Suspect,
            false => Trust::Healthy,
        };
        Some(Source {
            trust,
            contract: place.cap.contract,
            provider: place.provider,
            root: place.cap.root,
        })
    }

    /// The right to read a position of a borrowed segment, passed to this node.
    pub(crate) fn lent_right(
        &self,
        ctx: &Ctx<'_>,
        segment: &SegmentId,
        position: u16,
    ) -> Option<ReadCap> {
        let (segment, place) = self.lent(segment, position)?;
        let (me, until) = (ctx.me, ctx.now.after(CAP_LIFE));
        let cap = &place.cap;
        Some(cap.pass_to(me.node(), until, &segment.reader, &me.genesis))
    }

    /// A provider would not serve a borrowed segment; whether it is of no use to ask it again.
    pub(crate) fn not_lent(&mut self, segment: &SegmentId, deny: &Deny) -> bool {
        let Some(loan) = self.borrowed.0.get_mut(segment) else {
            return false;
        };
        loan.revoked |= *deny == Deny::Revoked;
        matches!(deny, Deny::Revoked | Deny::UnknownContract)
    }

    /// Whether some provider said of one of these that the owner has taken the right back.
    pub(crate) fn is_taken_back(&self, segments: &[SegmentId]) -> bool {
        let loans = segments.iter().filter_map(|id| self.borrowed.0.get(id));
        loans.into_iter().any(|loan| loan.revoked)
    }

    /// A reader's rights are void from now on; whoever holds what it could read is to be told.
    pub(crate) fn revoke(
        &mut self,
        ctx: &mut Ctx<'_>,
        reader: NodeId,
        until: Time,
        contracts: Vec<ContractId>,
    ) {
        let reading = self.revoking.0.entry(reader).or_insert_with(|| Reader {
            until,
            left: BTreeMap::new(),
            told: BTreeSet::new(),
        });
        reading.until = reading.until.max(until);
        for contract in contracts {
            if !reading.told.contains(&contract) {
                reading.left.entry(contract).or_default();
            }
        }
        let row = reading.row();
        ctx.persist(vec![Write::revoking(&reader, Some(&row))]);
    }

    /// Tells whom it is due to tell, and forgets rights that have ended.
    pub(crate) fn revoke_all(&mut self, ctx: &mut Ctx<'_>) {
        let mut rows = Vec::new();
        self.revoking.0.retain(|reader, reading| {
            let stands = ctx.now <= reading.until;
            if !stands {
                rows.push(Write::revoking(reader, None));
            }
            stands
        });
        ctx.persist(rows);
        // Nobody heeds a key that the ledger does not know.
        if !ctx.chain.authorised {
            return;
        }
        for (reader, reading) in &mut self.revoking.0 {
            for (contract, tell) in &mut reading.left {
                let Some(lease) = self.leases.get(contract) else {
                    continue;
                };
                if tell.op.is_some() || ctx.now < tell.retry_at {
                    continue;
                }
                let me = ctx.me;
                let (key, net) = (&me.ledger_key, &me.genesis);
                let revoke = RevokeReader::sign(*contract, *reader, reading.until, key, net);
                let pending = Pending::Revoke {
                    reader: *reader,
                    contract: *contract,
                };
                let request = Request::Revoke(revoke);
                tell.op = Some(ctx.request(lease.provider, request, pending));
            }
        }
    }

    /// A provider knows that a reader's rights are void, or has not heard it.
    pub(crate) fn revoke_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        reader: NodeId,
        contract: ContractId,
        answer: &Result<Response, Unreachable>,
    ) {
        let Some(reading) = self.revoking.0.get_mut(&reader) else {
            return;
        };
        match answer {
            // A provider that has forgotten the contract serves nothing under it.
            Ok(Response::Revoked | Response::Denied(Deny::UnknownContract)) => {
                reading.left.remove(&contract);
                reading.told.insert(contract);
                let row = reading.row();
                ctx.persist(vec![Write::revoking(&reader, Some(&row))]);
            }
            Ok(_) | Err(_) => {
                if let Some(tell) = reading.left.get_mut(&contract) {
                    tell.op = None;
                    tell.retry_at = ctx.now.after(backoff(tell.fails));
                    tell.fails += 1;
                }
            }
        }
    }

    /// When somebody is to be told again, or a right has ended.
    pub(crate) fn revoking_deadline(&self, now: Time) -> Option<Time> {
        let mut soonest = None;
        for reading in self.revoking.0.values() {
            let due = reading.left.iter().filter_map(|(contract, tell)| {
                let waits = tell.op.is_none() && self.leases.contains_key(contract);
                waits.then_some(tell.retry_at.max(now))
            });
            let ends = Time(reading.until.0.saturating_add(1)).max(now);
            soonest = sooner(soonest, sooner(due.min(), Some(ends)));
        }
        soonest
    }

    /// How far the word of a reader's end has come.
    pub(crate) fn revocation(&self, reader: &NodeId) -> Revocation {
        let Some(reading) = self.revoking.0.get(reader) else {
            return Revocation::default();
        };
        let provider = |id: &ContractId| self.leases.get(id).map(|lease| lease.provider);
        // Without a contract nothing is served: whoever held it knows enough.
        let (left, gone): (Vec<_>, Vec<_>) = reading
            .left
            .keys()
            .partition(|id| self.leases.contains_key(*id));
        Revocation {
            told: reading.told.iter().filter_map(provider).collect(),
            untold: left.into_iter().filter_map(provider).collect(),
            ended: u32::try_from(gone.len()).unwrap_or(u32::MAX),
        }
    }
}
