//! `friend_*`: nodes that give each other disk for nothing. Who may be invited and accepted, the engine says.

use super::NodeApi;
use crate::driver::Msg;
use crate::home::now;
use crate::invite::{armour, disarm};
use crate::shown::stopping;
use larder_contracts::Party;
use larder_engine::friends::{Friend, FriendRefusal, Standing};
use larder_engine::report::ContractReport;
use larder_engine::rows::InvitedRow;
use larder_engine::wire::Deny;
use larder_engine::{Command, FriendsCommand, Input};
use larder_rpc::{
    AcceptFriendParams, Code, FriendInvited, FriendMethods, FriendParams, FriendRemoved,
    FriendShown, FriendState, InviteFriendParams, Moment, Page, PageParams, RpcError, Text,
};
use larder_types::params::CHUNK;
use larder_types::{Bytes, GenesisHash, Hash, Millis, Time};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a friend's invitation begins with.
const PREFIX: &str = "larderfriend1";
/// For how long one holds where nobody says otherwise, and at most, seconds.
const HOLDS: u32 = 7 * 86_400;
const HOLDS_MOST: u32 = 30 * 86_400;
/// How long who invited is waited for; it is asked on afterwards.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// Most addresses in an invitation.
const MAX_ADDRS: usize = 16;

/// An invitation, as it is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FriendInvite {
    genesis: GenesisHash,
    token: Hash,
    host: Party,
    addrs: Vec<String>,
    until: Time,
}

impl FriendMethods for NodeApi {
    async fn friend_invite(&self, params: InviteFriendParams) -> Result<FriendInvited, RpcError> {
        let seconds = params.seconds.unwrap_or(HOLDS);
        if !(1..=HOLDS_MOST).contains(&seconds) {
            let why = format_args!("an invitation holds for 1 to {HOLDS_MOST} seconds");
            return Err(RpcError::new(Code::BadValue, why));
        }
        let addrs = self.peer_addresses().await;
        if addrs.is_empty() {
            let why = "this node listens nowhere; start it with `larder up --listen MULTIADDR`";
            return Err(RpcError::new(Code::NotReady, why));
        }
        let (name, gives) = (params.name.clone(), Bytes(params.gives));
        let may = self.engine(move |e| e.may_invite(now(), &name, gives));
        may.await?.map_err(|e| refused(&e))?;
        let mut token = Hash([0; 32]);
        rand::rng().fill_bytes(&mut token.0);
        let until = now().after(Millis(u64::from(seconds) * 1_000));
        let invited = InvitedRow {
            name: params.name,
            gives,
            until,
        };
        self.friends(FriendsCommand::Invite { token, invited })
            .await?;
        let invite = FriendInvite {
            genesis: self.genesis.hash(),
            token,
            host: Party {
                node: self.node,
                account: self.account,
                gives,
            },
            addrs: addrs.into_iter().take(MAX_ADDRS).collect(),
            until,
        };
        Ok(FriendInvited {
            invite: armour(PREFIX, &invite),
            until: Moment(until),
        })
    }

    async fn friend_accept(&self, params: AcceptFriendParams) -> Result<FriendShown, RpcError> {
        let bad = |e: &dyn std::fmt::Display| RpcError::new(Code::BadValue, e);
        let invite: FriendInvite = disarm(PREFIX, &params.invite).map_err(|e| bad(&e))?;
        if invite.genesis != self.genesis.hash() {
            return Err(bad(&"the invitation is of another network"));
        }
        if now() >= invite.until || invite.addrs.len() > MAX_ADDRS {
            return Err(bad(&"the invitation has run out: ask for a new one"));
        }
        let (asked, name) = ((invite.token, invite.host), params.name.clone());
        let gives = Bytes(params.gives);
        let pact = self.engine(move |e| e.may_accept(now(), asked, (&name, gives)));
        let pact = pact.await?.map_err(|e| refused(&e))?;
        let (done, answer) = oneshot::channel();
        let befriend = Msg::Befriend {
            pact,
            name: params.name.clone(),
            addrs: invite.addrs,
            done,
        };
        self.driver.send(befriend).await.map_err(stopping)?;
        if let Ok(Ok(Err(deny))) = tokio::time::timeout(ANSWER_WAIT, answer).await {
            return Err(denied(&deny));
        }
        self.friend(&params.name).await
    }

