//! Honest trouble: what an absence costs that was announced, one that was not, and a lost disk that
//! is declared, beside a twin without trouble. `docs/protocol.md` §3.6.

use crate::Options;
use crate::checkers::purse::Account;
use crate::faults::Fault;
use crate::queue::Happening;
use crate::setup::START;
use crate::world::World;
use larder_engine::io::{Command, Input};
use larder_ledger::{Maintenance, Tx};
use larder_types::{Epoch, Millis, ShardRoot};

/// How many epochs the provider is away.
const AWAY: u32 = 2;
/// It leaves so long before an epoch begins, and returns so long before one, milliseconds.
const BEFORE: u64 = 60_000;

/// What befalls a provider.
type Trouble = fn(&mut World, usize);

/// It is away for two epochs, and has said so two epochs before.
fn announced(world: &mut World, i: usize) {
    world.announce(i, world.chain.state.epoch() + 2);
    unannounced(world, i);
}

/// It is away for the same two epochs.
fn unannounced(world: &mut World, i: usize) {
    world.leave_at(i, world.chain.state.epoch() + 2);
}

/// Its disk is lost, and it says so.
fn lost_disk(world: &mut World, i: usize) {
    let disk = &mut world.nodes[i].disk;
    let roots: Vec<ShardRoot> = disk.roots().copied().collect();
    for root in &roots {
        disk.drop_shard(root);
    }
    world.report.dropped += roots.len() as u64;
    world.checkers.data.broken(i, &roots);
    world.step(i, Input::Command(Command::Damaged(roots)));
}

impl World {
    fn announce(&mut self, i: usize, first: Epoch) {
        let net = self.chain.state.genesis_hash();
        let notice = Maintenance::sign(&self.nodes[i].me.node_key, first, AWAY, &net);
        let taken = self.chain.tx(Tx::Maintenance(notice), self.now);
        taken.expect("it is announced in time");
        self.watch();
    }

    fn leave_at(&mut self, i: usize, first: Epoch) {
        let epoch = self.setting.params.epoch.0;
        let at = START.after(Millis(u64::from(first) * epoch - BEFORE));
        let away = Fault::Away(i, Millis(u64::from(AWAY) * epoch));
        self.queue.push(at, Happening::Fault(away));
    }
}

/// The watched provider's account in the end.
fn account(trouble: Option<Trouble>) -> Account {
    let options = Options {
        seed: 1,
        nodes: 12,
        days: 2,
        quick: true,
        adversary: None,
    };
    let mut world = World::adversaries(options);
    world.setting.befalls = trouble;
    let report = world.run(&mut |_| {});
    assert!(report.ok(), "{report:#?}");
    let [account] = report.purses.as_slice() else {
        panic!("one is watched");
    };
    assert_eq!((account.fails, account.faulted), (0, 0), "{account:#?}");
    account.clone()
}

#[test]
fn honest_trouble_costs_what_the_table_says() {
    let twin = account(None);
    assert_eq!((twin.misses, twin.charged, twin.collateral_lost), (0, 0, 0));

    let notice = account(Some(announced));
    let pay = notice.withheld / u64::from(AWAY);
    assert!(pay > 0, "{notice:#?}");
    assert_eq!(notice.passes + u64::from(AWAY), twin.passes);
    assert_eq!((notice.misses, notice.charged), (0, 0));
    assert_eq!(notice.collateral_lost, 0);

    let silence = account(Some(unannounced));
    assert_eq!(silence.misses, u64::from(AWAY));
    assert_eq!(silence.withheld, notice.withheld);
    assert_eq!(silence.charged, pay, "the second miss costs an epoch");

    let lost = account(Some(lost_disk));
    assert!(lost.dropped > 0, "{lost:#?}");
    assert_eq!((lost.misses, lost.charged), (0, 0), "{lost:#?}");
    // Half of 30 epochs of pay, where every contract held something; each rounds by itself.
    let half = i64::try_from(15 * pay).expect("small");
    let off = (lost.collateral_lost - half).abs();
    assert!(off < 16, "{} lost, {half} expected", lost.collateral_lost);
}
