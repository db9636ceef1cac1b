//! The target that this binary is named for.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| larder_fuzz::targets::run(env!("CARGO_BIN_NAME"), input));
