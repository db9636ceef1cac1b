//! Transactions: what accounts and providers ask of the ledger. Each signature covers the kind's
//! own tag and layout; whatever moves a balance carries a nonce and an expiry.
//! `docs/protocol.md` §3.1, §3.3, §3.12.

use crate::{
    Approve, Candidacy, Censored, Closing, Delegate, Equivocation, ForceRevision, Handover, Leave,
    Maintenance, Reduction, Resign, Revoke, Targeted, Vouch, Withdraw,
};
use larder_contracts::{Auth, Remains, SignedLeaf, Voucher};
use larder_keys::{AccountSigner, Claim, Signer, Tag, signing_key, verify};
use larder_proofs::{ClearError, ContractLeaf, LostShard, cleared};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Amount, ContractId, Epoch, GenesisHash, NodeId, Signature, SubKeyId, TxId, codec,
};
use serde::{Deserialize, Serialize};

const FAUCET: Tag = Tag("faucet");
pub(crate) const TRANSFER: Tag = Tag("transfer");
const REGISTER: Tag = Tag("register");
const REGISTER_PROVIDER: Tag = Tag("register provider");
const DEPOSIT: Tag = Tag("deposit");
const TREE_UPDATE: Tag = Tag("tree update");
const CLOSE_FAULTED: Tag = Tag("close faulted");

/// Most operations in one `TreeUpdate`: about 380 B each, so that an update stays below 128 KiB.
pub const MAX_OPS: usize = 256;
/// Most shards in one [`Loss`]: about 750 B each where a contract holds 4,096, so that the loss
/// stays below the size of a transaction.
pub const MAX_LOST: usize = 256;

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tx {
    /// A new account asks for its grant.
    Faucet(Faucet),
    /// Credit from one account to another.
    Transfer(Transfer),
    /// A provider's record.
    Register(Register),
    /// More free collateral for a provider.
    Deposit(Deposit),
    /// A provider's operations on its tree.
    TreeUpdate(TreeUpdate),
    /// A renter ends a contract with a provider that is FAULTED.
    CloseFaulted(CloseFaulted),
    /// A provider announces an absence.
    Maintenance(Maintenance),
    /// A renter ends a contract after the network's notice.
    CloseByRenter(Closing),
    /// A renter posts a revision itself.
    ForceRevision(ForceRevision),
    /// A renter has the ledger ask for one contract.
    Targeted(Targeted),
    /// An account authorises a sub-key.
    Delegate(Delegate),
    /// An account takes a sub-key's authority away.
    Revoke(Revoke),
    /// An account vouches for another.
    Vouch(Vouch),
    /// An account leaves.
    Leave(Leave),
    /// An account puts down a bond for a node that would validate.
    Candidacy(Box<Candidacy>),
    /// A validator is for a change of who validates.
    Approve(Approve),
    /// A candidate or validator goes.
    Resign(Resign),
    /// Two votes of a validator that contradict each other.
    Equivocation(Box<Equivocation>),
    /// A validator withheld pay for a proof that it had acknowledged.
    Censored(Censored),
    /// Free collateral goes back to its provider's account.
    Withdraw(Withdraw),
}

/// A renter ends its contract with a FAULTED provider. It moves credit to the renter only, and
/// once: no nonce is needed. Acts at the epoch's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseFaulted {
    /// Which contract.
    pub contract: ContractId,
    /// Who pays for it.
    pub renter: AccountId,
    /// The last height at which it may be included.
    pub expiry: u64,
    /// The sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// Fee-free, once per account, debited from the founder; refused where the parameters have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faucet {
    /// Who receives.
    pub account: AccountId,
    /// The sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// Credit from one account to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Who pays.
    pub from: AccountId,
    /// Who receives.
    pub to: AccountId,
    /// How much; not nothing.
    pub amount: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// A provider's record: its node key, the account it is paid to, and a first deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The node.
    pub provider: NodeId,
    /// Pays the deposit and receives the pay.
    pub account: AccountId,
    /// Moved from the account to free collateral; may be nothing.
    pub collateral: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig_account: Signature,
    /// By the node, over the same bytes.
    pub sig_provider: Signature,
}

