//! A home: the folder that holds one node. Keys in files of mode 0600, or sealed; the network in
//! `config.toml` and `genesis.cbor`, everything else in folders beside them. One process at a
//! time: an operating-system lock that dies with its holder.

mod config;
mod keys;
pub mod rebirth;
mod safe;
mod sealing;
mod sharing;
mod standing;
mod steps;

pub use config::{
    AlertConfig, Config, HistoryConfig, NetworkConfig, PolicyEntry, RenterConfig, RpcConfig,
    ScheduleEntry, UpConfig, VolumeEntry, configured,
};
pub use keys::Keys;
pub use safe::{Safe, is_sealed, read_ring};
pub use sealing::{add_key, change_passphrase, remove_key};
pub use sharing::{give_sharing, read_sharing, read_sharing_cert};
pub use standing::{Standing, WayBack};

use standing::{checkpoint, genesis_hash, read_config, read_genesis};

use crate::cli::options::{InitOptions, InitOutcome, Network};
use crate::invite::{Invite, InviteError};
use larder_engine::head::DeviceCert;
use larder_keys::{KeyringError, OpenError, RecoveryKeys, Seed, Signer, Words, WordsError};
use larder_ledger::{Consensus, Delegate, Founding, Genesis, Grant, May, Supply, VERSION};
use larder_proofs::{Checkpoint, bls};
use larder_types::{AccountId, Amount, GenesisHash, Millis, Params, SubKeyId, Time, codec};
use rand::Rng as _;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Genesis credit of a new network, credits.
const SUPPLY: u64 = 1_000_000;
/// How long a device's certificate and its sub-key hold: ten years. Renewing them takes the words.
const CERT_LASTS: Millis = Millis(10 * 365 * 86_400_000);
/// How a configuration begins.
const HEADER: &str = "# Larder's configuration. Flags and LARDER_… variables go before it.\n";

/// Why a home cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is one already.
    #[error("{0} holds a node already; choose another --home, or delete it first")]
    Exists(PathBuf),
    /// There is none.
    #[error("{0} holds no node; run `larder --home {0} init`")]
    Missing(PathBuf),
    /// An earlier version of the program made it.
    #[error(
        "{0} is a home of an earlier version, whose keys and formats this one does not read; run `larder --home NEW init` with the same words for a new one, and back up again"
    )]
    Old(PathBuf),
    /// Another process uses it.
    #[error("a node is running on {0} already; stop it first, or choose another --home")]
    Busy(PathBuf),
    /// It is another account's, or on another network.
    #[error("{0} holds a node of other words or another network; choose another --home")]
    Other(PathBuf),
    /// Something else lies in the folder.
    #[error("{0} is not empty; choose another --home")]
    Occupied(PathBuf),
    /// It is sealed, and no passphrase is at hand.
    #[error(
        "{0} is sealed: name a file with its passphrase by --passphrase-file or LARDER_PASSPHRASE_FILE, or run this in a terminal, which asks for it"
    )]
    Locked(PathBuf),
    /// It is sealed, and does not open.
    #[error("{0} does not open: {1}; `larder key list` shows which keys there are")]
    Shut(PathBuf, OpenError),
    /// It has no passphrase that could be changed or removed.
    #[error("{0} has no passphrase: `larder key add` gives it one, and seals it")]
    Unsealed(PathBuf),
    /// Its keys stay as they are.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The words are no words.
    #[error("{0}; check the words and their order")]
    Words(#[from] WordsError),
    /// The invite is none.
    #[error("{0}; paste the whole invite as `larder invite` printed it")]
    Invite(#[from] InviteError),
    /// The epoch is too short or too long for the profile.
    #[error("an epoch of {0} does not work; choose at least 1s")]
    Epoch(Millis),
    /// A file of the home does not read as it should.
    #[error("{path}: {why}; restore it from a copy, or `larder init` a new home")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HomeError {
    /// The exit code of SURFACE.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing(_) => 10,
            Self::Busy(_) | Self::Locked(_) => 11,
            Self::Words(_)
            | Self::Shut(_, OpenError::Wrong | OpenError::Needed)
            | Self::Keyring(KeyringError::Open(OpenError::Wrong | OpenError::Needed)) => 12,
            Self::Exists(_)
            | Self::Old(_)
            | Self::Other(_)
            | Self::Occupied(_)
            | Self::Invite(_)
            | Self::Epoch(_)
            | Self::Shut(_, OpenError::Costly | OpenError::Other)
            | Self::Unsealed(_)
            | Self::Keyring(_)
            | Self::Damaged { .. }
            | Self::Io { .. } => 1,
        }
    }
}

