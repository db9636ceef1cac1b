//! `auth_*`: who may call. The server answers these itself.

use crate::discover::DISCOVER;
use crate::errors::{Code, RpcError};
use crate::gate::caller;
use crate::tokens::{Caller, Scope, Tokens};
use crate::types::Done;
use crate::types::auth::{TokenCreated, TokenId, TokenParams, TokenShown, Whoami};
use crate::values::{Empty, Page, PageParams, now};

super::methods! {
    /// Who may call: tokens with scopes.
    AuthMethods: "auth";

    /// Makes a token; its text is told here and never again.
    "auth_createToken" auth_create_token(TokenParams) -> TokenCreated, Admin;
    /// The tokens there are, oldest first, without their texts.
    "auth_listTokens" auth_list_tokens(PageParams) -> Page<TokenShown>, Admin;
    /// Takes a token back, from the next call on.
    "auth_revokeToken" auth_revoke_token(TokenId) -> Done, Admin;
    /// Who is calling, and what they may.
    "auth_whoami" auth_whoami(Empty) -> Whoami, Read;
}

impl AuthMethods for Tokens {
    async fn auth_create_token(&self, params: TokenParams) -> Result<TokenCreated, RpcError> {
        let token = caller().as_ref().and_then(Caller::token);
        if token.is_some_and(|token| token.methods.is_some() || token.expires.is_some()) {
            let why = "a token that is limited makes no others: ask the node's owner";
            return Err(RpcError::new(Code::Forbidden, why));
        }
        if let Some(methods) = &params.methods {
            let known = |name: &&String| {
                **name == DISCOVER || super::all().any(|method| method.name == **name)
            };
            if let Some(unknown) = methods.iter().find(|name| !known(name)) {
                let why =
                    format!("there is no method {unknown}: rpc.discover names those there are");
                return Err(RpcError::new(Code::BadValue, why));
            }
        }
        let (text, shown) = self.create(params, now())?;
        Ok(TokenCreated {
            token: text.to_string(),
            shown,
        })
    }

    async fn auth_list_tokens(&self, params: PageParams) -> Result<Page<TokenShown>, RpcError> {
        Ok(Page::cut(self.list(), &params)?)
    }

    async fn auth_revoke_token(&self, params: TokenId) -> Result<Done, RpcError> {
        self.revoke(&params.id)?;
        Ok(Done {})
    }

    async fn auth_whoami(&self, _: Empty) -> Result<Whoami, RpcError> {
        let caller = caller().ok_or_else(|| {
            RpcError::new(Code::Unauthenticated, "show the node's cookie or a token")
        })?;
        let token = caller.token();
        Ok(Whoami {
            scope: token.as_ref().map_or(Scope::Admin, |token| token.scope),
            token,
        })
    }
}
