//! Friends: nodes that give each other disk for nothing. One invites, by a secret handed over outside; the
//! other accepts; both sign what each gives. From then on each asks the other for its gift, an offer at
//! price zero that nobody else is shown, and rents it like any other. `docs/protocol.md` §3.10 *Friends*.

use crate::Engine;
use crate::ctx::{Ctx, Identity, backoff, sooner};
use crate::io::{Effect, FriendsCommand, Notice, Unreachable};
use crate::ops::Pending;
use crate::provider::chunks;
use crate::rows::{FriendRow, InvitedRow, Write};
use crate::wire::{Befriend, Deny, Request, Response};
use larder_contracts::offer::{MAX_ADDR, MAX_ADDRS};
use larder_contracts::{Gift, Pact, Party};
use larder_types::params::CHUNK;
use larder_types::{AccountId, Bytes, Hash, Millis, NodeId, Signature, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most friends: each costs a request now and then.
pub const MAX_FRIENDS: usize = 256;
/// Most invitations that nobody has accepted yet.
pub const MAX_INVITED: usize = 256;
/// Longest name of a friend, bytes.
pub const MAX_NAME: usize = 64;
/// How often friends are asked for their gifts, at most and at least: well within the life of an offer.
const ASK_EVERY: (u64, u64) = (4_000, 1_200_000);

/// Why somebody cannot be invited or accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FriendRefusal {
    /// The node itself.
    #[error("that is this node's own invitation: give it to your friend")]
    Oneself,
    /// There is one already.
    #[error("it is a friend already: `larder friend remove` it first to change what you give")]
    Known,
    /// Another friend or invitation has this name.
    #[error("the name {0:?} is taken: choose another")]
    Name(String),
    /// A name that is no name.
    #[error("a name is 1 to {MAX_NAME} bytes long")]
    NoName,
    /// Too many of them.
    #[error("that is more friends and invitations than a node keeps: remove some first")]
    TooMany,
    /// Nothing is offered here.
    #[error(
        "this node offers no disk to give: start it with `larder up --provide SIZE`, or give nothing"
    )]
    NotProviding,
    /// More than the node offers.
    #[error("{gives} are more than the {free} that this node has left to give")]
    TooMuch {
        /// What is to be given.
        gives: Bytes,
        /// What there is.
        free: Bytes,
    },
}

/// The friends of a node.
#[derive(Debug, Default)]
pub(crate) struct Friends {
    known: BTreeMap<NodeId, FriendRow>,
    invited: BTreeMap<Hash, InvitedRow>,
    /// Those who do not know us as friends any more.
    strangers: BTreeSet<NodeId>,
    /// When each is asked again, and how often it was in vain.
    due: BTreeMap<NodeId, (Time, u32)>,
    /// Where we are reached.
    pub(crate) addrs: Vec<String>,
}

/// A friend, for people and programs that ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friend {
    /// What we call it.
    pub name: String,
    /// Its node.
    pub node: NodeId,
    /// Its account.
    pub account: AccountId,
    /// What we give.
    pub gives: Bytes,
    /// What it gives.
    pub gets: Bytes,
    /// How it stands.
    pub standing: Standing,
}

/// What a friend said of its gift.
#[derive(Debug)]
pub(crate) enum Gave {
    /// This.
    This(Box<Gift>),
    /// Nothing, or nothing any more.
    Nothing,
    /// It did not answer: what it said before holds as long as it holds.
    Unsaid,
}

/// How it stands between two friends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was asked and has not answered.
    Asked,
    /// Both have signed.
    Friend,
    /// It does not know us as a friend any more.
    Ended,
}

