//! Larder's node.
