//! A network at its first moment: machines, genesis, credit for everyone. Machines that join later
//! are made and paid for in the same way.
//!
//! The rules are those of a profile, with three sizes scaled down: shards are 16 KiB here, not
//! megabytes, so contracts have no least capacity and are bought in steps of 256 KiB.

use crate::adversary::Cheat;
use crate::chain::Chain;
use crate::dice::{DAY, Dice, derive};
use crate::keeper::Keeper;
use crate::node::Node;
use crate::run::{Options, Scenario};
use crate::uptime::Uptime;
use crate::world::World;
use larder_contracts::Auth;
use larder_engine::head::DeviceCert;
use larder_engine::{Identity, Provide};
use larder_keys::{AccountSigner, RecoveryKeys, Signer, VaultKeys};
use larder_ledger::{Consensus, Delegate, Founding, Genesis, Grant, May, Transfer, Tx};
use larder_proofs::bls::SecretKey;
use larder_types::size::{GIB, KIB};
use larder_types::{AccountId, Amount, Bytes, GenesisHash, Params, Schedule, SubKeyId, Time};

/// When epoch 0 begins: a midnight, so that nights are nights.
pub(crate) const START: Time = Time(20_000 * DAY);
/// All credit.
const SUPPLY: Amount = Amount::from_credits(1_000_000);
/// What each account gets from the founder.
const FUNDS: Amount = Amount::from_credits(1_000);
/// Fewest and most nodes.
const NODES: (u32, u32) = (4, 250);
/// Blocks until the founder's transfers lapse.
const FOUNDER_EXPIRY: u64 = 1_000;

/// What a scenario's network is like.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Which scenario it is for.
    pub(crate) scenario: Scenario,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its rules.
    pub(crate) params: Params,
    /// How a machine comes and goes: `true` for one whose user keeps backups only.
    pub(crate) uptime: fn(&mut Dice, bool) -> Uptime,
    /// Whether providers live and die, and newcomers follow them.
    pub(crate) successors: bool,
    /// Whether faults stop before the end, so that everything has to be whole then.
    pub(crate) settles: bool,
    /// What befalls a provider at the moment at which it could turn.
    pub(crate) befalls: Option<fn(&mut World, usize)>,
}

/// Whoever pays for all accounts.
#[derive(Debug)]
pub(crate) struct Founder {
    key: Signer,
    nonce: u64,
}

impl Setting {
    /// The rules of a profile at the simulation's scale.
    pub(crate) fn scaled(params: Params) -> Params {
        Params {
            min_capacity_chunks: 0,
            // Contracts are a thousandth of real ones; a byte of a transaction is not.
            min_rate: Amount(1),
            tx_fee_per_byte: Amount::ZERO,
            existence: Amount::ZERO,
            capacity_step: Bytes(256 * KIB),
            ..params
        }
    }

    fn genesis(&self, seed: u64, founder: &Signer) -> (Genesis, Signer, SecretKey) {
        let validator = Signer::from_seed(&derive(seed, "validator", 0));
        let bls = SecretKey::from_seed(&derive(seed, "bls", 0));
        let genesis = Genesis {
            version: larder_ledger::VERSION,
            network: self.name.to_owned(),
            start: START,
            params: self.params.clone(),
            founder: founder.account(),
            supply: larder_ledger::Supply::to_founder(founder.account(), SUPPLY, &self.params),
            consensus: Consensus::Solo,
            validators: vec![Founding::new(validator.node(), &bls)],
            nonce: derive(seed, "nonce", 0),
        };
        (genesis, validator, bls)
    }
}

impl World {
    /// A network at its first moment, in which nothing is planned.
    pub(crate) fn set_up(options: Options, setting: Setting) -> Self {
        let nodes = options.nodes.clamp(NODES.0, NODES.1);
        let options = Options { nodes, ..options };
        let key = Signer::from_seed(&derive(options.seed, "founder", 0));
        let (genesis, validator, bls) = setting.genesis(options.seed, &key);
        let chain = Chain::new(&genesis, validator, bls);
        let founder = Founder { key, nonce: 0 };
        let providers = options.nodes as usize * 4 / 5;
        let machines = (0..nodes as usize)
            .map(|i| {
                // Four in five provide; the others back up, and one in sixteen providers does too.
                let provides = i < providers;
                let keeps = !provides || i % 16 == 5;
                machine(options, &setting, genesis.hash(), (i, provides, keeps))
            })
            .collect();
        let mut world = Self::new(options, setting, chain, founder, machines);
        let accounts: Vec<_> = world.nodes.iter().map(|n| n.account).collect();
        for account in accounts {
            world.fund(account);
        }
        world
    }

    /// The founder sends an account what it needs.
    ///
    /// # Panics
    /// If the founder cannot, which the number of nodes excludes.
    pub(crate) fn fund(&mut self, account: AccountId) {
        let auth = Auth {
            nonce: self.founder.nonce,
            expiry: self.chain.state.head().height + FOUNDER_EXPIRY,
        };
        self.founder.nonce += 1;
        let net = self.chain.state.genesis_hash();
        let tx = Transfer::sign(
            &AccountSigner::own(self.founder.key.clone()),
            account,
            FUNDS,
            auth,
            &net,
        );
        self.chain
            .tx(Tx::Transfer(tx), self.now)
            .expect("the founder can fund the accounts");
    }

    /// A new provider joins; it is not started yet.
    pub(crate) fn join(&mut self) -> usize {
        let (i, net) = (self.nodes.len(), self.chain.state.genesis_hash());
        let node = machine(self.options, &self.setting, net, (i, true, false));
        self.index.insert(node.id, i);
        let account = node.account;
        self.nodes.push(node);
        self.fund(account);
        self.watch();
        i
    }
}

fn machine(
    options: Options,
    setting: &Setting,
    net: GenesisHash,
    (i, provides, keeps): (usize, bool, bool),
) -> Node {
    let key = |label| Signer::from_seed(&derive(options.seed, label, i));
    let mut dice = Dice::new(options.seed, "node", i);
    let (account_key, device_key) = (key("account key"), key("device key"));
    let (admin, ledger_key) = (key("admin key"), key("ledger key"));
    let grant = Grant {
        may: May::ALL,
        cap: None,
        issued: START,
        until: Time(u64::MAX),
    };
    let subkey = SubKeyId(ledger_key.public());
    let delegation = Delegate::sign(&account_key, &admin, subkey, grant, &net);
    let vault = VaultKeys::from_root(&derive(options.seed, "vault", i));
    let cert = keeps.then(|| {
        let device = device_key.public();
        DeviceCert::sign(&account_key, &admin, device, Time(u64::MAX), &net)
    });
    let me = Identity {
        genesis: net,
        params: setting.params.clone(),
        schedule: Schedule::new(START, &setting.params),
        node_key: key("node key"),
        ledger_key: AccountSigner::sub(account_key.account(), ledger_key),
        delegation: Some(delegation),
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
        taking: larder_engine::Taking::All,
    });
    let uptime = (setting.uptime)(&mut dice, !provides);
    let keeper = keeps.then(|| Keeper::new(vault));
    let cheat = options.adversary.filter(|_| i == 0).map(Cheat::new);
    Node::new(me, provide, (uptime, keeper), dice, cheat)
}
