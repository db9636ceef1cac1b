//! Seven validators as processes, of which any two may fail, and do: killed, cut off, frozen, wiped, run
//! twice from one key. Nothing final is lost, nothing forks, and all end on one block, whose hash covers
//! the state. Each but the founder is at the end of a cable, where the machine lets us lay any.

use crate::by_hand::on_account;
use crate::fleet::{Fleet, Node};
use crate::site::Site;
use crate::until::until;
use crate::validators::{one_head, pay_within};
use crate::wires::Wires;
use larder_rpc::{Empty, Head, Text, ValidatorShown};
use larder_types::AccountId;
use std::process::Command;
use std::time::Duration;

/// How long what is awaited here may take. Who was cut off may be heard late: TCP tries again after as
/// long as the cut lasted, 2 minutes at most.
pub(crate) const HEALS: Duration = Duration::from_secs(180);
/// The ends at which the six others are, and the copy of one of them.
const CABLES: [&str; 7] = [
    "second", "third", "fourth", "fifth", "sixth", "seventh", "copy",
];
/// The copy's place, and whom the copied one reaches and whom the copy: to who is connected with both, the
/// one that came later is mute.
const COPY: usize = 6;
const HALVES: [[usize; 2]; 2] = [[0, 1], [2, 3]];
/// Payments while one is cut off.
const MEANWHILE: usize = 4;

/// The founder and six others; the node at a place goes and another comes to the same place.
pub(crate) struct Seven {
    pub(crate) others: Vec<Node>,
    pub(crate) fleet: Fleet,
    /// `None`: nothing can be cut here.
    pub(crate) wires: Option<Wires>,
    /// All that there are, those of nodes that are gone too.
    accounts: Vec<Text<AccountId>>,
}

impl Seven {
    pub(crate) fn found() -> Self {
        let wires = Wires::lay(&CABLES);
        let hub = wires.as_ref().map_or_else(Site::default, Wires::hub);
        let fleet = Fleet::found_bft_at("8s", hub);
        let mut seven = Self {
            others: Vec::new(),
            fleet,
            wires,
            accounts: Vec::new(),
        };
        let sites: Vec<Site> = (0..COPY).map(|at| seven.site(at)).collect();
        seven.others = seven.fleet.validators_at(&sites);
        seven.accounts = seven.all().iter().map(|node| node.info().account).collect();
        assert_eq!(seven.founder().validators().validators.len(), 7);
        seven
    }

    pub(crate) fn founder(&self) -> &Node {
        &self.fleet.founder
    }

    pub(crate) fn all(&self) -> Vec<&Node> {
        self.all_but(&[])
    }

    /// All but the others at these places.
    pub(crate) fn all_but(&self, places: &[usize]) -> Vec<&Node> {
        let others = self.others.iter().enumerate();
        let others = others.filter(|(at, _)| !places.contains(at));
        std::iter::once(self.founder())
            .chain(others.map(|(_, node)| node))
            .collect()
    }

    /// The founder pays the first of the others; all see it but those at these places.
    pub(crate) fn pay_all_but(&self, places: &[usize]) {
        let nodes = self.all_but(places);
        pay_within(HEALS, self.founder(), &self.others[0], &nodes);
    }

    pub(crate) fn pay(&self) {
        self.pay_all_but(&[]);
    }

    fn site(&self, at: usize) -> Site {
        let wires = self.wires.as_ref();
        wires.map_or_else(Site::default, |wires| wires.end(CABLES[at]))
    }

    /// Nothing goes to the node at that place or comes from it.
    pub(crate) fn cut(&self, at: usize) {
        self.wires.as_ref().unwrap().cut(CABLES[at]);
    }

    pub(crate) fn heal(&self, at: usize) {
        self.wires.as_ref().unwrap().heal(CABLES[at]);
    }

    /// A node loses its disk, and its key with it: all but those at these places put another in its
    /// place.
    pub(crate) fn wipe(&mut self, at: usize, unwell: &[usize]) {
        let peer = self.others[at].info().peer_id;
        self.others[at].destroy();
        let without = [unwell, &[at]].concat();
        change("remove-validator", &peer, &self.all_but(&without));
        self.inherit(at, &without);
    }

    /// Another node takes the seat at a place, by the votes of all but those at these places.
    fn inherit(&mut self, at: usize, without: &[usize]) {
        let number = self.accounts.len() + 1;
        let mut heirs = self.fleet.candidates(number, &[self.site(at)]);
        let heir = heirs.pop().unwrap();
        self.accounts.push(heir.info().account);
        change(
            "add-validator",
            &heir.info().peer_id,
            &self.all_but(without),
        );
        heir.votes();
        self.others[at] = heir;
    }

    /// All show one block, and all credit is there but what was burned: on accounts, or as bonds.
    pub(crate) fn ends_whole(&self, burned: u64) -> Head {
        let founder = self.founder();
        let params = founder.ask(|node| async move { node.ledger_params(&Empty {}).await });
        let supply = params.unwrap().supply.0.nano();
        // A bond that is locked is shown nowhere; after some epochs it is back on its account.
        until("all credit is there that was not burned", HEALS, || {
            (self.credit() == Some(supply - burned)).then_some(())
        });
        one_head(&self.all())
    }

