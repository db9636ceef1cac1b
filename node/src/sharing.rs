//! Shares: folders of snapshots, for other people to read. What a share holds, the vault and the engine
//! say; here it is put together, written, taken back. Nothing is uploaded. `docs/protocol.md` §3.13.

pub mod address;
mod masks;
mod opening;

pub use masks::Masks;

use crate::driver::DriverHandle;
use crate::home::{Safe, now, read_sharing};
use crate::jobs::{Jobs, browse_error, resolve_error};
use crate::net::NetHandle;
use crate::shown::{internal, stopping};
use crate::store::Store;
use crate::store::shares::{GivenShare, ShareId};
use larder_backup::{ShareFault, Shared};
use larder_engine::head::DeviceCert;
use larder_engine::share::{
    Lendable, MAX_NAME, SegmentShare, Share, ShareError, SharedBlob, SharedPlace,
};
use larder_engine::{Command, Input};
use larder_keys::{AccountSigner, GivenKey, SharingCert, SharingKey, Signer};
use larder_rpc::{Code, Moment, Revocation, RpcError, ShareAddress, ShareMade, ShareParams, Text};
use larder_types::{AccountId, ContractId, GenesisHash, Millis, NodeId, SegmentId, Time, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most blobs of a share: with a key each they take four fifths of its file.
const MAX_BLOBS: usize = 300_000;
/// Shares that are remembered.
const MAX_SHARES: usize = 1_000;
/// How long a share stands unless it is said, and at most.
const LASTS: Millis = Millis(30 * 86_400_000);
const MOST: Millis = Millis(366 * 86_400_000);
/// How long the answer to a revocation waits for providers' word.
const TOLD_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether that has come.
const LOOK: Duration = Duration::from_millis(100);

/// What shares are made and opened with. Clones are the same.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// The home, in which the sharing key lies.
    pub home: PathBuf,
    /// The home's secrets.
    pub safe: Safe,
    /// The network.
    pub genesis: GenesisHash,
    /// The home's account.
    pub account: AccountId,
    /// This device, which signs shares.
    pub device: Signer,
    /// Its certificate.
    pub cert: Option<DeviceCert>,
    /// What signs the rights to read.
    pub ledger_key: AccountSigner,
    /// The engine.
    pub driver: DriverHandle,
    /// The database.
    pub store: Store,
    /// The transport.
    pub net: NetHandle,
    /// The vault, and restores.
    pub jobs: Jobs,
    /// The mask keys of what is being read.
    pub masks: Masks,
    /// One restore from a share at a time.
    pub turn: Arc<Mutex<()>>,
    /// One change of a share's row at a time.
    pub writing: Arc<Mutex<()>>,
}

/// A share put together.
struct Made {
    sealed: Vec<u8>,
    segments: Vec<(SegmentId, Vec<(u16, ContractId)>)>,
    files: u64,
    dirs: u64,
    bytes: u64,
}

impl Sharing {
    fn key(&self) -> Result<(SharingKey, SharingCert), RpcError> {
        let read = read_sharing(&self.home, &self.safe).map_err(internal)?;
        read.ok_or_else(|| {
            let why = "this home is older than shares: give it its sharing key with \
                `larder shared address --words-file FILE`";
            RpcError::new(Code::NoSharingKey, why)
        })
    }

    /// The home's share address.
    ///
    /// # Errors
    /// [`Code::NoSharingKey`].
    pub fn address(&self) -> Result<ShareAddress, RpcError> {
        let (_, cert) = self.key()?;
        Ok(ShareAddress {
            account: Text(cert.account),
            address: address::to_text(&cert),
        })
    }

    /// Shares a path of a snapshot.
    ///
    /// # Errors
    /// What stands in its way; then nothing was shared.
    pub async fn create(&self, params: ShareParams) -> Result<ShareMade, RpcError> {
        let to = self.recipient(&params.to)?;
        let name = name(&params)?;
        let expiry = expiry(params.expires)?;
        let mut count = 0;
        for (id, share) in self.store.shares().await.map_err(internal)? {
            if share.expiry < now() {
                self.store.drop_share(&id).await.map_err(internal)?;
            } else {
                count += 1;
            }
        }
        if count >= MAX_SHARES {
            let why = format_args!(
                "there are {MAX_SHARES} shares: no more fit until the first of them ends"
            )
            .to_string();
            return Err(RpcError::new(Code::ShareTooLarge, why));
        }
        let resolved = self.jobs.vault.resolve(&params.snapshot).await;
        let (snapshot, _) = resolved.map_err(|e| resolve_error(&e))?;
        let created = now();
        let share = GivenShare {
            name,
            to,
            snapshot: snapshot.to_string(),
            path: params.path,
            created,
            expiry,
            revoked: None,
            files: 0,
            dirs: 0,
            bytes: 0,
            segments: Vec::new(),
            contracts: Vec::new(),
        };
        let id: ShareId = rand::random();
        self.write(id, share, params.file).await
    }

