//! One simulated machine: the engine while it is up, its disk always.

use crate::adversary::Cheat;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::keeper::Keeper;
use crate::queue::Life;
use crate::uptime::Uptime;
use larder_engine::{Engine, Identity, Provide};
use larder_types::{AccountId, Millis, NodeId, Time};

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its keys and network.
    pub(crate) me: Identity,
    /// Its ids, derived once: deriving a public key costs.
    pub(crate) id: NodeId,
    /// Its account.
    pub(crate) account: AccountId,
    /// What it offers.
    pub(crate) provide: Option<Provide>,
    /// How it comes and goes.
    pub(crate) uptime: Uptime,
    /// Its user, if it backs anything up.
    pub(crate) keeper: Option<Keeper>,
    /// The engine's randomness.
    pub(crate) dice: Dice,
    /// What survives.
    pub(crate) disk: Disk,
    /// The engine, while the node is up.
    pub(crate) engine: Option<Engine>,
    /// How often it was started.
    pub(crate) life: u32,
    /// Gone for good. Its disk is kept for the checkers only.
    pub(crate) dead: bool,
    /// Whether it follows the chain.
    pub(crate) synced: bool,
    /// The newest block that it has applied, and that it was sent.
    pub(crate) height: (u64, u64),
    /// It crashes before its next effect but so many.
    pub(crate) fuse: Option<u64>,
    /// Which tick counts, and when it is due.
    pub(crate) tick: (u64, Option<Time>),
    /// Effects that it has wanted, ever.
    pub(crate) effects: u64,
    /// Ticks in a row that did nothing about a passed deadline.
    pub(crate) idle: u32,
    /// Blocks arrive in order.
    pub(crate) last_block: Time,
    /// How it cheats, if it does.
    pub(crate) cheat: Option<Cheat>,
    /// How long it was up and followed the chain: in former stretches, and since when in this one.
    online: (Millis, Option<Time>),
}

impl Node {
    /// A machine that was never switched on.
    pub(crate) fn new(
        me: Identity,
        provide: Option<Provide>,
        (uptime, keeper): (Uptime, Option<Keeper>),
        dice: Dice,
        cheat: Option<Cheat>,
    ) -> Self {
        Self {
            id: me.node(),
            account: me.account(),
            me,
            provide,
            uptime,
            keeper,
            dice,
            disk: Disk::default(),
            engine: None,
            life: 0,
            dead: false,
            synced: false,
            height: (0, 0),
            fuse: None,
            tick: (0, None),
            effects: 0,
            idle: 0,
            last_block: Time(0),
            cheat,
            online: (Millis(0), None),
        }
    }

    /// The present life, if it is up.
    pub(crate) fn alive(&self, index: usize) -> Option<Life> {
        self.engine.as_ref().map(|_| Life {
            node: index,
            life: self.life,
        })
    }

    /// Starts the engine from what lies on the disk.
    ///
    /// # Panics
    /// If a row that the engine wrote cannot be read by it.
    pub(crate) fn start(&mut self) {
        let engine = Engine::restore(self.me.clone(), self.provide.clone(), self.disk.snapshot());
        let engine = engine.expect("an engine reads the rows that it wrote");
        self.disk
            .sweep(&engine.uploading(), &engine.stored_shards());
        self.engine = Some(engine);
        self.life += 1;
        self.synced = false;
        self.fuse = None;
        self.height.1 = self.height.0;
        self.tick = (self.tick.0 + 1, None);
    }

    /// The power goes: all but the disk is lost, and of that what was not synced, perhaps.
    pub(crate) fn stop(&mut self, now: Time) {
        self.offline(now);
        self.engine = None;
        let dice = &mut self.dice;
        self.disk.crash(|| dice.one_in(2));
        self.synced = false;
        self.fuse = None;
        self.tick = (self.tick.0 + 1, None);
    }

    /// It follows the chain and reaches the others from now on.
    pub(crate) fn online(&mut self, now: Time) {
        self.online.1.get_or_insert(now);
    }

    /// It does no more.
    pub(crate) fn offline(&mut self, now: Time) {
        if let Some(since) = self.online.1.take() {
            self.online.0 = Millis(self.online.0.0 + now.since(since).0);
        }
    }

    /// How long it was online, all in all.
    pub(crate) fn online_for(&self, now: Time) -> Millis {
        let present = self.online.1.map_or(0, |since| now.since(since).0);
        Millis(self.online.0.0 + present)
    }

    /// Whether the power goes before the next effect.
    pub(crate) fn burns(&mut self) -> bool {
        match &mut self.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}