impl Friends {
    pub(crate) fn restore(
        known: Vec<(NodeId, FriendRow)>,
        invited: Vec<(Hash, InvitedRow)>,
    ) -> Self {
        let due = known.iter().map(|(node, _)| (*node, (Time(0), 0)));
        Self {
            due: due.collect(),
            known: known.into_iter().collect(),
            invited: invited.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Where friends are reached.
    pub(crate) fn started(&self, ctx: &mut Ctx<'_>) {
        for (node, row) in &self.known {
            ctx.out.push(Effect::Meet {
                node: *node,
                addrs: row.addrs.clone(),
            });
        }
    }

    /// What each account is given. Who does not know us as friends any more is given nothing.
    pub(crate) fn given(&self, me: &Identity) -> BTreeMap<AccountId, Bytes> {
        let mut given = BTreeMap::new();
        let ends = |node: &NodeId| self.strangers.contains(node);
        let signed = self.known.iter().filter(|(_, row)| row.sig_host.is_some());
        for (_, row) in signed.filter(|(node, _)| !ends(node)) {
            if let Some((own, other)) = row.pact.sides(&me.node()) {
                given.insert(other.account, own.gives);
            }
        }
        given
    }

    /// Bytes that are promised: to whoever accepts an invitation, and to who has not answered yet.
    pub(crate) fn promised(&self, now: Time) -> u64 {
        let open = self.invited.values().filter(|row| now < row.until);
        let asked = self.known.values().filter(|row| row.sig_host.is_none());
        let asked = asked.map(|row| row.pact.guest.gives);
        let all = open.map(|row| row.gives).chain(asked);
        all.fold(0, |sum: u64, gives| sum.saturating_add(gives.0))
    }

    /// Those whose gifts are waited for: what they offer everybody is not bought meanwhile.
    pub(crate) fn givers(&self, me: &NodeId) -> BTreeSet<NodeId> {
        let known = self.known.iter().filter(|(node, row)| {
            let gives = row
                .pact
                .sides(me)
                .is_some_and(|(_, other)| other.gives.0 > 0);
            gives && row.sig_host.is_some() && !self.strangers.contains(*node)
        });
        known.map(|(node, _)| *node).collect()
    }

    /// All of them, by name.
    pub(crate) fn list(&self, me: &NodeId) -> Vec<Friend> {
        let friends = self.known.iter().filter_map(|(node, row)| {
            let (own, other) = row.pact.sides(me)?;
            let standing = match row.sig_host {
                None => Standing::Asked,
                Some(_) if self.strangers.contains(node) => Standing::Ended,
                Some(_) => Standing::Friend,
            };
            Some(Friend {
                name: row.name.clone(),
                node: *node,
                account: other.account,
                gives: own.gives,
                gets: other.gives,
                standing,
            })
        });
        let mut friends: Vec<Friend> = friends.collect();
        friends.sort_by(|a, b| a.name.cmp(&b.name));
        friends
    }

    /// The invitations that can still be accepted.
    pub(crate) fn invitations(&self, now: Time) -> Vec<InvitedRow> {
        let open = self.invited.values().filter(|row| now < row.until);
        open.cloned().collect()
    }

    /// Whether a friend may get this name.
    pub(crate) fn may_name(&self, name: &str, now: Time) -> Result<(), FriendRefusal> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(FriendRefusal::NoName);
        }
        let known = self.known.values().map(|row| &row.name);
        let open = self.invited.values().filter(|row| now < row.until);
        if known.chain(open.map(|row| &row.name)).any(|it| it == name) {
            return Err(FriendRefusal::Name(name.to_owned()));
        }
        let open = self.invited.values().filter(|row| now < row.until);
        if self.known.len() >= MAX_FRIENDS || open.count() >= MAX_INVITED {
            return Err(FriendRefusal::TooMany);
        }
        Ok(())
    }

    /// The account of a friend's node, if both have signed.
    pub(crate) fn account_of(&self, me: &NodeId, node: &NodeId) -> Option<AccountId> {
        let row = self.known.get(node).filter(|row| row.sig_host.is_some())?;
        row.pact.sides(me).map(|(_, other)| other.account)
    }

    pub(crate) fn is_known(&self, node: &NodeId) -> bool {
        self.known.contains_key(node)
    }

    /// Carries out what the node's own side wants. Gives a friend whose gift is no longer to be used.
    pub(crate) fn command(&mut self, ctx: &mut Ctx<'_>, command: FriendsCommand) -> Option<NodeId> {
        match command {
            FriendsCommand::Invite { token, invited } => self.invite(ctx, token, invited),
            FriendsCommand::Accept { pact, name, addrs } => self.accept(ctx, pact, name, addrs),
            FriendsCommand::Remove { node } => {
                self.forget(ctx, &node);
                return Some(node);
            }
        }
        None
    }

    fn invite(&mut self, ctx: &mut Ctx<'_>, token: Hash, invited: InvitedRow) {
        let mut rows = Vec::new();
        let now = ctx.now;
        self.invited.retain(|token, row| {
            let open = now < row.until;
            rows.extend((!open).then(|| Write::invited(token, None)));
            open
        });
        if self.invited.len() < MAX_INVITED {
            rows.push(Write::invited(&token, Some(&invited)));
            self.invited.insert(token, invited);
        }
        ctx.persist(rows);
    }