    /// Writes a share's file anew.
    ///
    /// # Errors
    /// [`Code::ShareRevoked`] and [`Code::ShareExpired`]: it is to be made anew.
    pub async fn refresh(&self, name: &str, file: String) -> Result<ShareMade, RpcError> {
        let (id, share) = self.find(name).await?;
        if share.revoked.is_some() {
            let why = "the share was taken back: share the folder anew";
            return Err(RpcError::new(Code::ShareRevoked, why));
        }
        if share.expiry < now() {
            let why = "the share's time is over: share the folder anew";
            return Err(RpcError::new(Code::ShareExpired, why));
        }
        self.write(id, share, file).await
    }

    /// Puts a share together, keeps what is to be known of it, writes its file.
    async fn write(
        &self,
        id: ShareId,
        mut share: GivenShare,
        file: String,
    ) -> Result<ShareMade, RpcError> {
        let path = PathBuf::from(&file);
        if !path.is_absolute() {
            let why = format_args!("{file} is not an absolute path").to_string();
            return Err(RpcError::new(Code::BadValue, why));
        }
        // Before the work, not instead of the check when it is written.
        if path.exists() {
            return Err(exists(&file));
        }
        let made = self.put_together(id, &share).await?;
        let contracts = made.segments.iter().flat_map(|(_, held)| held);
        let known: BTreeSet<ContractId> = share
            .contracts
            .iter()
            .copied()
            .chain(contracts.map(|(_, contract)| *contract))
            .collect();
        share.contracts = known.into_iter().collect();
        (share.files, share.dirs, share.bytes) = (made.files, made.dirs, made.bytes);
        share.segments = made.segments;
        // First: what is handed out can be taken back, whatever happens next. It may have been meanwhile.
        let writing = self.writing.lock().await;
        let all = self.store.shares().await.map_err(internal)?;
        if let Some((_, before)) = all.into_iter().find(|(known, _)| *known == id) {
            if before.revoked.is_some() {
                let why = "the share was taken back meanwhile: share the folder anew";
                return Err(RpcError::new(Code::ShareRevoked, why));
            }
            let known: BTreeSet<ContractId> = before
                .contracts
                .into_iter()
                .chain(share.contracts)
                .collect();
            share.contracts = known.into_iter().collect();
        }
        self.store.put_share(&id, &share).await.map_err(internal)?;
        drop(writing);
        let file_bytes = made.sealed.len() as u64;
        let written = tokio::task::spawn_blocking(move || write_new(&path, &made.sealed)).await;
        written.map_err(internal)?.map_err(|e| {
            if e.kind() == std::io::ErrorKind::AlreadyExists {
                return exists(&file);
            }
            RpcError::new(Code::TargetUnwritable, format_args!("{file}: {e}"))
        })?;
        Ok(ShareMade {
            share: self.show(&id, &share).await?,
            file,
            file_bytes,
        })
    }

