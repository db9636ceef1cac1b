//! Larder's proofs.
