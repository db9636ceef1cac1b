//! The account's other devices. Each writes heads of its own; here theirs are read, and what they say
//! is taken over: their segments can be read and deduplicated against, their contracts are followed
//! and never revised. When a device is put out by the words, or shows no sign of life after they
//! brought the account back elsewhere, what it looked after passes to this one. `docs/protocol.md`
//! §3.9, ADR 21.

use super::Renter;
use super::lease::Lease;
use crate::ctx::{Ctx, Identity};
use crate::head::{
    DeviceId, Doom, Head, HeadContract, MAX_DOOMS, Revocation, SeenHead, SignedHead,
};
use crate::io::{Notice, Unreachable};
use crate::ops::Pending;
use crate::rows::{DeviceRow, OwnDevice, RentedRow, Write};
use crate::standing::DeviceState;
use crate::wallet::Wallet;
use crate::wire::{Request, Response};
use larder_contracts::SignedLeaf;
use larder_proofs::ContractLeaf;
use larder_types::{ContractId, Millis, NodeId, Params, Profile, SegmentId, Signature, Time};
use std::collections::{BTreeMap, BTreeSet};

/// How often the heads of other devices are asked for; in a dev network every few seconds.
const POLL: Millis = Millis(60_000);
const POLL_DEV: Millis = Millis(4_000);
/// How many providers are asked each time: one of them may be behind.
const ASKED: usize = 3;
/// A device whose words came back elsewhere has so many polls, and the time that a head takes, to
/// show that it lives.
const POLLS_OF_GRACE: u64 = 5;
/// Most other devices that are known: as many as a provider keeps heads of.
pub(crate) const MAX_OTHERS: usize = 8;
/// Who looks after what is found on the ledger and no head names.
const NOBODY: DeviceId = DeviceId([0; 32]);

/// The account's devices, as this one knows them.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) own: OwnDevice,
    others: BTreeMap<DeviceId, Other>,
    poll_at: Option<Time>,
    /// Which provider is asked first next time.
    turn: usize,
    /// When a provider last answered.
    heard: Option<Time>,
}

#[derive(Debug)]
struct Other {
    row: DeviceRow,
    /// What its newest head says.
    head: Option<Head>,
}

impl Other {
    /// Whether it still writes, as far as is known.
    const fn lives(&self) -> bool {
        self.row.revoked.is_none() && !self.row.lost
    }

    fn seq(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.seq)
    }

    /// Up to which head of `device` it has read.
    fn has_seen(&self, device: &DeviceId) -> Option<u64> {
        let seen = &self.head.as_ref()?.seen;
        seen.iter().find(|s| s.device == *device).map(|s| s.seq)
    }
}

fn poll(params: &Params) -> Millis {
    if params.profile == Profile::Dev {
        POLL_DEV
    } else {
        POLL
    }
}

/// How long a device has to show that it lives.
fn grace(params: &Params) -> Millis {
    Millis(POLLS_OF_GRACE * poll(params).0 + 5_000)
}

impl Devices {
    /// Takes durable rows up again.
    pub(crate) fn restore(
        &mut self,
        own: OwnDevice,
        rows: Vec<(DeviceId, DeviceRow)>,
        me: &Identity,
    ) {
        self.own = own;
        for (device, row) in rows {
            let head = row.head.as_ref();
            let head = head.and_then(|h| h.open(&me.recovery, &me.account(), &me.genesis).ok());
            self.others.insert(device, Other { row, head });
        }
    }

    fn write(&self, device: &DeviceId) -> Write {
        Write::device(device, self.others.get(device).map(|other| &other.row))
    }

    /// Whether the words have put this device out.
    pub(crate) const fn is_out(&self) -> bool {
        self.own.revoked.is_some()
    }

    /// What our head says of the others.
    pub(crate) fn seen(&self) -> Vec<SeenHead> {
        let seen = self.others.iter().filter(|(_, other)| other.head.is_some());
        seen.map(|(device, other)| SeenHead {
            device: *device,
            seq: other.row.merged,
        })
        .collect()
    }

    /// Every revocation that is known.
    pub(crate) fn revocations(&self) -> Vec<Revocation> {
        let others = self.others.values();
        others
            .filter_map(|other| other.row.revoked.clone())
            .collect()
    }

