//! What a provider takes on, and how it proves: it refuses what it could not prove, and tries until
//! the window closes. Over the same ledger of a few lines.

use super::*;
use crate::io::{Job, JobError, OpId, Outcome, ProviderCommand, SubmitError};
use crate::{Disks, Taking, rows::Kind};
use larder_contracts::Refusal;
use larder_proofs::Challenge;

impl Bench {
    fn command(&mut self, command: ProviderCommand) -> Vec<Effect> {
        self.step(Input::Command(Command::Provider(command)))
    }

    fn take(&mut self, taking: Taking, quota: u64) {
        let config = self.engine.offering().unwrap();
        let config = Provide {
            taking,
            quota: Bytes(quota),
            ..config.clone()
        };
        self.command(ProviderCommand::Offer(config));
    }

    /// The renter wants its contract to last longer.
    fn renew(&mut self) -> Response {
        let (mut leaf, _) = self.latest();
        leaf.revision += 1;
        leaf.start_epoch = self.epoch + 1;
        leaf.end_epoch += 7;
        let signed = SignedLeaf::sign(leaf, None, &self.me.node(), &self.renter, &NET);
        self.ask(Request::Propose(signed))
    }

    /// Another renter wants a contract.
    fn open(&mut self) -> Response {
        let renter = AccountSigner::own(Signer::from_seed(&[8; 32]));
        let draft = Draft {
            provider: self.me.node(),
            renter: renter.account(),
            nonce16: [0; 16],
            start: self.epoch + 1,
            term: 34,
            capacity_chunks: 256,
            price: Amount::from_credits(1_000),
            collateral_epochs: 30,
        };
        let leaf = draft.leaf(&self.me.params);
        let signed = SignedLeaf::sign(leaf, None, &self.me.node(), &renter, &NET);
        self.ask(Request::Propose(signed))
    }

    fn at(&mut self, now: Time, input: Input) -> Vec<Effect> {
        self.engine.step(now, &mut NoDice, input)
    }

    /// A block in which our slot, the epoch's first, has opened.
    fn challenge(&mut self) -> (Time, Vec<Effect>) {
        let slot = self.me.schedule.slot_no(self.epoch, 0);
        let opens = self.me.schedule.slot_start(slot);
        let mut block = self.opened();
        let tree = ProviderTree::from_leaves(0, vec![Some(self.active)]).unwrap();
        block.challenge = Some(Challenge {
            kind: larder_proofs::challenge::Kind::Ledger,
            contract: None,
            chain_id: 1,
            slot_no: slot,
            beacon: [0; 32],
            provider: self.me.node(),
            provider_index: 0,
            active: tree.root(),
            depth: 0,
            c: 8,
        });
        (opens, self.at(opens, Input::Block(Box::new(block))))
    }
}

fn closed(refusal: Refusal) -> Response {
    denied(Deny::Contract(refusal))
}

fn is_refused(effect: &BulkEffect, refusal: &Refusal) -> bool {
    matches!(effect, BulkEffect::Reply { reply: BulkReply::Denied(Deny::Contract(why)), .. } if why == refusal)
}

/// The proof that is to be made.
fn made(effects: &[Effect]) -> Option<OpId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Run {
            op,
            job: Job::Prove { .. },
            ..
        } => Some(*op),
        _ => None,
    })
}

/// The proof that is to be sent.
fn sent(effects: &[Effect]) -> Option<OpId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Submit {
            op,
            what: Submission::Proof { .. },
        } => Some(*op),
        _ => None,
    })
}

#[test]
fn a_paused_provider_opens_nothing_and_a_leaving_one_renews_nothing() {
    let mut bench = Bench::new(&[1], &[], &[]);
    bench.take(Taking::Paused, 1 << 30);
    assert_eq!(bench.open(), closed(Refusal::Closed));
    assert!(matches!(bench.renew(), Response::Signed(_)));
    let mut bench = Bench::new(&[1], &[], &[]);
    bench.take(Taking::Leaving, 1 << 30);
    assert_eq!(bench.open(), closed(Refusal::Closed));
    assert_eq!(bench.renew(), closed(Refusal::Closed));
    assert!(
        matches!(bench.place(2), BulkEffect::Receive { .. }),
        "what is bought is"
    );
    bench.take(Taking::All, 1 << 30);
    assert!(matches!(bench.open(), Response::Signed(_)));
    assert!(matches!(bench.renew(), Response::Signed(_)));
}

#[test]
fn a_quota_below_what_is_sold_renews_nothing_until_enough_has_ended() {
    let mut bench = Bench::new(&[1], &[], &[]);
    assert!(matches!(bench.open(), Response::Signed(_)));
    // Two contracts of 256 KiB: the quota has room for one of them.
    bench.take(Taking::All, 300 << 10);
    let refused = bench.renew();
    assert!(
        matches!(
            refused,
            Response::Denied(Deny::Contract(Refusal::Quota { needed: 256, have })) if have < 256
        ),
        "{refused:?}"
    );
    bench.take(Taking::All, 600 << 10);
    assert!(matches!(bench.renew(), Response::Signed(_)));
}

#[test]
fn what_the_disks_have_no_room_for_is_not_sold_whatever_the_quota_says() {
    let mut bench = Bench::new(&[1], &[], &[]);
    let free = |kib: u64| {
        ProviderCommand::Disks(Disks {
            failing: false,
            free: Some(Bytes(kib << 10)),
        })
    };
    // Sold are 256 chunks of which 16 lie here: 240 are owed, and 256 more are asked for.
    bench.command(free(400));
    let refused = bench.open();
    assert!(
        matches!(
            refused,
            Response::Denied(Deny::Contract(Refusal::Quota { needed: 256, have })) if have < 160
        ),
        "{refused:?}"
    );
    // What a contract holds already needs no more room when it is renewed.
    assert!(matches!(bench.renew(), Response::Signed(_)));
    bench.command(free(500));
    assert!(matches!(bench.open(), Response::Signed(_)));
}