/// Credit from an account to a provider's free collateral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Whose collateral grows.
    pub provider: NodeId,
    /// Who pays.
    pub from: AccountId,
    /// How much; not nothing.
    pub amount: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// One operation on a provider's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Open, if the contract is not active, else Revise.
    Put(SignedLeaf),
    /// Remove a contract that ends at the coming boundary or has ended.
    CloseExpired(ContractId),
    /// Shards that the provider has lost: they leave the tree, and the pay with them.
    DeclareLoss(Loss),
    /// Both sides end a contract before its end.
    CloseMutual(Closing),
    /// A revision that takes back what the contract promised.
    Reduce(Box<Reduction>),
    /// A contract that has agreed to it goes on for another term.
    Renew(ContractId),
    /// A contract moves to another provider.
    Transfer(Box<Handover>),
    /// What a reader owes, to be paid where its contract is revised, closed or moved at the same boundary.
    Settle(Box<Voucher>),
}

/// Lost shards of one contract, against the content root that is active in the update's epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which contract.
    pub contract: ContractId,
    /// The revision that the contract has afterwards: above every one that was co-signed.
    pub revision: u64,
    /// 1 to 256 lost shards with their paths, by ascending index: each path is against the tree
    /// from which the ones before have been removed.
    pub shards: Vec<LostShard>,
}

/// Operations to act at the end of `epoch`. In stage 1 validators compute the roots themselves,
/// so it carries neither roots nor siblings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeUpdate {
    /// Whose tree.
    pub provider: NodeId,
    /// The epoch in which it must be included.
    pub epoch: Epoch,
    /// 1 to 256 operations.
    pub ops: Vec<Op>,
    /// By the provider's node key.
    pub sig_provider: Signature,
}

impl Op {
    /// The contract it is about.
    #[must_use]
    pub fn contract_id(&self) -> ContractId {
        match self {
            Self::Put(signed) => signed.leaf.contract_id,
            Self::CloseExpired(id) | Self::Renew(id) => *id,
            Self::Transfer(handover) => handover.contract,
            Self::DeclareLoss(loss) => loss.contract,
            Self::CloseMutual(closing) => closing.contract,
            Self::Reduce(reduction) => reduction.signed.leaf.contract_id,
            Self::Settle(voucher) => voucher.contract,
        }
    }

    fn write(&self, provider: &NodeId, layout: Layout) -> Layout {
        match self {
            Self::Put(signed) => layout
                .u8(0)
                .fixed(signed.to_layout(provider))
                .fixed(signed.sig_renter.0),
            Self::CloseExpired(id) => layout.u8(1).fixed(id),
            Self::DeclareLoss(loss) => loss.write(layout.u8(2)),
            Self::CloseMutual(closing) => {
                layout.u8(3).fixed(closing.to_layout()).fixed(closing.sig.0)
            }
            Self::Renew(id) => layout.u8(5).fixed(id),
            Self::Transfer(handover) => layout.u8(6).fixed(handover.to_layout()),
            Self::Settle(voucher) => layout
                .u8(7)
                .fixed(voucher.to_layout())
                .fixed(voucher.sig_reader.0),
            Self::Reduce(reduction) => layout
                .u8(4)
                .fixed(reduction.signed.to_layout(provider))
                .fixed(reduction.signed.sig_renter.0)
                .fixed(reduction.key)
                .fixed(reduction.sig.0),
        }
    }
}

impl Faucet {
    fn to_layout(&self) -> Vec<u8> {
        signed_by(Layout::new().fixed(self.account), self.by)
    }

    /// Asks for `account`'s grant.
    #[must_use]
    pub fn sign(account: &AccountSigner, genesis: &GenesisHash) -> Self {
        let mut faucet = Self {
            account: account.account(),
            by: account.by(),
            sig: Signature::default(),
        };
        faucet.sig = account.sign(FAUCET, genesis, &faucet.to_layout());
        faucet
    }
}

/// Ends the layout of what an account signs: by which of its keys.
fn signed_by(layout: Layout, by: Option<SubKeyId>) -> Vec<u8> {
    layout.option(by.map(|by| by.0)).finish()
}

