//! k shards come back: for a user, who gets the segment, for a repair, which rebuilds what is
//! missing, or for both, who share them. Healthy providers first, among them data positions (then
//! nothing needs decoding); a slow one makes another start, a failed one is replaced. The shell
//! verifies each shard's root before it counts, so wrong bytes are never handed on.
//! `docs/protocol.md` §3.9.

use super::Renter;
use super::losses::{Source, Trust};
use super::puts::TRANSFER_DEADLINE;
use crate::ctx::{Ctx, sooner};
use crate::io::{Job, JobError, Notice, OpId, PutError};
use crate::ops::Pending;
use crate::wire::{Deny, ReadCap};
use larder_types::params::CHUNK;
use larder_types::size::MIB;
use larder_types::{ContractId, Millis, NodeId, SegmentId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// How long a provider may serve us one shard.
pub(super) const CAP_LIFE: Millis = Millis(2 * TRANSFER_DEADLINE.0);
/// Most shards on their way to us at once; users' go first.
const MAX_GETS: usize = 64;
/// A shard that a user waits for lags when it takes longer than this and twice what the shards
/// before it took for as many bytes: at first that counts as 1 s per MiB …
const LAG: Millis = Millis(5_000);
const FIRST_PACE: u64 = 500;
/// … and at most 8 s per MiB; ms per MiB.
const SLOWEST_PACE: u64 = 4_000;
/// … one for a repair alone, which must not read more than it needs, when it takes longer than
/// this and 1 s per 128 KiB.
const PATIENT_LAG: Millis = Millis(60_000);
const PATIENT_PACE: u64 = 128 << 10;
/// Who lags is asked after the others for so long, or until it has served something.
const LATE: Millis = Millis(60_000);
/// Times that providers which merely did not answer are asked again before a fetch is given up …
const MAX_ROUNDS: u32 = 4;
/// … after 1 s, 2 s, 4 s, 8 s.
const ROUND: Millis = Millis(1_000);

/// A segment on its way back.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    have: BTreeSet<u16>,
    getting: BTreeMap<u16, Getting>,
    /// Tried without success in this round.
    failed: BTreeSet<u16>,
    /// Not to be tried again: the provider does not have them.
    bad: BTreeSet<u16>,
    rounds: u32,
    /// When the next round begins.
    retry_at: Option<Time>,
    decoding: Option<OpId>,
    ready: bool,
    users: u32,
    /// Whether a repair wants the shards.
    repair: bool,
    /// Whether all positions are still to be read, and not only as many as are needed.
    probing: bool,
}

/// What reading all of a segment's shards has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Positions whose shard was not what was stored.
    pub damaged: u16,
    /// Positions that could not be reached.
    pub unread: u16,
}

#[derive(Debug, Clone, Copy)]
struct Getting {
    op: OpId,
    contract: ContractId,
    provider: NodeId,
    since: Time,
}

/// How fast shards have come of late, ms per MiB: a line's pace, and that of those who serve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(u64);

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST_PACE)
    }
}

impl Pace {
    /// What `bytes` take at this pace, ms.
    const fn of(self, bytes: u64) -> u64 {
        self.0.saturating_mul(bytes) / MIB
    }

    /// A shard has come: it counts for a quarter. One that is shorter than a MiB counts as one, for
    /// most of its time is not the line's.
    fn note(&mut self, took: Millis, bytes: u64) {
        let seen = took.0.saturating_mul(MIB) / bytes.max(MIB);
        self.0 = (3 * self.0 + seen.min(SLOWEST_PACE)) / 4;
    }
}

impl Fetch {
    fn is_unwanted(&self) -> bool {
        self.users == 0 && !self.repair
    }

    /// How long one shard may take before another is asked for besides; `pace` in ms per MiB.
    fn patience(&self, shard_len: u64, pace: Pace) -> Millis {
        if self.users > 0 {
            return Millis(LAG.0 + 2 * pace.of(shard_len));
        }
        Millis(PATIENT_LAG.0 + shard_len.saturating_mul(1_000) / PATIENT_PACE)
    }