    /// We are the guest: what we signed rests on record before it is shown.
    fn accept(&mut self, ctx: &mut Ctx<'_>, pact: Pact, name: String, addrs: Vec<String>) {
        let node = pact.host.node;
        if self.known.len() >= MAX_FRIENDS || self.is_known(&node) {
            return;
        }
        let row = FriendRow {
            name,
            sig_guest: pact.sign(&ctx.me.node_key, &ctx.me.genesis),
            sig_host: None,
            pact,
            addrs: addrs.clone(),
        };
        ctx.persist(vec![Write::friend(&node, Some(&row))]);
        ctx.out.push(Effect::Meet { node, addrs });
        self.known.insert(node, row);
        self.due.insert(node, (ctx.now, 0));
    }

    fn forget(&mut self, ctx: &mut Ctx<'_>, node: &NodeId) {
        self.due.remove(node);
        self.strangers.remove(node);
        if self.known.remove(node).is_some() {
            ctx.persist(vec![Write::friend(node, None)]);
        }
    }

    /// Somebody accepts an invitation of ours. The same again is answered the same: the first answer may
    /// have been lost.
    pub(crate) fn befriended(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        asked: Befriend,
    ) -> Result<Signature, Deny> {
        let Befriend { pact, sig, addrs } = asked;
        let (own, other) = pact.sides(&ctx.me.node()).ok_or(Deny::Stranger)?;
        let is_ours = *own == pact.host && own.account == ctx.me.account();
        let long = addrs.len() > MAX_ADDRS || addrs.iter().any(|addr| addr.len() > MAX_ADDR);
        if !is_ours || other.node != from || long {
            return Err(Deny::Stranger);
        }
        if !pact.is_signed_by(other, &sig, &ctx.me.genesis) {
            return Err(Deny::BadSignature);
        }
        if let Some(row) = self.known.get(&from) {
            let again = row.pact == pact;
            return row.sig_host.filter(|_| again).ok_or(Deny::Stranger);
        }
        // Whose account is given to already is no second friend: one gift would hide the other.
        let me = ctx.me.node();
        let accounts = self.known.values().filter_map(|row| row.pact.sides(&me));
        if { accounts }.any(|(_, known)| known.account == other.account) {
            return Err(Deny::Stranger);
        }
        let invited = self.invited.get(&pact.token).ok_or(Deny::Stranger)?;
        if ctx.now >= invited.until || own.gives != invited.gives || self.known.len() >= MAX_FRIENDS
        {
            return Err(Deny::Stranger);
        }
        let sig_host = pact.sign(&ctx.me.node_key, &ctx.me.genesis);
        let row = FriendRow {
            name: invited.name.clone(),
            pact,
            sig_guest: sig,
            sig_host: Some(sig_host),
            addrs: addrs.clone(),
        };
        self.invited.remove(&pact.token);
        ctx.persist(vec![
            Write::friend(&from, Some(&row)),
            Write::invited(&pact.token, None),
        ]);
        ctx.out.push(Effect::Meet { node: from, addrs });
        self.known.insert(from, row);
        self.due.insert(from, (ctx.now, 0));
        Ok(sig_host)
    }

