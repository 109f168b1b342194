//! Making a draw again, without the node.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};
use tallystick_civics::{
    dispute::Seats,
    draw::{Candidate, Candidates, draw},
};
use tallystick_core::Digest32;

use super::{super::Api, matter::keys as keys_in};
use crate::{
    ask::{documents, print},
    cli::OfMilestone,
};

/// The largest file of draws: 10,000 candidates for each of four rounds.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The draws of a milestone's dispute, as `check-draw` reads them.
///
/// # Errors
/// If there is none, or the node does not answer.
pub async fn draws(api: &Api, of: &OfMilestone) -> Result<Value> {
    let task = api.ask("task", documents::DRAWS, json!({ "id": of.id })).await?;
    let draws = &task["milestones"][usize::try_from(of.milestone)?]["dispute"]["draws"];
    ensure!(draws.is_array(), "milestone {} of this task has no dispute", of.milestone);
    Ok(draws.clone())
}

/// Makes each draw in a file again, and compares.
///
/// # Errors
/// Names what differs.
pub fn check_draws(file: &Path, block_hash: Option<Digest32>) -> Result<()> {
    let length = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    ensure!(length <= FILE_BYTES_MAX, "{} is too large for draws", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let draws: Value =
        serde_json::from_str(&text).context("these are no draws, as `tally dispute draws` writes them")?;
    let draws = draws.as_array().context("these are no draws, as `tally dispute draws` writes them")?;
    ensure!(!draws.is_empty(), "there is no draw yet");
    if let Some(hash) = block_hash {
        ensure!(draws.iter().any(|draw| draw["blockHash"] == hash.to_string().as_str()), "no draw is made from {hash}");
    }
    for shown in draws {
        let drawn = check(shown).with_context(|| format!("round {}", shown["round"]))?;
        print::line(format!(
            "round {}: the order of {} names follows from block {} ({}) and the {} candidates as of fact {}",
            shown["round"], drawn.names, shown["block"], drawn.block_hash, drawn.candidates, shown["registrySeq"]
        ))?;
    }
    if block_hash.is_none() {
        print::line("not checked: that the best chain has these blocks (--block-hash, from a node of your own)")?;
    }
    print::line("not checked: that the facts name these blocks and lists (`tally task prove`, `tally verify`)")
}

/// Makes one draw again, and answers how many names it has.
///
/// # Errors
/// Names what differs.
pub fn check_draw(shown: &Value) -> Result<usize> {
    Ok(check(shown)?.names)
}

/// A draw that was made again.
struct Drawn {
    block_hash: Digest32,
    candidates: usize,
    names: usize,
}

fn check(shown: &Value) -> Result<Drawn> {
    let text = |name: &str| shown[name].as_str().with_context(|| format!("it has no {name}"));
    let candidate = |candidate: &Value| -> Result<Candidate> {
        let weight = candidate["weight"].as_u64().context("a candidate has a weight")?;
        let arbitrator = candidate["arbitrator"].as_str().context("a candidate has a key")?.parse()?;
        Ok(Candidate { arbitrator, weight: u32::try_from(weight)? })
    };
    let list = shown["candidates"].as_array().context("it has no candidates")?;
    let list = Candidates::try_new(list.iter().map(candidate).collect::<Result<_>>()?)?;
    let digest: Digest32 = text("candidatesDigest")?.parse()?;
    ensure!(
        list.digest() == digest,
        "the list is not the one that the facts name: it has the digest {}",
        list.digest()
    );
    let excluded: BTreeSet<_> = keys_in(&shown["excluded"])?.into_iter().collect();
    let seats = match shown["seats"].as_u64() {
        Some(1) => Seats::One,
        Some(3) => Seats::Three,
        Some(5) => Seats::Five,
        Some(7) => Seats::Seven,
        _ => bail!("a panel has 1, 3, 5 or 7 seats"),
    };
    let (block_hash, dispute) = (text("blockHash")?.parse()?, text("dispute")?.parse()?);
    let round = u32::try_from(shown["round"].as_u64().context("it has no round")?)?;
    let order = draw(&block_hash, dispute, round, &list.without(&excluded), seats);
    ensure!(order == keys_in(&shown["order"])?, "another order follows: {order:?}");
    Ok(Drawn { block_hash, candidates: list.as_slice().len(), names: order.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::{Id, NodeKey};

    fn shown() -> Value {
        let mut list: Vec<_> = (1..=20u8)
            .map(|n| Candidate { arbitrator: NodeKey::try_new(&[n; 32]).unwrap().public(), weight: n.into() })
            .collect();
        list.sort_by_key(|candidate| candidate.arbitrator);
        let excluded = [list[3].arbitrator, list[7].arbitrator];
        let candidates = Candidates::try_new(list).unwrap();
        let (hash, dispute) = (Digest32([7; 32]), Id::from_parts(5, [2; 10]));
        let order = draw(&hash, dispute, 2, &candidates.without(&excluded.into()), Seats::Three);
        let text = |keys: &[tallystick_core::NostrKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        let list: Vec<_> = candidates
            .as_slice()
            .iter()
            .map(|one| json!({ "arbitrator": one.arbitrator.to_string(), "weight": one.weight }))
            .collect();
        json!({ "dispute": dispute.to_string(), "round": 2, "block": 800_001, "blockHash": hash.to_string(),
            "registrySeq": 9, "candidatesDigest": candidates.digest().to_string(), "candidates": list,
            "excluded": text(&excluded), "seats": 3, "order": text(&order) })
    }

    #[test]
    fn a_draw_is_made_again_and_a_changed_one_is_found() {
        assert!(check(&shown()).is_ok());
        let changes: [(&str, Value); 6] = [
            ("blockHash", json!(Digest32([8; 32]).to_string())),
            ("dispute", json!(Id::<()>::from_parts(6, [2; 10]).to_string())),
            ("round", json!(1)),
            ("seats", json!(5)),
            ("excluded", json!([])),
            ("candidatesDigest", json!(Digest32([8; 32]).to_string())),
        ];
        for (name, value) in changes {
            let mut changed = shown();
            changed[name] = value;
            assert!(check(&changed).is_err(), "{name}");
        }
        let mut changed = shown();
        changed["order"].as_array_mut().unwrap().swap(0, 1);
        assert!(check(&changed).is_err());
        let mut changed = shown();
        changed["candidates"][0]["weight"] = json!(1_000);
        assert!(check(&changed).is_err());
    }

    #[test]
    fn a_file_of_draws_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("draws.json");
        std::fs::write(&path, json!([shown()]).to_string()).unwrap();
        check_draws(&path, Some(Digest32([7; 32]))).unwrap();
        assert!(check_draws(&path, Some(Digest32([8; 32]))).is_err());
        std::fs::write(&path, "[]").unwrap();
        assert!(check_draws(&path, None).unwrap_err().to_string().contains("no draw yet"));
    }
}
