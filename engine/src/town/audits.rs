//! A keeper audits its providers: who holds what it is paid for passes, who does not is found out or
//! says so, who is silent loses nothing, and who asks too much is not answered.

use super::*;
use crate::report::ContractReport;
use crate::rows::AuditRow;
use crate::wire::{Audit, Deny};
use larder_keys::Tag;
use larder_proofs::{Commitment, Kind, Outboard, ShardHasher, ShardReader, prove, verify};
use larder_types::Signature;

/// What the machines' disks hold, all told.
#[derive(Default)]
pub(super) struct Files {
    pub(super) bytes: BTreeMap<ShardRoot, Vec<u8>>,
    /// Machines that answer with bytes of their own making.
    pub(super) forgers: BTreeSet<usize>,
    /// Proofs that were made for audits, by machine.
    proofs: BTreeMap<usize, u32>,
    slot_at: Time,
}

#[derive(Debug, thiserror::Error)]
#[error("gone")]
pub(super) struct Gone;

impl ShardReader for Files {
    type Error = Gone;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Gone> {
        let bytes = self.bytes.get(shard).ok_or(Gone)?;
        let at = usize::try_from(group).unwrap() * (16 << 10);
        Ok(bytes[at..at + (16 << 10)].to_vec())
    }

    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Gone> {
        let bytes = self.bytes.get(shard).ok_or(Gone)?;
        let mut hasher = ShardHasher::new();
        hasher.update(bytes);
        Ok(hasher.finalize().1)
    }
}

impl Town {
    /// A town where shards have bytes and slots have beacons.
    fn with_bytes(providers: u8) -> Self {
        let mut town = Self::new(providers);
        town.files = Some(Files::default());
        town
    }

    pub(super) fn beacon(&self) -> Option<Hash> {
        let slot = [self.height.to_le_bytes(); 4].concat();
        self.files.as_ref()?;
        Some(Hash(slot.try_into().unwrap()))
    }

    /// Four times an epoch a block opens a slot.
    pub(super) fn slot(&mut self) {
        let Some(files) = &mut self.files else {
            return;
        };
        if self.now < files.slot_at {
            return;
        }
        files.slot_at = self.now.after(Millis(params().epoch.0 / 4));
        self.height += 1;
        for i in 0..self.nodes.len() {
            self.block(i);
        }
    }

    /// A coded shard's root.
    pub(super) fn coded(&mut self, segment: &SegmentId, position: u16, len: u64) -> ShardRoot {
        let Some(files) = &mut self.files else {
            return root(segment, position);
        };
        let mut bytes = vec![segment.0[0]; usize::try_from(len).unwrap()];
        bytes[..2].copy_from_slice(&position.to_le_bytes());
        let mut hasher = ShardHasher::new();
        hasher.update(&bytes);
        let (root, _) = hasher.finalize();
        files.bytes.insert(root, bytes);
        root
    }

    pub(super) fn prove(
        &mut self,
        i: usize,
        challenge: &Challenge,
        commitment: &Commitment,
    ) -> Result<Vec<u8>, JobError> {
        let Some(files) = &mut self.files else {
            return Err(JobError::Cancelled);
        };
        *files.proofs.entry(i).or_default() += 1;
        let key = &self.nodes[i].me.node_key;
        let made = prove(commitment, challenge, files, key, &NET);
        let mut blob = made.map_err(|e| JobError::Damaged(e.to_string()))?;
        if files.forgers.contains(&i) {
            // A byte of the chunk; behind it come its path and the signature.
            let body = blob.len() - 64;
            blob[body - 4 * 32 - 2 - 500] ^= 1;
            let forged = key.sign(Tag("audit"), &NET, &blob[..body]);
            blob[body..].copy_from_slice(&forged.0);
        }
        Ok(blob)
    }

    /// A keeper's contracts.
    fn rented(&self, keeper: usize) -> Vec<ContractReport> {
        let all = self.nodes[keeper].engine().contracts();
        all.into_iter().filter(|c| c.rented).collect()
    }

    pub(super) fn machine(&self, id: &NodeId) -> usize {
        let is = |n: &Node| n.me.node() == *id;
        self.nodes.iter().position(is).unwrap()
    }

    /// Who holds a segment's positions.
    pub(super) fn holders(&self, keeper: usize, segment: &SegmentId) -> Vec<Option<ContractId>> {
        self.nodes[keeper].engine().renter.segments[segment]
            .holders
            .clone()
    }

    pub(super) fn epochs(&mut self, count: u64) {
        self.pass(Millis(count * params().epoch.0));
    }

