//! What would be forgotten, brought back or tagged: marks for the admin key to sign. What is signed comes
//! back by `backup_mark`; until then nothing has happened.

use super::NodeApi;
use crate::home::now;
use crate::jobs::resolve_error;
use crate::shown::{from_hex, hex, internal, stopping};
use larder_backup::vault::named;
use larder_backup::{Authority, Candidate, Keep, Mark, Say, SignedMark, SnapshotId, Standing};
use larder_engine::{Command, Input};
use larder_ledger::Reduction;
use larder_rpc::{
    Code, Dropping, ForgetParams, GroupBy, KeepRules, KeptSnapshot, MarkParams, MarkPlan, Marked,
    Moment, ReduceParams, RpcError, TagParams, Text, ToReduce, UndeleteParams, UnsignedMark,
};
use larder_types::{Epoch, Millis, codec};
use std::collections::{BTreeMap, BTreeSet};

/// For how long a forgotten snapshot can be brought back where nobody says otherwise: seven days.
pub(crate) const LOCK: Millis = Millis(7 * 24 * 3_600_000);

type Past = (SnapshotId, larder_backup::Snapshot, Standing);

impl NodeApi {
    pub(super) async fn plan_forget(&self, params: ForgetParams) -> Result<MarkPlan, RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        let lock = params.lock_ms.map_or(LOCK, Millis);
        let until = epoch.saturating_add(self.epochs(lock));
        let history = self.jobs.vault.history().await.map_err(internal)?;
        let (gone, kept) = match (&params.keep, params.snapshots.is_empty()) {
            (None, false) => (each(&history, &params.snapshots)?, Vec::new()),
            (Some(rules), true) if *rules != KeepRules::default() => by_rules(&history, &params),
            (Some(_), true) => return Err(bad("no keep rule says anything: name one")),
            (None, true) => return Err(bad("name snapshots, or a keep rule")),
            (Some(_), false) => return Err(bad("name snapshots or keep rules, not both")),
        };
        let marks = gone
            .into_iter()
            .map(|past| (past, Say::Forget { until }))
            .collect();
        self.plan(epoch, marks, kept)
    }

    pub(super) async fn plan_undelete(&self, params: UndeleteParams) -> Result<MarkPlan, RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        let history = self.jobs.vault.history().await.map_err(internal)?;
        let is_back = |(_, _, s): &&Past| s.forgotten.is_some_and(|f| f.is_locked(epoch));
        let back: Vec<Past> = match (params.all, params.snapshots.is_empty()) {
            (true, true) => history.iter().filter(is_back).cloned().collect(),
            (false, false) => each(&history, &params.snapshots)?,
            (true, false) | (false, true) => return Err(bad("name snapshots, or --all")),
        };
        if let Some((id, _, _)) = back.iter().find(|past| {
            let (_, _, standing) = past;
            standing.forgotten.is_some() && !is_back(past)
        }) {
            return Err(RpcError::new(Code::DelayOver, over(id)));
        }
        let marks = back
            .into_iter()
            .filter(|(_, _, s)| s.forgotten.is_some())
            .map(|past| (past, Say::Undelete))
            .collect();
        self.plan(epoch, marks, Vec::new())
    }

    pub(super) async fn plan_tag(&self, params: TagParams) -> Result<MarkPlan, RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        if params.add.is_empty() && params.remove.is_empty() {
            return Err(bad("name tags to add or to remove"));
        }
        let history = self.jobs.vault.history().await.map_err(internal)?;
        let retagged = each(&history, &params.snapshots)?.into_iter();
        let marks = retagged
            .filter_map(|past| {
                let before = &past.1.tags;
                let mut tags: Vec<String> = before
                    .iter()
                    .filter(|t| !params.remove.contains(t))
                    .cloned()
                    .collect();
                for tag in &params.add {
                    if !tags.contains(tag) {
                        tags.push(tag.clone());
                    }
                }
                (tags != *before).then_some((past, Say::Tags(tags)))
            })
            .collect();
        self.plan(epoch, marks, Vec::new())
    }

    pub(super) async fn mark(&self, params: MarkParams) -> Result<Marked, RpcError> {
        let marks = params.marks.iter().map(|text| {
            let wrong = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
            let bytes = from_hex(text).ok_or_else(|| wrong(&"a mark is `0x` and hex"))?;
            codec::decode::<SignedMark>(&bytes).map_err(|e| wrong(&e))
        });
        let marks: Vec<SignedMark> = marks.collect::<Result<_, _>>()?;
        self.in_time(&marks).await?;
        self.jobs.mark(marks).await
    }

    /// Whoever plans to bring a snapshot back may take long to find the words: a prune may have begun on what
    /// it needs.
    async fn in_time(&self, marks: &[SignedMark]) -> Result<(), RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        let history = self.jobs.vault.history().await.map_err(internal)?;
        let late = history.iter().find(|(id, _, standing)| {
            let back = |m: &SignedMark| m.mark.snapshot == *id && m.mark.say == Say::Undelete;
            standing.forgotten.is_some_and(|f| !f.is_locked(epoch)) && marks.iter().any(back)
        });
        late.map_or(Ok(()), |(id, ..)| {
            Err(RpcError::new(Code::DelayOver, over(id)))
        })
    }

    /// How what was dropped stands. Whatever marks say is gone the engine is told, once more if need be:
    /// it may not have heard.
    pub(super) async fn dropping(&self) -> Result<Dropping, RpcError> {
        let dropped = self.jobs.vault.dropped().await.map_err(internal)?;
        let drop = Input::Command(Command::Drop(dropped.into_iter().collect()));
        self.driver.input(drop).await.map_err(stopping)?;
        let standing = self.engine(larder_engine::Engine::dropping).await?;
        let ready = standing.ready.iter().map(|it| ToReduce {
            provider: Text(it.provider),
            signed: hex(&codec::encode(&it.signed)),
            shards: it.shards,
            bytes: it.bytes.0,
        });
        Ok(Dropping {
            ready: ready.collect(),
            waiting: standing.waiting,
            agreed: standing.agreed,
        })
    }

    pub(super) async fn reduce(&self, params: ReduceParams) -> Result<Dropping, RpcError> {
        let reductions = params.reductions.iter().map(|text| {
            let wrong = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
            let bytes = from_hex(text).ok_or_else(|| wrong(&"a reduction is `0x` and hex"))?;
            codec::decode::<Reduction>(&bytes).map_err(|e| wrong(&e))
        });
        let reductions: Vec<Reduction> = reductions.collect::<Result<_, _>>()?;
        let authority = self.jobs.vault.authority();
        if reductions
            .iter()
            .any(|r| authority.is_none_or(|a| a.admin != r.key))
        {
            let why = "a reduction is not signed by this account's words";
            return Err(RpcError::new(Code::WrongWords, why));
        }
        let reduce = Input::Command(Command::Reduce(reductions));
        self.driver.input(reduce).await.map_err(stopping)?;
        self.dropping().await
    }

    /// Epochs of the ledger in `time`, rounded up.
    fn epochs(&self, time: Millis) -> Epoch {
        let epochs = time.0.div_ceil(self.genesis.params.epoch.0.max(1));
        Epoch::try_from(epochs).unwrap_or(Epoch::MAX)
    }

    fn plan(
        &self,
        epoch: Epoch,
        marks: Vec<(Past, Say)>,
        kept: Vec<KeptSnapshot>,
    ) -> Result<MarkPlan, RpcError> {
        let Authority { admin, genesis } = self.jobs.vault.authority().ok_or_else(|| {
            let why = "this home has no device certificate: make it anew with `larder recover`";
            RpcError::new(Code::NoAccount, why)
        })?;
        let time = now();
        let marks = marks.into_iter().map(|((snapshot, it, standing), say)| {
            let tags = match &say {
                Say::Tags(tags) => tags.clone(),
                Say::Forget { .. } | Say::Undelete | Say::Dropped(_) => it.tags,
            };
            let mark = Mark {
                snapshot,
                no: standing.no + 1,
                epoch,
                time,
                say,
            };
            UnsignedMark {
                snapshot: snapshot.to_string(),
                time: Moment(it.time),
                tags,
                mark: hex(&codec::encode(&mark)),
            }
        });
        Ok(MarkPlan {
            admin: hex(&admin),
            genesis: Text(genesis),
            epoch,
            marks: marks.collect(),
            kept,
        })
    }
}

