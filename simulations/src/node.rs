//! One simulated machine: the engine while it is up, its disk always.

use crate::churn::Uptime;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::keeper::Keeper;
use crate::queue::Life;
use larder_engine::{Engine, Identity, Provide};
use larder_types::{AccountId, NodeId, Time};

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
    /// Whether it follows the chain.
    pub(crate) synced: bool,
    /// It will crash in the middle of its next step's effects.
    pub(crate) dying: bool,
    /// Which tick counts, and when it is due.
    pub(crate) tick: (u64, Option<Time>),
    /// Blocks arrive in order.
    pub(crate) last_block: Time,
    /// Whether it throws shards away.
    pub(crate) lazy: bool,
}

impl Node {
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
        self.engine = Some(engine.expect("an engine reads the rows that it wrote"));
        self.life += 1;
        self.synced = false;
        self.dying = false;
        self.tick = (self.tick.0 + 1, None);
    }

    /// The power goes: all but the disk is lost.
    pub(crate) fn stop(&mut self) {
        self.engine = None;
        self.synced = false;
        self.dying = false;
        self.tick = (self.tick.0 + 1, None);
    }
}