    /// Which one of how many devices this is that take nonces.
    pub(crate) fn rank(&self, own: &DeviceId) -> (u64, u64) {
        let living = || self.others.iter().filter(|(_, other)| other.lives());
        let before = living().filter(|(device, _)| *device < own).count() as u64;
        (before, living().count() as u64 + 1)
    }
}

/// This device.
pub(crate) fn own(me: &Identity) -> DeviceId {
    DeviceId(me.device_key.public())
}

impl Renter {
    /// After every step: the others' heads are asked for, and a device that does not show itself is
    /// given up.
    pub(crate) fn tend_devices(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.me.cert.is_none() || self.readable_leases().next().is_none() {
            return;
        }
        if self.devices.poll_at.is_none_or(|at| at <= ctx.now) {
            self.devices.poll_at = Some(ctx.now.after(poll(&ctx.me.params)));
            self.ask_heads(ctx);
        }
        let told = |l: &Lease| l.of == Some(NOBODY) && l.sig_provider.is_some();
        if self.devices.own.sole && self.leases.values().any(told) {
            self.take_all_of(ctx, &NOBODY);
        }
        let (grace, heard) = (grace(&ctx.me.params), self.devices.heard);
        let over = |at: &Time| {
            let until = at.after(grace);
            until <= ctx.now && heard.is_some_and(|heard| heard >= until)
        };
        let silent = self
            .devices
            .others
            .iter()
            .filter(|(_, other)| other.lives() && other.row.doubted.as_ref().is_some_and(over));
        let silent: Vec<DeviceId> = silent.map(|(device, _)| *device).collect();
        for device in silent {
            self.take_over(ctx, &device);
        }
    }

    /// When the others' heads are asked for next.
    pub(crate) fn devices_deadline(&self, me: &Identity) -> Option<Time> {
        me.cert.as_ref()?;
        self.readable_leases().next()?;
        Some(self.devices.poll_at.unwrap_or(Time(0)))
    }

    fn ask_heads(&mut self, ctx: &mut Ctx<'_>) {
        let providers = self.readable_leases().map(|(_, lease)| lease.provider);
        let providers: BTreeSet<NodeId> = providers.collect();
        let all: Vec<NodeId> = providers
            .into_iter()
            .filter(|provider| !self.in_trouble(provider, ctx.now))
            .collect();
        if all.is_empty() {
            return;
        }
        let mut have: Vec<SeenHead> = self
            .devices
            .others
            .iter()
            .map(|(device, other)| SeenHead {
                device: *device,
                seq: match &other.row.revoked {
                    Some(_) => u64::MAX,
                    None => other.seq(),
                },
            })
            .collect();
        have.push(SeenHead {
            device: own(ctx.me),
            seq: u64::MAX,
        });
        let (turn, key) = (self.devices.turn, ctx.me.recovery.key);
        for to in all
            .iter()
            .cycle()
            .skip(turn % all.len())
            .take(ASKED.min(all.len()))
        {
            let have = have.clone();
            ctx.request(*to, Request::GetHeads { key, have }, Pending::Heads);
        }
        self.devices.turn = (turn + 1) % all.len();
    }

    /// A provider has shown heads of other devices that we do not know.
    pub(crate) fn heads_shown(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        answer: Result<Response, Unreachable>,
    ) {
        let Ok(Response::Heads(heads)) = answer else {
            return;
        };
        self.devices.heard = Some(ctx.now);
        for signed in heads.into_iter().take(crate::head::MAX_ANSWER) {
            self.merge(ctx, wallet, signed);
        }
    }

