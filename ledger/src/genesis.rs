//! The document a network begins with. Its hash names the network and stands under every
//! signature. `docs/protocol.md` §3.1, §3.12.

use larder_proofs::bls::{PublicKey, SecretKey, Signature};
use larder_proofs::{SetError, Trusted, Validator, ValidatorSet};
use larder_types::codec::DecodeError;
use larder_types::{AccountId, Amount, GenesisHash, NodeId, Params, Time, codec};
use serde::{Deserialize, Serialize};

/// Longest name of a network, bytes.
pub const MAX_NETWORK: usize = 32;
/// The version of all formats that this code reads: genesis, transactions, blocks, state.
pub const VERSION: u32 = 4;
/// Total supply lies below this, nano: sums of balances then never overflow.
pub const MAX_SUPPLY: Amount = Amount(1 << 63);

/// Where credit is mutual, what the first accounts have lies below this, and so does all that is set
/// aside for others: both together then stay below [`MAX_SUPPLY`].
pub const MAX_MUTUAL: Amount = Amount(1 << 62);

/// What all members of a network agree on before its first block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// [`VERSION`]. The first had none.
    pub version: u32,
    /// The network's name, at most 32 bytes.
    pub network: String,
    /// t0: when epoch 0 begins.
    pub start: Time,
    /// The rules.
    pub params: Params,
    /// The faucet is debited from it, and what of fees is not burned goes to it.
    pub founder: AccountId,
    /// How credit comes to be.
    pub supply: Supply,
    /// How blocks are put in order.
    pub consensus: Consensus,
    /// Who makes the first blocks, in the order of their node keys.
    pub validators: Vec<Founding>,
    /// Random: tells networks of one name apart.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
}

/// How a network's blocks are put in order. `docs/protocol.md` §3.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consensus {
    /// By one validator, for good.
    Solo,
    /// By validators that agree, more than two thirds of them; who they are may change.
    Bft,
}

/// A validator that a network begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Founding {
    /// Its node key.
    pub node: NodeId,
    /// Its BLS key, min-pk.
    #[serde(with = "serde_bytes")]
    pub bls: [u8; 48],
    /// The proof that it knows that key's secret half.
    #[serde(with = "serde_bytes")]
    pub possession: [u8; 96],
}

impl Founding {
    /// The validator of these keys.
    #[must_use]
    pub fn new(node: NodeId, bls: &SecretKey) -> Self {
        Self {
            node,
            bls: bls.public().to_bytes(),
            possession: bls.prove_possession().to_bytes(),
        }
    }

    /// The validator, with a vote of weight 1, if its key is possessed.
    fn validator(&self) -> Option<Validator> {
        let bls = PublicKey::from_bytes(&self.bls).ok()?;
        let possession = Signature::from_bytes(&self.possession).ok()?;
        let is_sound = larder_keys::verify_key(&self.node.0) && bls.is_possessed(&possession);
        is_sound.then_some(Validator {
            node: self.node,
            bls,
            power: 1,
        })
    }
}

/// Most accounts that a genesis names.
pub const MAX_ALLOCATION: usize = 1_024;

/// How a network's credit comes to be. `docs/protocol.md` §3.12.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// The founder holds all of it, and the faucet grants from it.
    Faucet {
        /// All there will ever be.
        total: Amount,
    },
    /// It is shared out, by account.
    Fixed {
        /// What each has.
        allocation: Vec<(AccountId, Amount)>,
    },
    /// All balances together are nothing: the founder begins as far below zero as the others above.
    /// An account may go below zero as far as others vouch for it.
    Mutual {
        /// What each of the others has.
        allocation: Vec<(AccountId, Amount)>,
    },
}

impl Supply {
    /// All of it to the founder, who grants from it if the parameters have a faucet.
    #[must_use]
    pub fn to_founder(founder: AccountId, total: Amount, params: &Params) -> Self {
        match params.faucet {
            Some(_) => Self::Faucet { total },
            None => Self::Fixed {
                allocation: vec![(founder, total)],
            },
        }
    }

    /// All credit there is, what is owed taken off; `None` if it does not fit.
    #[must_use]
    pub fn total(&self) -> Option<Amount> {
        match self {
            Self::Faucet { total } => Some(*total),
            Self::Fixed { allocation } => sum(allocation),
            Self::Mutual { .. } => Some(Amount::ZERO),
        }
    }

    /// What accounts have at first, and what the founder owes.
    pub(crate) fn opening(&self, founder: AccountId) -> (Vec<(AccountId, Amount)>, Amount) {
        match self {
            Self::Faucet { total } => (vec![(founder, *total)], Amount::ZERO),
            Self::Fixed { allocation } => (allocation.clone(), Amount::ZERO),
            Self::Mutual { allocation } => {
                let owed = sum(allocation).unwrap_or_default();
                (allocation.clone(), owed)
            }
        }
    }

