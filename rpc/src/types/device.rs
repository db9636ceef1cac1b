//! `device_*`: the devices of the home's account.

use crate::values::{Moment, Text};
use larder_types::{AccountId, GenesisHash, SubKeyId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The account's devices, and what a revocation of one is signed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceList {
    /// The account.
    pub account: Text<AccountId>,
    /// The admin key that is to sign, in `0x` hex; empty where the home has no device certificate.
    pub admin: String,
    /// The network that signatures are for.
    pub genesis: Text<GenesisHash>,
    /// The devices, this one first.
    pub devices: Vec<DeviceShown>,
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceShown {
    /// What its machine is called.
    pub name: String,
    /// Its key, in `0x` hex.
    pub device: String,
    /// Whether it is this one.
    pub this: bool,
    /// Where it stands: `alive`, `doubted` (a sign of life is waited for), `lost` or `revoked`.
    pub state: DeviceStanding,
    /// Until when it is certified; absent while none of its heads is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The sub-key that it signs with; absent while none of its heads is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subkey: Option<Text<SubKeyId>>,
    /// Its newest head's number; 0 before the first.
    pub head: u64,
    /// When that was made, by its own clock; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_time: Option<Moment>,
    /// Up to which of this device's heads it has read what they say.
    pub acknowledged: u64,
    /// Up to which of its heads this device has read what they say.
    pub merged: u64,
    /// Contracts that it looks after.
    pub contracts: u32,
    /// Whether two homes seem to use its key.
    pub forked: bool,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeviceStanding {
    /// It counts.
    Alive,
    /// The words came back elsewhere, and it has not shown yet that it lives.
    Doubted,
    /// It did not show itself: what it looked after passed to another.
    Lost,
    /// The words have put it out.
    Revoked,
}

/// A device that is put out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeDeviceParams {
    /// The revocation that the admin key signed, DAG-CBOR in `0x` hex.
    pub revocation: String,
}
