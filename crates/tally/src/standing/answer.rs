//! Standings and flags as the API tells them, and in words.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tallystick_app::standing::Known;
use tallystick_civics::{anomaly::Flag, reputation::Role};

/// A role as the API names it.
pub(super) fn role_name(role: Role) -> String {
    role.to_string().to_uppercase()
}

/// The same as the API's answer.
pub(super) fn standing(known: &Known) -> Value {
    let Known { standing, seq, at, open_tasks, open_sat } = known;
    let terms = standing.score.terms.iter();
    let terms =
        terms.map(|term| json!({ "name": term.name, "points": term.points, "why": term.why, "facts": term.facts }));
    let badges = standing.badges.iter().map(|badge| json!({ "name": badge.name, "facts": badge.facts }));
    json!({
        "key": standing.key,
        "role": role_name(standing.role),
        "seq": seq,
        "at": at.as_secs(),
        "score": standing.score.total,
        "terms": terms.collect::<Vec<_>>(),
        "tier": standing.tier.to_string().to_uppercase(),
        "cutBy": standing.cut_by,
        "endedWellSat": standing.ended_well.get(),
        "openLimitSat": standing.open_limit.get(),
        "tasksLimit": standing.tasks_limit,
        "openSat": open_sat,
        "openTasks": open_tasks,
        "badges": badges.collect::<Vec<_>>(),
    })
}

/// The same as one of the API's answer.
pub(super) fn flag(flag: &Flag) -> Value {
    json!({ "kind": flag.kind.to_string(), "who": flag.who, "evidence": flag.evidence, "sentence": flag.sentence,
        "strength": flag.strength })
}

/// A standing for people.
pub(super) fn in_words(told: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().map(str::to_lowercase).context("the answer is no standing");
    let mut words = format!(
        "{} as {}: {}, {} points, as of fact {}\n",
        text(&told["key"])?,
        text(&told["role"])?,
        text(&told["tier"])?,
        told["score"],
        told["seq"]
    );
    writeln!(
        words,
        "  may have open {} sat in {} tasks; open are {} sat in {} tasks",
        told["openLimitSat"], told["tasksLimit"], told["openSat"], told["openTasks"]
    )?;
    let facts = |of: &Value| {
        let facts = of.as_array().into_iter().flatten().map(Value::to_string);
        facts.collect::<Vec<_>>().join(", ")
    };
    for term in told["terms"].as_array().into_iter().flatten() {
        let (points, name) = (term["points"].as_i64().unwrap_or_default(), text(&term["name"])?);
        writeln!(
            words,
            "  {points:+} {name}: {} (facts {})",
            term["why"].as_str().unwrap_or_default(),
            facts(&term["facts"])
        )?;
    }
    if told["cutBy"].as_array().is_some_and(|by| !by.is_empty()) {
        writeln!(words, "  lowered by disputes lost in the last 90 days (facts {})", facts(&told["cutBy"]))?;
    }
    for badge in told["badges"].as_array().into_iter().flatten() {
        writeln!(words, "  badge {} (facts {})", text(&badge["name"])?, facts(&badge["facts"]))?;
    }
    words.pop();
    Ok(words)
}

/// Flags for people.
pub(super) fn flags_in_words(flags: &Value) -> Result<String> {
    let flags = flags.as_array().context("the answer is no list")?;
    let one = |flag: &Value| {
        let who: Vec<_> = flag["who"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (kind, sentence) =
            (flag["kind"].as_str().unwrap_or_default(), flag["sentence"].as_str().unwrap_or_default());
        format!("{kind} ({} of 1000): {}\n  {sentence}\n  facts {}", flag["strength"], who.join(", "), flag["evidence"])
    };
    match flags.is_empty() {
        true => Ok("nothing looks odd".into()),
        false => Ok(flags.iter().map(one).collect::<Vec<_>>().join("\n")),
    }
}
