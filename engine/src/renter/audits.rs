//! The owner's own audits, off the ledger: now and then each provider is asked for one chunk of
//! what it holds for us. A false answer that it signed, or one that says that the shard is not
//! there, is a loss of that position for this renter. Silence makes a provider doubtful, and never a
//! loss. What audits show decides who is given shards and who is asked for them first.
//! `docs/protocol.md` §3.7, §3.11.

use super::Renter;
use super::lease::Lease;
use crate::ctx::{Ctx, sooner};
use crate::io::Unreachable;
use crate::ops::Pending;
use crate::rank::retention_ppm;
use crate::rows::{AuditRow, Write};
use crate::wire::{Audit, Deny, Request, Response};
use larder_proofs::{Challenge, Commitment, ContractLeaf, Plan, ProviderTree, verify};
use larder_types::{
    ContractId, Epoch, Hash, Millis, NodeId, Params, SegmentId, ShardRoot, Signature, Time,
};
use std::collections::BTreeMap;

/// Audits under way at once.
const MAX_OPEN: usize = 4;
/// Each contract is audited four times a day, or once an epoch where epochs are shorter than that.
const PERIOD: Millis = Millis(6 * 3_600_000);
/// An audit that came at a bad moment is made again after one … of a period, so many times.
const AGAIN: u64 = 8;
const MAX_AGAIN: u32 = 3;
/// Audits that are remembered of a provider: with more than these all counts are halved, so that
/// what it was a month ago fades.
const MEMORY: u32 = 128;
/// Providers of which something is remembered though nothing is rented from them any more.
const MAX_KNOWN: usize = 1_024;
/// Audits in a row without an answer that make a provider doubtful.
const DOUBTFUL: u32 = 2;
/// Audits in a row that showed nothing before the ledger is asked …
const UNPROVEN: u32 = 4;
/// … and epochs since the first of them: one whole epoch lies between, in which the ledger asked too.
const UNPROVEN_EPOCHS: Epoch = 2;

/// What audits have shown, and what is being asked.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    known: BTreeMap<NodeId, Known>,
    open: BTreeMap<ContractId, Open>,
}

/// What is known of one provider.
#[derive(Debug, Clone, Copy)]
struct Known {
    row: AuditRow,
    /// Audits in a row without an answer.
    unanswered: u32,
    /// Audits since the last one that it passed, and when the first of them was. Other answers than
    /// to an audit do not count here.
    unproven: Option<(u32, Epoch)>,
    /// The epoch in which it showed that it does not hold what its tree names.
    caught: Option<Epoch>,
    retention_ppm: u64,
}

impl From<AuditRow> for Known {
    fn from(row: AuditRow) -> Self {
        Self {
            row,
            unanswered: 0,
            unproven: None,
            caught: None,
            retention_ppm: retention_ppm(row.passed, row.failed.saturating_add(row.silent)),
        }
    }
}

/// An audit under way.
#[derive(Debug, Clone, Copy)]
struct Open {
    leaf: ContractLeaf,
    challenge: Challenge,
    /// The shard that the draw names.
    shard: ShardRoot,
}

/// When a contract is audited next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AuditDue {
    /// `None`: not planned yet.
    at: Option<Time>,
    /// Times that this one came at a bad moment.
    again: u32,
}

/// What an audit has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Passed,
    /// It does not hold the shard.
    Failed,
    /// Nothing that says anything.
    Silent,
    /// It was asked at a bad moment.
    NotNow,
}

impl Audits {
    /// Takes durable rows up again.
    pub(crate) fn restore(&mut self, rows: Vec<(NodeId, AuditRow)>) {
        let known = |(id, row)| (id, faded(row).into());
        self.known = rows.into_iter().map(known).collect();
    }

    /// What audits of a provider have shown.
    pub(crate) fn of(&self, provider: &NodeId) -> AuditRow {
        self.known
            .get(provider)
            .map_or_else(AuditRow::default, |k| k.row)
    }

