//! `larder friend`: people who give each other disk for nothing.

use super::args::FriendCommand;
use super::connect::{Asked, ask};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{AcceptFriendParams, FriendParams, FriendShown, FriendState, InviteFriendParams};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;

pub(super) fn run(home: &Path, command: FriendCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            FriendCommand::Add { name, give, hours } => {
                let params = InviteFriendParams {
                    name,
                    gives: give.map_or(0, |size| size.0),
                    seconds: hours.map(|hours| hours.saturating_mul(3_600)),
                };
                let made = node.friend_invite(&params).await?;
                out.object(&json!({
                    "message_type": "summary",
                    "invite": made.invite,
                    "until": made.until,
                }))?;
                out.line(format_args!(
                    "{}\n\nHand this over where nobody else reads it: whoever has it first becomes your friend. \
                     It holds until {}. Your friend runs\n  larder friend accept INVITE --name YOU",
                    made.invite, made.until
                ))
            }
            FriendCommand::Accept { invite, name, give } => {
                let params = AcceptFriendParams {
                    invite,
                    name,
                    gives: give.map_or(0, |size| size.0),
                };
                let friend = node.friend_accept(&params).await?;
                object(&friend, "summary", out)?;
                line(&friend, out)
            }
            FriendCommand::List => {
                let friends = all(|page| {
                    let node = &node;
                    async move { node.friend_list(&page).await }
                });
                for friend in friends.await? {
                    object(&friend, "friend", out)?;
                    line(&friend, out)?;
                }
                Ok(())
            }
            FriendCommand::Remove { friend } => {
                let gone = node.friend_remove(&FriendParams { friend }).await?;
                out.object(&json!({
                    "message_type": "summary",
                    "name": gone.name,
                    "stored_here": gone.stored_here,
                    "stored_there": gone.stored_there,
                }))?;
                out.line(format_args!(
                    "{} is no friend of this home any more. Contracts stay until they end: {} rented here, {} \
                     rented there; what lies there is rebuilt elsewhere then",
                    gone.name,
                    Bytes(gone.stored_here),
                    Bytes(gone.stored_there)
                ))
            }
        }
    })
}

fn object(it: &FriendShown, message: &str, out: Out) -> Asked {
    out.object(&json!({
        "message_type": message,
        "name": it.name,
        "state": it.state,
        "node": it.node,
        "account": it.account,
        "gives": it.gives,
        "gives_used": it.gives_used,
        "gets": it.gets,
        "gets_used": it.gets_used,
        "until": it.until,
    }))
}

fn line(it: &FriendShown, out: Out) -> Asked {
    let state = match it.state {
        FriendState::Invited => "invited, nobody has accepted yet",
        FriendState::Asked => "asked, has not answered yet: this node asks on",
        FriendState::Friend => "friend",
        FriendState::Ended => "has ended it: what lies there stays until its contract ends",
    };
    out.line(format_args!(
        "{:<16} gives you {} ({} rented), you give {} ({} rented): {state}",
        it.name,
        Bytes(it.gets),
        Bytes(it.gets_used),
        Bytes(it.gives),
        Bytes(it.gives_used),
    ))
}