    fn is_tried(&self, position: u16) -> bool {
        self.have.contains(&position)
            || self.getting.contains_key(&position)
            || self.failed.contains(&position)
            || self.bad.contains(&position)
    }
}

impl Renter {
    /// Someone wants a segment's ciphertext.
    pub(crate) fn fetch(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let fetch = self.fetches.entry(segment).or_default();
        fetch.users += 1;
        fetch.rounds = 0;
        if fetch.ready {
            return ctx.tell(Notice::SegmentReady { segment });
        }
        self.advance(ctx, segment);
    }

    /// The same, and all of its shards are read. One that is decoded already, for somebody else, is
    /// not read again.
    pub(crate) fn probe(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let fetch = self.fetches.entry(segment).or_default();
        fetch.probing = !fetch.ready && fetch.decoding.is_none();
        self.fetch(ctx, segment);
    }

    /// What was found of a segment that is being fetched.
    pub(crate) fn probed(&self, segment: &SegmentId) -> Option<Probed> {
        let fetch = self.fetches.get(segment)?;
        let count = |of: &BTreeSet<u16>| u16::try_from(of.len()).unwrap_or(u16::MAX);
        Some(Probed {
            damaged: count(&fetch.bad),
            unread: count(&fetch.failed),
        })
    }

    /// A repair wants a segment's shards.
    pub(crate) fn fetch_for_repair(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        self.fetches.entry(segment).or_default().repair = true;
        self.advance(ctx, segment);
    }

    /// One user less; with the last the file goes, unless a repair needs the shards.
    pub(crate) fn release(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        if let Some(fetch) = self.fetches.get_mut(&segment) {
            fetch.users = fetch.users.saturating_sub(1);
        }
        self.drop_unwanted(ctx, segment);
    }

    /// The repair has what it needs, or gives up.
    pub(crate) fn release_repair(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        if let Some(fetch) = self.fetches.get_mut(&segment) {
            fetch.repair = false;
        }
        self.drop_unwanted(ctx, segment);
    }

    fn drop_unwanted(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        if self.fetches.get(&segment).is_some_and(Fetch::is_unwanted) {
            self.fetches.remove(&segment);
            ctx.discard(segment, true);
        }
    }

    /// Takes every fetch as far as it goes now, users' first.
    pub(crate) fn fetch_all(&mut self, ctx: &mut Ctx<'_>) {
        // Nobody serves a key that the ledger does not know; the block that shows it wakes us. What is
        // lent is read with others' rights.
        let mut ids: Vec<(bool, SegmentId)> = self
            .fetches
            .iter()
            .filter(|(id, _)| ctx.chain.authorised || self.is_borrowed(id))
            .filter(|(_, fetch)| !fetch.ready && fetch.decoding.is_none())
            .map(|(id, fetch)| (fetch.users == 0, *id))
            .collect();
        ids.sort_unstable();
        for (_, id) in ids {
            self.get_more(ctx, id);
        }
    }

    /// Asks for as many positions as are still needed.
    fn get_more(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let Some(shape) = self.shape(&segment) else {
            return self.unavailable(ctx, segment, 1);
        };
        let (code, shard_len) = (shape.code, shape.shard_len);
        let lent = self.is_borrowed(&segment);
        let probing = self.fetches.get(&segment).is_some_and(|f| f.probing);
        let needed = usize::from(if probing { code.n() } else { code.k() });
        let room = MAX_GETS.saturating_sub(self.gets);
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        if fetch.retry_at.is_some_and(|at| ctx.now < at) {
            return;
        }
        fetch.retry_at = None;
        let Some(fetch) = self.fetches.get(&segment) else {
            return;
        };
        let patience = fetch.patience(shard_len, self.pace);
        let lags = |g: &&Getting| ctx.now >= g.since.after(patience);
        let lagging = fetch.getting.values().filter(lags).count();
        let coming = fetch.have.len() + fetch.getting.len() - lagging;
        // Who lags here is not the first to be asked elsewhere.
        let late = fetch.getting.values().filter(lags);
        let until = ctx.now.after(LATE);
        self.late.extend(late.map(|g| (g.provider, until)));
        let wanted = needed.saturating_sub(coming);
        if wanted == 0 || room == 0 {
            return;
        }
        let untried = (0..code.n()).filter(|j| !fetch.is_tried(*j));
        let mut sources: Vec<(Trust, u16, Source)> = untried
            .filter_map(|j| {
                let source = match lent {
                    true => self.lent_source(&segment, j, ctx.now),
                    false => self.source(&segment, j, ctx.now),
                };
                source.map(|s| (s.trust, j, s))
            })
            .collect();
        sources.sort_by_key(|(trust, position, _)| (*trust, *position));
        for (_, position, source) in sources.into_iter().take(wanted.min(room)) {
            self.get(ctx, segment, (position, shard_len / CHUNK), source);
        }
        let fetch = self.fetches.get(&segment);
        if fetch.is_some_and(|f| f.getting.is_empty() && f.have.len() < needed) {
            self.next_round(ctx, segment, code.k());
        }
    }

