//! Larder's simulations.
