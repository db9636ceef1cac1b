//! Properties and golden vectors of the coding crate.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blob;
mod cut;
mod segment;
mod stripes;
mod vectors;

use larder_keys::VaultKeys;

/// The keys of every test.
fn keys() -> VaultKeys {
    VaultKeys::from_root(&[7; 32])
}

/// `len` bytes of noise that `seed` decides.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_derive_key("larder test noise")
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// `len` bytes that compress: noise of few letters.
fn prose(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = noise(seed, len);
    bytes.iter_mut().for_each(|b| *b = b'a' + *b % 8);
    bytes
}

/// Compares with a file of `vectors/`; on a mismatch it shows the whole text that would be right,
/// to be pasted by whoever means to break every existing vault.
fn pinned(file: &str, want: &str, got: &str) {
    assert!(
        want.trim_end() == got.trim_end(),
        "coding/vectors/{file} pins another format. Computed:\n{got}"
    );
}
