//! Larder's engine.