    async fn put_together(&self, id: ShareId, share: &GivenShare) -> Result<Made, RpcError> {
        let cert = self.cert.clone().ok_or_else(|| {
            let why = "this home's device has no certificate: recover a new home from the words";
            RpcError::new(Code::NoSharingKey, why)
        })?;
        let vault = &self.jobs.vault;
        let resolved = vault.resolve(&share.snapshot).await;
        let (_, snapshot) = resolved.map_err(|e| resolve_error(&e))?;
        let path = PathBuf::from(&share.path);
        let never = CancellationToken::new();
        let with = (self.jobs.segments(), &never);
        let shared = vault.share(snapshot, path, MAX_BLOBS, with).await;
        let shared = shared.map_err(|e| fault(&e))?;
        let ids: Vec<SegmentId> = shared.segments.iter().map(|s| s.id).collect();
        let asked = ids.clone();
        let lendable = self.driver.query(move |engine| engine.lendable(&asked));
        let lendable = lendable.await.map_err(stopping)?;
        let held: BTreeMap<SegmentId, Lendable> = lendable
            .into_iter()
            .map(|l| (l.manifest.segment, l))
            .collect();
        let lacking = ids.iter().find(|id| {
            held.get(*id)
                .is_none_or(|l| l.held.len() < usize::from(l.manifest.code.k()))
        });
        if let Some(id) = lacking {
            let why = format_args!(
                "segment {id} lies with too few providers now: wait until `larder repairs` finds \
                 nothing to do"
            )
            .to_string();
            return Err(RpcError::new(Code::SegmentUnavailable, why));
        }
        let providers: BTreeSet<NodeId> = held
            .values()
            .flat_map(|l| l.held.iter().map(|(_, provider, _)| *provider))
            .collect();
        let providers = self.driver.query(move |engine| engine.heard_at(&providers));
        let providers = providers.await.map_err(stopping)?;
        let (sharing, to, expiry) = (self.clone(), share.to.clone(), share.expiry);
        let name = share.name.clone();
        let seal = move || {
            let vault = &sharing.jobs.vault;
            let reader = vault.reader_key(&id);
            let document = Share {
                id,
                name,
                created: now(),
                expiry,
                files: shared.files,
                dirs: shared.dirs,
                bytes: shared.bytes,
                tree: codec::encode(&shared.tree),
                reader: GivenKey(*reader.to_seed()),
                providers,
                segments: sharing.segments(&shared, &held, (reader.node(), expiry)),
                blobs: blobs(&shared),
            };
            let device = (&sharing.device, &cert);
            let sealed = document.seal(device, &to, &sharing.genesis, &mut rand::rng())?;
            let places = |s: &SegmentShare| {
                let places = s.places.iter();
                let held = places.map(|p| (p.position, p.cap.contract)).collect();
                (s.manifest.segment, held)
            };
            Ok::<_, ShareError>(Made {
                sealed,
                segments: document.segments.iter().map(places).collect(),
                files: shared.files,
                dirs: shared.dirs,
                bytes: shared.bytes,
            })
        };
        let made = tokio::task::spawn_blocking(seal).await.map_err(internal)?;
        made.map_err(|e| share_error(&e))
    }

    /// Each segment with the keys of its outer encryption and masks, and the rights to read its roots.
    fn segments(
        &self,
        shared: &Shared,
        held: &BTreeMap<SegmentId, Lendable>,
        reader: (NodeId, Time),
    ) -> Vec<SegmentShare> {
        let segment = |s: &larder_backup::LentSegment| {
            let lendable = held.get(&s.id)?;
            let places: Vec<SharedPlace> = lendable.grant(reader, &self.ledger_key, &self.genesis);
            Some(SegmentShare {
                manifest: lendable.manifest.clone(),
                outer: s.outer.clone(),
                mask: self.jobs.vault.mask_key(&s.id),
                places,
            })
        };
        shared.segments.iter().filter_map(segment).collect()
    }

    /// Who is meant by a share address.
    fn recipient(&self, text: &str) -> Result<SharingCert, RpcError> {
        let bad = |why: &dyn std::fmt::Display| RpcError::new(Code::BadAddress, why);
        let to = address::from_text(text).map_err(|e| bad(&e))?;
        if !to.is_good(&self.genesis) {
            let why = "the share address is of another network, or its account did not sign it: \
                ask for it once more";
            return Err(bad(&why));
        }
        Ok(to)
    }

    /// What was shared with others, oldest first.
    ///
    /// # Errors
    /// If the database fails, or the node is stopping.
    pub async fn list(&self) -> Result<Vec<larder_rpc::Share>, RpcError> {
        let mut shown = Vec::new();
        for (id, share) in self.store.shares().await.map_err(internal)? {
            shown.push(self.show(&id, &share).await?);
        }
        Ok(shown)
    }

    async fn show(&self, id: &ShareId, share: &GivenShare) -> Result<larder_rpc::Share, RpcError> {
        let ids: Vec<SegmentId> = share.segments.iter().map(|(id, _)| *id).collect();
        let now = self.driver.query(move |engine| engine.lendable(&ids));
        let now: BTreeMap<SegmentId, BTreeSet<(u16, ContractId)>> = now
            .await
            .map_err(stopping)?
            .into_iter()
            .map(|l| {
                let held = l.held.into_iter();
                let places = held.map(|(position, _, contract)| (position, contract));
                (l.manifest.segment, places.collect())
            })
            .collect();
        let moved = share.segments.iter().filter(|(id, then)| {
            now.get(id)
                .is_none_or(|now| then.iter().any(|place| !now.contains(place)))
        });
        Ok(larder_rpc::Share {
            share: hex::encode(id),
            name: share.name.clone(),
            to: Text(share.to.account),
            snapshot: share.snapshot.clone(),
            path: share.path.clone(),
            created: Moment(share.created),
            expires: Moment(share.expiry),
            revoked: share.revoked.map(Moment),
            files: share.files,
            dirs: share.dirs,
            bytes: share.bytes,
            segments: share.segments.len() as u64,
            segments_moved: moved.count() as u64,
        })
    }