/// An opened home, held by this process.
#[derive(Debug)]
pub struct Home {
    /// Its folder.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// Its keys.
    pub keys: Keys,
    /// Where they lie.
    pub safe: Safe,
    _lock: File,
}

impl Home {
    /// Opens the home in `dir`, with a passphrase if it is sealed, and holds it.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn open(dir: &Path, passphrase: Option<&str>) -> Result<Self, HomeError> {
        let config = read_config(dir)?;
        let lock = lock(dir)?;
        let safe = Safe::open(dir, passphrase)?;
        safe.sweep()?;
        let home = Self {
            dir: dir.to_owned(),
            config,
            keys: Keys::read(dir, &safe)?,
            safe,
            _lock: lock,
        };
        home.certified()?;
        Ok(home)
    }

    /// What names the account agrees: what the home was sealed for, the sub-key's delegation, and the device's
    /// certificate, if there is one. Whoever has the device and not the words could else put files of their
    /// own there, and words that this home then obeys.
    fn certified(&self) -> Result<(), HomeError> {
        let keys = &self.keys;
        let ring = read_ring(&self.dir)?;
        let sealed_for_it = ring.is_none_or(|ring| ring.account() == keys.account());
        let delegated = keys.delegation.subkey == keys.sub_key();
        if !sealed_for_it || !delegated || !keys.delegation.verify(&self.genesis_hash()?) {
            return Err(HomeError::Damaged {
                path: delegation_path(&self.dir),
                why: "it does not authorise this home's key for this home's account".to_owned(),
            });
        }
        let is_ours = |cert: &DeviceCert, net: &GenesisHash| {
            let named = cert.account == keys.account() && cert.device_pk == keys.device.public();
            named && cert.verify(net)
        };
        match &keys.cert {
            Some(cert) if !is_ours(cert, &self.genesis_hash()?) => Err(HomeError::Damaged {
                path: cert_path(&self.dir),
                why: "it does not certify this home's device for this home's account".to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The network's genesis hash.
    ///
    /// # Errors
    /// If the configuration names none.
    pub fn genesis_hash(&self) -> Result<GenesisHash, HomeError> {
        genesis_hash(&self.dir, &self.config)
    }

    /// The block that the chain must hold, if the home knows of one.
    ///
    /// # Errors
    /// If what the configuration names is none.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, HomeError> {
        checkpoint(&self.dir, &self.config)
    }

    /// The genesis document, once it is here.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn genesis(&self) -> Result<Option<Genesis>, HomeError> {
        read_genesis(&self.dir, &self.genesis_hash()?)
    }

    /// Keeps the genesis document.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_genesis(&self, genesis: &Genesis) -> Result<(), HomeError> {
        let path = self.dir.join("genesis.cbor");
        write(&path, &codec::encode(genesis), 0o644)
    }

    /// The name and the seal of the account's heads. A home that knows no rendezvous has no
    /// certificate either, and publishes none under the name that this gives.
    ///
    /// # Errors
    /// If the configuration names no network.
    pub fn recovery_keys(&self) -> Result<RecoveryKeys, HomeError> {
        let tag = self.keys.rendezvous.as_deref().unwrap_or(&[0; 32]);
        let genesis = self.genesis_hash()?;
        Ok(RecoveryKeys::new(tag, &self.keys.vault, &genesis))
    }
}