    /// Takes over what a head of another device says, if it is news.
    pub(crate) fn merge(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, signed: SignedHead) {
        let (device, me) = (signed.device(), own(ctx.me));
        let known = self.devices.others.get(&device);
        let full = known.is_none() && self.devices.others.len() >= MAX_OTHERS;
        let old = known.is_some_and(|k| k.head.is_some() && k.seq() >= signed.seq);
        let out = known.and_then(|k| k.row.revoked.as_ref());
        if device == me || full || old || out.is_some_and(|out| signed.seq > out.seq) {
            return;
        }
        let Ok(head) = signed.open(&ctx.me.recovery, &ctx.me.account(), &ctx.me.genesis) else {
            return;
        };
        let before = known.and_then(|k| k.row.head.as_ref());
        let follows = before.is_none_or(|before| {
            head.seq != before.seq + 1 || head.prev == Some(before.hash(&ctx.me.genesis))
        });
        let is_alive = head.seen.iter().any(|seen| seen.device == me);
        let other = self.devices.others.entry(device).or_insert_with(|| Other {
            row: DeviceRow {
                head: None,
                merged: 0,
                doubted: None,
                lost: false,
                forked: false,
                revoked: None,
            },
            head: None,
        });
        other.row.head = Some(signed);
        other.row.forked |= !follows;
        other.head = Some(head.clone());
        if is_alive {
            (other.row.doubted, other.row.lost) = (None, false);
            self.devices.own.sole = false;
        }
        let rows = vec![
            self.devices.write(&device),
            Write::own_device(&self.devices.own),
        ];
        ctx.persist(rows);
        for revocation in &head.revoked {
            self.revoke_device(ctx, revocation);
        }
        // What a device looked after that was taken for lost is ours, until it shows itself.
        let ours = self.devices.others.get(&device).is_some_and(|o| o.row.lost);
        let of = (!ours).then_some(device);
        self.follow_contracts(ctx, wallet, (device, of), &head);
        let rows = self.know(head.segments, false, of);
        ctx.persist(rows);
        self.heads.touch(ctx.now);
        ctx.tell(Notice::DevicesChanged);
    }

    /// What another device's head names as its own we follow; what it took over from us we let go.
    fn follow_contracts(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        (device, of): (DeviceId, Option<DeviceId>),
        head: &Head,
    ) {
        let mut rows = Vec::new();
        let mut ceded = false;
        for named in &head.contracts {
            let id = named.contract;
            let Some(lease) = self.leases.get_mut(&id) else {
                let row = unheard(ctx, named, of);
                rows.push(Write::rented(&id, Some(&row)));
                self.leases.insert(id, Lease::restore(row));
                continue;
            };
            lease.unsure |= named.revision > lease.leaf().revision;
            let rank = (named.claim, std::cmp::Reverse(device));
            let held_by = lease.of.unwrap_or_else(|| own(ctx.me));
            if held_by != NOBODY && rank <= (lease.claim, std::cmp::Reverse(held_by)) {
                continue;
            }
            let was_ours = lease.of.is_none();
            (lease.of, lease.claim) = (of, named.claim);
            lease.tried = None;
            lease.unsure = true;
            rows.push(Write::rented(&id, Some(&lease.row())));
            if was_ours && of.is_some() {
                ceded = true;
                wallet.commit(id, None);
                self.take_back(&id, None);
            }
        }
        // What it named and does not name now was never opened, or has ended.
        let named: BTreeSet<ContractId> = head.contracts.iter().map(|c| c.contract).collect();
        let gone: Vec<ContractId> = self
            .leases
            .iter()
            .filter(|(id, l)| l.of == Some(device) && l.active.is_none() && !named.contains(id))
            .map(|(id, _)| *id)
            .collect();
        ctx.persist(rows);
        for id in gone {
            self.drop_lease(ctx, wallet, &id);
        }
        if ceded {
            self.cede_segments(ctx, device, head);
        }
    }

    /// Another device looks after what we did: it took us for lost.
    fn cede_segments(&mut self, ctx: &mut Ctx<'_>, to: DeviceId, head: &Head) {
        let named: BTreeSet<SegmentId> = head.segments.iter().map(|e| e.manifest.segment).collect();
        let mut ceded = Vec::new();
        for (id, row) in &mut self.segments {
            let busy = self.uploads.contains_key(id) || self.repairs.contains_key(id);
            if row.of.is_none() && !busy && (row.listed || named.contains(id)) {
                row.of = Some(to);
                ceded.push(*id);
            }
        }
        let rows = ceded.iter().map(|id| self.segment_write(id)).collect();
        ctx.persist(rows);
        ceded.iter().for_each(|id| self.reindex(id));
    }

