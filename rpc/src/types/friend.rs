//! `friend_*`: nodes that give each other disk for nothing.

use crate::values::Moment;
use crate::values::Text;
use larder_types::{AccountId, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is invited, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InviteFriendParams {
    /// What this home calls it, at most 64 bytes.
    pub name: String,
    /// Bytes that it is given; 0: nothing.
    pub gives: u64,
    /// Seconds for which the invitation holds (at most 2,592,000); absent: a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// An invitation. Whoever has it first becomes the friend: hand it over where nobody else reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FriendInvited {
    /// The text that is handed over.
    pub invite: String,
    /// Until when it can be accepted.
    pub until: Moment,
}

/// An invitation to accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptFriendParams {
    /// The text that was handed over.
    pub invite: String,
    /// What this home calls who invites, at most 64 bytes.
    pub name: String,
    /// Bytes that it is given in turn; absent: nothing.
    #[serde(default)]
    pub gives: u64,
}

/// Which friend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FriendParams {
    /// Its name, or its node's id.
    pub friend: String,
}

/// A friend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FriendShown {
    /// What this home calls it.
    pub name: String,
    /// How it stands.
    pub state: FriendState,
    /// Its node; absent while nobody has accepted the invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text<NodeId>>,
    /// Its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text<AccountId>>,
    /// Bytes that it is given here.
    pub gives: u64,
    /// Bytes of them that it has rented.
    pub gives_used: u64,
    /// Bytes that it gives.
    pub gets: u64,
    /// Bytes of them that this home has rented.
    pub gets_used: u64,
    /// Until when an invitation can be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// How it stands with a friend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FriendState {
    /// Nobody has accepted the invitation yet.
    Invited,
    /// It was asked, and has not answered: this goes on by itself.
    Asked,
    /// Both have signed.
    Friend,
    /// It has ended the friendship: what lies there stays until its contract ends.
    Ended,
}

/// A friendship that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FriendRemoved {
    /// Whose.
    pub name: String,
    /// Bytes that lie here for it until its contract ends.
    pub stored_here: u64,
    /// Bytes that lie there for this home until its contract ends.
    pub stored_there: u64,
}