#[test]
fn while_a_volume_fails_nothing_is_taken_on_and_what_can_be_read_is_served() {
    let mut bench = Bench::new(&[1], &[], &[]);
    let disks = |failing| {
        ProviderCommand::Disks(Disks {
            failing,
            free: None,
        })
    };
    bench.command(disks(true));
    assert_eq!(bench.open(), closed(Refusal::Storage));
    assert_eq!(bench.renew(), closed(Refusal::Storage));
    assert!(is_refused(&bench.place(2), &Refusal::Storage));
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
    let told = bench.engine.provided().unwrap();
    assert_eq!(told.refuses, Some(Refusal::Storage));
    bench.command(disks(false));
    assert!(matches!(bench.place(2), BulkEffect::Receive { .. }));
    assert!(matches!(bench.open(), Response::Signed(_)));
}

#[test]
fn who_proves_too_slowly_takes_on_nothing_until_it_is_fast_again() {
    let mut bench = Bench::new(&[1], &[], &[]);
    let window = bench.me.params.window;
    let prove = |bench: &mut Bench, took: Millis| {
        bench.boundary(None);
        let (opens, effects) = bench.challenge();
        let op = made(&effects).unwrap();
        let outcome = Outcome::Proved(Ok(vec![1]));
        // The engine's clock does not run back behind the bench's own block.
        let begun = opens.after(Millis(1_000));
        bench.at(begun.after(took), Input::Done { op, outcome });
    };
    prove(&mut bench, Millis(window.0 / 2));
    assert!(
        matches!(bench.open(), Response::Signed(_)),
        "that is fast enough"
    );
    let slow = Millis(window.0 / 2 + 1);
    for _ in 0..3 {
        prove(&mut bench, slow);
    }
    let refusal = Refusal::Slow {
        expected: slow,
        most: Millis(window.0 / 2),
    };
    assert_eq!(refusal.code(), 26);
    assert!(is_refused(&bench.place(2), &refusal));
    assert_eq!(bench.renew(), closed(refusal));
    for _ in 0..3 {
        prove(&mut bench, Millis(5));
    }
    assert!(matches!(bench.place(2), BulkEffect::Receive { .. }));
}

#[test]
fn a_proof_is_begun_when_the_slot_opens_and_tried_until_the_window_closes() {
    let mut bench = Bench::new(&[1], &[], &[]);
    let (opens, effects) = bench.challenge();
    let closes = opens.after(bench.me.params.window);
    let mut op = made(&effects).expect("it is begun with the block that opens the slot");
    let mut now = opens;
    // The disk comes back after a while.
    for _ in 0..5 {
        let outcome = Outcome::Proved(Err(JobError::Damaged("not mounted".to_owned())));
        let effects = bench.at(now, Input::Done { op, outcome });
        assert_eq!(made(&effects), None, "not at once");
        op = loop {
            now = bench.engine.deadline().unwrap();
            assert!(now < closes, "it is tried again");
            if let Some(again) = made(&bench.at(now, Input::Tick)) {
                break again;
            }
        };
    }
    assert!(now < closes);
    let outcome = Outcome::Proved(Ok(vec![1]));
    let mut op = sent(&bench.at(now, Input::Done { op, outcome })).expect("it is sent at once");
    // No validator answers for the rest of the window.
    let mut tries = 0;
    loop {
        let outcome = Outcome::Submitted(Err(SubmitError::NoAnswer));
        bench.at(now, Input::Done { op, outcome });
        let again = loop {
            now = bench.engine.deadline().unwrap();
            let sent = sent(&bench.at(now, Input::Tick));
            if sent.is_some() || now >= closes {
                break sent;
            }
        };
        let Some(again) = again else {
            break;
        };
        assert!(now < closes);
        op = again;
        tries += 1;
    }
    assert!(tries >= 10, "{tries} tries");
    assert!(now >= closes, "given up at {now:?}, before {closes:?}");
}

#[test]
fn where_a_shard_lies_is_known_after_a_restart_and_forgotten_with_it() {
    let mut bench = Bench::new(&[1], &[], &[]);
    let BulkEffect::Receive { token, .. } = bench.place(2) else {
        panic!("it is not taken");
    };
    let stored = Ok(VolumeId(3));
    bench.step(Input::Peer(PeerInput::Received { token, stored }));
    bench.restart();
    bench.block();
    let volumes = bench.engine.shards_by_volume();
    assert_eq!(volumes[&VolumeId::HOME], [root(1)]);
    assert_eq!(volumes[&VolumeId(3)], [root(2)]);
    let (volume, roots) = (VolumeId(4), vec![root(1), root(2), root(9)]);
    bench.command(ProviderCommand::Moved { volume, roots });
    bench.restart();
    bench.block();
    let volumes = bench.engine.shards_by_volume();
    assert_eq!(volumes[&VolumeId(4)], [root(1), root(2)]);
    assert_eq!(volumes.len(), 1);
    // A loose shard that is damaged goes at once, and its place with it.
    bench.damage(&[2]);
    let places = |bench: &Bench| {
        let kinds = bench.rows.keys().map(|(kind, _)| *kind);
        kinds.filter(|kind| *kind == Kind::Place as u8).count()
    };
    assert_eq!(places(&bench), 1);
    let volume = VolumeId::HOME;
    let roots = vec![root(1)];
    bench.command(ProviderCommand::Moved { volume, roots });
    assert_eq!(places(&bench), 0);
}
