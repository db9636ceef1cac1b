//! From twenty-four words to every key of an account, by labelled derivation; signing keys as
//! types. Secrets are zeroized when dropped and never printed. `docs/protocol.md` §3.1.

pub mod account;
pub mod batch;
pub mod keyring;
pub mod passphrase;
pub mod recovery;
pub mod sealed_key;
pub mod sharing;
pub mod signing;
pub mod vault;
pub mod words;

pub use account::{AccountSigner, signing_key};
pub use batch::{Claim, verify_all};
pub use keyring::{HomeKey, Keyring, KeyringError, NewKey, Opener, Secrets};
pub use passphrase::{OpenError, Stretch, is_name};
pub use recovery::RecoveryKeys;
pub use sealed_key::SealedKey;
pub use sharing::{GivenKey, SharingCert, SharingKey};
pub use signing::{Signer, Tag, sign_layout, verify, verify_key};
pub use vault::VaultKeys;
pub use words::{Seed, Words, WordsError};
