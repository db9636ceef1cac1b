//! k shards become the segment again: data positions first (then nothing needs decoding), others
//! where those fail. The shell verifies each shard's root before it counts, so wrong bytes are
//! never handed on.

use super::Renter;
use super::uploads::TRANSFER_DEADLINE;
use crate::ctx::Ctx;
use crate::io::{Job, JobError, Notice, OpId, PutError};
use crate::ops::Pending;
use crate::wire::ReadCap;
use larder_types::params::CHUNK;
use larder_types::{Millis, SegmentId};
use std::collections::{BTreeMap, BTreeSet};

/// How long a provider may serve us one shard.
const CAP_LIFE: Millis = Millis(2 * TRANSFER_DEADLINE.0);

/// A segment on its way back.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    have: BTreeSet<u16>,
    getting: BTreeMap<u16, OpId>,
    failed: BTreeSet<u16>,
    decoding: bool,
    ready: bool,
    users: u32,
}

impl Renter {
    /// Someone wants a segment's ciphertext.
    pub(crate) fn fetch(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let fetch = self.fetches.entry(segment).or_default();
        fetch.users += 1;
        if fetch.ready {
            return ctx.tell(Notice::SegmentReady { segment });
        }
        self.get_more(ctx, segment);
    }

    /// One user less; with the last the file goes.
    pub(crate) fn release(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        fetch.users = fetch.users.saturating_sub(1);
        if fetch.users == 0 {
            self.fetches.remove(&segment);
            ctx.discard(segment, true);
        }
    }

    /// Asks for as many positions as are still needed.
    fn get_more(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let Some(row) = self.segments.get(&segment) else {
            self.fetches.remove(&segment);
            let notice = Notice::SegmentUnavailable {
                segment,
                reached: 0,
                needed: 1,
            };
            return ctx.tell(notice);
        };
        let (code, chunks) = (row.code, row.shard_len / CHUNK);
        let mut order: Vec<u16> = (0..code.n()).collect();
        order.sort_by_key(|j| {
            let holder = self.holder(&segment, *j);
            (
                holder.is_none_or(|(_, p, _)| self.in_trouble(&p, ctx.now)),
                *j,
            )
        });
        for position in order {
            let Some(fetch) = self.fetches.get(&segment) else {
                return;
            };
            let under_way = fetch.have.len() + fetch.getting.len();
            if under_way >= usize::from(code.k()) {
                return;
            }
            let tried = fetch.have.contains(&position)
                || fetch.getting.contains_key(&position)
                || fetch.failed.contains(&position);
            if !tried {
                self.get(ctx, segment, position, chunks);
            }
        }
        self.check_lost(ctx, segment, code.k());
    }

    fn get(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, position: u16, chunks: u64) {
        let holder = self.holder(&segment, position);
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        let Some((contract, from, root)) = holder else {
            fetch.failed.insert(position);
            return;
        };
        let expiry = ctx.now.after(CAP_LIFE);
        let me = ctx.me;
        let cap = ReadCap::sign(
            contract,
            root,
            me.node(),
            expiry,
            &me.account_key,
            &me.genesis,
        );
        let job = Job::Get {
            segment,
            position,
            from,
            cap,
            chunks,
        };
        let op = ctx.run(
            job,
            ctx.now.after(TRANSFER_DEADLINE),
            Pending::Get { segment, position },
        );
        fetch.getting.insert(position, op);
    }

    /// Too few positions are left to try.
    fn check_lost(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, needed: u16) {
        let Some(fetch) = self.fetches.get(&segment) else {
            return;
        };
        if !fetch.getting.is_empty() || fetch.have.len() >= usize::from(needed) {
            return;
        }
        let reached = u16::try_from(fetch.have.len()).unwrap_or(u16::MAX);
        self.fetches.remove(&segment);
        ctx.discard(segment, true);
        ctx.tell(Notice::SegmentUnavailable {
            segment,
            reached,
            needed,
        });
    }

    /// A shard came, or did not.
    pub(crate) fn got(
        &mut self,
        ctx: &mut Ctx<'_>,
        (op, segment, position): (OpId, SegmentId, u16),
        outcome: Result<(), PutError>,
    ) {
        let holder = self.holder(&segment, position);
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        if fetch.getting.get(&position) != Some(&op) {
            return; // Of a former life of this fetch: its file is gone.
        }
        fetch.getting.remove(&position);
        match (outcome, holder) {
            (Ok(()), holder) => {
                fetch.have.insert(position);
                if let Some((_, provider, _)) = holder {
                    self.served(&provider);
                }
            }
            (Err(PutError::Peer(_) | PutError::Refused(_)), Some((_, provider, _))) => {
                fetch.failed.insert(position);
                self.failed(provider, ctx.now);
            }
            (Err(_), _) => {
                fetch.failed.insert(position);
            }
        }
        self.decode_or_more(ctx, segment);
    }

    fn decode_or_more(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let (Some(fetch), Some(row)) =
            (self.fetches.get_mut(&segment), self.segments.get(&segment))
        else {
            return;
        };
        if fetch.decoding || fetch.have.len() < usize::from(row.code.k()) {
            return self.get_more(ctx, segment);
        }
        fetch.decoding = true;
        let job = Job::Decode {
            segment,
            code: row.code,
            len: row.len,
            shard_len: row.shard_len,
            positions: fetch
                .have
                .iter()
                .copied()
                .take(usize::from(row.code.k()))
                .collect(),
        };
        ctx.run(
            job,
            ctx.now.after(TRANSFER_DEADLINE),
            Pending::Decode { segment },
        );
    }

    /// The segment lies in the fetch folder, or cannot be decoded.
    pub(crate) fn decoded(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: SegmentId,
        outcome: Result<(), JobError>,
    ) {
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        fetch.decoding = false;
        if outcome.is_ok() {
            fetch.ready = true;
            return ctx.tell(Notice::SegmentReady { segment });
        }
        let reached = u16::try_from(fetch.have.len()).unwrap_or(u16::MAX);
        let needed = self.segments.get(&segment).map_or(0, |row| row.code.k());
        self.fetches.remove(&segment);
        ctx.discard(segment, true);
        ctx.tell(Notice::SegmentUnavailable {
            segment,
            reached,
            needed,
        });
    }
}
