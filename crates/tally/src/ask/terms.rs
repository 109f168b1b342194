//! Whether a task as the node shows it is the one that its requester posted. The node may lie: it could show the worker a
//! smaller payout than the requester funds, and keep what lies between.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tallystick_core::Id;
use tallystick_escrow::{OnSilence, Task, Terms};
use tallystick_graphql::Posting;

use super::bond;

/// Checks a task, with its `posting`, against the terms that its requester signed, and answers these.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn check(task: &Value, id: Id<Task>) -> Result<Posting> {
    let part = |name: &str| {
        let text = task["posting"][name].as_str();
        text.context("the node does not show the request with which the requester posted the task")
    };
    let posting = Posting::try_new(part("event")?, part("body")?)
        .context("the request that the node shows does not prove that somebody posted the task")?;
    let terms = &posting.terms;
    ensure!(posting.task == id, "the requester posted the task {}, not {id}", posting.task);
    if let Some(blocks) = terms.hold_blocks {
        ensure!(task["holdBlocks"] == blocks.0, "holdBlocks is {}, but {} was posted", task["holdBlocks"], blocks.0);
    }
    check_milestones(task, terms)?;
    check_bonds(task, terms)?;
    let on_silence = name_of(terms.on_silence);
    let renewal = terms.renewal.map_or(Value::Null, |missed| name_of(missed).into());
    for (name, posted) in [
        ("requester", Value::from(posting.requester.to_string())),
        ("title", terms.title.clone().into()),
        ("descriptionHash", terms.description_hash.to_string().into()),
        ("reviewWindowSecs", terms.review_window.as_secs().into()),
        ("onSilence", on_silence.into()),
        ("renewal", renewal),
        ("panel", terms.panel.map_or(Value::Null, |seats| seats.count().into())),
    ] {
        ensure!(task[name] == posted, "{name} is {}, but {posted} was posted", task[name]);
    }
    Ok(posting)
}

fn check_milestones(task: &Value, terms: &Terms) -> Result<()> {
    let milestones = task["milestones"].as_array().context("the task has no milestones")?;
    ensure!(milestones.len() == terms.milestones.len(), "the milestones are not those that were posted");
    for (number, (shown, posted)) in milestones.iter().zip(&terms.milestones).enumerate() {
        let payouts = shown["tranches"].as_array().into_iter().flatten().map(|tranche| tranche["payoutSat"].as_u64());
        ensure!(
            payouts.eq(posted.payouts.iter().map(|sat| Some(sat.get()))),
            "the payouts of milestone {number} are not those that were posted"
        );
        for (name, posted) in
            [("title", Value::from(posted.title.clone())), ("workDeadline", posted.work_deadline.as_secs().into())]
        {
            ensure!(shown[name] == posted, "milestone {number}: {name} is {}, but {posted} was posted", shown[name]);
        }
    }
    Ok(())
}

fn check_bonds(task: &Value, terms: &Terms) -> Result<()> {
    let shown = task["bonds"].as_array().context("the node does not show the task's bonds")?.len();
    let posted = [("REQUESTER", terms.bonds.requester), ("WORKER", terms.bonds.worker)];
    for (of, posted) in posted {
        let (shown, posted) =
            (bond(task, of).map(|hold| hold["payoutSat"].as_u64()), posted.map(|sat| Some(sat.get())));
        ensure!(shown == posted, "the bond of the {} is not the one that was posted", of.to_lowercase());
    }
    ensure!(shown == posted.iter().filter(|(_, bond)| bond.is_some()).count(), "there are more bonds than were posted");
    Ok(())
}

