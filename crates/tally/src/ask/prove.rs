//! `tally task prove`: writes what proves a task's facts, one file each.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{Api, documents};

/// How often it is looked whether a checkpoint holds all facts by now.
const LOOK: Duration = Duration::from_secs(1);
/// Why a fact has no file.
const WAITS: &str = "it is not under a published checkpoint yet. The node publishes one within seconds, as soon as enough of its \
    witnesses have cosigned it: give this command again, or a longer --wait-secs";

/// Writes the bundles that there are into a folder, once all are there or the time is over; answers their names, and which
/// facts must wait, and for what.
pub(super) async fn prove(api: &Api, id: &str, out: &Path, wait: Duration) -> Result<Value> {
    let proofs = proofs(api, id, wait).await?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut told = Vec::new();
    for proof in &proofs {
        let (seq, kind) = (proof["seq"].as_u64().context("a fact without a number")?, &proof["kind"]);
        told.push(match proof["bundle"].as_str() {
            Some(bundle) => {
                // Contents and signed requests are the parties' own, and files that this program makes its user's alone.
                let path = out.join(format!("fact-{seq}.proof"));
                fs::write(&path, bundle).with_context(|| format!("cannot write {}", path.display()))?;
                json!({ "seq": seq, "kind": kind, "file": path })
            }
            None => json!({ "seq": seq, "kind": kind, "file": null, "why": WAITS }),
        });
    }
    Ok(json!(told))
}

/// The facts with their bundles, as soon as each has one, or as they are when the time is over.
async fn proofs(api: &Api, id: &str, wait: Duration) -> Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let mut task = api.ask("task", documents::PROOFS, json!({ "id": id })).await?;
        ensure!(!task.is_null(), "there is no such task, or its contents were erased");
        let Value::Array(proofs) = task["proofs"].take() else {
            anyhow::bail!("only its requester, its worker and operators see a task's proofs");
        };
        if proofs.iter().all(|proof| proof["bundle"].is_string()) || begun.elapsed() >= wait {
            return Ok(proofs);
        }
        tokio::time::sleep(LOOK.min(wait.saturating_sub(begun.elapsed()))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::post};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tokio::net::TcpListener;

    /// A node that proves the second fact only when it is asked the `n`th time.
    async fn node(n: u32) -> (Api, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let answer = move || async move {
            let late = if count.fetch_add(1, Ordering::AcqRel) + 1 < n { Value::Null } else { json!("second") };
            let proofs =
                [json!({ "seq": 7, "kind": "a", "bundle": "first" }), json!({ "seq": 8, "kind": "b", "bundle": late })];
            json!({ "data": { "task": { "proofs": proofs } } }).to_string()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let router = Router::new().route("/graphql", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Api::new(&url, nostr::key::Keys::generate()).unwrap(), asked)
    }

    #[tokio::test]
    async fn what_is_not_published_yet_says_so_and_is_waited_for() {
        let out = tempfile::tempdir().unwrap();
        let (api, asked) = node(2).await;
        let told = prove(&api, "id", out.path(), Duration::ZERO).await.unwrap();
        assert_eq!(asked.load(Ordering::Acquire), 1, "it was not waited for");
        assert_eq!(told[0]["file"], json!(out.path().join("fact-7.proof")));
        assert_eq!(told[1], json!({ "seq": 8, "kind": "b", "file": null, "why": WAITS }));
        let (api, asked) = node(2).await;
        let told = prove(&api, "id", out.path(), Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(asked.load(Ordering::Acquire), 2);
        assert_eq!(told[1], json!({ "seq": 8, "kind": "b", "file": out.path().join("fact-8.proof") }));
        assert_eq!(fs::read_to_string(out.path().join("fact-8.proof")).unwrap(), "second");
    }
}
