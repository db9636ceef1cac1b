//! Larder's backup.
