//! `share_*`: folders of snapshots, for other people to read.

use crate::types::{
    OpenParams, Opened, Revocation, ReceivedShare, Share, ShareAddress, ShareMade, ShareName,
    ShareParams, RefreshParams};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// Folders of snapshots, for other people to read.
    ShareMethods: "share";

    /// The home's share address: what others need to share something with its account.
    "share_address" share_address(Empty) -> ShareAddress, Read;
    /// Shares a folder or file of a snapshot with one person: writes a file that only that person opens.
    /// Nothing is uploaded.
    "share_create" share_create(ShareParams) -> ShareMade, Admin;
    /// What was shared with others, oldest first.
    "share_list" share_list(PageParams) -> Page<Share>, Admin;
    /// Writes a share's file anew, with the places where its data lies now. It ends when it would have.
    "share_refresh" share_refresh(RefreshParams) -> ShareMade, Admin;
    /// Takes a share back: providers are told not to serve it any more, those that are away later.
    "share_revoke" share_revoke(ShareName) -> Revocation, Admin;
    /// Opens a share's file and keeps it; with a target, begins to restore what was shared.
    "share_open" share_open(OpenParams) -> Opened, Admin;
    /// What others have shared with this home, oldest first.
    "share_received" share_received(PageParams) -> Page<ReceivedShare>, Admin;
}
