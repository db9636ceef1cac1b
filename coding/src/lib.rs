//! Larder's coding.
