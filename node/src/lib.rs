//! Larder's node.

pub mod net;