fn over(id: &SnapshotId) -> String {
    format!("the delay in which {id} could be brought back is over")
}

fn bad(why: &str) -> RpcError {
    RpcError::new(Code::BadSelection, why)
}

/// The snapshots that `names` mean, each once.
fn each(history: &[Past], names: &[String]) -> Result<Vec<Past>, RpcError> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in names {
        let past = named(history, name).map_err(|e| resolve_error(&e))?;
        if seen.insert(past.0) {
            found.push(past);
        }
    }
    Ok(found)
}

/// What the rules let go of what is not forgotten, and what they keep.
fn by_rules(history: &[Past], params: &ForgetParams) -> (Vec<Past>, Vec<KeptSnapshot>) {
    let keep = rules(params.keep.as_ref());
    let by = params.group_by.clone();
    let by = by.unwrap_or_else(|| vec![GroupBy::Host, GroupBy::Paths]);
    let mut groups: BTreeMap<Vec<String>, Vec<&Past>> = BTreeMap::new();
    let wanted = history.iter().filter(|(_, it, standing)| {
        let of_path = |path: &String| it.paths().any(|p| p.to_string_lossy() == path.as_str());
        standing.forgotten.is_none() && params.path.as_ref().is_none_or(of_path)
    });
    for past in wanted {
        groups.entry(group(&past.1, &by)).or_default().push(past);
    }
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for group in groups.into_values() {
        let candidates: Vec<_> = group
            .iter()
            .map(|(_, it, _)| Candidate {
                time: it.time,
                tags: &it.tags,
            })
            .collect();
        for (past, reasons) in group.iter().zip(keep.judge(&candidates, now())) {
            if reasons.is_empty() {
                gone.push((*past).clone());
            } else {
                kept.push(KeptSnapshot {
                    snapshot: past.0.to_string(),
                    time: Moment(past.1.time),
                    reasons: reasons.iter().map(|r| r.word().to_owned()).collect(),
                });
            }
        }
    }
    (gone, kept)
}

