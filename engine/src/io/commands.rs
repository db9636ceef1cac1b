//! What the shell tells parts of the engine.

use crate::head::{DeviceId, Revocation};
use crate::rows::InvitedRow;
use larder_contracts::Pact;
use larder_types::{Hash, NodeId, SegmentId};

/// The account's devices.
#[derive(Debug, Clone)]
pub enum DeviceCommand {
    /// What this machine is called.
    Call(String),
    /// The vault has read what a device's heads up to this number say.
    Merged {
        /// Which device.
        device: DeviceId,
        /// The head's number.
        seq: u64,
    },
    /// These segments are about to go: the next head says so to the other devices.
    Doom(Vec<SegmentId>),
    /// The words put another device out.
    Revoke(Revocation),
}

/// What the node's own side wants of friends.
#[derive(Debug, Clone)]
pub enum FriendsCommand {
    /// Let whoever knows the token become a friend.
    Invite {
        /// A secret, used once.
        token: Hash,
        /// What we call whoever comes, and what it is given.
        invited: InvitedRow,
    },
    /// Accept an invitation; how it ended, [`Notice::Befriended`] says.
    Accept {
        /// What each side gives; we are the guest.
        pact: Pact,
        /// What we call it.
        name: String,
        /// Where it is reached.
        addrs: Vec<String>,
    },
    /// End a friendship. What is stored stays until its contracts end.
    Remove {
        /// Whose.
        node: NodeId,
    },
}