    /// Asks a provider as the keeper would, and hears what it says.
    fn audits(&mut self, keeper: usize, provider: usize, audit: Audit) -> Response {
        let token = self.token(keeper, OpId(u64::MAX));
        let input = Input::Peer(PeerInput::Request {
            from: self.nodes[keeper].me.node(),
            token,
            request: Request::Audit(audit),
            renter_balance: Amount::ZERO,
        });
        // The one answer is kept, and nobody waits for it.
        self.waiting.remove(&token);
        let engine = self.nodes[provider].engine.as_mut().unwrap();
        let mut effects: VecDeque<Effect> = engine.step(self.now, &mut self.rng, input).into();
        while let Some(effect) = effects.pop_front() {
            if let Effect::Reply {
                token: of,
                response,
            } = effect
            {
                assert_eq!(of, token);
                return response;
            }
            if let Effect::Run {
                op,
                job:
                    Job::Prove {
                        challenge,
                        commitment,
                    },
                ..
            } = effect
            {
                let outcome = Outcome::Proved(self.prove(provider, &challenge, &commitment));
                let engine = self.nodes[provider].engine.as_mut().unwrap();
                let done = Input::Done { op, outcome };
                effects.extend(engine.step(self.now, &mut self.rng, done));
            }
        }
        panic!("every request is answered");
    }

    /// A good question about a contract.
    fn question(&self, keeper: usize, contract: &ContractId, nonce: u8) -> Audit {
        let leaf = self.active[contract].1;
        let audit = Audit {
            contract: *contract,
            leaf: ProviderTree::of_one(leaf).root().hash,
            beacon: self.beacon().unwrap(),
            nonce: Hash([nonce; 32]),
            by: None,
            sig: Signature::default(),
        };
        audit.sign(&self.nodes[keeper].me.ledger_key, &NET)
    }
}

/// Three providers, and a keeper with a segment on them; contracts are active.
pub(super) fn stored() -> (Town, usize, SegmentId) {
    let mut town = Town::with_bytes(6);
    let keeper = town.keeper(100, 100);
    town.prepare(keeper);
    let segment = town.store(keeper, 7);
    town.epochs(2);
    (town, keeper, segment)
}

fn total(reports: &[ContractReport]) -> AuditRow {
    let sum = |f: fn(&AuditRow) -> u32| reports.iter().map(|c| f(&c.audits)).sum();
    AuditRow {
        passed: sum(|a| a.passed),
        failed: sum(|a| a.failed),
        silent: sum(|a| a.silent),
    }
}

#[test]
fn who_holds_what_it_is_paid_for_passes_about_once_an_epoch() {
    let (mut town, keeper, segment) = stored();
    let before = total(&town.rented(keeper));
    town.epochs(6);
    let reports = town.rented(keeper);
    let holding = reports.iter().filter(|c| c.leaf.used_chunks > 0).count();
    assert!(holding > 1);
    for report in reports.iter().filter(|c| c.leaf.used_chunks > 0) {
        let audits = report.audits;
        assert!((3..=12).contains(&audits.passed), "{audits:?}");
        assert_eq!((audits.failed, audits.silent), (0, 0));
    }
    assert!(total(&reports).passed > before.passed);
    assert!(town.holders(keeper, &segment).iter().all(Option::is_some));
    // What was learned outlives the process.
    let passed = total(&town.rented(keeper)).passed;
    town.start(keeper);
    assert_eq!(total(&town.rented(keeper)).passed, passed);
}

#[test]
fn a_false_answer_that_its_provider_signed_is_a_loss_of_that_position() {
    let (mut town, keeper, segment) = stored();
    let liar = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&liar].0);
    town.files.as_mut().unwrap().forgers.insert(machine);
    town.epochs(3);
    let reports = town.rented(keeper);
    let report = reports.iter().find(|c| c.contract == liar).unwrap();
    assert!(report.audits.failed > 0);
    assert!(!town.holders(keeper, &segment).contains(&Some(liar)));
    let others = town
        .rented(keeper)
        .into_iter()
        .filter(|c| c.contract != liar);
    assert_eq!(total(&others.collect::<Vec<_>>()).failed, 0);
}

#[test]
fn a_provider_that_says_that_the_shard_is_not_there_is_believed() {
    let (mut town, keeper, segment) = stored();
    let holder = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&holder].0);
    let root = town.nodes[keeper].engine().renter.segments[&segment].roots[0];
    town.command(machine, Command::Damaged(vec![root]));
    town.epochs(3);
    assert!(!town.holders(keeper, &segment).contains(&Some(holder)));
    let reports = town.rented(keeper);
    let report = reports.iter().find(|c| c.contract == holder).unwrap();
    assert!(report.audits.failed > 0, "{:?}", report.audits);
}

