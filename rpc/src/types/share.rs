//! `share_*`: folders of snapshots, for other people to read.

use crate::values::{Moment, Text};
use larder_types::{AccountId, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What others need to share something with this home's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareAddress {
    /// The account.
    pub account: Text<AccountId>,
    /// Its share address: account, sharing key and the account's signature, with a checksum.
    pub address: String,
}

/// What to share, and with whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareParams {
    /// An id, a prefix of one, or `latest`.
    pub snapshot: String,
    /// A folder or file in it.
    pub path: String,
    /// The recipient's share address.
    pub to: String,
    /// Where the node writes the share's file, absolute; it must not exist.
    pub file: String,
    /// What to call it; the path's last name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends; in 30 days when absent, at most 366 days ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

/// Which share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareName {
    /// Its id, or the beginning of it (4 letters or more).
    pub share: String,
}

/// Which share to write anew, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshParams {
    /// Its id, or the beginning of it (4 letters or more).
    pub share: String,
    /// Where the node writes the share's file, absolute; it must not exist.
    pub file: String,
}

/// A folder or file that was shared with somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Share {
    /// Its id.
    pub share: String,
    /// What it is called.
    pub name: String,
    /// With whom.
    pub to: Text<AccountId>,
    /// The snapshot.
    pub snapshot: String,
    /// The path in it.
    pub path: String,
    /// When it was made.
    pub created: Moment,
    /// When it ends.
    pub expires: Moment,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Moment>,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Segments that its file lets its recipient read in part.
    pub segments: u64,
    /// Those of them that some provider holds elsewhere since the file was written, or nobody: with too
    /// many, `share_refresh` helps.
    pub segments_moved: u64,
}

/// A share's file was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareMade {
    /// The share.
    pub share: Share,
    /// The file.
    pub file: String,
    /// Its bytes.
    pub file_bytes: u64,
}

/// How far the word has come that a share was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// The share.
    pub share: Share,
    /// Providers that have said that they serve it no more.
    pub told: Vec<Text<NodeId>>,
    /// Providers that have not answered yet; they are told as soon as they do.
    pub untold: Vec<Text<NodeId>>,
    /// Contracts that have ended, under which nothing is served.
    pub contracts_ended: u32,
}

/// A share to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenParams {
    /// Its file, absolute, as the node reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Or the id of one that was opened before, or the beginning of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Where to restore what was shared, absolute; absent: it is only kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A share that somebody sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceivedShare {
    /// Its id.
    pub share: String,
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub from: Text<AccountId>,
    /// When its file was written.
    pub created: Moment,
    /// When it ends.
    pub expires: Moment,
    /// When it was opened here first.
    pub received: Moment,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A share was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Opened {
    /// It.
    pub share: ReceivedShare,
    /// The job that restores it, if a target was named. Its result is a restore's; `snapshot` is the
    /// share's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}
