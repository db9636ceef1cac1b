//! `larder wallet verify`: an account's balance, checked down to the validators' signatures. It asks any
//! node and trusts only what it checks, beginning with the home's genesis hash or checkpoint; what it came
//! to trust lies in the home's `light.json`. `docs/protocol.md` §3.8.

use super::args::VerifyArgs;
use super::connect::{Asked, runtime};
use super::exit::{FAILED, Failure};
use super::output::Out;
use crate::home::{HomeError, Standing, now, write};
use crate::shown::{from_hex, hex};
use larder_ledger::{Account, Genesis};
use larder_proofs::map::MapProof;
use larder_proofs::{Checkpoint, Header, Roots, StateProof, Trusted, ValidatorSet, check_account};
use larder_rpc::{
    AtParams, BlockHeader, ChangesParams, Client, Empty, Moment, Proof, ProofParams, Text,
};
use larder_types::{AccountId, Amount, BlockHash, GenesisHash, Time, codec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(super) fn verify(home: &Path, args: &VerifyArgs, out: Out) -> Asked {
    let standing = Standing::read(home).map_err(of_home)?;
    let node = match &args.rpc {
        Some(url) => Client::at(url, args.cookie.as_deref())?,
        None => Client::of_home(home)?,
    };
    let wallet = Wallet {
        account: args.account.unwrap_or(standing.account),
        genesis: standing.genesis,
        checkpoint: args.checkpoint.or(standing.checkpoint),
        path: home.join("light.json"),
    };
    let checked = runtime()?.block_on(wallet.check(&node))?;
    checked.show(wallet.account, out)
}

/// What is trusted before anybody is asked.
struct Wallet {
    account: AccountId,
    genesis: GenesisHash,
    checkpoint: Option<Checkpoint>,
    path: PathBuf,
}

/// What it came to.
struct Checked {
    trusted: Trusted,
    /// Blocks that were checked on the way.
    steps: u32,
    balance: Option<Amount>,
}

impl Wallet {
    async fn check(&self, node: &Client) -> Result<Checked, Failure> {
        let shown = node
            .ledger_get_proof(&ProofParams {
                account: Some(Text(self.account)),
                ..ProofParams::default()
            })
            .await?;
        let header = header(&shown.header)?;
        let begin = self.begin(node).await?;
        let (trusted, steps) = follow(node, begin, &header, &shown).await?;
        Kept::of(&trusted).write(&self.path)?;
        let proof = proof(&shown)?;
        let value = check_account(&header, &proof, &self.account).map_err(refused)?;
        let balance = value.map(codec::decode::<Account>).transpose();
        let balance = balance.map_err(refused)?.map(|account| account.balance);
        Ok(Checked {
            trusted,
            steps,
            balance,
        })
    }

    /// The newest point that is trusted: what was kept, a checkpoint, or else the genesis.
    async fn begin(&self, node: &Client) -> Result<Trusted, Failure> {
        let kept = Kept::read(&self.path)?.filter(|kept| kept.genesis == self.genesis);
        if let Some(point) = self.checkpoint {
            let at = |height: u64| AtParams {
                at: Some(height.to_string()),
            };
            let header = header(&node.chain_get_header(&at(point.height)).await?)?;
            let set = node.chain_get_validators(&at(point.height + 1)).await?.set;
            let at_point = Trusted::at(&point, self.genesis, &header, read(&set, "validators")?);
            let at_point = at_point.map_err(refused)?;
            return Ok(match kept {
                Some(kept) if kept.height > point.height => kept,
                Some(_) | None => at_point,
            });
        }
        match kept {
            Some(kept) => Ok(kept),
            None => {
                let document = node.chain_get_genesis(&Empty {}).await?.document;
                let document = bytes(&document, "genesis")?;
                Genesis::trusted(&document, &self.genesis).map_err(refused)
            }
        }
    }
}

/// From what is trusted over every change of the validators to the block of `header`.
async fn follow(
    node: &Client,
    begin: Trusted,
    header: &Header,
    shown: &Proof,
) -> Result<(Trusted, u32), Failure> {
    let (mut trusted, mut steps) = (begin, 0);
    let mut params = ChangesParams {
        from: trusted.height + 1,
        ..ChangesParams::default()
    };
    loop {
        let page = node.chain_get_validator_changes(&params).await?;
        for change in page.items {
            let at = self::header(&change.header)?;
            if at.height > header.height {
                break;
            }
            let certificate = bytes(&change.certificate, "certificate")?;
            let next: ValidatorSet = read(&change.next, "validators")?;
            let advanced = trusted.advance(&at, &certificate, Some(next), now());
            trusted = advanced.map_err(refused)?;
            steps += 1;
        }
        match page.next_cursor {
            // A node that gives pages without end is not followed beyond the block asked for.
            Some(cursor) if trusted.height < header.height => params.cursor = Some(cursor),
            Some(_) | None => break,
        }
    }
    let is_new = trusted.height < header.height;
    let certificate = bytes(&shown.certificate, "certificate")?;
    let advanced = trusted.advance(header, &certificate, None, now());
    Ok((advanced.map_err(refused)?, steps + u32::from(is_new)))
}

impl Checked {
    fn show(&self, account: AccountId, out: Out) -> Asked {
        let Trusted {
            height,
            block,
            time,
            ref set,
            ..
        } = self.trusted;
        let checkpoint = self.trusted.checkpoint();
        out.object(&json!({
            "message_type": "summary",
            "verified": true,
            "account": account.to_string(),
            "present": self.balance.is_some(),
            "balance": self.balance.map(|balance| balance.to_string()),
            "height": height,
            "block": block.to_string(),
            "time": Moment(time),
            "validators": set.members().len(),
            "steps": self.steps,
            "checkpoint": checkpoint.to_string(),
        }))?;
        match self.balance {
            Some(balance) => out.line(format_args!("{balance} credits"))?,
            None => out.line(format_args!("the ledger has no account {account}"))?,
        }
        out.line(format_args!(
            "verified in block {height} of {}, certified by more than two thirds of {} validators",
            Moment(time),
            set.members().len()
        ))?;
        out.remark(format_args!("checkpoint {checkpoint}"))
    }
}

/// The trusted point as the home keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    genesis: Text<GenesisHash>,
    height: u64,
    block: Text<BlockHash>,
    /// Milliseconds since the Unix epoch.
    time: u64,
    /// The validators after it, in DAG-CBOR and hex.
    set: String,
}