    /// How much is to be feared for a shard there, parts per million.
    pub(crate) fn doubt_ppm(&self, provider: &NodeId) -> u64 {
        let known = self.known.get(provider);
        let unknown = || Known::from(AuditRow::default()).retention_ppm;
        1_000_000 - known.map_or_else(unknown, |known| known.retention_ppm)
    }

    /// Whether a provider leaves audits unanswered.
    pub(crate) fn is_doubtful(&self, provider: &NodeId) -> bool {
        let known = self.known.get(provider);
        known.is_some_and(|known| known.unanswered >= DOUBTFUL)
    }

    /// It has answered something.
    pub(crate) fn heard(&mut self, provider: &NodeId) {
        if let Some(known) = self.known.get_mut(provider) {
            known.unanswered = 0;
        }
    }

    /// Whether the ledger is to be asked: it was caught before this epoch, or has shown nothing for
    /// a whole epoch and longer. In the epoch itself who is honest may still declare its loss.
    pub(crate) fn is_unproven(&self, provider: &NodeId, epoch: Epoch) -> bool {
        self.known.get(provider).is_some_and(|known| {
            let silent = known.unproven.is_some_and(|(times, since)| {
                times >= UNPROVEN && epoch >= since.saturating_add(UNPROVEN_EPOCHS)
            });
            silent || known.caught.is_some_and(|at| at < epoch)
        })
    }

    /// The ledger was asked about what it was caught at, or it has declared that itself.
    pub(crate) fn is_dealt_with(&mut self, provider: &NodeId) {
        if let Some(known) = self.known.get_mut(provider) {
            known.caught = None;
        }
    }

    fn note(&mut self, provider: NodeId, finding: Finding, epoch: Epoch) -> Option<Write> {
        let old = self
            .known
            .get(&provider)
            .copied()
            .unwrap_or_else(|| AuditRow::default().into());
        let mut row = old.row;
        let (mut unanswered, mut caught) = (0, old.caught);
        let more = |(times, since): (u32, Epoch)| (times.saturating_add(1), since);
        let mut unproven = Some(old.unproven.map_or((1, epoch), more));
        match finding {
            Finding::Passed => {
                row.passed += 1;
                unproven = None;
            }
            Finding::Failed => {
                row.failed += 1;
                caught.get_or_insert(epoch);
            }
            Finding::Silent => {
                row.silent += 1;
                unanswered = old.unanswered.saturating_add(1);
            }
            Finding::NotNow => return None,
        }
        let row = faded(row);
        let known = Known {
            unanswered,
            unproven,
            caught,
            ..row.into()
        };
        self.known.insert(provider, known);
        Some(Write::audited(&provider, Some(&row)))
    }
}

impl Renter {
    /// Starts the audits that are due.
    pub(crate) fn audit_all(&mut self, ctx: &mut Ctx<'_>) {
        // Who is cut off learns nothing of others by asking.
        if !self.informed || !ctx.chain.is_current(&ctx.me.params, ctx.now) {
            return;
        }
        let Some(beacon) = ctx.chain.beacons.back().copied() else {
            return;
        };
        let period = period(&ctx.me.params);
        for lease in self.leases.values_mut().filter(|l| is_auditable(l)) {
            // At the first sight somewhere within a period: not all at once after a start.
            let chance = || ctx.now.after(Millis(ctx.rng.next_u64() % period.0));
            lease.audit.at.get_or_insert_with(chance);
        }
        let due = |(_, lease): &(&ContractId, &Lease)| {
            is_auditable(lease) && lease.audit.at.is_some_and(|at| at <= ctx.now)
        };
        let room = MAX_OPEN.saturating_sub(self.audits.open.len());
        let due = self.leases.iter().filter(due).take(room);
        let ids: Vec<ContractId> = due.map(|(id, _)| *id).collect();
        for id in ids {
            self.plan_audit(ctx, &id);
            self.audit(ctx, &id, beacon);
        }
    }

    /// The next audit of a contract: a period later, half of one sooner or later by chance.
    fn plan_audit(&mut self, ctx: &mut Ctx<'_>, id: &ContractId) {
        let period = period(&ctx.me.params);
        if let Some(lease) = self.leases.get_mut(id) {
            let wait = period.0 / 2 + ctx.rng.next_u64() % period.0;
            lease.audit.at = Some(ctx.now.after(Millis(wait)));
        }
    }

