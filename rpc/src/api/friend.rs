//! `friend_*`: nodes that give each other disk for nothing.

use crate::types::{
    AcceptFriendParams, FriendInvited, FriendParams, FriendRemoved, FriendShown, InviteFriendParams,
};
use crate::values::{Page, PageParams};

super::methods! {
    /// Nodes that give each other disk for nothing.
    FriendMethods: "friend";

    /// Makes an invitation: whoever accepts it is a friend, and is given so much of this node's disk.
    "friend_invite" friend_invite(InviteFriendParams) -> FriendInvited, Admin;
    /// Accepts an invitation.
    "friend_accept" friend_accept(AcceptFriendParams) -> FriendShown, Admin;
    /// Friends and open invitations, by name.
    "friend_list" friend_list(PageParams) -> Page<FriendShown>, Read;
    /// Ends a friendship. What is stored stays until its contracts end.
    "friend_remove" friend_remove(FriendParams) -> FriendRemoved, Admin;
}
