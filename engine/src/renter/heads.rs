//! This device's own head: what a recovery from the words needs, kept by every provider that we
//! have a contract with. It is made anew when segments or contracts have changed, a moment later so
//! that a backup does not make a hundred, and offered to each provider until that has it. Nothing
//! waits for it here. `docs/protocol.md` §3.9.

use super::Renter;
use super::lease::Lease;
use crate::ctx::{Ctx, Identity, backoff, sooner};
use crate::head::{Doom, Head, HeadContract, Revocation, SeenHead, SegmentEntry, SignedHead};
use crate::io::{Effect, Notice, OpId, Unreachable};
use crate::ops::Pending;
use crate::rows::{Kind, OwnHead, SegmentRow, Write};
use crate::wire::{Request, Response};
use larder_coding::manifest::Manifest;
use larder_types::{ContractId, Hash, Millis, NodeId, SegmentId, Time, codec};
use std::collections::{BTreeMap, BTreeSet};

/// A head is made when nothing has changed for so long …
const QUIET: Millis = Millis(2_000);
/// … or so long after the first change, whatever goes on.
const LATEST: Millis = Millis(30_000);
/// So many providers must hold a head before it counts as kept; all, where there are fewer.
const ENOUGH: usize = 3;
/// Bytes of a head for its segments, and for its contracts. Together with what encoding adds they
/// fit into 64 KiB.
const SEGMENTS_ROOM: usize = 36 << 10;
const CONTRACTS_ROOM: usize = 14 << 10;
/// Bytes of a machine's name in a head.
const MAX_NAME: usize = 64;
/// A head is made anew after this, though it says nothing new: its device lives.
const ALIVE: Millis = Millis(24 * 3_600_000);
/// A contract's addresses in a head: this many, of at most so many bytes.
const MAX_ADDRS: usize = 2;
const MAX_ADDR: usize = 128;
/// A provider may tell us of a newer head of our own, if this home is an old copy of itself. Beyond
/// this lead it lies, to use our numbers up.
const MAX_LEAD: u64 = 1 << 32;

/// This device's heads.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// The newest one's number.
    pub(super) seq: u64,
    /// The segments that heads named and no catalogue lists.
    pub(super) named: BTreeSet<SegmentId>,
    /// When something changed that the newest one does not say, first and last.
    changed: Option<(Time, Time)>,
    newest: Option<Newest>,
    /// Whether enough providers have held a head of ours since the start.
    published: bool,
    /// What the machine is called.
    pub(crate) name: String,
    /// The newest one's hash.
    hash: Option<Hash>,
    /// When it was made.
    made: Option<Time>,
    sends: BTreeMap<NodeId, Send>,
    /// The number that each provider holds.
    holders: BTreeMap<NodeId, u64>,
    /// Who has told of a higher number than ours in this run: each is believed once.
    led: BTreeSet<NodeId>,
    /// What a recovery would find: the segments of the newest head that enough providers hold.
    kept: BTreeSet<SegmentId>,
    /// Whether [`Notice::CatalogueWanted`] was said and no catalogue has come since.
    pub(super) catalogue_wanted: bool,
}

/// The newest head and what it says.
#[derive(Debug)]
struct Newest {
    signed: Box<SignedHead>,
    says: Says,
    /// The segments that are found through it, those in its catalogues included.
    covers: BTreeSet<SegmentId>,
    /// Whether everything fits in.
    fits: bool,
}

/// The part of a head by which two are told apart.
#[derive(Debug, PartialEq, Eq)]
struct Says {
    segments: Vec<(SegmentId, bool)>,
    contracts: Vec<(ContractId, u64)>,
    devices: (String, Vec<SeenHead>, Vec<Doom>, Vec<Revocation>),
}

/// A head on its way to one provider.
#[derive(Debug, Clone, Copy, Default)]
struct Send {
    op: Option<OpId>,
    fails: u32,
    retry_at: Time,
}

