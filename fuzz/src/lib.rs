//! Fuzzing and vectors: values of every wire type, made from dice; targets that read whatever
//! bytes come; bent bytes for a smoke test. `fuzz/run.sh` hands the same targets to libFuzzer.
#![allow(
    clippy::missing_panics_doc,
    reason = "a target that finds a fault panics: that is its answer"
)]

mod bend;
mod dice;
pub mod engine;
pub mod examples;
pub mod layouts;
pub mod ledger;
mod make;
pub mod mutate;
pub mod proof;
mod rules;
pub mod targets;
pub mod wire;

pub use dice::Dice;
pub use make::Make;

/// Takes a value that was made only to see that making it does no harm.
fn seen<T>(_: T) {}
