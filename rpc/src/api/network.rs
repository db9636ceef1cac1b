//! `network_*`: running a ledger together.

use crate::types::{Approved, ChangeParams, Validators};
use crate::values::{Empty};

super::methods! {
    /// Running a ledger together.
    NetworkMethods: "network";

    /// Who makes blocks, who would, and what is being decided about them.
    "network_validators" network_validators(Empty) -> Validators, Read;
    /// Approves a change of the validators, as the one that this node is.
    "network_approve" network_approve(ChangeParams) -> Approved, Admin;
}
