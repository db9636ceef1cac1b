//! The scenario `churn`: who takes part, how they come and go, what the network's rules are.
//! `docs/protocol.md` §4.4, classes A and B without permanent loss: repair comes in a later issue,
//! so nodes always come back with their disks.
//!
//! The rules are the public profile's, with three sizes scaled down: shards are 16 KiB here, not
//! megabytes, so contracts have no least capacity and are bought in steps of 256 KiB.

use crate::chain::Chain;
use crate::dice::{DAY, Dice, HOUR, derive};
use crate::keeper::Keeper;
use crate::node::Node;
use crate::queue::Happening;
use crate::run::Options;
use crate::world::World;
use larder_contracts::Auth;
use larder_engine::head::DeviceCert;
use larder_engine::{Identity, Provide};
use larder_keys::{RecoveryKeys, Signer, VaultKeys};
use larder_ledger::{Genesis, Transfer, Tx};
use larder_proofs::bls::SecretKey;
use larder_types::size::{GIB, KIB};
use larder_types::{Amount, Bytes, GenesisHash, Millis, Params, Profile, Schedule, Time};

/// When epoch 0 begins: a midnight, so that nights are nights.
const START: Time = Time(20_000 * DAY);
/// All credit.
const SUPPLY: Amount = Amount::from_credits(1_000_000);
/// What each account gets from the founder.
const FUNDS: Amount = Amount::from_credits(1_000);
/// Fewest and most nodes.
const NODES: (u32, u32) = (4, 250);

/// Nobody is away for longer: contracts are renewed by their keepers alone, 14 epochs before they
/// end, so that a keeper who is away for longer than that loses its data by right.
const LONGEST_AWAY: Millis = Millis(7 * DAY);

/// How a node comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uptime {
    /// A data centre: up 60 days, down 2 hours, on average.
    A,
    /// A paid node at home: up 14 days on average, down an hour in the median, 12 on average.
    B,
    /// A node at home that is switched off at night: the 5 % of class B.
    Nights,
}

impl Uptime {
    fn of(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..40 => Self::A,
            40..97 => Self::B,
            _ => Self::Nights,
        }
    }

    /// How long it stays up from `now` on.
    pub(crate) fn up(self, dice: &mut Dice, now: Time) -> Millis {
        match self {
            Self::A => dice.exponential(60.0 * 24.0),
            Self::B => dice.exponential(14.0 * 24.0),
            Self::Nights => {
                let bedtime = 23 * HOUR + dice.below(HOUR);
                Millis((bedtime + DAY - now.0 % DAY) % DAY + 1_000)
            }
        }
    }

    /// How long it stays away.
    pub(crate) fn down(self, dice: &mut Dice) -> Millis {
        match self {
            Self::A => dice.exponential(2.0),
            Self::B => dice.lognormal(1.0, 12.0).min(LONGEST_AWAY),
            Self::Nights => dice.span(7 * HOUR, 8 * HOUR),
        }
    }
}

/// The network's rules.
fn params() -> Params {
    Params {
        min_capacity_chunks: 0,
        capacity_step: Bytes(256 * KIB),
        ..Params::profile(Profile::Public)
    }
}

impl World {
    /// A network at its first moment.
    pub(crate) fn churn(options: Options) -> Self {
        let nodes = options.nodes.clamp(NODES.0, NODES.1);
        let options = Options { nodes, ..options };
        let key = |label, i| Signer::from_seed(&derive(options.seed, label, i));
        let (founder, validator) = (key("founder", 0), key("validator", 0));
        let bls = SecretKey::from_seed(&derive(options.seed, "bls", 0));
        let genesis = Genesis {
            network: "churn".to_owned(),
            start: START,
            params: params(),
            founder: founder.account(),
            supply: SUPPLY,
            validator: validator.node(),
            validator_bls: bls.public().to_bytes(),
            nonce: derive(options.seed, "nonce", 0),
        };
        let net = genesis.hash();
        let chain = Chain::new(&genesis, validator, bls);
        let machines = (0..nodes as usize)
            .map(|i| machine(options, i, net, &genesis))
            .collect();
        let mut world = Self::new(options, START, chain, machines);
        world.fund(&founder, net);
        world.plan();
        world
    }

    fn fund(&mut self, founder: &Signer, net: GenesisHash) {
        let accounts: Vec<_> = self.nodes.iter().map(|n| n.account).collect();
        for (nonce, account) in (0u64..).zip(accounts) {
            let auth = Auth {
                nonce,
                expiry: 1_000,
            };
            let tx = Transfer::sign(founder, account, FUNDS, auth, &net);
            self.chain
                .tx(Tx::Transfer(tx), START)
                .expect("the founder can fund the accounts");
        }
    }

    /// Plans the first of everything.
    fn plan(&mut self) {
        self.queue.push(START, Happening::Validate(0));
        self.queue.push(START.after(Millis(DAY)), Happening::Day);
        let checkpoint = START.after(Millis(self.checkpoint_every()));
        self.queue.push(checkpoint, Happening::Checkpoint);
        for i in 0..self.nodes.len() {
            let boot = START.after(self.dice.span(1_000, 60_000));
            self.queue.push(boot, Happening::Session(i));
            if self.nodes[i].keeper.is_some() {
                let first = START.after(self.dice.span(2 * HOUR, DAY));
                self.queue.push(first, Happening::Backup(i));
                let read = START.after(self.dice.span(8 * DAY, 12 * DAY));
                self.queue.push(read, Happening::Restore(i));
            }
            if self.nodes[i].lazy {
                let cheat = START.after(Millis(8 * DAY));
                self.queue.push(cheat, Happening::Cheat(i));
            }
        }
    }

    /// Between two looks at everything, milliseconds.
    pub(crate) fn checkpoint_every(&self) -> u64 {
        if self.options.quick {
            15 * DAY
        } else {
            7 * DAY
        }
    }
}

/// Four in five provide; the others back up, and one in sixteen providers does too.
fn machine(options: Options, i: usize, net: GenesisHash, genesis: &Genesis) -> Node {
    let providers = options.nodes as usize * 4 / 5;
    let provides = i < providers;
    let keeps = !provides || i % 16 == 5;
    let key = |label| Signer::from_seed(&derive(options.seed, label, i));
    let mut dice = Dice::new(options.seed, "node", i);
    let (account_key, device_key) = (key("account key"), key("device key"));
    let vault = VaultKeys::from_root(&derive(options.seed, "vault", i));
    let cert = keeps.then(|| {
        let device = device_key.public();
        DeviceCert::sign(
            &account_key,
            &key("admin key"),
            device,
            Time(u64::MAX),
            &net,
        )
    });
    let me = Identity {
        genesis: net,
        params: genesis.params.clone(),
        schedule: Schedule::new(genesis.start, &genesis.params),
        node_key: key("node key"),
        account_key,
        device_key,
        cert,
        recovery: RecoveryKeys::new(&derive(options.seed, "rendezvous", i), &vault, &net),
    };
    let provide = provides.then(|| Provide {
        quota: Bytes(GIB),
        price: Amount::from_credits(2 + i as u64 % 3),
        egress_price: Amount::ZERO,
        region: "sim".to_owned(),
        operator: format!("operator {i}"),
    });
    Node {
        id: me.node(),
        account: me.account(),
        me,
        provide,
        uptime: Uptime::of(&mut dice),
        keeper: keeps.then(|| Keeper::new(vault)),
        dice,
        disk: crate::disk::Disk::default(),
        engine: None,
        life: 0,
        synced: false,
        dying: false,
        tick: (0, None),
        last_block: Time(0),
        lazy: options.lazy && i == 0,
    }
}