/// Makes a home: keys, configuration, and for a new network its genesis.
///
/// # Errors
/// [`HomeError`]; then nothing usable is left behind.
///
/// # Panics
/// Never: a key made here is a good key.
pub fn init(dir: &Path, options: InitOptions) -> Result<InitOutcome, HomeError> {
    let config_path = dir.join("config.toml");
    if config_path.exists() {
        return Err(HomeError::Exists(dir.to_owned()));
    }
    let words = match &options.words {
        Some(text) => Words::parse(text)?,
        None => Words::parse(&fresh_words())?,
    };
    let seed = words.seed();
    let (node, device, bls) = (random_key(), random_key(), random_key());
    let ledger = random_key();
    let account = seed.account();
    let node_key = Signer::from_seed(&node);
    let (network, genesis) = match options.network {
        Network::New {
            profile,
            epoch,
            consensus,
        } => {
            let founding = Founding::new(node_key.node(), &bls::SecretKey::from_seed(&bls));
            let genesis = found((profile, epoch), consensus, founding, account.account())?;
            (Joined::founded(genesis.hash()), Some(genesis))
        }
        Network::Join { invite } => {
            let invite: Invite = invite.parse()?;
            (Joined::invited(invite), None)
        }
    };
    make_dir(dir, 0o700)?;
    make_dir(&dir.join("keys"), 0o700)?;
    let _lock = lock(dir)?;
    write(&key_path(dir, "node"), &*node, 0o600)?;
    write(&key_path(dir, "device"), &*device, 0o600)?;
    write(&key_path(dir, "ledger"), &*ledger, 0o600)?;
    write(&key_path(dir, "vault"), seed.vault(0).root(), 0o600)?;
    write(&key_path(dir, "rendezvous"), &*seed.rendezvous(), 0o600)?;
    let safe = Safe::open(dir, None)?;
    sharing::write_sharing(dir, &safe, &seed, &network.genesis)?;
    let cert = certify(&seed, &device, &network.genesis);
    write(&cert_path(dir), &cert.to_bytes(), 0o600)?;
    let delegation = delegate(&seed, &ledger, &network.genesis);
    let delegation = codec::encode(&delegation);
    write(&delegation_path(dir), &delegation, 0o600)?;
    write(&key_path(dir, "validator-bls"), &*bls, 0o600)?;
    if let Some(genesis) = &genesis {
        write(&dir.join("genesis.cbor"), &codec::encode(genesis), 0o644)?;
    }
    // Last, because its presence is what makes this a home.
    let config = Config {
        network: network.config,
        up: UpConfig::default(),
        renter: RenterConfig::default(),
        alerts: AlertConfig::default(),
        rpc: RpcConfig::default(),
        policies: Vec::new(),
        schedules: Vec::new(),
        volumes: Vec::new(),
    };
    let text = toml::to_string(&config).expect("our configuration has a TOML form");
    write(&config_path, format!("{HEADER}{text}").as_bytes(), 0o644)?;
    let peer_id = crate::net::peer_id(&node_key.node())
        .expect("a key made here is a good key")
        .to_string();
    Ok(InitOutcome {
        account: account.account(),
        peer_id,
        words: words.reveal(),
    })
}

/// The network that a new home belongs to.
struct Joined {
    genesis: GenesisHash,
    config: NetworkConfig,
}

impl Joined {
    fn founded(genesis: GenesisHash) -> Self {
        Self::invited(Invite {
            genesis,
            addrs: Vec::new(),
            checkpoint: None,
        })
    }

    fn invited(invite: Invite) -> Self {
        let genesis = invite.genesis;
        let config = NetworkConfig {
            genesis: genesis.to_string(),
            bootstrap: invite.addrs,
            checkpoint: invite.checkpoint.map(|point| point.to_string()),
        };
        Self { genesis, config }
    }
}

/// What authorises the device's sub-key, with both keys that only the words give. It may do all, up
/// to what the network lets a device spend in an epoch.
fn delegate(seed: &Seed, ledger: &[u8; 32], net: &GenesisHash) -> Delegate {
    let subkey = SubKeyId(Signer::from_seed(ledger).public());
    sign_delegation(seed, subkey, None, net)
}

/// Authorises `subkey` from now on with another cap; `None`: the network's.
#[must_use]
pub fn sign_delegation(
    seed: &Seed,
    subkey: SubKeyId,
    cap: Option<Amount>,
    net: &GenesisHash,
) -> Delegate {
    let issued = now();
    let grant = Grant {
        may: May::ALL,
        cap,
        issued,
        until: issued.after(CERT_LASTS),
    };
    Delegate::sign(&seed.account(), &seed.admin(), subkey, grant, net)
}

