//! Tests of the repository as a whole.
#![allow(
    clippy::unwrap_used,
    reason = "a test says what failed by where it failed"
)]

mod architecture;
mod citations;
mod licences;
mod quotes;
mod workspace;
