//! The chain, and what stands behind each fact.

use std::{collections::BTreeMap, sync::Arc};
use tallystick_bundle::check_authority;
use tallystick_civics::roles::{Event as RolesEvent, Roles, State};
use tallystick_core::{Authority, Body, Decider, Digest32, Fact, Timestamp, fact::CHAIN_START};
use tallystick_escrow::Event;

use super::{Damage, Fsck, Sound, away::Away, registry::Registry, remembered::Remembered};
use crate::{
    away::STREAM as AWAY,
    cause::{Trusted, check_cause},
    change::stream_of,
    erase::{ERASED, Erased, STREAM},
    port::{evidence::Matter, limits::PAGE_MAX, request::RequestReader, snapshot::Snapshot},
    registry::is_arbitrator,
    roles::{self, STREAM as ROLES},
    standing::{KEPT, Kept},
    vault::{EvidenceErased, STREAMS as EVIDENCE},
};

const NOBODY: &str = "has nobody behind it";

/// A stream, as far as its facts were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The version of its last fact.
    pub(super) version: u64,
    /// The first fact whose body is erased, and its version.
    first_erased: Option<u64>,
    /// The last version with a private body that is whole.
    last_whole: u64,
    /// The last version with a body that is erased.
    last_erased: u64,
    /// Whether a fact of it took payment hashes for it: that is told by its kind, also once it is erased.
    pub(super) took_names: bool,
    /// The fact that ended its task, and when: that is told by its kind as well.
    ended: Option<(u64, Timestamp)>,
}

impl Seen {
    /// Whether there is nothing left to replay.
    pub(super) fn is_erased(self) -> bool {
        self.first_erased.is_some()
    }
}

/// An erasure that an admin must have been let make.
#[derive(Debug)]
pub(super) struct Erasing {
    /// What was erased.
    pub(super) stream: String,
    /// What stands behind it.
    pub(super) authority: Digest32,
    /// The fact that tells.
    pub(super) seq: u64,
}

impl Erasing {
    fn of(fact: &Fact, stream: &str) -> Self {
        Self { stream: stream.to_owned(), authority: fact.authority, seq: fact.seq }
    }
}

/// Facts that were checked.
#[derive(Debug)]
pub(super) struct Facts {
    /// Whose word counts: the node's is its first one's, if nobody named it.
    trusted: Trusted,
    seq: u64,
    head: Digest32,
    erased: u64,
    signatures: u64,
    /// Each stream with what was seen of it.
    pub(super) streams: BTreeMap<String, Seen>,
    /// Authorities, each with the last fact that it stands behind.
    authorities: BTreeMap<Digest32, u64>,
    /// Erasures that were told: the stream's last version then, and the fact that tells.
    told: BTreeMap<String, (u64, u64)>,
    /// Evidence that was told to be erased: the fact that tells, and the hashes.
    pub(super) evidence_erased: BTreeMap<Matter, (u64, Vec<Digest32>)>,
    /// What stands behind the erasures that were told since there are roles, and behind which fact.
    pub(super) by_admins: Vec<Erasing>,
    /// The facts in which admins were let do something outside of the roles, by what stands behind them.
    let_do: BTreeMap<Digest32, u64>,
    /// What is remembered of requests.
    pub(super) remembered: Remembered,
    /// The registry of arbitrators.
    pub(super) registry: Registry,
    /// When the node was away.
    pub(super) away: Away,
    /// Who has which role.
    roles: State,
}

impl Facts {
    pub(super) fn new(trusted: Trusted, remembered: Remembered) -> Self {
        Self {
            trusted,
            seq: 0,
            head: CHAIN_START,
            erased: 0,
            signatures: 0,
            streams: BTreeMap::new(),
            authorities: BTreeMap::new(),
            told: BTreeMap::new(),
            by_admins: Vec::new(),
            let_do: BTreeMap::new(),
            evidence_erased: BTreeMap::new(),
            remembered,
            registry: Registry::default(),
            roles: State::default(),
            away: Away::default(),
        }
    }

