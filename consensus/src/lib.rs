//! Larder's consensus.
