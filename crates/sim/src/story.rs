//! A run as a story that one can read.

use tallystick_escrow::Event;

use crate::{
    books::Told,
    draft::Draft,
    plan::{Plan, Step},
};

/// What there is to tell, if anybody listens.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
}

/// When and where a step begins.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub step: usize,
    pub height: u32,
    /// Seconds since the beginning; the clock may have been set back before it.
    pub secs: i64,
}

impl Story {
    pub(crate) fn new(is_told: bool) -> Self {
        Self { lines: is_told.then(Vec::new) }
    }

    pub(crate) fn step(&mut self, at: At, step: &Step, outcomes: &[String]) {
        let Some(lines) = &mut self.lines else { return };
        for (act, outcome) in step.acts.iter().zip(outcomes.iter().map(Some).chain(std::iter::repeat(None))) {
            let became = match outcome.map(String::as_str) {
                None => ": cut short".to_owned(),
                Some("") => String::new(),
                Some(text) => format!(": {text}"),
            };
            lines.push(format!("{}  {act}{became}", place(at)));
        }
        if let Some(trouble) = step.trouble {
            lines.push(format!("{}  {trouble}", " ".repeat(place(at).len())));
        }
    }

    pub(crate) fn note(&mut self, at: At, what: &str) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{}  {what}", place(at)));
        }
    }

    pub(crate) fn facts(&mut self, told: &[Told]) {
        let Some(lines) = &mut self.lines else { return };
        for fact in told {
            lines.push(format!("{:32}fact {} of task {}: {}", "", fact.seq, fact.task, fact_text(&fact.event)));
        }
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

fn place(At { step, height, secs }: At) -> String {
    let (sign, secs) = (if secs < 0 { '-' } else { '+' }, secs.unsigned_abs());
    format!("{step:4}  {height}  {sign}{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// The heading above the lines.
pub(crate) fn heading() -> &'static str {
    "step  height  time       what happens"
}

/// The tasks that a plan's steps name.
pub(crate) fn cast(plan: &Plan) -> Vec<String> {
    let named = |at: &usize| plan.steps.iter().any(|step| step.acts.iter().any(|act| act.task() == Some(*at)));
    let tell = |(at, draft): (usize, &Draft)| format!("task {at}: {draft}");
    plan.drafts.iter().enumerate().filter(|(at, _)| named(at)).map(tell).collect()
}

/// The tranche that an event is about.
pub(crate) fn tranche_of(event: &Event) -> Option<u32> {
    match event {
        Event::HoldInvoiceMade { tranche, .. }
        | Event::HoldLocked { tranche, .. }
        | Event::PayoutBegun { tranche, .. }
        | Event::PayoutFailed { tranche, .. }
        | Event::PayoutPaid { tranche, .. }
        | Event::HoldClaimed { tranche, .. }
        | Event::TrancheRefundBegun { tranche }
        | Event::HoldReturned { tranche }
        | Event::HoldLost { tranche }
        | Event::HoldSpent { tranche, .. }
        | Event::RenewalInvoiceMade { tranche, .. }
        | Event::RenewalRefused { tranche }
        | Event::HoldRenewed { tranche, .. }
        | Event::ReplacedHoldReturned { tranche, .. }
        | Event::BondTaken { tranche, .. }
        | Event::BondReturnBegun { tranche, .. }
        | Event::OtherHoldSpent { tranche, .. } => Some(*tranche),
        _ => None,
    }
}

fn fact_text(event: &Event) -> String {
    let kind = event.kind().trim_start_matches("escrow.").replace('_', " ");
    let more = match event {
        Event::ReleaseBegun { milestone, tranches, reason } => {
            format!(", milestone {milestone}, tranches {tranches:?}: {reason:?}")
        }
        Event::RefundBegun { milestone: Some(milestone), reason } => format!(", milestone {milestone}: {reason:?}"),
        Event::RefundBegun { milestone: None, reason } => format!(", all: {reason:?}"),
        Event::BondTaken { tranche, reason } => format!(", tranche {tranche}: {reason:?}"),
        Event::BondReturnBegun { tranche, reason } => format!(", tranche {tranche}: {reason:?}"),
        Event::PayoutBegun { tranche, attempt, .. } => format!(", tranche {tranche}, attempt {attempt}"),
        Event::PayoutFailed { tranche, attempt, reason } => {
            format!(", tranche {tranche}, attempt {attempt}: {reason:?}")
        }
        Event::HoldLocked { tranche, claim_deadline, .. } | Event::HoldRenewed { tranche, claim_deadline, .. } => {
            format!(", tranche {tranche}, until {}", claim_deadline.0)
        }
        Event::WorkSubmitted { milestone, .. } | Event::RenewalOffered { milestone, .. } => {
            format!(", milestone {milestone}")
        }
        other => tranche_of(other).map(|tranche| format!(", tranche {tranche}")).unwrap_or_default(),
    };
    kind + &more
}