    fn audit(&mut self, ctx: &mut Ctx<'_>, id: &ContractId, beacon: Hash) {
        let Some((provider, leaf)) = self
            .leases
            .get(id)
            .and_then(|l| Some((l.provider, l.active?)))
        else {
            return;
        };
        let mut nonce = [0; 32];
        ctx.rng.fill_bytes(&mut nonce);
        let audit = Audit {
            contract: *id,
            leaf: ProviderTree::of_one(leaf).root().hash,
            beacon,
            nonce: Hash(nonce),
            by: None,
            sig: Signature::default(),
        };
        let challenge = audit.challenge(provider, &leaf, &ctx.me.genesis);
        // Where the active tree is not one of ours, it is being found out.
        let Some(shard) = self.drawn(id, leaf, &challenge) else {
            return;
        };
        let open = Open {
            leaf,
            challenge,
            shard,
        };
        self.audits.open.insert(*id, open);
        let audit = audit.sign(&ctx.me.ledger_key, &ctx.me.genesis);
        let what = Pending::Audit { contract: *id };
        ctx.request(provider, Request::Audit(audit), what);
    }

    /// The shard that an audit asks for.
    fn drawn(
        &self,
        id: &ContractId,
        leaf: ContractLeaf,
        challenge: &Challenge,
    ) -> Option<ShardRoot> {
        let content = self.leases.get(id)?.content.clone();
        let commitment = Commitment {
            tree: ProviderTree::of_one(leaf),
            contents: BTreeMap::from([(*id, content)]),
        };
        let plan = Plan::new(&commitment, challenge).ok()?;
        let shard = plan.shards().next()?.root;
        Some(shard)
    }

    /// A provider's answer to an audit, or its silence.
    pub(crate) fn audit_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: &ContractId,
        answer: Result<Response, Unreachable>,
    ) {
        let (Some(open), Some(lease)) = (self.audits.open.remove(id), self.leases.get_mut(id))
        else {
            return;
        };
        let provider = lease.provider;
        let mut finding = judge(&open.challenge, &ctx.me.genesis, answer);
        if lease.active != Some(open.leaf) {
            // A boundary came between.
            return;
        }
        if finding == Finding::NotNow {
            lease.audit.again += 1;
            if lease.audit.again <= MAX_AGAIN {
                let wait = Millis((period(&ctx.me.params).0 / AGAIN).max(1));
                lease.audit.at = Some(ctx.now.after(wait));
                return;
            }
            finding = Finding::Silent;
        }
        lease.audit.again = 0;
        match finding {
            Finding::Passed => {
                self.served(&provider);
                let row = self.asked.answers(&provider);
                ctx.persist(row.into_iter().collect());
            }
            Finding::Failed => self.not_held(ctx, id, &open.shard),
            Finding::Silent => self.failed(provider, ctx.now),
            Finding::NotNow => {}
        }
        let row = self.audits.note(provider, finding, ctx.chain.epoch);
        ctx.persist(row.into_iter().collect());
    }

    /// A provider has shown that it does not hold a shard which both signed that it holds.
    fn not_held(&mut self, ctx: &mut Ctx<'_>, id: &ContractId, root: &ShardRoot) {
        let named: Vec<(SegmentId, u16, bool)> = self
            .segments
            .iter()
            .flat_map(|(segment, row)| {
                let named = (0u16..).zip(row.roots.iter().zip(&row.holders));
                named
                    .filter(|(_, (r, _))| *r == root)
                    .map(|(position, (_, holder))| (*segment, position, *holder == Some(*id)))
            })
            .collect();
        for (segment, position, is_held) in named {
            let row = if is_held {
                self.lose_denied(&segment, position)
            } else {
                self.deny(&segment, position, *id)
            };
            ctx.persist(row.into_iter().collect());
        }
    }

    /// Bytes of a shard were others, or a shard was denied, when it was to be read.
    pub(crate) fn audit_failed(&mut self, ctx: &mut Ctx<'_>, provider: NodeId) {
        let row = self.audits.note(provider, Finding::Failed, ctx.chain.epoch);
        ctx.persist(row.into_iter().collect());
    }

    /// An epoch has begun: of too many providers without a contract nothing is remembered.
    pub(crate) fn forget_audits(&mut self, ctx: &mut Ctx<'_>) {
        let excess = self.audits.known.len().saturating_sub(MAX_KNOWN);
        if excess == 0 {
            return;
        }
        let rented = |id: &&NodeId| self.leases.values().any(|l| l.provider == **id);
        let strangers = self.audits.known.keys().filter(|id| !rented(id));
        let gone: Vec<NodeId> = strangers.take(excess).copied().collect();
        let mut rows = Vec::new();
        for id in gone {
            self.audits.known.remove(&id);
            rows.push(Write::audited(&id, None));
        }
        ctx.persist(rows);
    }

    /// When an audit is due.
    pub(crate) fn audits_deadline(&self, is_current: bool) -> Option<Time> {
        if !self.informed || !is_current || self.audits.open.len() >= MAX_OPEN {
            return None;
        }
        let due = self.leases.values().filter(|l| is_auditable(l));
        due.fold(None, |soonest, lease| sooner(soonest, lease.audit.at))
    }
}