impl Heads {
    /// What the machine is called, as heads say it.
    pub(crate) fn call(&mut self, name: &str, now: Time) {
        let mut end = name.len().min(MAX_NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name[..end].clone_into(&mut self.name);
        self.touch(now);
    }

    /// Takes durable rows up again. The head itself is not kept: the next one is made at once.
    pub(crate) fn restore(&mut self, own: OwnHead) {
        self.seq = own.seq;
        self.hash = own.hash;
        self.named = own.named.into_iter().collect();
    }

    /// Something has changed that a head says.
    pub(crate) fn touch(&mut self, now: Time) {
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// Makes the next head whatever it says.
    pub(super) fn start_over(&mut self, now: Time) {
        self.newest = None;
        self.touch(now);
    }

    /// These segments are no more. Whether one of them was named for good.
    pub(super) fn forget(&mut self, segments: &[SegmentId]) -> bool {
        let before = self.named.len();
        self.named.retain(|id| !segments.contains(id));
        self.named.len() < before
    }

    pub(super) fn row(&self) -> Write {
        Write::own_head(&OwnHead {
            seq: self.seq,
            named: self.named.iter().copied().collect(),
            hash: self.hash,
        })
    }

    fn due(&self) -> Option<Time> {
        let news = self
            .changed
            .map(|(first, last)| last.after(QUIET).min(first.after(LATEST)));
        let alive = self.newest.as_ref().and(self.made);
        sooner(news, alive.map(|made| made.after(ALIVE)))
    }

    fn holding_newest(&self) -> usize {
        let holds = |seq: &&u64| self.newest.is_some() && **seq == self.seq;
        self.holders.values().filter(holds).count()
    }
}

impl Renter {
    /// After every step: a head that is due is made, and offered to whom it lacks.
    pub(crate) fn tend_head(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.me.cert.is_none() || self.devices.is_out() {
            return;
        }
        if wrote_what_heads_say(ctx.out) {
            self.heads.touch(ctx.now);
        }
        if self.head_takers() == 0 {
            return;
        }
        if self.heads.due().is_some_and(|due| due <= ctx.now) {
            self.make_head(ctx);
        }
        self.offer_head(ctx);
    }

    /// When a head is due to be made or offered again.
    pub(crate) fn heads_deadline(&self, me: &Identity, now: Time) -> Option<Time> {
        if me.cert.is_none() || self.devices.is_out() || self.head_takers() == 0 {
            return None;
        }
        let due = self.heads.due();
        let again = self
            .lacking_head()
            .filter_map(|(to, _)| self.heads.sends.get(to))
            .filter(|send| send.op.is_none())
            .map(|send| send.retry_at);
        again
            .fold(due, |soonest, at| sooner(soonest, Some(at)))
            .map(|at| at.max(now))
    }

    /// Providers with a contract that both have signed, of whichever device.
    fn head_takers(&self) -> usize {
        let providers = self.readable_leases().map(|(_, lease)| lease.provider);
        providers.collect::<BTreeSet<NodeId>>().len()
    }

    /// How many must hold a head before it counts as kept.
    pub(crate) fn enough_holders(&self) -> usize {
        self.head_takers().min(ENOUGH)
    }

    fn lacking_head(&self) -> impl Iterator<Item = (&NodeId, &Lease)> {
        let seq = self.heads.seq;
        let some = self.heads.newest.is_some();
        self.readable_leases()
            .map(|(_, lease)| (&lease.provider, lease))
            .filter(move |(to, _)| some && self.heads.holders.get(to) != Some(&seq))
    }

    fn make_head(&mut self, ctx: &mut Ctx<'_>) {
        let Some(cert) = &ctx.me.cert else { return };
        let seq = self.heads.seq.saturating_add(1);
        let nameable = self.nameable();
        self.want_catalogue(ctx, &nameable);
        let (head, fits) = self.compose(ctx, seq, &nameable);
        self.heads.changed = None;
        let says = Says::of(&head);
        let stale = self
            .heads
            .made
            .is_none_or(|made| made.after(ALIVE) <= ctx.now);
        if !stale && self.heads.newest.as_ref().is_some_and(|n| n.says == says) {
            return;
        }
        let mut nonce = [0; 12];
        ctx.rng.fill_bytes(&mut nonce);
        let device = (&ctx.me.device_key, cert);
        let signed = SignedHead::seal(&head, nonce, &ctx.me.recovery, device, &ctx.me.genesis)
            .expect("the rooms of segments and contracts fit into a head");
        self.heads.seq = seq;
        self.heads.hash = Some(signed.hash(&ctx.me.genesis));
        self.heads.made = Some(ctx.now);
        self.heads.named = nameable.iter().map(|e| e.manifest.segment).collect();
        // Durable before it is sent: of two heads of one number one would be lost.
        ctx.persist(vec![self.heads.row()]);
        self.heads.newest = Some(Newest {
            covers: self.covered_by(&head, &nameable),
            signed: Box::new(signed),
            says,
            fits,
        });
        self.heads.sends.values_mut().for_each(|send| {
            send.retry_at = ctx.now;
            send.fails = 0;
        });
    }

    /// What belongs into a head: segments that enough positions are held of to bring them back, and
    /// those that a head named before, unless a catalogue lists them. Catalogues come first, then
    /// metadata.
    pub(super) fn nameable(&self) -> Vec<SegmentEntry> {
        let mut entries: Vec<SegmentEntry> = self
            .segments
            .iter()
            .filter(|(_, row)| row.of.is_none() && !row.listed)
            .filter(|(id, row)| self.is_nameable(id, row))
            .filter_map(|(id, row)| entry(*id, row))
            .collect();
        entries.sort_by_key(|e| (!e.catalogue, !e.meta));
        entries
    }

    pub(super) fn is_nameable(&self, id: &SegmentId, row: &SegmentRow) -> bool {
        let held = row.holders.iter().flatten().count();
        if row.dropped {
            // Whoever recovers meanwhile should know whose shards these are.
            return held > 0;
        }
        held >= usize::from(row.code.k()) || self.heads.named.contains(id)
    }

    /// A head, and whether all that is nameable fits in.
    fn compose(&self, ctx: &Ctx<'_>, seq: u64, nameable: &[SegmentEntry]) -> (Head, bool) {
        let mut room = SEGMENTS_ROOM;
        let segments: Vec<SegmentEntry> = nameable
            .iter()
            .map_while(|entry| {
                room = room.checked_sub(codec::encode(entry).len())?;
                Some(entry.clone())
            })
            .collect();
        let fits = segments.len() == nameable.len();
        let mut room = CONTRACTS_ROOM;
        let contracts = self
            .usable_leases()
            .map_while(|(id, lease)| {
                let contract = HeadContract {
                    contract: *id,
                    provider: lease.provider,
                    revision: lease.leaf().revision,
                    addrs: self.addrs(&lease.provider),
                    claim: lease.claim,
                };
                room = room.checked_sub(codec::encode(&contract).len())?;
                Some(contract)
            })
            .collect();
        let head = Head {
            seq,
            segments,
            contracts,
            time: ctx.now,
            name: self.heads.name.clone(),
            subkey: ctx.me.ledger_key.by(),
            prev: self.heads.hash,
            seen: self.devices.seen(),
            dooms: self.devices.own.dooms.clone(),
            revoked: self.devices.revocations(),
        };
        (head, fits)
    }

    /// Where a provider was last heard at: few addresses, and short ones.
    pub(crate) fn addrs(&self, provider: &NodeId) -> Vec<String> {
        let offer = self.book.get(provider);
        let addrs = offer.map_or(&[][..], |o| o.offer.addrs.as_slice());
        let short = addrs.iter().filter(|addr| addr.len() <= MAX_ADDR);
        short.take(MAX_ADDRS).cloned().collect()
    }

    fn covered_by(&self, head: &Head, nameable: &[SegmentEntry]) -> BTreeSet<SegmentId> {
        let mut covers: BTreeSet<SegmentId> =
            head.segments.iter().map(|e| e.manifest.segment).collect();
        let mut catalogues = nameable.iter().filter(|e| e.catalogue);
        if catalogues.all(|e| covers.contains(&e.manifest.segment)) {
            let listed = self.segments.iter().filter(|(_, row)| row.listed);
            covers.extend(listed.map(|(id, _)| *id));
        }
        covers
    }

    fn offer_head(&mut self, ctx: &mut Ctx<'_>) {
        let lacking: Vec<NodeId> = self.lacking_head().map(|(to, _)| *to).collect();
        let (seq, newest) = (self.heads.seq, &self.heads.newest);
        let Some(newest) = newest else { return };
        for to in lacking {
            let send = self.heads.sends.entry(to).or_default();
            if send.op.is_some() || ctx.now < send.retry_at {
                continue;
            }
            let request = Request::PutHead(newest.signed.clone());
            send.op = Some(ctx.request(to, request, Pending::PutHead { to, seq }));
        }
    }

    /// A provider has taken our head, or has not.
    pub(crate) fn head_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: NodeId,
        seq: u64,
        answer: &Result<Response, Unreachable>,
    ) {
        let send = self.heads.sends.entry(to).or_default();
        send.op = None;
        match answer {
            Ok(Response::Kept { seq: kept }) if *kept == seq => {
                send.fails = 0;
                self.heads.holders.insert(to, seq);
                self.head_held(ctx);
            }
            Ok(Response::Kept { seq: kept })
                if *kept > self.heads.seq
                    && kept - self.heads.seq <= MAX_LEAD
                    && self.heads.led.insert(to) =>
            {
                // This home is an older copy of itself: the next head goes above.
                self.heads.seq = *kept;
                ctx.persist(vec![self.heads.row()]);
                self.heads.start_over(ctx.now);
            }
            Ok(_) | Err(_) => {
                send.retry_at = ctx.now.after(backoff(send.fails));
                send.fails += 1;
            }
        }
    }

    fn head_held(&mut self, ctx: &mut Ctx<'_>) {
        let holders = self.heads.holding_newest();
        if holders >= self.enough_holders()
            && let Some(newest) = &self.heads.newest
        {
            self.heads.kept.clone_from(&newest.covers);
            self.heads.published = true;
        }
        ctx.tell(Notice::HeadKept {
            seq: self.heads.seq,
            holders: u32::try_from(holders).unwrap_or(u32::MAX),
        });
    }

    /// How the newest head stands.
    pub(crate) fn head_state(&self) -> crate::standing::HeadState {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let newest = self.heads.newest.as_ref();
        crate::standing::HeadState {
            seq: self.heads.seq,
            holders: count(self.heads.holding_newest()),
            wanted: count(self.enough_holders()),
            whole: self.heads.changed.is_none() && newest.is_some_and(|n| n.fits),
        }
    }

    /// Whether a recovery would find all of these.
    pub(crate) fn is_covered(&self, segments: &[SegmentId]) -> bool {
        // What another device looks after its heads name.
        let theirs = |id: &SegmentId| self.segments.get(id).is_some_and(|row| row.of.is_some());
        let covered = |id: &SegmentId| self.heads.kept.contains(id) || theirs(id);
        // Nor is this device known before it has said anything.
        let is_known = self.heads.published || !segments.iter().any(theirs);
        is_known && segments.iter().all(covered)
    }
}

impl Says {
    fn of(head: &Head) -> Self {
        let segment = |e: &SegmentEntry| (e.manifest.segment, e.catalogue);
        Self {
            segments: head.segments.iter().map(segment).collect(),
            contracts: head
                .contracts
                .iter()
                .map(|c| (c.contract, c.revision))
                .collect(),
            devices: (
                head.name.clone(),
                head.seen.clone(),
                head.dooms.clone(),
                head.revoked.clone(),
            ),
        }
    }
}

/// A coded segment as heads and catalogues describe it.
pub(super) fn entry(id: SegmentId, row: &SegmentRow) -> Option<SegmentEntry> {
    Some(SegmentEntry {
        class: row.class,
        meta: row.meta,
        catalogue: row.catalogue,
        manifest: Manifest::new(id, row.len, row.code, row.roots.clone()).ok()?,
    })
}

/// Whether this step changed a segment or a contract. Each such change is a row, whoever made it.
fn wrote_what_heads_say(out: &[Effect]) -> bool {
    let says = |kind: Kind| matches!(kind, Kind::Segment | Kind::Rented);
    out.iter().any(
        |effect| matches!(effect, Effect::Persist(rows) if rows.iter().any(|row| says(row.kind))),
    )
}