    fn get(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: SegmentId,
        (position, chunks): (u16, u64),
        source: Source,
    ) {
        let own = || {
            let (me, until) = (ctx.me, ctx.now.after(CAP_LIFE));
            let (contract, root) = (source.contract, source.root);
            let key = &me.ledger_key;
            ReadCap::sign(contract, root, me.node(), until, key, &me.genesis)
        };
        let lent = self.is_borrowed(&segment);
        let right = lent.then(|| self.lent_right(ctx, &segment, position));
        let cap = right.flatten().unwrap_or_else(own);
        let job = Job::Get {
            segment,
            position,
            from: source.provider,
            cap,
            chunks,
        };
        let op = ctx.run(
            job,
            ctx.now.after(TRANSFER_DEADLINE),
            Pending::Get { segment, position },
        );
        let getting = Getting {
            op,
            contract: source.contract,
            provider: source.provider,
            since: ctx.now,
        };
        self.gets += 1;
        if let Some(fetch) = self.fetches.get_mut(&segment) {
            fetch.getting.insert(position, getting);
        }
    }

    /// Nothing is left to try: those that merely did not answer are asked again, a few times.
    fn next_round(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, needed: u16) {
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        if fetch.failed.is_empty() || fetch.rounds >= MAX_ROUNDS {
            if fetch.probing && fetch.have.len() >= usize::from(needed) {
                // All was tried; what did not come is not needed.
                fetch.probing = false;
                return self.advance(ctx, segment);
            }
            return self.unavailable(ctx, segment, needed);
        }
        fetch.failed.clear();
        fetch.retry_at = Some(ctx.now.after(Millis(ROUND.0 << fetch.rounds)));
        fetch.rounds += 1;
    }

    /// The segment cannot be had: its users are told, and its repair.
    fn unavailable(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, needed: u16) {
        let Some(fetch) = self.fetches.remove(&segment) else {
            return;
        };
        let reached = u16::try_from(fetch.have.len()).unwrap_or(u16::MAX);
        ctx.discard(segment, true);
        if fetch.users > 0 {
            ctx.tell(Notice::SegmentUnavailable {
                segment,
                reached,
                needed,
            });
        }
        if fetch.repair {
            self.repair_failed(ctx, &segment);
        }
    }

