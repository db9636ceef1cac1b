//! Seven validators as processes, of which any two may fail, and do: killed, frozen, wiped, run twice from
//! one key. Nothing final is lost, nothing forks, and all end on one block, whose hash covers the state.
//!
//! `LARDER_SOAK` says for how many seconds random faults go on (`tests/soak.sh`: half an hour);
//! `LARDER_SOAK_SEED` repeats a run.

use crate::fleet::{Fleet, Node};
use crate::until::until;
use crate::validators::{balance, one_head, pay};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long what is awaited here may take.
const WITHIN: Duration = Duration::from_secs(90);
/// How long random faults go on, seconds, unless the environment says otherwise.
const SOAK: u64 = 60;
/// How many of seven may fail.
const BEARS: usize = 2;

/// The founder and six more.
fn seven(fleet: &Fleet) -> Vec<Node> {
    let others = fleet.validators(6);
    assert_eq!(fleet.founder.validators().validators.len(), 7);
    others
}

fn all<'a>(fleet: &'a Fleet, others: &'a [Node]) -> Vec<&'a Node> {
    std::iter::once(&fleet.founder).chain(others).collect()
}

/// Those in the set take a node out or in, one after another, until it acts.
fn change(verb: &str, peer: &str, voters: &[&Node]) {
    let acted = voters.iter().any(|voter| {
        let done = voter.larder(&["network", verb, peer]).done();
        done["acted"] == true
    });
    assert!(acted, "{verb} {peer}");
}

#[test]
fn two_of_seven_may_be_killed_frozen_wiped_or_run_twice() {
    let fleet = Fleet::found_bft("8s");
    let mut others = seven(&fleet);
    let founder = &fleet.founder;
    pay(founder, &others[0], &all(&fleet, &others));

    // Two are killed; the five go on; both come back.
    others[4].kill();
    others[5].kill();
    pay(founder, &others[0], &all(&fleet, &others[..4]));
    others[4].start();
    others[5].start();
    pay(founder, &others[0], &all(&fleet, &others));

    // One hears and says nothing for a while.
    others[3].freeze();
    pay(
        founder,
        &others[0],
        &[founder, &others[0], &others[1], &others[2]],
    );
    others[3].thaw();
    pay(founder, &others[0], &all(&fleet, &others));

    // One loses its disk: its key is gone for good, another node takes its seat.
    let mut lost = others.pop().unwrap();
    let peer = lost.info().peer_id;
    lost.destroy();
    let heir = fleet.candidate(9);
    change("remove-validator", &peer, &all(&fleet, &others));
    change("add-validator", &heir.info().peer_id, &all(&fleet, &others));
    heir.votes();
    others.push(heir);
    pay(founder, &others[0], &all(&fleet, &others));

    // One runs twice: both sign with one key, and know nothing of each other.
    let mut twin = others.remove(4);
    twin.stop();
    let copy = fleet.path("copy");
    let mut cp = Command::new("cp");
    let copied = cp.arg("-a").arg(&twin.home).arg(&copy).status();
    assert!(copied.unwrap().success());
    let mut copied = fleet.at_home("copy", &["--validate"]);
    twin.start();
    copied.start();
    for _ in 0..8 {
        pay(founder, &others[0], &all(&fleet, &others));
    }
    twin.kill();
    copied.kill();
    pay(founder, &others[0], &all(&fleet, &others));
    one_head(&all(&fleet, &others));
    let paid = balance(&others[0], founder);
    assert!(
        all(&fleet, &others)
            .iter()
            .all(|n| balance(&others[0], n) == paid)
    );
}

/// What is wrong with a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Killed,
    Frozen,
}

#[test]
fn random_faults_of_two_of_seven_fork_nothing() {
    let read = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed = read("LARDER_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let lasts = Duration::from_secs(read("LARDER_SOAK").unwrap_or(SOAK));
    eprintln!("LARDER_SOAK_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let fleet = Fleet::found_bft("8s");
    let mut others = seven(&fleet);
    let mut faults = vec![Fault::None; others.len()];
    let (began, mut payments) = (Instant::now(), 0u64);
    let before = balance(&others[0], &fleet.founder);
    while began.elapsed() < lasts {
        // The first is paid, and so is never at fault.
        let at = dice.random_range(1..others.len());
        let down = faults.iter().filter(|f| **f != Fault::None).count();
        match faults[at] {
            Fault::Killed => {
                others[at].start();
                faults[at] = Fault::None;
            }
            Fault::Frozen => {
                others[at].thaw();
                faults[at] = Fault::None;
            }
            Fault::None if down < BEARS && dice.random_range(0..2) == 0 => {
                others[at].kill();
                faults[at] = Fault::Killed;
            }
            Fault::None if down < BEARS => {
                others[at].freeze();
                faults[at] = Fault::Frozen;
            }
            Fault::None => {}
        }
        let sound = others.iter().zip(&faults);
        let sound = sound.filter(|(_, fault)| **fault == Fault::None);
        let nodes: Vec<&Node> = sound.map(|(node, _)| node).collect();
        pay(&fleet.founder, &others[0], &nodes);
        payments += 1;
    }
    for (node, fault) in others.iter_mut().zip(&faults) {
        match fault {
            Fault::None => {}
            Fault::Killed => node.start(),
            Fault::Frozen => node.thaw(),
        }
    }
    let after = before + payments * 5_000_000_000;
    until("every payment is on every node", WITHIN, || {
        let nodes = all(&fleet, &others);
        let is_there = |node: &&Node| balance(&others[0], node) == after;
        nodes.iter().all(is_there).then_some(())
    });
    one_head(&all(&fleet, &others));
}
