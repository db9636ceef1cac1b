//! Bent bytes: what a fuzzer would try first, the same on every run.

use crate::Dice;

/// Bytes that formats care about: lengths of DAG-CBOR, bounds.
const TELLING: [u8; 16] = [
    0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x3b, 0x40, 0x58, 0x5b, 0x80, 0x9f, 0xa0, 0xf6, 0xff,
];
/// Most cuts and flips of one seed: the short ones get them all.
const MOST: usize = 192;

/// Every seed whole, cut short, with single bits flipped, and `rounds` times bent by `dice`. Where
/// there are few rounds there are few cuts and flips.
pub fn all(seeds: &[Vec<u8>], rounds: usize, dice: &mut Dice<'_>, run: &mut dyn FnMut(&[u8])) {
    let most = MOST.min(rounds.div_ceil(8));
    run(&[]);
    for seed in seeds {
        run(seed);
        let step = seed.len().div_ceil(most).max(1);
        (0..seed.len())
            .step_by(step)
            .for_each(|len| run(&seed[..len]));
        let step = (8 * seed.len()).div_ceil(most).max(1);
        for bit in (0..8 * seed.len()).step_by(step) {
            let mut bent = seed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            run(&bent);
        }
    }
    for _ in 0..rounds {
        run(&bent(seeds, dice));
    }
}

/// One seed, bent a few times.
fn bent(seeds: &[Vec<u8>], dice: &mut Dice<'_>) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).cloned().unwrap_or_default();
    for _ in 0..=dice.index(4) {
        let at = dice.index(bytes.len() + 1);
        let end = (at + dice.index(9)).min(bytes.len());
        match dice.index(7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, dice.byte()),
            2 => bytes[at..end].iter_mut().for_each(|b| *b = dice.byte()),
            3 => bytes[at..end].iter_mut().for_each(|b| {
                *b = dice.pick(&TELLING).copied().unwrap_or_default();
            }),
            4 => bytes[at..end].fill(0xff),
            5 => {
                // A part of another seed, or of itself, in its place.
                let other = dice.pick(seeds).cloned().unwrap_or_default();
                let from = dice.index(other.len() + 1);
                let to = (from + dice.index(80)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}