/// Homes of the first version keep the account key, and a genesis without a version.
fn refuse_old(dir: &Path) -> Result<(), HomeError> {
    let genesis = fs::read(dir.join("genesis.cbor")).ok();
    let is_old =
        genesis.is_some_and(|bytes| Genesis::version_of(&bytes).is_none_or(|v| v < VERSION));
    if is_old || key_path(dir, "account").exists() {
        return Err(HomeError::Old(dir.to_owned()));
    }
    Ok(())
}

fn read_delegation(dir: &Path) -> Result<Delegate, HomeError> {
    let path = delegation_path(dir);
    let bytes = fs::read(&path).map_err(|source| HomeError::Io {
        path: path.clone(),
        source,
    })?;
    codec::decode(&bytes).map_err(|e| HomeError::Damaged {
        path,
        why: e.to_string(),
    })
}

fn delegation_path(dir: &Path) -> PathBuf {
    dir.join("keys/delegation.cbor")
}

/// The device's certificate, which takes the admin key, that only the words give.
fn certify(seed: &Seed, device: &[u8; 32], net: &GenesisHash) -> DeviceCert {
    let device_pk = Signer::from_seed(device).public();
    let expiry = now().after(CERT_LASTS);
    DeviceCert::sign(&seed.account(), &seed.admin(), device_pk, expiry, net)
}

/// The device's certificate in the home `dir`; none in homes made before there were heads.
///
/// # Errors
/// If the file is damaged.
pub fn read_cert(dir: &Path) -> Result<Option<DeviceCert>, HomeError> {
    let path = cert_path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HomeError::Io { path, source }),
    };
    match DeviceCert::from_bytes(&bytes) {
        Ok(cert) => Ok(Some(cert)),
        Err(e) => Err(HomeError::Damaged {
            path,
            why: e.to_string(),
        }),
    }
}

fn cert_path(dir: &Path) -> PathBuf {
    dir.join("keys/device.cert")
}

fn found(
    (profile, epoch): (larder_types::Profile, Option<Millis>),
    consensus: Consensus,
    validator: Founding,
    founder: AccountId,
) -> Result<Genesis, HomeError> {
    let params = Params::profile(profile);
    let params = match epoch {
        Some(epoch) if epoch.0 < 1_000 => return Err(HomeError::Epoch(epoch)),
        Some(epoch) => params.with_epoch(epoch),
        None => params,
    };
    let genesis = Genesis {
        version: VERSION,
        network: format!("larder-{profile}"),
        start: now(),
        supply: Supply::to_founder(founder, Amount::from_credits(SUPPLY), &params),
        params,
        founder,
        consensus,
        validators: vec![validator],
        nonce: *random_key(),
    };
    if genesis.check().is_err() {
        return Err(HomeError::Epoch(genesis.params.epoch));
    }
    Ok(genesis)
}

/// The clock: milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn fresh_words() -> Zeroizing<String> {
    Words::generate(&mut rand::rng()).reveal()
}

fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(&mut *key);
    key
}

fn key_path(dir: &Path, name: &str) -> PathBuf {
    dir.join("keys").join(format!("{name}.key"))
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    let bytes = read_private(path)?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| HomeError::Damaged {
        path: path.to_owned(),
        why: format!("a key has 32 bytes, this file {}", bytes.len()),
    })?;
    Ok(Zeroizing::new(key))
}

/// A file that nobody else may read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, HomeError> {
    let at = |source| HomeError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = fs::metadata(path).map_err(at)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = format!(
            "others can read this key (mode {:o}); run chmod 600",
            mode & 0o777
        );
        return Err(HomeError::Damaged {
            path: path.to_owned(),
            why,
        });
    }
    fs::read(path).map(Zeroizing::new).map_err(at)
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), HomeError> {
    let at = |source| HomeError::Io {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(at)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at)
}

/// Writes a file whole or not at all, durably.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let bytes = Zeroizing::new(bytes.to_vec());
    steps::carry_out(&steps::put(path, bytes, mode))
}

/// Holds the home for this process; the kernel lets go when the process ends, however it does.
fn lock(dir: &Path) -> Result<File, HomeError> {
    let path = dir.join("lock");
    let at = |source| HomeError::Io {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(HomeError::Busy(dir.to_owned())),
        Err(e) => Err(at(e.into())),
    }
}

#[cfg(test)]
mod tests;
