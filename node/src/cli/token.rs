//! `larder token`: who else may call this node's RPC.

use super::args::TokenCommand;
use super::connect::{Asked, ask};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Moment, TokenId, TokenParams, TokenShown};
use larder_types::Time;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

pub(super) fn token(home: &Path, command: TokenCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            TokenCommand::Add(args) => {
                let expires = args.lasts.map(|lasts| {
                    let end = crate::home::now().0.saturating_add(lasts.0);
                    Moment(Time(end))
                });
                let params = TokenParams {
                    name: args.name,
                    scope: args.scope.into(),
                    methods: (!args.methods.is_empty()).then_some(args.methods),
                    calls_per_second: args.rate,
                    expires,
                };
                let made = node.auth_create_token(&params).await?;
                out.object(&json!({
                    "message_type": "token",
                    "token": made.token,
                    "id": made.shown.id,
                }))?;
                out.remark("This is shown once. Keep it as you would a password:")?;
                out.line(&made.token)?;
            }
            TokenCommand::List => {
                let tokens = all(|page| {
                    let node = &node;
                    async move { node.auth_list_tokens(&page).await }
                });
                for token in tokens.await? {
                    shown(&token, out)?;
                }
            }
            TokenCommand::Revoke { id } => {
                node.auth_revoke_token(&TokenId { id: id.clone() }).await?;
                out.object(&json!({ "message_type": "summary", "revoked": id }))?;
                out.remark(format_args!("{id} opens nothing any more."))?;
            }
        }
        Ok(())
    })
}

/// A token in `--json`.
#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    #[serde(flatten)]
    token: &'a TokenShown,
}

fn shown(token: &TokenShown, out: Out) -> Asked {
    out.object(&Line {
        message_type: "token",
        token,
    })?;
    let methods = match &token.methods {
        Some(methods) => methods.join(" "),
        None => "all of it".to_owned(),
    };
    let expires = match token.expires {
        Some(end) => format!("until {end}"),
        None => "for good".to_owned(),
    };
    out.line(format_args!(
        "{}  {:<6}  {methods}  {expires}  {}",
        token.id, token.scope, token.name
    ))
}
