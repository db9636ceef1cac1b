//! A smoke of every fuzz target, and the vectors of all wire types.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod annotate;
mod smoke;
mod vectors;
