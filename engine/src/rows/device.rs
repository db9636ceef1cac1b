//! What is durable of the account's devices.

use crate::head::{Doom, Revocation, SignedHead};
use larder_types::Time;
use serde::{Deserialize, Serialize};

/// Another device of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its newest head; `None`: only its revocation is known.
    pub head: Option<SignedHead>,
    /// The number of the head up to which the vault has read what it says.
    pub merged: u64,
    /// Since when a sign of life is waited for, because the words came back on another machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Time>,
    /// Whether what it looked after has passed to another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Whether one of its heads did not name the one before it: two homes use its key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forked: bool,
    /// The words have put it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// What this device knows of itself among the account's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnDevice {
    /// Whether the words said that no other device is in use: what nobody names is ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sole: bool,
    /// The segments that this device is about to let go.
    pub dooms: Vec<Doom>,
    /// The number of the first head that says so.
    #[serde(default)]
    pub since: u64,
    /// The words have put this device out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}
