//! Friends: who accepts an invitation rents at price zero what it is given, and no more; nobody else is
//! shown that offer or has that disk; a lost answer, a restart and a second guest change nothing.

use super::*;
use crate::friends::{Friend, FriendRefusal, Standing};
use crate::io::FriendsCommand;
use crate::rows::InvitedRow;
use crate::wire::{Befriend, Deny};
use larder_contracts::{Pact, Party};

const TOKEN: Hash = Hash([8; 32]);

fn party(town: &Town, i: usize, gives: u64) -> Party {
    let me = &town.nodes[i].me;
    Party {
        node: me.node(),
        account: me.account(),
        gives: Bytes(gives),
    }
}

fn invites(town: &mut Town, host: usize, gives: u64) {
    let invited = InvitedRow {
        name: "guest".to_owned(),
        gives: Bytes(gives),
        until: town.now.after(Millis(3_600_000)),
    };
    let invite = FriendsCommand::Invite {
        token: TOKEN,
        invited,
    };
    town.command(host, Command::Friends(invite));
}

fn accepts(town: &mut Town, guest: usize, host: Party) {
    let engine = town.nodes[guest].engine();
    let pact = engine.may_accept(town.now, (TOKEN, host), ("host", Bytes(0)));
    let accept = FriendsCommand::Accept {
        pact: pact.unwrap(),
        name: "host".to_owned(),
        addrs: Vec::new(),
    };
    town.command(guest, Command::Friends(accept));
}

fn friend(town: &Town, i: usize) -> Option<Friend> {
    town.nodes[i].engine().friends().pop()
}

/// A provider that has invited a keeper to 1 GiB, and was answered.
fn befriended() -> (Town, usize) {
    let mut town = Town::new(2);
    let keeper = town.keeper(10, 10);
    invites(&mut town, 0, GIB);
    let host = party(&town, 0, GIB);
    accepts(&mut town, keeper, host);
    (town, keeper)
}

