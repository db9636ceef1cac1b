//! `backup_setPolicy`, `backup_listPolicies`: how safe what lies below a path is kept, and what of it
//! is left out.

use crate::values::Text;
use larder_types::Class;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shall hold at and below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetPolicyParams {
    /// The absolute path; `/` for all paths.
    pub path: String,
    /// How safe; absent: as a path above it says, else `normal`.
    #[serde(
        rename = "redundancyClass",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub class: Option<Text<Class>>,
    /// What is left out, as in `.gitignore`; without a leading slash at any depth below the path.
    #[serde(default)]
    pub excludes: Vec<String>,
}

/// What holds at and below a path. Of the class the longest path counts that a backed up one lies
/// below; what is left out adds up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The absolute path.
    pub path: String,
    /// How safe; absent: as a path above it says, else `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Text<Class>>,
    /// What is left out.
    #[serde(default)]
    pub excludes: Vec<String>,
}