const fn name_of(term: OnSilence) -> &'static str {
    match term {
        OnSilence::Release => "RELEASE",
        OnSilence::Refund => "REFUND",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ask::funding::tests::{ID, OTHER_ID, REQUESTER, WORKER, public, signed};
    use serde_json::json;

    pub const NOW: u64 = 1_700_000_000;

    fn body(id: &str) -> String {
        body_with(id, &Value::Null, &Value::Null)
    }

    fn body_with(id: &str, requester_bond: &Value, worker_bond: &Value) -> String {
        let query = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
        let input = json!({
            "id": id, "title": "Work", "descriptionHash": "07".repeat(32), "reviewWindowSecs": 40_000,
            "onSilence": "REFUND",
            "milestones": [{ "title": "All of it", "payoutsSat": [1_000], "workDeadline": NOW + 50_000 }],
            "requesterBondSat": requester_bond, "workerBondSat": worker_bond, "holdBlocks": 200,
        });
        json!({ "query": query, "variables": { "input": input } }).to_string()
    }

    /// A task as its requester posted it, not yet taken.
    pub fn posted() -> Value {
        json!({
            "requester": public(REQUESTER), "title": "Work", "descriptionHash": "07".repeat(32),
            "reviewWindowSecs": 40_000, "onSilence": "REFUND", "renewal": null, "holdBlocks": 200,
            "posting": signed(REQUESTER, &body(ID)), "bonds": [],
            "milestones": [
                { "title": "All of it", "workDeadline": NOW + 50_000, "tranches": [{ "payoutSat": 1_000 }] }
            ],
        })
    }

    /// The same with a bond of 300 sat of the requester, and one of 200 sat of the worker.
    pub fn posted_with_bonds() -> Value {
        let mut task = posted();
        task["posting"] = signed(REQUESTER, &body_with(ID, &json!(300), &json!(200)));
        let bond = |of: &str, sat: u64| json!({ "of": of, "hold": { "payoutSat": sat } });
        task["bonds"] = json!([bond("REQUESTER", 300), bond("WORKER", 200)]);
        task
    }

    #[test]
    fn bonds_that_the_requester_did_not_post_are_refused() {
        assert!(checked(&posted_with_bonds()).is_ok());
        let expect = |mut task: Value, bonds: Value, sentence: &str| {
            task["bonds"] = bonds;
            let error = checked(&task).unwrap_err();
            assert!(error.contains(sentence), "{sentence}: {error}");
        };
        let good = posted_with_bonds()["bonds"].clone();
        let mut more = good.clone();
        more[1]["hold"]["payoutSat"] = json!(201);
        expect(posted_with_bonds(), more, "the bond of the worker is not the one");
        expect(posted_with_bonds(), json!([good[1]]), "the bond of the requester is not the one");
        expect(posted_with_bonds(), json!([good[0], good[1], good[1]]), "more bonds than were posted");
        expect(posted(), good, "the bond of the requester is not the one");
        expect(posted(), Value::Null, "does not show the task's bonds");
    }

    fn checked(task: &Value) -> Result<Posting, String> {
        check(task, ID.parse().unwrap()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_the_requester_did_not_post_is_refused() {
        let posting = checked(&posted()).unwrap();
        assert_eq!(posting.requester, public(REQUESTER));
        for (name, value) in [
            ("requester", json!(public(WORKER))),
            ("title", json!("Other work")),
            ("descriptionHash", json!("08".repeat(32))),
            ("renewal", json!("RELEASE")),
            ("panel", json!(3)),
            ("reviewWindowSecs", json!(40_001)),
            ("onSilence", json!("RELEASE")),
        ] {
            let mut bad = posted();
            bad[name] = value;
            assert!(checked(&bad).unwrap_err().starts_with(name), "{name}");
        }
        for (name, value) in [("title", json!("Other")), ("workDeadline", json!(NOW + 50_001))] {
            let mut bad = posted();
            bad["milestones"][0][name] = value;
            assert!(checked(&bad).unwrap_err().starts_with(&format!("milestone 0: {name}")), "{name}");
        }
        let mut more = posted();
        more["milestones"] = json!([more["milestones"][0], more["milestones"][0]]);
        assert!(checked(&more).unwrap_err().contains("not those that were posted"));
        for tranches in [json!([]), json!([{ "payoutSat": 999 }]), json!([{ "payoutSat": 1_000 }, { "payoutSat": 1 }])]
        {
            let mut bad = posted();
            bad["milestones"][0]["tranches"] = tranches;
            assert!(checked(&bad).unwrap_err().contains("not those that were posted"));
        }
    }

    #[test]
    fn a_posting_proves_who_posted_which_task() {
        let tampered = {
            let mut posting = signed(REQUESTER, &body(ID));
            posting["body"] = json!(body(ID).replace("1000", "1001"));
            posting
        };
        for (expected, posting) in [
            ("does not show", Value::Null),
            ("SHA-256 of the body", tampered),
            ("requester is", signed(WORKER, &body(ID))),
            ("not 0193", signed(REQUESTER, &body(OTHER_ID))),
            (
                "does not post a task",
                signed(REQUESTER, &json!({ "query": "mutation { cancelTask(id: \"x\") { changed } }" }).to_string()),
            ),
        ] {
            let mut bad = posted();
            bad["posting"] = posting;
            let error = checked(&bad).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