    /// Who invited us has answered. It is asked again if it could not be reached.
    pub(crate) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        node: NodeId,
        answer: Result<Response, Unreachable>,
    ) {
        let Some(row) = self.known.get_mut(&node) else {
            return;
        };
        let end = match answer {
            Ok(Response::Signed(sig))
                if row.pact.is_signed_by(&row.pact.host, &sig, &ctx.me.genesis) =>
            {
                row.sig_host = Some(sig);
                ctx.persist(vec![Write::friend(&node, Some(row))]);
                self.due.insert(node, (ctx.now, 0));
                Ok(())
            }
            Ok(Response::Denied(deny)) => {
                self.forget(ctx, &node);
                Err(deny)
            }
            Ok(_) | Err(_) => return self.again(ctx, node),
        };
        ctx.tell(Notice::Befriended { node, end });
    }

    /// A friend has said what it gives, or nothing.
    pub(crate) fn gift(
        &mut self,
        ctx: &Ctx<'_>,
        node: NodeId,
        answer: Result<Response, Unreachable>,
    ) -> Gave {
        // It may have been removed while it was asked.
        if !self.is_known(&node) {
            return Gave::Nothing;
        }
        let (interval, me) = (interval(ctx), ctx.me.account());
        match answer {
            Ok(Response::Gift(gift)) => {
                self.strangers.remove(&node);
                self.due.insert(node, (ctx.now.after(interval), 0));
                let is_good = |gift: &Gift| {
                    let good = gift.is_good(&me, ctx.now, &ctx.me.params, &ctx.me.genesis);
                    gift.offer.provider == node && good
                };
                let gift = gift.filter(|gift| is_good(gift));
                gift.map_or(Gave::Nothing, Gave::This)
            }
            Ok(Response::Denied(Deny::Stranger)) => {
                self.strangers.insert(node);
                self.due.insert(node, (ctx.now.after(interval), 0));
                Gave::Nothing
            }
            Ok(_) | Err(_) => {
                self.again(ctx, node);
                Gave::Unsaid
            }
        }
    }

    fn again(&mut self, ctx: &Ctx<'_>, node: NodeId) {
        if !self.is_known(&node) {
            return;
        }
        let fails = self.due.get(&node).map_or(0, |(_, fails)| *fails);
        let at = ctx.now.after(backoff(fails));
        self.due.insert(node, (at, fails.saturating_add(1)));
    }

    /// Asks those whose turn it is.
    pub(crate) fn ask(&mut self, ctx: &mut Ctx<'_>) {
        let me = ctx.me.node();
        for (node, row) in &self.known {
            let due = self.due.get(node).is_some_and(|(at, _)| *at <= ctx.now);
            let Some((_, other)) = row.pact.sides(&me).filter(|_| due) else {
                continue;
            };
            // Until it has answered it is not asked again.
            self.due.remove(node);
            if row.sig_host.is_none() {
                let befriend = Befriend {
                    pact: row.pact,
                    sig: row.sig_guest,
                    addrs: self.addrs.clone(),
                };
                let request = Request::Befriend(Box::new(befriend));
                ctx.request(*node, request, Pending::Befriend { node: *node });
            } else if other.gives.0 > 0 {
                ctx.request(*node, Request::GetGift, Pending::Gift { node: *node });
            }
        }
    }

    /// When somebody is asked next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let due = self.due.values().map(|(at, _)| *at);
        due.fold(None, |soonest, at| sooner(soonest, Some(at)))
    }
}

/// Half an epoch, within bounds.
fn interval(ctx: &Ctx<'_>) -> Millis {
    Millis((ctx.me.params.epoch.0 / 2).clamp(ASK_EVERY.0, ASK_EVERY.1))
}

impl Engine {
    /// The friends, by name.
    #[must_use]
    pub fn friends(&self) -> Vec<Friend> {
        self.friends.list(&self.me.node())
    }

    /// The invitations that can still be accepted.
    #[must_use]
    pub fn invitations(&self, now: Time) -> Vec<InvitedRow> {
        self.friends.invitations(now)
    }

    /// Whether somebody may be invited by this name and given so much.
    ///
    /// # Errors
    /// [`FriendRefusal`].
    pub fn may_invite(&self, now: Time, name: &str, gives: Bytes) -> Result<(), FriendRefusal> {
        self.friends.may_name(name, now)?;
        if gives.0 == 0 {
            return Ok(());
        }
        let provider = self.provider.as_ref();
        let provider = provider.ok_or(FriendRefusal::NotProviding)?;
        let free = provider.free_chunks(self.chain.epoch, None, None);
        if chunks(gives) > free {
            let free = Bytes(free.saturating_mul(CHUNK));
            return Err(FriendRefusal::TooMuch { gives, free });
        }
        Ok(())
    }

    /// The pact that accepting an invitation of `host` would be.
    ///
    /// # Errors
    /// [`FriendRefusal`].
    pub fn may_accept(
        &self,
        now: Time,
        (token, host): (Hash, Party),
        (name, gives): (&str, Bytes),
    ) -> Result<Pact, FriendRefusal> {
        if host.node == self.me.node() {
            return Err(FriendRefusal::Oneself);
        }
        if self.friends.is_known(&host.node) {
            return Err(FriendRefusal::Known);
        }
        self.may_invite(now, name, gives)?;
        let guest = Party {
            node: self.me.node(),
            account: self.me.account(),
            gives,
        };
        Ok(Pact { token, host, guest })
    }
}