impl Transfer {
    /// What is signed of it, before the derivation: from ‖ to ‖ amount ‖ nonce ‖ expiry ‖ by.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.from)
            .fixed(self.to)
            .u64(self.amount.0);
        self.auth.close(layout, self.by)
    }

    /// Sends `amount` from the signer's account.
    #[must_use]
    pub fn sign(
        from: &AccountSigner,
        to: AccountId,
        amount: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let sig = Signature::default();
        let mut transfer = Self {
            from: from.account(),
            to,
            amount,
            auth,
            by: from.by(),
            sig,
        };
        transfer.sig = from.sign(TRANSFER, genesis, &transfer.to_layout());
        transfer
    }
}

impl Register {
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.provider)
            .fixed(self.account)
            .u64(self.collateral.0);
        self.auth.close(layout, self.by)
    }

    /// Registers `node`, paid to and funded by `account`.
    #[must_use]
    pub fn sign(
        node: &Signer,
        account: &AccountSigner,
        collateral: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let mut register = Self {
            provider: node.node(),
            account: account.account(),
            collateral,
            auth,
            by: account.by(),
            sig_account: Signature::default(),
            sig_provider: Signature::default(),
        };
        let bytes = register.to_layout();
        register.sig_account = account.sign(REGISTER, genesis, &bytes);
        register.sig_provider = node.sign(REGISTER_PROVIDER, genesis, &bytes);
        register
    }
}

impl Deposit {
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.provider)
            .fixed(self.from)
            .u64(self.amount.0);
        self.auth.close(layout, self.by)
    }

    /// Deposits `amount` from the signer's account for `provider`.
    #[must_use]
    pub fn sign(
        provider: NodeId,
        from: &AccountSigner,
        amount: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let sig = Signature::default();
        let mut deposit = Self {
            provider,
            from: from.account(),
            amount,
            auth,
            by: from.by(),
            sig,
        };
        deposit.sig = from.sign(DEPOSIT, genesis, &deposit.to_layout());
        deposit
    }
}

impl TreeUpdate {
    fn to_layout(&self) -> Vec<u8> {
        let head = Layout::new().fixed(self.provider).u32(self.epoch);
        self.ops
            .iter()
            .fold(head, |layout, op| op.write(&self.provider, layout))
            .finish()
    }

    /// Posts operations with the provider's node key.
    #[must_use]
    pub fn sign(node: &Signer, epoch: Epoch, ops: Vec<Op>, genesis: &GenesisHash) -> Self {
        let sig_provider = Signature::default();
        let mut update = Self {
            provider: node.node(),
            epoch,
            ops,
            sig_provider,
        };
        update.sig_provider = node.sign(TREE_UPDATE, genesis, &update.to_layout());
        update
    }

    /// A renter's signature is good only in the tree of the provider that it was made for.
    fn verify(&self, genesis: &GenesisHash) -> bool {
        let renters_signed = self.ops.iter().all(|op| match op {
            Op::Put(signed) => signed.verify(&self.provider, genesis),
            Op::CloseExpired(_) | Op::DeclareLoss(_) | Op::Renew(_) => true,
            Op::Transfer(handover) => handover.verify(genesis),
            Op::CloseMutual(closing) => closing.is_mutual(genesis),
            Op::Reduce(reduction) => reduction.verify(&self.provider, genesis),
            Op::Settle(voucher) => voucher.verify(genesis),
        });
        let bytes = self.to_layout();
        renters_signed
            && verify(
                &self.provider.0,
                TREE_UPDATE,
                genesis,
                &bytes,
                &self.sig_provider,
            )
    }
}

impl Loss {
    fn write(&self, layout: Layout) -> Layout {
        let head = layout.fixed(self.contract).u64(self.revision);
        let head = count(head, self.shards.len());
        self.shards.iter().fold(head, |layout, shard| {
            let layout = layout.u32(shard.index).fixed(shard.leaf.to_bytes());
            let layout = count(layout, shard.path.len());
            shard.path.iter().fold(layout, |layout, sibling| {
                layout.fixed(sibling.hash).u64(sibling.chunks)
            })
        })
    }

    /// What it leaves of its contract, whose active leaf is `leaf`.
    pub(crate) fn remains(&self, leaf: &ContractLeaf) -> Result<Remains, ClearError> {
        let (content_root, chunks) = cleared(
            leaf.content_root,
            leaf.used_chunks,
            leaf.depth,
            &self.shards,
        )?;
        Ok(Remains {
            content_root,
            chunks,
            revision: self.revision,
        })
    }
}