    /// What accounts have and validators put down; `None` if a block came while it was counted.
    fn credit(&self) -> Option<u64> {
        let founder = self.founder();
        let head = founder.head();
        let accounts = self
            .accounts
            .iter()
            .map(|account| on_account(founder, *account));
        let accounts: u64 = accounts.sum();
        let shown = founder.validators();
        let bonds = shown.validators.iter().map(|v| v.bond.0.nano());
        let standing = shown.candidates.iter().map(|c| c.bond.0.nano());
        let all = accounts + bonds.chain(standing).sum::<u64>();
        (founder.head() == head).then_some(all)
    }
}

/// Those in the set take a node out or in, one after another; waits until the first of them sees it.
pub(crate) fn change(verb: &str, peer: &str, voters: &[&Node]) {
    for voter in voters {
        let said = voter.larder(&["network", verb, peer]);
        // One that was only on its way may have been the last; the next is refused then.
        if said.code != 0 || said.done()["acted"] == true {
            break;
        }
    }
    let is_in = verb == "add-validator";
    until("a change has acted", HEALS, || {
        (seat(voters[0], peer).is_some() == is_in).then_some(())
    });
}

/// What a node knows of a validator, if it is one.
fn seat(on: &Node, peer: &str) -> Option<ValidatorShown> {
    let mut seated = on.validators().validators.into_iter();
    seated.find(|validator| validator.peer_id == peer)
}

#[test]
fn two_of_seven_may_be_killed_cut_off_frozen_wiped_or_run_twice() {
    let mut seven = Seven::found();
    seven.pay();

    // Two are killed; the five go on; both come back.
    seven.others[4].kill();
    seven.others[5].kill();
    seven.pay_all_but(&[4, 5]);
    seven.others[4].start();
    seven.others[5].start();
    seven.pay();

    if seven.wires.is_some() {
        cut_off(&seven, 2);
    }

    // One hears and says nothing for a while.
    seven.others[3].freeze();
    seven.pay_all_but(&[3]);
    seven.others[3].thaw();
    seven.pay();

    seven.wipe(5, &[]);
    seven.pay();

    let mut burned = 0;
    if seven.wires.is_some() {
        burned = run_twice(&mut seven, 4);
        seven.pay();
    }
    seven.ends_whole(burned);
}

/// One is cut off: alone it makes nothing final. Healed, it has what the others have.
fn cut_off(seven: &Seven, at: usize) {
    let alone = &seven.others[at];
    seven.cut(at);
    // What was on its way is there by then.
    seven.pay_all_but(&[at]);
    let stood = alone.head();
    for _ in 0..MEANWHILE {
        seven.pay_all_but(&[at]);
    }
    assert_eq!(alone.head(), stood, "alone, and yet it went on");
    let consensus = alone.status().consensus;
    assert!(consensus.seated && consensus.votes, "{consensus:?}");
    seven.heal(at);
    seven.pay();
    assert_eq!(seven.founder().header(stood.height).hash, stood.hash);
}

/// One is run twice from one key: both sign with it, and know nothing of each other. The others show
/// the ledger two votes, so it is out, its bond is gone, and its key does not come back; gives what
/// was burned of the bond.
fn run_twice(seven: &mut Seven, at: usize) -> u64 {
    let peer = seven.others[at].info().peer_id;
    let bond = seat(seven.founder(), &peer).unwrap().bond.0.nano();
    seven.others[at].stop();
    let (home, copy) = (&seven.others[at].home, seven.fleet.path("copy"));
    let copied = Command::new("cp").arg("-a").arg(home).arg(&copy).status();
    assert!(copied.unwrap().success());
    let copy = seven.fleet.at_home("copy", &["--validate"]);
    let mut copy = copy.at(seven.site(COPY));
    let wires = seven.wires.as_ref().unwrap();
    for (one, halves) in [(at, HALVES[1]), (COPY, HALVES[0])] {
        let unheard = halves.iter();
        unheard.for_each(|from| wires.part(CABLES[one], CABLES[*from]));
    }
    copy.start();
    seven.others[at].start();
    until("a node that votes twice is out, everywhere", HEALS, || {
        seven.pay_all_but(&[at]);
        let sound = seven.all_but(&[at]);
        let is_out = |node: &&Node| seat(node, &peer).is_none();
        sound.iter().all(is_out).then_some(())
    });
    copy.kill();
    wires.rejoin(CABLES[at]);
    let twin = &seven.others[at];
    until("it knows, and follows", HEALS, || {
        let consensus = twin.status().consensus;
        (!consensus.seated && !consensus.votes).then_some(())
    });
    seven.pay();
    let add = seven.founder().larder(&["network", "add-validator", &peer]);
    let refused = add.refused(1);
    assert!(refused.contains("no candidate"), "{refused}");
    seven.inherit(at, &[at]);
    bond - bond / 2
}
