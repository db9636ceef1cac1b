//! How a node comes to be a candidate for validator, and how one goes. An account puts down a bond for
//! it; node and BLS key show that both are its own. Nothing makes a candidate a validator but the
//! approval of those that are ([`crate::approval`]). `docs/protocol.md` §3.8.

use crate::check::Place;
use crate::transact::{Payer, Price};
use crate::validator::{Parting, Standing, ValidatorRecord};
use crate::{Event, State, TxRefusal};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Signer, Tag, signing_key, verify};
use larder_proofs::bls::{self, PublicKey, SecretKey};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, GenesisHash, NodeId, Signature, SubKeyId, TxId};
use serde::{Deserialize, Serialize};

const CANDIDACY: Tag = Tag("candidacy");
const CANDIDACY_NODE: Tag = Tag("candidacy node");
const RESIGN: Tag = Tag("resign");

/// Most candidates at once: as many as a set has seats.
pub const MAX_CANDIDATES: usize = 128;

/// An account puts down a bond for a node that would validate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidacy {
    /// The node.
    pub node: NodeId,
    /// Pays the bond, has it back, and has the fees of the node's blocks.
    pub account: AccountId,
    /// The node's BLS key.
    #[serde(with = "serde_bytes")]
    pub bls: [u8; 48],
    /// The proof that it knows that key's secret half: without it a key could be made of the others'
    /// that cancels them out of a certificate.
    #[serde(with = "serde_bytes")]
    pub possession: [u8; 96],
    /// At least the network's least.
    pub bond: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The account's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig_account: Signature,
    /// By the node, over the same bytes.
    pub sig_node: Signature,
}

/// A candidate or validator goes, by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resign {
    /// Who.
    pub node: NodeId,
    /// The height at which its record began: the next one is not meant.
    pub since: u64,
    /// By the node key.
    pub sig: Signature,
}

impl Candidacy {
    /// node[32] ‖ account[32] ‖ BLS key[48] ‖ possession[96] ‖ bond u64 ‖ nonce u64 ‖ expiry u64 ‖
    /// has_by u8 ‖ by[32].
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.node)
            .fixed(self.account)
            .fixed(self.bls)
            .fixed(self.possession)
            .u64(self.bond.0);
        self.auth.close(layout, self.by)
    }

    /// Puts `node` with its key `bls` forward, `account` answers for it with `bond`.
    #[must_use]
    pub fn sign(
        (node, bls): (&Signer, &SecretKey),
        account: &AccountSigner,
        bond: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let mut candidacy = Self {
            node: node.node(),
            account: account.account(),
            bls: bls.public().to_bytes(),
            possession: bls.prove_possession().to_bytes(),
            bond,
            auth,
            by: account.by(),
            sig_account: Signature::default(),
            sig_node: Signature::default(),
        };
        candidacy.sign_anew((node, account), genesis);
        candidacy
    }

    /// Both sign what it says now.
    pub(crate) fn sign_anew(
        &mut self,
        (node, account): (&Signer, &AccountSigner),
        genesis: &GenesisHash,
    ) {
        let bytes = self.to_layout();
        self.sig_account = account.sign(CANDIDACY, genesis, &bytes);
        self.sig_node = node.sign(CANDIDACY_NODE, genesis, &bytes);
    }

    /// Whether both signed, and the BLS key is the node's own.
    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let (bytes, account) = (self.to_layout(), signing_key(&self.account, self.by));
        verify(&account, CANDIDACY, genesis, &bytes, &self.sig_account)
            && verify(
                &self.node.0,
                CANDIDACY_NODE,
                genesis,
                &bytes,
                &self.sig_node,
            )
            && self.is_possessed()
    }

    fn is_possessed(&self) -> bool {
        let key = PublicKey::from_bytes(&self.bls);
        let proof = bls::Signature::from_bytes(&self.possession);
        matches!((key, proof), (Ok(key), Ok(proof)) if key.is_possessed(&proof))
    }

    const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.account, self.by, self.auth, fee)
    }
}

