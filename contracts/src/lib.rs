//! Larder's contracts.
