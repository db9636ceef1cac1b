//! Larder's ledger.
