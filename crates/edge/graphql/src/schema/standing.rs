//! Standing, and what looks odd.

use async_graphql::{Context, Enum, SimpleObject};
use tallystick_app::standing::Known;
use tallystick_civics::{anomaly, reputation, roles::Operation};

use super::{
    Result, app, may,
    scalar::{NostrKey, Sat, Timestamp},
};
use crate::error::Failure;

/// What a standing is counted as in a query's complexity: it walks through the deals of a key and of its counterparties.
pub(super) const STANDING_COST: usize = 1_000;
/// What all flags are counted as: they take all deals there are.
pub(super) const ANOMALIES_COST: usize = 6_000;

/// A party's side of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum TaskRole {
    /// Who posts and pays.
    Requester,
    /// Who works and is paid.
    Worker,
}

impl From<TaskRole> for reputation::Role {
    fn from(role: TaskRole) -> Self {
        match role {
            TaskRole::Requester => Self::Requester,
            TaskRole::Worker => Self::Worker,
        }
    }
}

impl From<reputation::Role> for TaskRole {
    fn from(role: reputation::Role) -> Self {
        match role {
            reputation::Role::Requester => Self::Requester,
            reputation::Role::Worker => Self::Worker,
        }
    }
}

/// How far somebody is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum Tier {
    /// Everybody at first.
    Novice,
    /// From 1,000 points.
    Intermediate,
    /// From 4,000 points.
    Advanced,
    /// From 10,000 points.
    Expert,
}

impl From<reputation::Tier> for Tier {
    fn from(tier: reputation::Tier) -> Self {
        match tier {
            reputation::Tier::Novice => Self::Novice,
            reputation::Tier::Intermediate => Self::Intermediate,
            reputation::Tier::Advanced => Self::Advanced,
            reputation::Tier::Expert => Self::Expert,
        }
    }
}

/// Somebody's standing in a role. Whoever has the facts computes the same; `docs/reputation.md` has the formula.
#[derive(SimpleObject)]
pub(crate) struct Standing {
    /// Whose.
    key: NostrKey,
    /// In which role.
    role: TaskRole,
    /// All facts up to the one of this number are in it.
    seq: u64,
    /// The time that it is of.
    at: Timestamp,
    /// The sum of the terms' points.
    score: i64,
    /// What the score is made of.
    terms: Vec<StandingTerm>,
    /// The tier: that of the score, lowered by one for each of `cutBy`.
    tier: Tier,
    /// The numbers of the facts of disputes lost in the last 90 days, in either role.
    cut_by: Vec<u64>,
    /// What counterparties' weights leave of what ended well in the last 180 days.
    ended_well_sat: Sat,
    /// The most sat that may be open at once.
    open_limit_sat: Sat,
    /// The most tasks that may be open at once.
    tasks_limit: u32,
    /// Whether this node holds anybody to these limits.
    is_limited: bool,
    /// Sat that are open now.
    open_sat: u64,
    /// Tasks that are open now.
    open_tasks: u64,
    /// What else the facts tell.
    badges: Vec<Badge>,
}

/// One part of a score, or of an arbitrator's weight.
#[derive(SimpleObject)]
pub(crate) struct StandingTerm {
    /// What kind of part: `trade`, `age`, `dispute_lost`, `bond_lost` or `fault`; of a weight `newcomer`, `service` or
    /// `silence`.
    name: &'static str,
    /// The points that it gives, or takes.
    points: i64,
    /// Why, in a sentence with the numbers.
    why: String,
    /// The numbers of the facts behind it, in order.
    facts: Vec<u64>,
}

/// Something that the facts tell.
#[derive(SimpleObject)]
pub(crate) struct Badge {
    /// Which: `fifty_deals`, `a_year`, `no_dispute_lost_in_50` or `twenty_counterparties`.
    name: &'static str,
    /// The numbers of the facts behind it, in order.
    facts: Vec<u64>,
}

/// Something that looks odd, for people to look at. It may have an honest reason.
#[derive(SimpleObject)]
pub(crate) struct Anomaly {
    /// What looks odd, such as `reciprocal_pair`.
    kind: String,
    /// Whose keys.
    who: Vec<NostrKey>,
    /// The numbers of the facts, in order.
    evidence: Vec<u64>,
    /// What was seen, with the numbers.
    sentence: String,
    /// How marked it is, in thousandths. Comparable within a kind only.
    strength: u16,
}

impl From<reputation::Term> for StandingTerm {
    fn from(term: reputation::Term) -> Self {
        Self { name: term.name, points: term.points, why: term.why, facts: term.facts }
    }
}

impl Standing {
    fn new(known: Known, is_limited: bool) -> Self {
        let Known { standing, seq, at, open_tasks, open_sat } = known;
        let badge = |badge: reputation::Badge| Badge { name: badge.name, facts: badge.facts };
        Self {
            key: NostrKey(standing.key),
            role: standing.role.into(),
            seq,
            at: Timestamp(at),
            score: standing.score.total,
            terms: standing.score.terms.into_iter().map(StandingTerm::from).collect(),
            tier: standing.tier.into(),
            cut_by: standing.cut_by,
            ended_well_sat: Sat(standing.ended_well),
            open_limit_sat: Sat(standing.open_limit),
            tasks_limit: standing.tasks_limit,
            is_limited,
            open_sat,
            open_tasks: open_tasks as u64,
            badges: standing.badges.into_iter().map(badge).collect(),
        }
    }
}

impl From<anomaly::Flag> for Anomaly {
    fn from(flag: anomaly::Flag) -> Self {
        Self {
            kind: flag.kind.to_string(),
            who: flag.who.into_iter().map(NostrKey).collect(),
            evidence: flag.evidence,
            sentence: flag.sentence,
            strength: flag.strength,
        }
    }
}

/// Somebody's standing.
pub(super) async fn standing(ctx: &Context<'_>, key: NostrKey, role: TaskRole) -> Result<Standing> {
    let known = app(ctx).standing(key.0, role.into()).await.map_err(Failure::from)?;
    Ok(Standing::new(known, app(ctx).open_limits().is_some()))
}

/// What looks odd; operators only.
pub(super) async fn anomalies(ctx: &Context<'_>) -> Result<Vec<Anomaly>> {
    may(ctx, Operation::Anomalies).await?;
    let flags = app(ctx).anomalies().await.map_err(Failure::from)?;
    Ok(flags.into_iter().map(Anomaly::from).collect())
}
