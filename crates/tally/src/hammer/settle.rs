//! After the load: is all that was acknowledged in the log, and proven?

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tallystick_bundle::FactBundle;
use tallystick_core::Id;
use tallystick_escrow::Task;

use super::{
    Violation,
    follow::{Follower, LOOK},
    ledger::{Record, Seen},
    requester::{Requester, patiently},
    run::Run,
};
use crate::ask::documents;

/// Tasks whose proofs are asked for at once.
const AT_ONCE: usize = 4;

/// Waits until the published checkpoint holds all that was acknowledged.
///
/// # Errors
/// [`Violation::NotLogged`] if it takes longer than the limit; else the first [`Violation`] on the way.
pub(super) async fn logged(run: &Run, follower: &mut Follower, limit: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        follower.once().await?;
        let Some((task, step)) = run.ledger.waiting() else { return Ok(()) };
        if start.elapsed() > limit {
            return Err(Violation::NotLogged { task, kind: step.kind(), waited_s: limit.as_secs() }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Fetches the proofs of so many tasks and verifies them as a stranger would. Answers how many facts are proven.
///
/// # Errors
/// [`Violation::Proof`].
pub(super) async fn proven(run: &Run, requesters: &[Requester], tasks_max: usize) -> Result<usize> {
    let sample = run.ledger.sample(tasks_max);
    let proofs = stream::iter(sample).map(async |(task, record)| prove(run, requesters, task, &record).await);
    proofs.buffer_unordered(AT_ONCE).try_fold(0, async |all, proven| Ok(all + proven)).await
}

async fn prove(run: &Run, requesters: &[Requester], task: Id<Task>, record: &Record) -> Result<usize> {
    let bad = |why: String| Violation::Proof { task, why };
    let requester = requesters.get(record.client).ok_or_else(|| bad("nobody has asked for it".into()))?;
    let ask = async || requester.api.ask("task", documents::PROOFS, json!({ "id": task })).await;
    let shown = patiently(run, ask).await?;
    let proofs = shown["proofs"].as_array().ok_or_else(|| bad("they are not shown to its requester".into()))?;
    // It may have more facts by now than the log was seen to hold.
    if proofs.len() < record.facts.len() {
        return Err(bad(format!("there are {}, and the log has {} facts", proofs.len(), record.facts.len())).into());
    }
    for (proof, seen) in proofs.iter().zip(&record.facts) {
        let author = requester.api.client().author();
        let proven = check(run, proof, seen).map_err(|why| bad(format!("fact {}: {why}", seen.seq)))?;
        if proven.is_some_and(|signer| signer != author) {
            return Err(bad(format!("fact {} was signed by somebody else", seen.seq)).into());
        }
    }
    Ok(record.facts.len())
}

/// Who signed what caused the fact, if that is told.
fn check(run: &Run, proof: &Value, seen: &Seen) -> Result<Option<tallystick_core::NostrKey>, String> {
    let bundle = proof["bundle"].as_str().ok_or("it is under the published checkpoint, and has no proof")?;
    let bundle = FactBundle::parse(bundle.as_bytes()).map_err(|error| error.to_string())?;
    let (log, policy) = (&run.signers.log, &run.signers.policy);
    let proven = bundle.verify(log, policy, None).map_err(|error| error.to_string())?;
    if proven.fact.hash != seen.hash || proof["seq"] != seen.seq || proof["kind"] != seen.kind {
        return Err("another fact is proven than the one in the log".into());
    }
    Ok(proven.signed.map(|signed| signed.author))
}
