//! What is fuzzed, by name: each wire type, everything else that is decoded, `State::apply` and
//! `Engine::step`. libFuzzer (`fuzz/libfuzzer`) and the smoke test run the same functions.

use crate::layouts::{self, seeds};
use crate::wire::{WIRES, Wire};
use crate::{Dice, engine, ledger, proof, seen};

/// Values of a wire type among its seeds.
const MADE: u64 = 24;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, as that of the libFuzzer binary.
    pub name: &'static str,
    /// Random inputs in the smoke test, such that all targets together take less than a minute.
    pub rounds: usize,
    body: Body,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Wire(&'static Wire),
    Plain {
        run: fn(&[u8]),
        seeds: fn() -> Vec<Vec<u8>>,
    },
}

macro_rules! plain {
    ($($name:literal $rounds:literal $run:path, $seeds:path;)*) => {
        const PLAIN: &[Target] = &[$(Target {
            name: $name,
            rounds: $rounds,
            body: Body::Plain { run: $run, seeds: $seeds },
        }),*];
    };
}

plain! {
    "contract_leaf" 5_000 layouts::contract_leaf, seeds::contract_leaf;
    "shard_leaf" 5_000 layouts::shard_leaf, seeds::shard_leaf;
    "provider_root" 5_000 layouts::provider_root, seeds::provider_root;
    "outboard" 5_000 layouts::outboard, seeds::outboard;
    "content_tree" 2_000 layouts::content_tree, seeds::content_tree;
    "map_proof" 5_000 layouts::map_proof, seeds::map_proof;
    "header_layout" 5_000 layouts::header_layout, seeds::header_layout;
    "certificate" 200 layouts::certificate, seeds::certificate;
    "bls_key" 200 layouts::bls_key, seeds::bls_key;
    "bls_signature" 200 layouts::bls_signature, seeds::bls_signature;
    "ed25519" 1_000 layouts::ed25519, seeds::ed25519;
    "segment_index" 5_000 layouts::segment_index, seeds::segment_index;
    "segment_listing" 5_000 layouts::segment_listing, seeds::segment_listing;
    "sealed_blob" 5_000 layouts::sealed_blob, seeds::sealed_blob;
    "segment" 1_000 layouts::segment, seeds::segment;
    "sealed_message" 5_000 layouts::sealed_message, seeds::sealed_message;
    "text" 5_000 layouts::text, seeds::text;
    "apply" 12 ledger::apply, ledger::seeds;
    "row" 2_000 engine::row, engine::row_seeds;
    "step" 200 engine::step, engine::seeds;
    "proof_blob" 3_000 proof::proof_blob, proof::seeds;
}

/// All targets.
pub fn all() -> impl Iterator<Item = Target> {
    let wires = WIRES.iter().map(|wire| Target {
        name: wire.name,
        rounds: 2_000,
        body: Body::Wire(wire),
    });
    wires.chain(PLAIN.iter().copied())
}

/// Runs the target `name` on one input.
///
/// # Panics
/// If there is none of that name, or the input shows a fault: that is what a fuzzer waits for.
pub fn run(name: &str, input: &[u8]) {
    let target = all().find(|target| target.name == name);
    target.expect("a target of that name").run(input);
}

impl Target {
    /// One input.
    pub fn run(&self, input: &[u8]) {
        match self.body {
            Body::Wire(wire) => seen((wire.read)(input)),
            Body::Plain { run, .. } => run(input),
        }
    }

    /// Inputs that are as they should be.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        match self.body {
            Body::Wire(wire) => {
                let examples = (wire.examples)().into_iter().map(|(_, bytes)| bytes);
                let made = (0..MADE).map(|n| (wire.make)(&mut Dice::noise(wire.name, n)));
                examples.chain(made).collect()
            }
            Body::Plain { seeds, .. } => seeds(),
        }
    }
}