    /// A shard came, or did not.
    pub(crate) fn got(
        &mut self,
        ctx: &mut Ctx<'_>,
        (op, segment, position): (OpId, SegmentId, u16),
        outcome: Result<(), PutError>,
    ) {
        self.gets = self.gets.saturating_sub(1);
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            // Of a former life of this fetch: nobody wants its file.
            return ctx.discard(segment, true);
        };
        let Some(getting) = fetch.getting.get(&position).filter(|g| g.op == op).copied() else {
            return;
        };
        fetch.getting.remove(&position);
        let repair = fetch.repair;
        let is_refused =
            matches!(&outcome, Err(PutError::Refused(deny)) if self.not_lent(&segment, deny));
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        match outcome {
            Ok(()) => {
                fetch.have.insert(position);
                let len = self.shape(&segment).map_or(0, |shape| shape.shard_len);
                self.pace.note(ctx.now.since(getting.since), len);
                self.served(&getting.provider);
                if repair {
                    self.repair_read(&segment);
                }
            }
            Err(PutError::WrongBytes | PutError::Refused(Deny::UnknownShard)) => {
                fetch.bad.insert(position);
                // Of what is borrowed, nobody's contract with us says that it is there.
                if !self.is_borrowed(&segment) {
                    self.failed(getting.provider, ctx.now);
                    self.audit_failed(ctx, getting.provider);
                    self.not_there(ctx, &segment, position, getting.contract);
                }
            }
            Err(PutError::Refused(_)) if is_refused => {
                fetch.bad.insert(position);
            }
            Err(PutError::Peer(_) | PutError::Refused(_)) => {
                fetch.failed.insert(position);
                self.failed(getting.provider, ctx.now);
            }
            Err(PutError::Local(_)) => {
                fetch.failed.insert(position);
            }
        }
        self.advance(ctx, segment);
    }

    /// A provider does not have what both signed that it has: the position is lost, for us.
    fn not_there(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &SegmentId,
        position: u16,
        contract: ContractId,
    ) {
        let holder = self.holder(segment, position);
        if holder.is_some_and(|(holder, ..)| holder == contract) {
            let row = self.lose_denied(segment, position);
            ctx.persist(row.into_iter().collect());
        }
    }

    /// With k shards at hand the users' segment is decoded and the repair goes on; else more are
    /// asked for.
    fn advance(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let shape = self.shape(&segment);
        let (Some(fetch), Some(shape)) = (self.fetches.get_mut(&segment), shape) else {
            return self.unavailable(ctx, segment, 1);
        };
        fetch.probing &= fetch.have.len() < usize::from(shape.code.n());
        if fetch.probing || fetch.have.len() < usize::from(shape.code.k()) {
            return self.get_more(ctx, segment);
        }
        let positions: Vec<u16> = fetch
            .have
            .iter()
            .copied()
            .take(usize::from(shape.code.k()))
            .collect();
        if fetch.users > 0 && !fetch.ready && fetch.decoding.is_none() {
            let job = Job::Decode {
                segment,
                code: shape.code,
                len: shape.len,
                shard_len: shape.shard_len,
                positions: positions.clone(),
            };
            let deadline = ctx.now.after(TRANSFER_DEADLINE);
            fetch.decoding = Some(ctx.run(job, deadline, Pending::Decode { segment }));
        }
        if fetch.repair {
            self.rebuild(ctx, &segment, positions);
        }
    }

    /// The segment lies in the fetch folder, or cannot be decoded.
    pub(crate) fn decoded(
        &mut self,
        ctx: &mut Ctx<'_>,
        (op, segment): (OpId, SegmentId),
        outcome: Result<(), JobError>,
    ) {
        let needed = self.shape(&segment).map_or(0, |shape| shape.code.k());
        let fetch = self.fetches.get_mut(&segment);
        let Some(fetch) = fetch.filter(|f| f.decoding == Some(op)) else {
            return; // Of a former life of this fetch.
        };
        fetch.decoding = None;
        if outcome.is_ok() {
            fetch.ready = true;
            return ctx.tell(Notice::SegmentReady { segment });
        }
        self.unavailable(ctx, segment, needed);
    }

    /// When a shard begins to lag, or a round begins.
    pub(crate) fn fetches_deadline(&self, now: Time) -> Option<Time> {
        let mut soonest = None;
        for (id, fetch) in &self.fetches {
            let Some(shape) = self.shape(id) else {
                continue;
            };
            if !fetch.probing && fetch.have.len() >= usize::from(shape.code.k()) {
                continue;
            }
            let patience = fetch.patience(shape.shard_len, self.pace);
            let lags = fetch.getting.values().map(|g| g.since.after(patience));
            let next = lags.filter(|t| *t > now).min();
            soonest = sooner(soonest, sooner(next, fetch.retry_at));
        }
        soonest
    }
}
