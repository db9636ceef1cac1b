//! Random faults of at most two of seven validators at a time, while payments go on: killed, frozen, cut
//! off, wiped. Afterwards every payment is on every node, and all show one block.
//!
//! `LARDER_SOAK` says for how many seconds it goes on (`tests/soak.sh`: half an hour);
//! `LARDER_SOAK_SEED` repeats what was drawn.

use crate::fleet::Node;
use crate::seven::{HEALS, Seven};
use crate::until::until;
use crate::validators::{balance, pay_within};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// How long random faults go on, seconds, unless the environment says otherwise.
const SOAK: u64 = 60;
/// How many of seven may fail.
const BEARS: usize = 2;
/// A fault lasts at most this long, seconds, and at most a third of the whole.
const LASTS: u64 = 60;
/// What a payment is, nano.
const PAYMENT: u64 = 5_000_000_000;

/// What is wrong with a validator for a while.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Frozen,
    CutOff,
}

impl Fault {
    fn begin(self, seven: &mut Seven, at: usize) {
        match self {
            Self::Killed => seven.others[at].kill(),
            Self::Frozen => seven.others[at].freeze(),
            Self::CutOff => seven.cut(at),
        }
    }

    fn end(self, seven: &mut Seven, at: usize) {
        match self {
            Self::Killed => seven.others[at].start(),
            Self::Frozen => seven.others[at].thaw(),
            Self::CutOff => seven.heal(at),
        }
    }
}

/// A fault, and until when it lasts.
type Lasting = Option<(Fault, Instant)>;

/// The places of those at fault.
fn unwell(faults: &[Lasting]) -> Vec<usize> {
    let places = faults.iter().enumerate();
    let unwell = places.filter(|(_, fault)| fault.is_some());
    unwell.map(|(at, _)| at).collect()
}

#[test]
fn random_faults_of_two_of_seven_fork_nothing() {
    let read = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed = read("LARDER_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let soak = read("LARDER_SOAK").unwrap_or(SOAK);
    eprintln!("LARDER_SOAK_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut seven = Seven::found();
    let mut faults: Vec<Lasting> = vec![None; seven.others.len()];
    let (began, mut payments) = (Instant::now(), 0u64);
    let before = balance(&seven.others[0], seven.founder());
    while began.elapsed() < Duration::from_secs(soak) {
        let now = Instant::now();
        for (at, lasting) in faults.iter_mut().enumerate() {
            if let Some((fault, _)) = lasting.take_if(|(_, until)| *until <= now) {
                told(began, at, &format!("no longer {fault:?}"));
                fault.end(&mut seven, at);
            }
        }
        // The first is paid, and so is never at fault.
        let at = dice.random_range(1..seven.others.len());
        let (kind, lasts) = (
            dice.random_range(0..12u8),
            dice.random_range(1..=LASTS.min(soak / 3)),
        );
        let unwell = unwell(&faults);
        if unwell.len() < BEARS && faults[at].is_none() {
            let fault = match kind {
                0..=2 => Some(Fault::Killed),
                3..=5 => Some(Fault::Frozen),
                6..=10 if seven.wires.is_some() => Some(Fault::CutOff),
                11 => {
                    told(began, at, "wiped");
                    seven.wipe(at, &unwell);
                    None
                }
                _ => None,
            };
            if let Some(fault) = fault {
                told(began, at, &format!("{fault:?} for {lasts} s"));
                fault.begin(&mut seven, at);
                faults[at] = Some((fault, now + Duration::from_secs(lasts)));
            }
        }
        let (founder, first) = (seven.founder(), &seven.others[0]);
        pay_within(
            HEALS,
            founder,
            first,
            &seven.all_but(&self::unwell(&faults)),
        );
        payments += 1;
    }
    for (at, lasting) in faults.into_iter().enumerate() {
        if let Some((fault, _)) = lasting {
            fault.end(&mut seven, at);
        }
    }
    let after = before + payments * PAYMENT;
    until("every payment is on every node", HEALS, || {
        let is_there = |node: &&Node| balance(&seven.others[0], node) == after;
        seven.all().iter().all(is_there).then_some(())
    });
    let head = seven.ends_whole(0);
    told(began, 0, &format!("{payments} payments, {head:?}"));
}

fn told(began: Instant, at: usize, what: &str) {
    eprintln!("{:7.1} s  {at}: {what}", began.elapsed().as_secs_f64());
}