    /// What a device looked after is ours from now on: it is lost, or put out.
    pub(crate) fn take_over(&mut self, ctx: &mut Ctx<'_>, device: &DeviceId) {
        if let Some(other) = self.devices.others.get_mut(device) {
            other.row.lost = true;
            other.row.doubted = None;
            let named = other.head.iter().flat_map(|head| &head.segments);
            self.heads.named.extend(named.map(|e| e.manifest.segment));
        }
        self.take_all_of(ctx, device);
        if !self.devices.others.values().any(Other::lives) {
            self.devices.own.sole = true;
            self.take_all_of(ctx, &NOBODY);
        }
        let open = |id: &SegmentId| self.segments.get(id).is_some_and(|row| !row.listed);
        let named = std::mem::take(&mut self.heads.named);
        self.heads.named = named.into_iter().filter(open).collect();
        let rows = vec![
            self.devices.write(device),
            Write::own_device(&self.devices.own),
            self.heads.row(),
        ];
        ctx.persist(rows);
        self.heads.start_over(ctx.now);
        ctx.tell(Notice::DevicesChanged);
    }

    fn take_all_of(&mut self, ctx: &mut Ctx<'_>, device: &DeviceId) {
        let mut rows = Vec::new();
        for (id, lease) in self
            .leases
            .iter_mut()
            .filter(|(_, l)| l.of == Some(*device))
        {
            // Of what only a head spoke we know too little: its provider or the ledger is to say more.
            let told = lease.sig_provider.is_some() || lease.active.is_some();
            lease.of = (!told).then_some(NOBODY);
            lease.claim = lease.claim.saturating_add(u32::from(*device != NOBODY));
            // It may have gone on since we looked.
            lease.unsure = true;
            rows.push(Write::rented(id, Some(&lease.row())));
        }
        let theirs = self
            .segments
            .iter()
            .filter(|(_, row)| row.of == Some(*device));
        let theirs: Vec<SegmentId> = theirs.map(|(id, _)| *id).collect();
        for id in theirs {
            if let Some(row) = self.segments.get_mut(&id) {
                row.of = None;
            }
            self.reindex(&id);
            rows.push(self.segment_write(&id));
        }
        ctx.persist(rows);
    }

    /// The words put a device out. What it stored stays, and passes to who is told so first.
    pub(crate) fn revoke_device(&mut self, ctx: &mut Ctx<'_>, revocation: &Revocation) {
        let Some(cert) = &ctx.me.cert else { return };
        if !revocation.verify(&ctx.me.account(), &cert.admin_pk, &ctx.me.genesis) {
            return;
        }
        if revocation.device == own(ctx.me) {
            if !self.devices.is_out() {
                self.devices.own.revoked = Some(revocation.clone());
                ctx.persist(vec![Write::own_device(&self.devices.own)]);
                ctx.tell(Notice::DevicesChanged);
            }
            return;
        }
        let full = self.devices.others.len() >= 2 * MAX_OTHERS;
        let known = self.devices.others.contains_key(&revocation.device);
        if full && !known {
            return;
        }
        let other = self.devices.others.entry(revocation.device);
        let other = other.or_insert_with(|| Other {
            row: DeviceRow {
                head: None,
                merged: 0,
                doubted: None,
                lost: false,
                forked: false,
                revoked: None,
            },
            head: None,
        });
        if other.row.revoked.is_none() {
            other.row.revoked = Some(revocation.clone());
            ctx.persist(vec![self.devices.write(&revocation.device)]);
            self.heads.touch(ctx.now);
            ctx.tell(Notice::DevicesChanged);
        }
    }

    /// The words put a device out, here: what it looked after is ours.
    pub(crate) fn put_out(&mut self, ctx: &mut Ctx<'_>, revocation: &Revocation) {
        self.revoke_device(ctx, revocation);
        let device = revocation.device;
        let is_out = |other: &Other| other.row.revoked.is_some();
        if self.devices.others.get(&device).is_some_and(is_out) {
            self.take_over(ctx, &device);
        }
    }

    /// The vault has read what a device's heads up to this number say.
    pub(crate) fn merged(&mut self, ctx: &mut Ctx<'_>, device: &DeviceId, seq: u64) {
        let Some(other) = self.devices.others.get_mut(device) else {
            return;
        };
        if other.row.merged < seq && seq <= other.seq() {
            other.row.merged = seq;
            ctx.persist(vec![self.devices.write(device)]);
            self.heads.touch(ctx.now);
        }
    }