/// How many parts of varying length follow.
fn count(layout: Layout, parts: usize) -> Layout {
    layout.u32(u32::try_from(parts).expect("a message has fewer than 2^32 parts"))
}

impl CloseFaulted {
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.contract)
            .fixed(self.renter)
            .u64(self.expiry);
        signed_by(layout, self.by)
    }

    /// Ends `contract`, which the signer pays for.
    #[must_use]
    pub fn sign(
        renter: &AccountSigner,
        contract: ContractId,
        expiry: u64,
        genesis: &GenesisHash,
    ) -> Self {
        let mut close = Self {
            contract,
            renter: renter.account(),
            expiry,
            by: renter.by(),
            sig: Signature::default(),
        };
        close.sig = renter.sign(CLOSE_FAULTED, genesis, &close.to_layout());
        close
    }
}

/// What is known of a transaction's signatures.
pub(crate) enum Signed {
    /// It has one, which may be checked with others.
    Once(Claim),
    /// Whether those that it has are good.
    Checked(bool),
}

/// What a transaction is known by and charged for: computed where its signatures are checked, and
/// carried along, since encoding costs more than applying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its id: BLAKE3 of the canonical encoding.
    pub id: TxId,
    /// That encoding's length, bytes.
    pub bytes: usize,
}

impl Tx {
    /// BLAKE3 of the canonical encoding.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.stamp().id
    }

    /// Its id and length, by one encoding.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let bytes = codec::encode(self);
        Stamp {
            id: TxId(*blake3::hash(&bytes).as_bytes()),
            bytes: bytes.len(),
        }
    }

    /// Length of the canonical encoding, bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        codec::encode(self).len()
    }

    /// Whether every signature in it is good. [`crate::verify`] is what calls this.
    #[must_use]
    pub(crate) fn is_signed(&self, genesis: &GenesisHash) -> bool {
        match self.signed(genesis) {
            Signed::Once(claim) => claim.is_good(),
            Signed::Checked(is_good) => is_good,
        }
    }

    /// What is left to be checked of its signatures.
    pub(crate) fn signed(&self, genesis: &GenesisHash) -> Signed {
        let once = |account: &AccountId, by, tag, bytes: &[u8], sig| {
            Signed::Once(Claim::new(
                &signing_key(account, by),
                tag,
                genesis,
                bytes,
                sig,
            ))
        };
        let is_good = match self {
            Self::Faucet(tx) => return once(&tx.account, tx.by, FAUCET, &tx.to_layout(), &tx.sig),
            Self::Transfer(tx) => return once(&tx.from, tx.by, TRANSFER, &tx.to_layout(), &tx.sig),
            Self::Deposit(tx) => return once(&tx.from, tx.by, DEPOSIT, &tx.to_layout(), &tx.sig),
            Self::CloseFaulted(tx) => {
                return once(&tx.renter, tx.by, CLOSE_FAULTED, &tx.to_layout(), &tx.sig);
            }
            Self::Register(tx) => {
                let (bytes, node) = (tx.to_layout(), &tx.provider.0);
                let account = signing_key(&tx.account, tx.by);
                verify(&account, REGISTER, genesis, &bytes, &tx.sig_account)
                    && verify(node, REGISTER_PROVIDER, genesis, &bytes, &tx.sig_provider)
            }
            Self::TreeUpdate(tx) => tx.verify(genesis),
            Self::Maintenance(tx) => tx.verify(genesis),
            Self::CloseByRenter(tx) => tx.is_notice(genesis),
            Self::ForceRevision(tx) => tx.verify(genesis),
            Self::Targeted(tx) => tx.verify(genesis),
            Self::Delegate(tx) => tx.verify(genesis),
            Self::Revoke(tx) => tx.verify(genesis),
            Self::Vouch(tx) => tx.verify(genesis),
            Self::Leave(tx) => tx.verify(genesis),
            Self::Candidacy(tx) => tx.verify(genesis),
            Self::Approve(tx) => tx.verify(genesis),
            Self::Resign(tx) => tx.verify(genesis),
            Self::Equivocation(tx) => tx.verify(genesis),
            Self::Censored(tx) => tx.verify(genesis),
            Self::Withdraw(tx) => tx.verify(genesis),
        };
        Signed::Checked(is_good)
    }
}
