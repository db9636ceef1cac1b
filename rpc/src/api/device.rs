//! `device_*`: the devices of the home's account.

use crate::types::{DeviceList, RevokeDeviceParams};
use crate::values::Empty;

super::methods! {
    /// The devices of the home's account.
    DeviceMethods: "device";

    /// The account's devices, as far as their heads are known, this one first.
    "device_list" device_list(Empty) -> DeviceList, Admin;
    /// Puts a device out, with a revocation that the words signed: its later heads count for nothing, what
    /// it stored stays, and what it looked after is looked after by this device.
    "device_revoke" device_revoke(RevokeDeviceParams) -> DeviceList, Admin;
}