    async fn friend_list(&self, params: PageParams) -> Result<Page<FriendShown>, RpcError> {
        Ok(Page::cut(self.all_friends().await?, &params)?)
    }

    async fn friend_remove(&self, params: FriendParams) -> Result<FriendRemoved, RpcError> {
        let friend = self.friend(&params.friend).await?;
        let node = friend.node.ok_or_else(|| {
            let why = "nobody has accepted that invitation: it runs out by itself";
            RpcError::new(Code::NoFriend, why)
        })?;
        self.friends(FriendsCommand::Remove { node: node.0 })
            .await?;
        Ok(FriendRemoved {
            name: friend.name,
            stored_here: friend.gives_used,
            stored_there: friend.gets_used,
        })
    }
}

impl NodeApi {
    async fn friends(&self, command: FriendsCommand) -> Result<(), RpcError> {
        let input = Input::Command(Command::Friends(command));
        self.driver.input(input).await.map_err(stopping)
    }

    /// The friend of a name or node.
    async fn friend(&self, which: &str) -> Result<FriendShown, RpcError> {
        let is = |it: &FriendShown| {
            let node = it.node.as_ref().map(ToString::to_string);
            it.name == which || node.as_deref() == Some(which)
        };
        let found = self.all_friends().await?.into_iter().find(is);
        found.ok_or_else(|| {
            let why = format_args!("no friend {which:?}: `larder friend list` shows them");
            RpcError::new(Code::NoFriend, why)
        })
    }

    async fn all_friends(&self) -> Result<Vec<FriendShown>, RpcError> {
        let known = self.engine(|e| (e.friends(), e.invitations(now()), e.contracts()));
        let (friends, invitations, contracts) = known.await?;
        let friends = friends.into_iter().map(|friend| shown(friend, &contracts));
        let invited = invitations.into_iter().map(|invited| FriendShown {
            name: invited.name,
            state: FriendState::Invited,
            node: None,
            account: None,
            gives: invited.gives.0,
            gives_used: 0,
            gets: 0,
            gets_used: 0,
            until: Some(Moment(invited.until)),
        });
        let mut all: Vec<FriendShown> = friends.chain(invited).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

fn shown(friend: Friend, contracts: &[ContractReport]) -> FriendShown {
    let capacity = |is: &dyn Fn(&ContractReport) -> bool| {
        let chosen = contracts.iter().filter(|c| is(c));
        chosen.map(|c| c.leaf.capacity_chunks * CHUNK).sum()
    };
    FriendShown {
        state: match friend.standing {
            Standing::Asked => FriendState::Asked,
            Standing::Friend => FriendState::Friend,
            Standing::Ended => FriendState::Ended,
        },
        gives_used: capacity(&|c| !c.rented && c.leaf.renter == friend.account),
        gets_used: capacity(&|c| c.rented && c.provider == friend.node),
        name: friend.name,
        node: Some(Text(friend.node)),
        account: Some(Text(friend.account)),
        gives: friend.gives.0,
        gets: friend.gets.0,
        until: None,
    }
}

fn refused(why: &FriendRefusal) -> RpcError {
    let code = match why {
        FriendRefusal::NotProviding => Code::NotProviding,
        FriendRefusal::TooMuch { .. } => Code::NoQuota,
        FriendRefusal::NoName => Code::BadValue,
        FriendRefusal::Oneself
        | FriendRefusal::Known
        | FriendRefusal::Name(_)
        | FriendRefusal::TooMany => Code::NoFriend,
    };
    RpcError::new(code, why)
}

fn denied(why: &Deny) -> RpcError {
    let why = format_args!("who invited you says: {why}");
    RpcError::new(Code::NoFriend, why)
}