/// Whether there is something to ask for, and someone who should have it.
pub(super) fn is_auditable(lease: &Lease) -> bool {
    let holds = lease.active.is_some_and(|leaf| leaf.used_chunks > 0);
    holds
        && lease.of.is_none()
        && lease.sig_provider.is_some()
        && !lease.faulted
        && lease.tree_is_known()
}

fn period(params: &Params) -> Millis {
    Millis(PERIOD.0.min(params.epoch.0).max(1))
}

/// At most [`MEMORY`] audits in all: all counts are halved as often as that takes.
fn faded(mut row: AuditRow) -> AuditRow {
    let total = |row: &AuditRow| {
        let counts = [row.passed, row.failed, row.silent];
        counts.map(u64::from).iter().sum::<u64>()
    };
    while total(&row) > u64::from(MEMORY) {
        row = AuditRow {
            passed: row.passed / 2,
            failed: row.failed / 2,
            silent: row.silent / 2,
        };
    }
    row
}

/// What an answer shows. Anything that the provider did not sign shows as much as silence.
fn judge(
    challenge: &Challenge,
    net: &larder_types::GenesisHash,
    answer: Result<Response, Unreachable>,
) -> Finding {
    match answer {
        Ok(Response::Proof(blob)) => match verify(&blob, challenge, net) {
            Ok(()) => Finding::Passed,
            Err(error) if error.is_fault() => Finding::Failed,
            Err(_) => Finding::Silent,
        },
        Ok(Response::Denied(Deny::UnknownShard)) => Finding::Failed,
        Ok(Response::Denied(Deny::Busy | Deny::Stale)) => Finding::NotNow,
        Ok(
            Response::Denied(_)
            | Response::Signed(_)
            | Response::Latest { .. }
            | Response::Offers(_)
            | Response::Gift(_)
            | Response::Kept { .. }
            | Response::Heads(_)
            | Response::Revoked,
        )
        | Err(_) => Finding::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_no_more_than_is_remembered_whatever_it_says() {
        let check = |passed, failed, silent, rest| {
            let row = AuditRow {
                passed,
                failed,
                silent,
            };
            let faded = faded(row);
            assert_eq!([faded.passed, faded.failed, faded.silent], rest);
        };
        check(0, 0, 0, [0, 0, 0]);
        check(120, 4, 4, [120, 4, 4]);
        check(120, 5, 4, [60, 2, 2]);
        check(u32::MAX, u32::MAX, u32::MAX, [31, 31, 31]);
        // Restoring takes time by what is remembered, not by what a damaged row claims.
        let mut audits = Audits::default();
        let row = AuditRow {
            passed: u32::MAX,
            failed: 0,
            silent: u32::MAX,
        };
        audits.restore(vec![(NodeId([1; 32]), row)]);
        assert_eq!(audits.of(&NodeId([1; 32])).passed, 63);
    }
}
