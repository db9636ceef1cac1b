//! Larder's rpc.