    /// These segments are about to go: the next head says so, before anything is let go.
    pub(crate) fn doom(&mut self, ctx: &mut Ctx<'_>, segments: &[SegmentId]) {
        let mut dooms: Vec<Doom> = segments.iter().take(MAX_DOOMS).map(Doom::from).collect();
        dooms.sort_unstable();
        if dooms != self.devices.own.dooms {
            self.devices.own.dooms = dooms;
            self.devices.own.since = self.heads.seq.saturating_add(1);
            ctx.persist(vec![Write::own_device(&self.devices.own)]);
            self.heads.touch(ctx.now);
        }
    }

    /// The devices that have not read our head of this number yet, or whose answer we have not.
    pub(crate) fn unacknowledged(&self, me: &Identity, seq: u64) -> Vec<DeviceId> {
        let own = own(me);
        let waits = |other: &Other| {
            other.has_seen(&own).is_none_or(|seen| seen < seq) || other.row.merged < other.seq()
        };
        let living = self
            .devices
            .others
            .iter()
            .filter(|(_, other)| other.lives());
        living
            .filter(|(_, other)| waits(other))
            .map(|(device, _)| *device)
            .collect()
    }

    /// How the account's other devices stand.
    pub(crate) fn device_states(&self, me: &Identity) -> Vec<DeviceState> {
        let own = own(me);
        let contracts = |device: &DeviceId| {
            let theirs = self.leases.values().filter(|l| l.of == Some(*device));
            u32::try_from(theirs.count()).unwrap_or(u32::MAX)
        };
        let state = |(device, other): (&DeviceId, &Other)| DeviceState {
            device: *device,
            name: other
                .head
                .as_ref()
                .map_or_else(String::new, |h| h.name.clone()),
            subkey: other.head.as_ref().and_then(|h| h.subkey),
            until: other.row.head.as_ref().map(|h| h.cert.expiry),
            seq: other.seq(),
            time: other.head.as_ref().map_or(Time(0), |h| h.time),
            acknowledged: other.has_seen(&own).unwrap_or(0),
            merged: other.row.merged,
            dooms: other
                .head
                .as_ref()
                .map_or_else(Vec::new, |h| h.dooms.clone()),
            revoked: other.row.revoked.is_some(),
            lost: other.row.lost,
            doubted: other.row.doubted.is_some(),
            forked: other.row.forked,
            contracts: contracts(device),
        };
        self.devices.others.iter().map(state).collect()
    }
}

/// A contract of which only a head speaks so far: its provider says the rest.
fn unheard(ctx: &Ctx<'_>, named: &HeadContract, of: Option<DeviceId>) -> RentedRow {
    let leaf = ContractLeaf {
        contract_id: named.contract,
        renter: ctx.me.account(),
        ..ContractLeaf::default()
    };
    RentedRow {
        provider: named.provider,
        signed: SignedLeaf {
            leaf,
            auth: None,
            by: None,
            sig_renter: Signature::default(),
        },
        sig_provider: None,
        opened: false,
        tried: None,
        of: Some(of.unwrap_or(NOBODY)),
        claim: named.claim,
    }
}

impl Renter {
    /// Who looks after a contract that the ledger holds and no head has named.
    pub(super) fn finder(&self) -> Option<DeviceId> {
        (!self.devices.own.sole).then_some(NOBODY)
    }

    /// The words brought the account back here: this device is to show that it lives.
    pub(super) fn doubt(&mut self, ctx: &mut Ctx<'_>, device: &DeviceId) {
        let me = own(ctx.me);
        if let Some(other) = self.devices.others.get_mut(device)
            && other.lives()
            && other.has_seen(&me).is_none()
        {
            other.row.doubted = Some(ctx.now);
            ctx.persist(vec![self.devices.write(device)]);
        }
    }

    /// Whether another device repairs what lies under a contract.
    pub(super) fn is_anothers(&self, lease: &Lease) -> bool {
        lease
            .of
            .is_some_and(|of| of != NOBODY || !self.devices.own.sole)
    }

    /// Whether some device has yet to show that it lives.
    pub(super) fn is_doubting(&self) -> bool {
        self.devices.others.values().any(Other::lives)
    }

    /// The words brought the account back here, and no other device is in use.
    pub(super) fn alone(&mut self, ctx: &mut Ctx<'_>) {
        self.devices.own.sole = true;
        let others: Vec<DeviceId> = self.devices.others.keys().copied().collect();
        for device in others {
            self.take_over(ctx, &device);
        }
        self.take_all_of(ctx, &NOBODY);
        ctx.persist(vec![Write::own_device(&self.devices.own)]);
    }
}