    async fn find(&self, name: &str) -> Result<(ShareId, GivenShare), RpcError> {
        let all = self.store.shares().await.map_err(internal)?;
        pick(all, name, "larder shares")
    }

    /// Takes a share back; waits a moment for providers' word, and says who has not answered.
    ///
    /// # Errors
    /// [`Code::NoShare`].
    pub async fn revoke(&self, name: &str) -> Result<Revocation, RpcError> {
        let writing = self.writing.lock().await;
        let (id, mut share) = self.find(name).await?;
        if share.revoked.is_none() {
            share.revoked = Some(now());
            self.store.put_share(&id, &share).await.map_err(internal)?;
        }
        drop(writing);
        let reader = self.jobs.vault.reader_key(&id).node();
        let revoke = Command::Revoke {
            reader,
            until: share.expiry,
            contracts: share.contracts.clone(),
        };
        let told = self.driver.input(Input::Command(revoke)).await;
        told.map_err(stopping)?;
        let began = Instant::now();
        let state = loop {
            let state = self.driver.query(move |engine| engine.revocation(&reader));
            let state = state.await.map_err(stopping)?;
            if state.untold.is_empty() || began.elapsed() >= TOLD_WAIT {
                break state;
            }
            tokio::time::sleep(LOOK).await;
        };
        let nodes = |nodes: Vec<NodeId>| nodes.into_iter().map(Text).collect();
        Ok(Revocation {
            share: self.show(&id, &share).await?,
            told: nodes(state.told),
            untold: nodes(state.untold),
            contracts_ended: state.ended,
        })
    }
}

/// Each blob with its key and place.
fn blobs(shared: &Shared) -> Vec<SharedBlob> {
    let segments = (0..).zip(&shared.segments);
    let blobs = segments.flat_map(|(segment, s)| {
        s.blobs.iter().map(move |blob| SharedBlob {
            id: blob.entry.id,
            key: blob.key.clone(),
            segment,
            offset: blob.entry.offset,
            len: blob.entry.len,
            plain_len: blob.entry.plain_len,
        })
    });
    blobs.collect()
}

/// What a share is called: no path, nothing that a terminal would act on.
fn name(params: &ShareParams) -> Result<String, RpcError> {
    let last = Path::new(&params.path).file_name();
    let last = last.map(|name| name.to_string_lossy().into_owned());
    let name = params.name.clone().or(last);
    let name = name.unwrap_or_else(|| "everything".to_owned());
    let is_fine = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    if is_fine {
        return Ok(name);
    }
    let why = format_args!("a share's name has 1 to {MAX_NAME} bytes and no control characters")
        .to_string();
    Err(RpcError::new(Code::BadValue, why))
}

fn expiry(given: Option<Moment>) -> Result<Time, RpcError> {
    let now = now();
    let expiry = given.map_or_else(|| now.after(LASTS), |moment| moment.0);
    if now < expiry && expiry <= now.after(MOST) {
        return Ok(expiry);
    }
    let why = "a share ends in the future, at most 366 days ahead: choose another time";
    Err(RpcError::new(Code::BadValue, why))
}

/// The share whose id is, or begins with, `name`.
pub(super) fn pick<T>(
    mut all: Vec<(ShareId, T)>,
    name: &str,
    lists: &str,
) -> Result<(ShareId, T), RpcError> {
    let wanted = name.to_ascii_lowercase();
    all.retain(|(id, _)| wanted.len() >= 4 && hex::encode(id).starts_with(&wanted));
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            let why =
                format_args!("several shares begin with {name}: write more of the id").to_string();
            Err(RpcError::new(Code::NoShare, why))
        }
        (None, _) => {
            let why = format_args!("no share {name}: `{lists}` shows which there are").to_string();
            Err(RpcError::new(Code::NoShare, why))
        }
    }
}

fn exists(file: &str) -> RpcError {
    let why = format_args!("{file} exists: name another --file").to_string();
    RpcError::new(Code::TargetUnwritable, why)
}

/// A file that is there whole and synced, readable by its owner alone, or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn fault(error: &ShareFault) -> RpcError {
    match error {
        ShareFault::Browse(inner) => browse_error(inner),
        ShareFault::TooMany(_) => RpcError::new(Code::ShareTooLarge, error),
    }
}

pub(super) fn share_error(error: &ShareError) -> RpcError {
    let code = match error {
        ShareError::TooLong { .. } => Code::ShareTooLarge,
        ShareError::Recipient(_) => Code::BadAddress,
        ShareError::Sealed(_)
        | ShareError::Decode(_)
        | ShareError::Cert
        | ShareError::Signature
        | ShareError::Manifest(_)
        | ShareError::Parts(_) => Code::BadShare,
    };
    RpcError::new(code, error)
}