    /// Checks facts that follow those before.
    pub(super) async fn check(&mut self, fsck: &Fsck, page: &[Fact]) -> Result<(), Damage> {
        let mut signed = Vec::new();
        for fact in page {
            self.link(fact)?;
            self.remembered.recorded(fact);
            let authority = fsck.store.authority(fact.authority).await?;
            match &authority {
                Some(Authority::Node { author, .. }) => {
                    self.trusted.node.get_or_insert(*author);
                }
                Some(Authority::Request(request)) => self.remembered.caused(request.id, fact),
                None => {}
            }
            self.know(fsck, fact, authority.as_ref())?;
            signed.push((fact.clone(), authority));
        }
        self.signatures += verify(signed, &fsck.requests, &self.trusted).await?;
        Ok(())
    }

    /// Whether a fact that tells who may do what was asked for by somebody who might. From the roles' first fact on they
    /// say who operates; what they decide is checked by themselves.
    fn know(&mut self, fsck: &Fsck, fact: &Fact, authority: Option<&Authority>) -> Result<(), Damage> {
        match fact.stream.as_str() {
            ROLES => {
                let event =
                    roles::event_of(fact).map_err(|error| Damage::fact(fact.seq, format!("is none: {error}")))?;
                self.roles = Roles::evolve(std::mem::take(&mut self.roles), &event);
                self.trusted.operators.clear();
                Ok(())
            }
            AWAY => self.away.add(fact),
            stream if is_arbitrator(stream) => self.registry.add(fsck, fact, authority, &self.roles),
            // The node itself erases what has been kept long enough.
            stream if stream.starts_with(EVIDENCE) && matches!(authority, Some(Authority::Request(_))) => {
                if self.roles.is_founded() {
                    self.by_admins.push(Erasing::of(fact, stream));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The last fact is the one that was written last.
    pub(super) fn check_head(&self, (seq, hash): (u64, Digest32)) -> Result<(), Damage> {
        match seq {
            more if more > self.seq => Err(Damage::fact(self.seq + 1, "is missing, and so are all after it")),
            _ if (seq, hash) == (self.seq, self.head) => Ok(()),
            _ => Err(Damage::fact(self.seq, "is not the one that was written last")),
        }
    }

    fn link(&mut self, fact: &Fact) -> Result<(), Damage> {
        let bad = |what: &str| Err(Damage::fact(fact.seq, what));
        if fact.seq != self.seq + 1 {
            return Err(Damage::fact(self.seq + 1, "is missing"));
        }
        if fact.prev != self.head {
            return bad("does not follow the fact before it");
        }
        if fact.link() != fact.hash {
            return bad("does not match its hash");
        }
        if !fact.body.is_sound() {
            return bad("has a body that does not open its commitment");
        }
        // One request or word causes the facts of one decision: it cannot stand behind others as well. But an admin's stands
        // behind what it was let do, and then behind what was done.
        let is_let = (fact.stream == STREAM && [ERASED, KEPT].contains(&fact.kind.as_str()))
            || fact.stream.starts_with(EVIDENCE);
        let before = self.authorities.insert(fact.authority, fact.seq);
        let follows = |last| last + 1 == fact.seq || (is_let && self.let_do.get(&fact.authority) == Some(&last));
        if before.is_some_and(|last| !follows(last)) {
            return bad("has a request behind it that caused other facts");
        }
        if fact.stream == ROLES && fact.kind == RolesEvent::AUTHORISED {
            self.let_do.insert(fact.authority, fact.seq);
        }
        let seen = self.streams.entry(fact.stream.clone()).or_default();
        if fact.version != seen.version + 1 {
            return bad("skips a version of its stream");
        }
        seen.version = fact.version;
        seen.took_names |= fact.kind == Event::ACCEPTED;
        if [Event::TASK_SETTLED, Event::TASK_REFUNDED].contains(&fact.kind.as_str()) {
            seen.ended.get_or_insert((fact.seq, fact.recorded_at));
        }
        match &fact.body {
            Body::Private { opening: None, .. } => {
                seen.first_erased.get_or_insert(fact.seq);
                seen.last_erased = fact.version;
                self.erased += 1;
            }
            Body::Private { opening: Some(_), .. } => seen.last_whole = fact.version,
            Body::Public(_) => {}
        }
        (self.seq, self.head) = (fact.seq, fact.hash);
        if let Some(EvidenceErased { matter, hashes }) = EvidenceErased::of(fact) {
            self.evidence_erased.insert(matter, (fact.seq, hashes));
        }
        if fact.stream == STREAM && fact.kind == ERASED {
            let Some(erased) = Erased::of(fact) else { return bad("tells of an erasure in no words that it may have") };
            if self.streams.contains_key(ROLES) {
                self.by_admins.push(Erasing::of(fact, &erased.stream));
            }
            let told = self.told.entry(erased.stream).or_default();
            if told.0 <= erased.version {
                *told = (erased.version, fact.seq);
            }
        }
        if fact.stream == STREAM && fact.kind == KEPT {
            let Ok(Some(Kept { deal, .. })) = Kept::of(fact) else {
                return bad("keeps a deal in no words that it may have");
            };
            let seen = self.streams.get(&stream_of(deal.task.same())).copied().unwrap_or_default();
            if seen.ended != Some((deal.seq, deal.ended_at)) {
                return bad("keeps a deal that its task did not end with");
            }
        }
        Ok(())
    }

    /// What is erased was told to be, and what was told to be erased is.
    pub(super) fn check_erasures(&self) -> Result<(), Damage> {
        let none = (0, 0);
        let untold = self.streams.iter().filter_map(|(stream, seen)| {
            let first = seen.first_erased?;
            (self.told.get(stream).unwrap_or(&none).0 < seen.last_erased).then_some(first)
        });
        if let Some(first) = untold.min() {
            return Err(Damage::fact(first, "lost its body, and no fact tells that it was erased"));
        }
        for (stream, (version, seq)) in &self.told {
            let seen = self.streams.get(stream).copied().unwrap_or_default();
            if seen.version < *version {
                return Err(Damage::fact(*seq, "tells that more was erased than there is"));
            }
            if seen.last_whole > 0 && seen.last_whole <= *version {
                return Err(Damage::fact(*seq, format!("tells that {stream} was erased, and it is still there")));
            }
        }
        Ok(())
    }

    /// Whoever stands behind a fact is kept, erased or not, and nobody else.
    pub(super) async fn check_authorities(&self, store: &dyn Snapshot) -> Result<(), Damage> {
        let mut named = self.authorities.iter();
        let mut after = None;
        loop {
            let page = store.authorities(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for kept in &page {
                match named.next() {
                    Some((digest, _)) if digest == kept => {}
                    Some((digest, seq)) if digest < kept => return Err(Damage::fact(*seq, NOBODY)),
                    _ => return Err(Damage::Authorities(format!("{kept} stands behind no fact"))),
                }
            }
        }
        named.next().map_or(Ok(()), |(_, seq)| Err(Damage::fact(*seq, NOBODY)))
    }

    pub(super) fn sound(&self) -> Sound {
        Sound { facts: self.seq, erased: self.erased, signatures: self.signatures, ..Sound::default() }
    }
}

/// Checks who stands behind each fact, on all cores. Answers how many signatures there were.
async fn verify(
    facts: Vec<(Fact, Option<Authority>)>,
    requests: &Arc<dyn RequestReader>,
    trusted: &Trusted,
) -> Result<u64, Damage> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let size = facts.len().div_ceil(cores).max(1);
    let mut facts = facts.into_iter();
    let mut parts = Vec::new();
    loop {
        let part: Vec<_> = facts.by_ref().take(size).collect();
        if part.is_empty() {
            break;
        }
        let (requests, trusted) = (Arc::clone(requests), trusted.clone());
        parts.push(tokio::task::spawn_blocking(move || verify_some(&part, &*requests, &trusted)));
    }
    let mut signatures = 0;
    // In their order: the first bad one is named.
    for part in parts {
        signatures += part.await.map_err(|_| Damage::Log("a check ended in a panic".into()))??;
    }
    Ok(signatures)
}

fn verify_some(
    facts: &[(Fact, Option<Authority>)],
    requests: &dyn RequestReader,
    trusted: &Trusted,
) -> Result<u64, Damage> {
    let mut signatures = 0;
    for (fact, authority) in facts {
        match authority {
            Some(authority) => {
                let unproven = |why: String| Damage::fact(fact.seq, format!("is not proven: {why}"));
                let signed = check_authority(fact, authority).map_err(|error| unproven(error.to_string()))?;
                let in_time = signed.claims.map_or(Ok(()), |claims| claims.check_time(fact.recorded_at));
                in_time.map_err(|error| unproven(error.to_string()))?;
                check_cause(fact, authority, requests, trusted).map_err(|error| unproven(error.to_string()))?;
                signatures += 1;
            }
            None if matches!(fact.body, Body::Private { opening: None, .. }) => {}
            None => return Err(Damage::fact(fact.seq, NOBODY)),
        }
    }
    Ok(signatures)
}
