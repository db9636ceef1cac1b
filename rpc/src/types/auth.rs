//! `auth_*`: tokens for programs that cannot, or should not, read the home's cookie.

use crate::tokens::Scope;
use crate::values::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a new token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenParams {
    /// What it is called, for its owner.
    pub name: String,
    /// What its bearer may do.
    pub scope: Scope,
    /// The only methods that it opens, within its scope; absent: all of the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// How many calls a second it may make; 1,000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// When it ends; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenShown {
    /// Names it in `auth_revokeToken`.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What its bearer may do.
    pub scope: Scope,
    /// The only methods that it opens; absent: all of its scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// How many calls a second it may make.
    pub calls_per_second: u32,
    /// When it was made.
    pub created: Moment,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

/// A token that was just made. Its text is told here and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenCreated {
    /// The text to show as `Authorization: Bearer …`.
    pub token: String,
    /// The token, as `auth_listTokens` shows it.
    pub shown: TokenShown,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TokenCreated").field(&self.shown).finish()
    }
}

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenId {
    /// Its id, as `auth_listTokens` shows it.
    pub id: String,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Whoami {
    /// What the caller may do.
    pub scope: Scope,
    /// The caller's token; absent if it showed the cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenShown>,
}