impl Kept {
    fn of(trusted: &Trusted) -> Self {
        Self {
            genesis: Text(trusted.genesis),
            height: trusted.height,
            block: Text(trusted.block),
            time: trusted.time.0,
            set: hex(&codec::encode(&trusted.set)),
        }
    }

    fn read(path: &Path) -> Result<Option<Trusted>, Failure> {
        let damaged = |why: String| {
            let path = path.display();
            let mend = "delete it, and give a checkpoint that you trust";
            Failure::new(FAILED, format_args!("{path}: {why}; {mend}"))
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(damaged(e.to_string())),
        };
        let kept: Self = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        Ok(Some(Trusted {
            genesis: kept.genesis.0,
            height: kept.height,
            block: kept.block.0,
            time: Time(kept.time),
            set: read(&kept.set, "validators").map_err(|e| damaged(e.message))?,
        }))
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec(self).map_err(io::Error::from)?;
        write(path, &text, 0o600).map_err(of_home)
    }
}

/// The header that the layout says; what stands beside it is for people.
fn header(shown: &BlockHeader) -> Result<Header, Failure> {
    let layout = bytes(&shown.layout, "header")?;
    Header::from_layout(&layout).map_err(|e| refused(format_args!("the header is {e}")))
}

fn proof(shown: &Proof) -> Result<StateProof, Failure> {
    let value = shown.value.as_ref();
    let path = bytes(&shown.path, "path")?;
    Ok(StateProof {
        value: value.map(|value| bytes(value, "value")).transpose()?,
        path: MapProof::from_bytes(&path).map_err(refused)?,
        roots: Roots {
            accounts: shown.roots.accounts.0,
            providers: shown.roots.providers.0,
            rest: shown.roots.rest.0,
        },
    })
}

fn bytes(text: &str, what: &str) -> Result<Vec<u8>, Failure> {
    from_hex(text).ok_or_else(|| refused(format_args!("the {what} is not in hex")))
}

fn read<T: Serialize + for<'de> Deserialize<'de>>(text: &str, what: &str) -> Result<T, Failure> {
    let bytes = bytes(text, what)?;
    codec::decode(&bytes).map_err(|e| refused(format_args!("the {what} do not read: {e}")))
}

/// What a node showed is not believed.
fn refused(why: impl fmt::Display) -> Failure {
    Failure::new(FAILED, format_args!("refused: {why}"))
}

fn of_home(e: HomeError) -> Failure {
    let code = e.exit_code();
    Failure::new(code, e)
}