impl Resign {
    /// node[32] ‖ since u64.
    fn to_layout(&self) -> Vec<u8> {
        Layout::new().fixed(self.node).u64(self.since).finish()
    }

    /// The signer's node goes; its record began at height `since`.
    #[must_use]
    pub fn sign(node: &Signer, since: u64, genesis: &GenesisHash) -> Self {
        let mut resign = Self {
            node: node.node(),
            since,
            sig: Signature::default(),
        };
        resign.sig = node.sign(RESIGN, genesis, &resign.to_layout());
        resign
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        verify(&self.node.0, RESIGN, genesis, &self.to_layout(), &self.sig)
    }
}

impl State {
    pub(crate) fn check_candidacy(
        &self,
        tx: &Candidacy,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        self.check_changeable()?;
        if let Some(record) = self.validator(&tx.node) {
            return Err(match record.standing {
                _ if record.is_banned => TxRefusal::Banned,
                Standing::Leaving { until } => TxRefusal::Unbonding { until },
                Standing::Candidate | Standing::Seated | Standing::Gone => TxRefusal::Stands,
            });
        }
        let mut records = self.validator_records();
        if records.any(|record| record.bls.to_bytes() == tx.bls) {
            return Err(TxRefusal::TwinKey);
        }
        let is_candidate = |r: &&ValidatorRecord| r.standing == Standing::Candidate;
        if self.validator_records().filter(is_candidate).count() >= MAX_CANDIDATES {
            return Err(TxRefusal::Candidates);
        }
        let least = self.params.validator_bond;
        if tx.bond < least {
            let bond = tx.bond;
            return Err(TxRefusal::Bond { bond, least });
        }
        if self.account(&tx.account).is_none() && self.params.existence > Amount::ZERO {
            return Err(TxRefusal::NoAccount);
        }
        self.check_price(&tx.payer(fee), Price::Owned(tx.bond), place)
    }

    /// The bond leaves its account, which the record holds from now on.
    pub(crate) fn stand(
        &mut self,
        tx: &Candidacy,
        fee: Amount,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        let Candidacy {
            node,
            account,
            bond,
            ..
        } = *tx;
        let bls = PublicKey::from_bytes(&tx.bls).map_err(|_| TxRefusal::BadKey)?;
        self.pay_price(&tx.payer(fee), Price::Owned(bond), place)?;
        self.accounts.or_default(account).tie();
        let record = ValidatorRecord {
            node,
            bls,
            account,
            bond,
            since: place.height,
            standing: Standing::Candidate,
            is_banned: false,
            strikes: 0,
            missed: 0,
        };
        self.roll_mut().records.insert(node, record);
        Ok(vec![Event::CandidacyBegan {
            node,
            account,
            bond,
            tx: id,
        }])
    }

    pub(crate) fn check_resign(&self, tx: &Resign) -> Result<(), TxRefusal> {
        self.check_changeable()?;
        let record = self.validator(&tx.node).ok_or(TxRefusal::NotAValidator)?;
        match record.standing {
            _ if record.since != tx.since => Err(TxRefusal::NoSuchChange),
            Standing::Leaving { .. } | Standing::Gone => Err(TxRefusal::NotAValidator),
            Standing::Seated if self.validators.members().len() == 1 => {
                Err(TxRefusal::LastValidator)
            }
            Standing::Candidate | Standing::Seated => Ok(()),
        }
    }

    pub(crate) fn resign(&mut self, tx: &Resign) -> Result<Vec<Event>, TxRefusal> {
        self.part(&tx.node, Parting::Resigned)
    }

    /// A candidate has its bond back at once: it has signed nothing yet that could be held against it.
    pub(crate) fn part(&mut self, node: &NodeId, why: Parting) -> Result<Vec<Event>, TxRefusal> {
        let record = self.validator(node).ok_or(TxRefusal::NotAValidator)?;
        if record.standing == Standing::Candidate {
            return Ok(self.free_bond(node).into_iter().collect());
        }
        let until = self.unseat(node)?;
        Ok(vec![Event::ValidatorLeft {
            node: *node,
            why,
            until,
        }])
    }
}
