//! Every target over its seeds, bent in every way that [`mutate`] knows: the same inputs on every
//! run, about a minute in all. libFuzzer goes on from here: `fuzz/run.sh`.

use larder_fuzz::targets::{self, Target};
use larder_fuzz::{Dice, mutate};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a process that decodes may take at most, KiB: inputs have a few KiB each.
const MOST_MEMORY: u64 = 512 << 10;

fn smoke(target: &Target) {
    let (name, seeds) = (target.name, target.seeds());
    let dice = &mut Dice::noise(name, 0);
    mutate::all(&seeds, target.rounds, dice, &mut |input| {
        let done = catch_unwind(AssertUnwindSafe(|| target.run(input)));
        assert!(done.is_ok(), "{name} fails on {}", hex::encode(input));
    });
}

/// The most memory that this process ever had, KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[test]
fn every_target_bears_bent_input() {
    for target in targets::all() {
        smoke(&target);
    }
    // Elsewhere than on Linux nobody says.
    if let Some(peak) = peak() {
        assert!(peak < MOST_MEMORY, "{peak} KiB for inputs of a few");
    }
}

/// A seed that its own target does not read would make the smoke a test of nothing.
#[test]
fn every_wire_type_reads_its_own_values() {
    for wire in larder_fuzz::wire::WIRES {
        for n in 0..200 {
            let bytes = (wire.make)(&mut Dice::noise(wire.name, n));
            assert!((wire.read)(&bytes), "{} {}", wire.name, hex::encode(bytes));
        }
    }
}

#[test]
fn every_target_has_its_binary() {
    let manifest = include_str!("../../libfuzzer/Cargo.toml");
    let named = manifest.lines().filter_map(|line| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        (name != "larder-libfuzzer").then_some(name)
    });
    let have: BTreeSet<&str> = named.collect();
    let want: BTreeSet<&str> = targets::all().map(|target| target.name).collect();
    assert_eq!(
        have, want,
        "fuzz/libfuzzer/Cargo.toml and fuzz/src/targets.rs"
    );
}

/// The histories that are bent are worth it: everything that can happen on the ledger does.
#[test]
fn histories_reach_every_rule() {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for n in 0..16u64 {
        let mut bytes = vec![0; 16_000];
        Dice::noise("histories", n).fill(&mut bytes);
        for event in larder_fuzz::ledger::history(&bytes).0 {
            let text = format!("{event:?}");
            let end = text.find([' ', '(']).unwrap_or(text.len());
            *counts.entry(text[..end].to_owned()).or_default() += 1;
        }
    }
    for event in [
        "Opened",
        "Revised",
        "Extended",
        "Closed",
        "Paid",
        "Unpaid",
        "Charged",
        "Faulted",
        "Vested",
        "Skipped",
        "Transferred",
        "Deposited",
        "MaintenanceAnnounced",
        "CandidacyBegan",
        "ValidatorJoined",
        "ValidatorLeft",
        "Withdrawn",
    ] {
        assert!(counts.contains_key(event), "no {event} among {counts:?}");
    }
}

/// So are the engine's lives.
#[test]
fn lives_reach_every_promise() {
    let mut reached = BTreeSet::new();
    for n in 0..300u64 {
        let mut bytes = vec![0; 3_000];
        Dice::noise("lives", n).fill(&mut bytes);
        reached.extend(larder_fuzz::engine::life(&bytes));
    }
    let want = BTreeSet::from([
        "a contract sold",
        "a shard acknowledged",
        "shards signed for",
        "a contract posted",
        "a head kept",
        "a contract bought",
        "a segment stored",
    ]);
    assert_eq!(reached, want);
}
