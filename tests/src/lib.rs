//! Larder's tests.
