//! `tally task prove`: writes what proves a task's facts, one file each.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path};

use super::{Api, documents};

/// Writes the bundles that there are into a folder; answers their names, and which facts must wait.
pub(super) async fn prove(api: &Api, id: &str, out: &Path) -> Result<Value> {
    let task = api.ask("task", documents::PROOFS, json!({ "id": id })).await?;
    ensure!(!task.is_null(), "there is no such task, or its contents were erased");
    let proofs =
        task["proofs"].as_array().context("only its requester, its worker and operators see a task's proofs")?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut told = Vec::new();
    for proof in proofs {
        let (seq, kind) = (proof["seq"].as_u64().context("a fact without a number")?, &proof["kind"]);
        let file = match proof["bundle"].as_str() {
            Some(bundle) => {
                // Contents and signed requests are the parties' own, and files that this program makes its user's alone.
                let path = out.join(format!("fact-{seq}.proof"));
                fs::write(&path, bundle).with_context(|| format!("cannot write {}", path.display()))?;
                json!(path)
            }
            None => Value::Null,
        };
        told.push(json!({ "seq": seq, "kind": kind, "file": file }));
    }
    Ok(json!(told))
}