/// What snapshots of one group have in common. Each part begins with how much there is of it, so that two
/// groups never look the same.
fn group(it: &larder_backup::Snapshot, by: &[GroupBy]) -> Vec<String> {
    let mut key = Vec::new();
    for by in by {
        let mut part: Vec<String> = match by {
            GroupBy::Host => vec![it.host.clone()],
            GroupBy::Paths => it.paths().map(|p| format!("{p:?}")).collect(),
            GroupBy::Tags => it.tags.clone(),
        };
        part.sort();
        key.push(part.len().to_string());
        key.append(&mut part);
    }
    key
}

fn rules(rules: Option<&KeepRules>) -> Keep {
    let rules = rules.cloned().unwrap_or_default();
    Keep {
        last: rules.last,
        hourly: rules.hourly,
        daily: rules.daily,
        weekly: rules.weekly,
        monthly: rules.monthly,
        yearly: rules.yearly,
        within: rules.within_ms.map(Millis),
        tags: rules.tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::{BlobId, Class, Time};
    use serde_bytes::ByteBuf;

    fn past(n: u8, host: &str, path: &str, tags: &[&str]) -> Past {
        let snapshot = larder_backup::Snapshot {
            time: Time(u64::from(n) * 1_000),
            host: host.to_owned(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            paths: vec![ByteBuf::from(path.as_bytes())],
            class: Class::Normal,
            root: larder_backup::content::Content::default(),
            files: 0,
            dirs: 0,
            bytes: 0,
            errors: 0,
        };
        (BlobId([n; 32]), snapshot, Standing::default())
    }

    fn gone(history: &[Past], params: &ForgetParams) -> Vec<u8> {
        let (gone, kept) = by_rules(history, params);
        let wanted = history.iter().filter(|p| p.2.forgotten.is_none()).count();
        assert!(gone.len() + kept.len() <= wanted);
        let mut gone: Vec<u8> = gone.iter().map(|(id, _, _)| id.0[0]).collect();
        gone.sort_unstable();
        gone
    }

    #[test]
    fn rules_go_group_by_group() {
        let history = [
            past(1, "a", "/x", &[]),
            past(2, "a", "/x", &["t"]),
            past(3, "b", "/x", &[]),
            past(4, "a", "/y", &[]),
            past(5, "a", "/x", &[]),
        ];
        let params = |by: Option<Vec<GroupBy>>, path: Option<&str>| ForgetParams {
            keep: Some(KeepRules {
                last: 1,
                ..KeepRules::default()
            }),
            group_by: by,
            path: path.map(str::to_owned),
            ..ForgetParams::default()
        };
        assert_eq!(gone(&history, &params(None, None)), [1, 2]);
        assert_eq!(gone(&history, &params(Some(vec![]), None)), [1, 2, 3, 4]);
        let by_host = params(Some(vec![GroupBy::Host]), None);
        assert_eq!(gone(&history, &by_host), [1, 2, 4]);
        let by_tags = params(Some(vec![GroupBy::Tags]), None);
        assert_eq!(gone(&history, &by_tags), [1, 3, 4]);
        assert_eq!(gone(&history, &params(Some(vec![]), Some("/x"))), [1, 2, 3]);
    }

    #[test]
    fn a_name_counts_once_and_an_unknown_one_is_refused() {
        let history = [past(1, "a", "/x", &[]), past(2, "a", "/x", &[])];
        let id = history[0].0.to_string();
        let named = each(&history, &[id.clone(), id]).unwrap();
        assert_eq!(named.len(), 1);
        assert!(each(&history, &["nonesuch".into()]).is_err());
    }
}