#[test]
fn a_friend_rents_at_the_least_rate_what_it_is_given_and_nobody_else_does() {
    let (mut town, keeper) = befriended();
    let (own, other) = (friend(&town, keeper).unwrap(), friend(&town, 0).unwrap());
    assert_eq!(
        (own.standing, other.standing),
        (Standing::Friend, Standing::Friend)
    );
    assert_eq!((own.gets, other.gives), (Bytes(GIB), Bytes(GIB)));
    town.pass(Millis(5_000));
    let node = town.nodes[0].me.node();
    let offers = |town: &Town, i: usize| town.nodes[i].engine().offers(town.now);
    let of = |town: &Town, i: usize| {
        let found = offers(town, i)
            .into_iter()
            .find(|o| o.offer.provider == node);
        found.map(|o| (o.offer.price, o.offer.free))
    };
    let (price, free) = of(&town, keeper).unwrap();
    assert_eq!(price, Amount::ZERO);
    assert!(free <= Bytes(GIB) && free.0 > GIB * 9 / 10, "{free}");
    let (price, free) = of(&town, 1).unwrap();
    assert_eq!(
        price,
        Amount::from_credits(1),
        "others see what is asked of everybody"
    );
    assert!(
        free <= Bytes(3 * GIB),
        "and what is given is kept for the friend: {free}"
    );
    let Response::Offers(shown) = town.ask(keeper, Request::GetOffers) else {
        panic!("offers are answered with offers");
    };
    let shown = shown.iter().all(|o| o.offer.price > Amount::ZERO);
    assert!(shown, "a gift is passed on to nobody");

    let size = Bytes(GIB / 2);
    town.command(
        keeper,
        Command::Rent {
            provider: node,
            size,
        },
    );
    let leaf = town.nodes[keeper].engine().contracts()[0].leaf;
    assert_eq!(leaf.rate, params().min_rate);
    town.until("it is active", |town| !town.active.is_empty());
    // It does not grow beyond what is given.
    let held = town.nodes[0].engine().contracts()[0].leaf;
    assert_eq!(held.capacity_chunks, leaf.capacity_chunks);
    town.pass(Millis(60_000));
    let (_, after) = of(&town, keeper).unwrap();
    assert!(
        after <= Bytes(GIB / 2),
        "what is rented is given no more: {after}"
    );
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_and_a_restart_knows_its_friends() {
    let mut town = Town::new(1);
    let keeper = town.keeper(10, 10);
    invites(&mut town, 0, GIB);
    town.nodes[0].deaf = true;
    let host = party(&town, 0, GIB);
    accepts(&mut town, keeper, host);
    assert_eq!(friend(&town, keeper).unwrap().standing, Standing::Asked);
    town.start(keeper);
    town.start(0);
    assert_eq!(friend(&town, keeper).unwrap().standing, Standing::Asked);
    town.nodes[0].deaf = false;
    town.until("both have signed", |town| {
        friend(town, keeper).unwrap().standing == Standing::Friend
    });
    town.start(keeper);
    town.start(0);
    assert_eq!(friend(&town, keeper).unwrap().standing, Standing::Friend);
    assert_eq!(friend(&town, 0).unwrap().name, "guest");
    assert!(
        town.nodes[0].engine().invitations(town.now).is_empty(),
        "it is used up"
    );
}

#[test]
fn an_invitation_is_good_once_as_it_was_made_and_for_a_while() {
    let (mut town, _) = befriended();
    let second = town.keeper(11, 11);
    let (host, guest) = (party(&town, 0, GIB), party(&town, second, 0));
    let key = town.nodes[second].me.node_key.clone();
    let ask = |town: &mut Town, token, host, by: &Signer| {
        let pact = Pact { token, host, guest };
        let asked = Befriend {
            sig: pact.sign(by, &NET),
            pact,
            addrs: Vec::new(),
        };
        let input = Request::Befriend(Box::new(asked));
        town.ask_as(0, guest.node, input)
    };
    let stranger = Response::Denied(Deny::Stranger);
    assert_eq!(ask(&mut town, TOKEN, host, &key), stranger, "it was used");
    invites(&mut town, 0, GIB);
    let more = Party {
        gives: Bytes(2 * GIB),
        ..host
    };
    assert_eq!(
        ask(&mut town, TOKEN, more, &key),
        stranger,
        "more was asked for"
    );
    assert_eq!(
        ask(&mut town, Hash([9; 32]), host, &key),
        stranger,
        "nobody was told that"
    );
    let forged = ask(&mut town, TOKEN, host, &Signer::from_seed(&[77; 32]));
    assert_eq!(forged, Response::Denied(Deny::BadSignature));
    town.now = town.now.after(Millis(3_600_000));
    assert_eq!(
        ask(&mut town, TOKEN, host, &key),
        stranger,
        "it has run out"
    );
    assert_eq!(town.nodes[0].engine().friends().len(), 1);
}

#[test]
fn who_ends_it_gives_no_more_and_the_other_is_told() {
    let (mut town, keeper) = befriended();
    town.pass(Millis(5_000));
    let node = town.nodes[keeper].me.node();
    town.command(0, Command::Friends(FriendsCommand::Remove { node }));
    town.until("it is known", |town| {
        friend(town, keeper).unwrap().standing == Standing::Ended
    });
    let offers = town.nodes[keeper].engine().offers(town.now);
    assert!(offers.iter().all(|o| o.offer.price > Amount::ZERO));
    let again = town.nodes[keeper].engine();
    let host = party(&town, 0, GIB);
    let known = again.may_accept(town.now, (TOKEN, host), ("other", Bytes(0)));
    assert_eq!(known, Err(FriendRefusal::Known));
}

#[test]
fn no_more_is_given_than_there_is_and_names_are_used_once() {
    let mut town = Town::new(1);
    let keeper = town.keeper(10, 10);
    town.pass(Millis(1_000));
    let may = |town: &Town, i: usize, name: &str, gives| {
        town.nodes[i]
            .engine()
            .may_invite(town.now, name, Bytes(gives))
    };
    assert_eq!(may(&town, 0, "anna", GIB), Ok(()));
    let refused = may(&town, 0, "anna", 5 * GIB);
    assert!(
        matches!(refused, Err(FriendRefusal::TooMuch { .. })),
        "{refused:?}"
    );
    assert_eq!(
        may(&town, keeper, "anna", GIB),
        Err(FriendRefusal::NotProviding)
    );
    assert_eq!(may(&town, keeper, "anna", 0), Ok(()));
    assert_eq!(may(&town, 0, "", 0), Err(FriendRefusal::NoName));
    invites(&mut town, 0, 3 * GIB);
    let taken = may(&town, 0, "guest", 0);
    assert_eq!(taken, Err(FriendRefusal::Name("guest".to_owned())));
    let refused = may(&town, 0, "bob", 2 * GIB);
    assert!(
        matches!(refused, Err(FriendRefusal::TooMuch { .. })),
        "it is promised"
    );
    let own = party(&town, 0, GIB);
    let oneself = town.nodes[0]
        .engine()
        .may_accept(town.now, (TOKEN, own), ("me", Bytes(0)));
    assert_eq!(oneself, Err(FriendRefusal::Oneself));
}