    fn check(&self, founder: AccountId, params: &Params) -> Result<(), GenesisError> {
        let is_faucet = matches!(self, Self::Faucet { .. });
        if is_faucet != params.faucet.is_some() {
            return Err(GenesisError::Faucet);
        }
        // The faucet makes accounts of nothing; a deposit would keep nobody out.
        if is_faucet && params.existence > Amount::ZERO {
            return Err(GenesisError::Existence);
        }
        let (shares, most) = match self {
            Self::Faucet { total } if *total >= MAX_SUPPLY => {
                return Err(GenesisError::Supply(*total));
            }
            Self::Faucet { .. } => return Ok(()),
            Self::Fixed { allocation } => (allocation, MAX_SUPPLY),
            Self::Mutual { allocation } => (allocation, MAX_MUTUAL),
        };
        let ascend = shares.windows(2).all(|pair| match pair {
            [(one, _), (next, _)] => one < next,
            _ => true,
        });
        let least = params.existence.max(Amount(1));
        let are_shares = (1..=MAX_ALLOCATION).contains(&shares.len())
            && ascend
            && shares.iter().all(|(_, share)| *share >= least);
        let owes = matches!(self, Self::Mutual { .. });
        if !are_shares || (owes && shares.iter().any(|(id, _)| *id == founder)) {
            return Err(GenesisError::Allocation);
        }
        match sum(shares) {
            Some(total) if total < most => Ok(()),
            total => Err(GenesisError::Supply(total.unwrap_or(Amount(u64::MAX)))),
        }
    }
}

fn sum(allocation: &[(AccountId, Amount)]) -> Option<Amount> {
    let mut shares = allocation.iter().map(|(_, share)| *share);
    shares.try_fold(Amount::ZERO, Amount::checked_add)
}

/// Why a genesis makes no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Formats that this code does not read.
    #[error("its formats are of version {0}, this code reads version {VERSION}")]
    Version(u32),
    /// The name is empty or too long.
    #[error("the network's name must have 1 to {MAX_NETWORK} bytes")]
    Network,
    /// The parameters contradict each other.
    #[error("the parameters are unsound")]
    Params,
    /// The supply is 2^63 nano or more.
    #[error("a supply of {0} is too much")]
    Supply(Amount),
    /// A faucet without a supply to grant from, or the reverse.
    #[error("a supply with a faucet needs a grant in the parameters, and no other supply has one")]
    Faucet,
    /// Accounts that the faucet makes of nothing can set nothing aside.
    #[error("a network with a faucet takes no existence deposit")]
    Existence,
    /// Shares that are none.
    #[error(
        "an allocation has 1 to {MAX_ALLOCATION} accounts in ascending order, each once and with no less \
         than the existence deposit; where credit is mutual the founder is not among them"
    )]
    Allocation,
    /// A key that no signature can be checked against, or of which possession is not proved.
    #[error("a validator's key is bad")]
    Validator,
    /// Validators that are no set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Bytes that are no genesis document.
    #[error("this is no genesis document: {0}")]
    Unreadable(#[from] DecodeError),
    /// Another network's document.
    #[error("this is the genesis of network {0}, another one than was asked for")]
    OtherNetwork(GenesisHash),
    /// Several where one makes the blocks.
    #[error("a network of one validator begins with one, not {0}")]
    Solo(usize),
}

impl Genesis {
    /// The version that a document names, whatever else is in it; `None`: it is no document of ours,
    /// or of the first version.
    #[must_use]
    pub fn version_of(document: &[u8]) -> Option<u32> {
        #[derive(Deserialize)]
        struct Named {
            version: u32,
        }
        codec::peek::<Named>(document).map(|named| named.version)
    }

    /// BLAKE3 of the canonical encoding.
    #[must_use]
    pub fn hash(&self) -> GenesisHash {
        GenesisHash(*blake3::hash(&codec::encode(self)).as_bytes())
    }

    /// What who knows a network's hash alone begins to trust: the validators in its document, whoever
    /// handed that over.
    ///
    /// # Errors
    /// [`GenesisError`]: it is not that network's document, or no network can begin with it.
    pub fn trusted(document: &[u8], network: &GenesisHash) -> Result<Trusted, GenesisError> {
        let genesis: Self = codec::decode(document)?;
        let hash = genesis.hash();
        if hash != *network {
            return Err(GenesisError::OtherNetwork(hash));
        }
        genesis.check()?;
        Ok(Trusted::beginning(hash, genesis.start, genesis.set()?))
    }

    /// Whether a network can begin with it.
    ///
    /// # Errors
    /// [`GenesisError`] names what is wrong.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.version != VERSION {
            return Err(GenesisError::Version(self.version));
        }
        if self.network.is_empty() || self.network.len() > MAX_NETWORK {
            return Err(GenesisError::Network);
        }
        if !self.params.are_sound() {
            return Err(GenesisError::Params);
        }
        self.supply.check(self.founder, &self.params)?;
        self.set()?;
        Ok(())
    }

    /// Who makes the first block.
    ///
    /// # Errors
    /// [`GenesisError`] if they cannot.
    pub fn set(&self) -> Result<ValidatorSet, GenesisError> {
        if self.consensus == Consensus::Solo && self.validators.len() != 1 {
            return Err(GenesisError::Solo(self.validators.len()));
        }
        let validators = self.validators.iter().map(Founding::validator);
        let members: Option<Vec<Validator>> = validators.collect();
        Ok(ValidatorSet::new(members.ok_or(GenesisError::Validator)?)?)
    }
}
