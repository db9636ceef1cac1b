//! The vectors of every wire type, in the `vectors/` of the crate that it lives in: chosen values to
//! read, and one hash over many made ones. Whoever changes a format on purpose puts there what the
//! failing test prints.

use crate::annotate::annotate;
use larder_fuzz::Dice;
use larder_fuzz::wire::{WIRES, Wire};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Values under the hash of each type.
const CORPUS: u64 = 10_000;
/// Made values that are written out beside the chosen ones.
const SHOWN: u64 = 1;

fn vectors(wire: &Wire) -> String {
    let mut text = String::new();
    let made = |n| (wire.make)(&mut Dice::noise(wire.name, n));
    let shown = (0..SHOWN).map(|n| ("a made value", made(n)));
    for (what, bytes) in (wire.examples)().into_iter().chain(shown) {
        writeln!(text, "# {what}\n{}", annotate(&bytes)).unwrap();
    }
    let (mut hasher, mut total) = (blake3::Hasher::new(), 0);
    for n in 0..CORPUS {
        let bytes = made(n);
        total += bytes.len();
        hasher.update(&bytes);
    }
    writeln!(text, "# {CORPUS} made values, one after another").unwrap();
    writeln!(text, "{total} bytes, BLAKE3 {}", hasher.finalize()).unwrap();
    text
}

/// The state's root after made histories: every rule of the ledger stands under it.
fn histories() -> String {
    let mut text = String::new();
    for n in 0..3u64 {
        let mut bytes = vec![0; 1_500];
        Dice::noise("history", n).fill(&mut bytes);
        let (events, state) = larder_fuzz::ledger::history(&bytes);
        let (height, root) = (state.head().height, hex::encode(state.root().0));
        writeln!(
            text,
            "history {n}: {} events, height {height}, root {root}",
            events.len()
        )
        .unwrap();
    }
    text
}

#[test]
fn every_wire_type_is_what_its_vectors_say() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut changed = Vec::new();
    let wires = WIRES.iter().map(|wire| {
        let file = format!("{}/vectors/{}.cbor.txt", wire.home, wire.name);
        (file, vectors(wire))
    });
    let history = ("ledger/vectors/history.txt".to_owned(), histories());
    for (file, got) in wires.chain([history]) {
        let want = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
        if want != got {
            changed.push(format!("==> {file}\n{got}"));
        }
    }
    assert!(
        changed.is_empty(),
        "formats have changed. If that is meant, these are the new vectors:\n{}",
        changed.join("\n")
    );
}