#[test]
fn silence_is_never_a_loss() {
    let (mut town, keeper, segment) = stored();
    let silent = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&silent].0);
    town.nodes[machine].deaf = true;
    town.epochs(5);
    let reports = town.rented(keeper);
    let report = reports.iter().find(|c| c.contract == silent).unwrap();
    assert!(report.audits.silent >= 2, "{:?}", report.audits);
    assert!(town.holders(keeper, &segment).contains(&Some(silent)));
    let doubtful = |town: &Town| {
        let renter = &town.nodes[keeper].engine().renter;
        renter.audits.is_doubtful(&town.nodes[machine].me.node())
    };
    assert!(doubtful(&town));
    town.nodes[machine].deaf = false;
    town.epochs(3);
    assert!(!doubtful(&town), "it answers again");
}

#[test]
fn a_shard_that_cannot_be_read_now_is_no_loss() {
    let (mut town, keeper, segment) = stored();
    let root = town.nodes[keeper].engine().renter.segments[&segment].roots[0];
    town.files.as_mut().unwrap().bytes.remove(&root);
    // Where that goes on, the ledger is asked: see `targeted`.
    town.epochs(2);
    assert!(total(&town.rented(keeper)).silent > 0);
    assert!(town.holders(keeper, &segment).iter().all(Option::is_some));
}

#[test]
fn a_renter_that_floods_a_provider_with_audits_is_bounded() {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&contract].0);
    town.until("an epoch", |town| {
        town.now
            >= town.nodes[0]
                .me
                .schedule
                .epoch_start(town.epoch)
                .after(Millis(1))
    });
    let made = |town: &Town| {
        town.files
            .as_ref()
            .unwrap()
            .proofs
            .get(&machine)
            .copied()
            .unwrap_or(0)
    };
    let before = made(&town);
    let mut shown = 0;
    for nonce in 0..100 {
        let question = town.question(keeper, &contract, nonce);
        let answer = town.audits(keeper, machine, question);
        if matches!(answer, Response::Proof(_)) {
            shown += 1;
        } else {
            assert_eq!(answer, Response::Denied(Deny::Busy));
        }
    }
    assert!((1..=16).contains(&shown), "{shown}");
    assert_eq!(made(&town) - before, shown);
    town.epochs(1);
    let question = town.question(keeper, &contract, 200);
    let answer = town.audits(keeper, machine, question);
    assert!(matches!(answer, Response::Proof(_)), "{answer:?}");
}

#[test]
fn only_the_renter_is_answered_and_only_a_fresh_question() {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&contract].0);
    let good = town.question(keeper, &contract, 1);
    let key = town.nodes[keeper].me.ledger_key.clone();
    let stranger = good.clone().sign(&identity(50, 50).ledger_key, &NET);
    let mut asked = |audit: Audit| town.audits(keeper, machine, audit);
    let stranger = Audit {
        by: None,
        ..stranger
    };
    assert_eq!(asked(stranger), Response::Denied(Deny::BadSignature));
    let chosen = Audit {
        beacon: Hash([9; 32]),
        ..good
    };
    assert_eq!(
        asked(chosen.sign(&key, &NET)),
        Response::Denied(Deny::Stale)
    );
    let other = Audit {
        leaf: Hash([9; 32]),
        ..good
    };
    assert_eq!(asked(other.sign(&key, &NET)), Response::Denied(Deny::Stale));
    let unknown = Audit {
        contract: ContractId([9; 32]),
        ..good
    };
    let answer = asked(unknown.sign(&key, &NET));
    assert_eq!(answer, Response::Denied(Deny::UnknownContract));
    assert!(matches!(asked(good.clone()), Response::Proof(_)));
    // Slots later the same question is old.
    town.epochs(2);
    assert_eq!(
        town.audits(keeper, machine, good),
        Response::Denied(Deny::Stale)
    );
}

#[test]
fn who_is_asked_for_one_contract_besides_answers_both_questions() {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let (provider, leaf) = town.active[&contract];
    let machine = town.machine(&provider);
    let tree = ProviderTree::of_one(leaf);
    let whole = Challenge {
        kind: Kind::Ledger,
        slot_no: town.nodes[0].me.schedule.slot_at(town.now),
        ..Challenge::audit(&NET, provider, &tree, [3; 32], 4)
    };
    let one = whole.targeted(0, &contract, 2);
    town.asked.insert(machine, (whole, (contract, one)));
    town.block(machine);
    town.block(machine);
    let answers = |to: &Challenge| {
        let good = |blob: &&Vec<u8>| verify(blob, to, &NET).is_ok();
        town.proven.iter().filter(good).count()
    };
    assert_eq!((answers(&whole), answers(&one)), (1, 1));
}
