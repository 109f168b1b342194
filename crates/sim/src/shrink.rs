//! A shorter plan that breaks the same law: parts are left out as long as it still does (delta debugging).

use std::time::Instant;
use tallystick_civics::dispute::Seats;

use crate::{
    draft::{Bench, Draft},
    law::Broken,
    node::Setup,
    plan::{Act, Plan, Step},
    run::{Source, run},
    story::{cast, heading},
};

/// What is left.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// The law that it breaks.
    pub broken: Broken,
    /// How many runs it took.
    pub runs: u32,
    /// The story, line by line.
    pub story: Vec<String>,
}

struct Shrinker<'a> {
    setup: &'a Setup,
    law: &'static str,
    best: Plan,
    runs: u32,
    until: Instant,
}

/// Makes a plan shorter that breaks a law, until nothing can be left out any more or the time is over. Nothing if the plan
/// breaks no law when it is played again.
pub fn shrink(plan: &Plan, setup: &Setup, until: Instant) -> Option<Shrunk> {
    let first = run(Source::Plan(plan), setup, false).broken?;
    let mut best = plan.clone();
    best.steps.truncate(first.step);
    let mut shrinker = Shrinker { setup, law: first.law, best, runs: 1, until };
    // What became possible by leaving something out is tried again.
    while shrinker.round() && !shrinker.is_late() {}
    let Shrinker { best, runs, .. } = shrinker;
    let told = run(Source::Plan(&best), setup, true);
    let mut story = cast(&best);
    story.push(heading().to_owned());
    story.extend(told.lines);
    Some(Shrunk { plan: best, broken: told.broken?, runs, story })
}

impl Shrinker<'_> {
    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Takes a plan if it breaks the same law.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.is_late() || plan == self.best {
            return false;
        }
        self.runs += 1;
        match run(Source::Plan(&plan), self.setup, false).broken {
            Some(broken) if broken.law == self.law => {
                self.best = plan;
                self.best.steps.truncate(broken.step);
                true
            }
            _ => false,
        }
    }

    fn round(&mut self) -> bool {
        let tasks = self.drop_tasks();
        let steps = self.drop_steps();
        let parts = self.simplify_steps();
        let drafts = self.simplify_drafts();
        tasks || steps || parts || drafts
    }

    /// Leaves out all that is about one task.
    fn drop_tasks(&mut self) -> bool {
        let mut shorter = false;
        for task in 0..self.best.drafts.len() {
            let mut plan = self.best.clone();
            for step in &mut plan.steps {
                step.acts.retain(|act| act.task() != Some(task));
            }
            plan.steps.retain(|step| !step.acts.is_empty());
            shorter |= plan.steps.len() < self.best.steps.len() && self.try_plan(plan);
        }
        shorter
    }

    /// Leaves out steps: halves, quarters, and so on down to single ones, from the end.
    fn drop_steps(&mut self) -> bool {
        let mut shorter = false;
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut end = self.best.steps.len();
            while end > 0 && !self.is_late() {
                let begin = end.saturating_sub(size);
                let mut plan = self.best.clone();
                plan.steps.drain(begin..end);
                shorter |= self.try_plan(plan);
                end = begin.min(self.best.steps.len());
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        shorter
    }

    /// Makes steps simpler: no trouble, fewer acts at once, less time.
    fn simplify_steps(&mut self) -> bool {
        let mut simpler = false;
        let mut at = 0;
        while at < self.best.steps.len() && !self.is_late() {
            for step in simpler_steps(&self.best.steps[at]) {
                let mut plan = self.best.clone();
                plan.steps[at] = step;
                if self.try_plan(plan) {
                    simpler = true;
                    break;
                }
            }
            at += 1;
        }
        simpler
    }

    /// Makes tasks simpler: fewer milestones, fewer tranches, fewer seats, no bonds, no renewal.
    fn simplify_drafts(&mut self) -> bool {
        let mut simpler = false;
        for at in 0..self.best.drafts.len() {
            let draft = &self.best.drafts[at];
            let mut tries = Vec::new();
            if draft.milestones.len() > 1 {
                let mut fewer = draft.clone();
                fewer.milestones.pop();
                tries.push(fewer);
            }
            for milestone in 0..draft.milestones.len() {
                let mut fewer = draft.clone();
                if fewer.milestones[milestone].0.len() > 1 {
                    fewer.milestones[milestone].0.pop();
                    tries.push(fewer);
                }
            }
            for seats in [Seats::One, Seats::Three] {
                let bench = draft.panel.filter(|bench| bench.seats > seats).map(|bench| Bench { seats, ..bench });
                tries.extend(bench.map(|bench| Draft { panel: Some(bench), ..draft.clone() }));
            }
            if draft.bonds != (None, None) {
                tries.push(Draft { bonds: (None, None), ..draft.clone() });
            }
            if draft.renewal.is_some() {
                let mut plain = draft.clone();
                (plain.renewal, plain.hold_blocks) = (None, None);
                tries.push(plain);
            }
            for draft in tries {
                let mut plan = self.best.clone();
                plan.drafts[at] = draft;
                if self.try_plan(plan) {
                    simpler = true;
                    break;
                }
            }
        }
        simpler
    }
}

fn simpler_steps(step: &Step) -> Vec<Step> {
    let mut simpler = Vec::new();
    if step.trouble.is_some() {
        simpler.push(Step { trouble: None, ..step.clone() });
    }
    if step.acts.len() > 1 {
        for left_out in 0..step.acts.len() {
            let mut fewer = step.clone();
            fewer.acts.remove(left_out);
            simpler.push(fewer);
        }
    }
    let simple = |act: &Act| match act {
        Act::Pass { blocks, secs } if *blocks > 0 => {
            Some(vec![Act::Pass { blocks: 0, secs: *secs }, Act::Pass { blocks: blocks / 2, secs: secs / 2 }])
        }
        Act::Cut { how, blocks, secs } if *blocks > 0 => {
            let of = |blocks, secs| Act::Cut { how: *how, blocks, secs };
            Some(vec![of(0, *secs), of(blocks / 2, secs / 2)])
        }
        Act::Away { blocks, secs } if *blocks > 0 => {
            Some(vec![Act::Away { blocks: 0, secs: *secs }, Act::Away { blocks: blocks / 2, secs: secs / 2 }])
        }
        Act::Ask { task, by, what, again: true } => {
            Some(vec![Act::Ask { task: *task, by: *by, what: what.clone(), again: false }])
        }
        _ => None,
    };
    if let [act] = step.acts.as_slice() {
        let others = simple(act).into_iter().flatten();
        simpler.extend(others.map(|act| Step { acts: vec![act], ..step.clone() }));
    }
    if step.salt != 0 {
        simpler.push(Step { salt: 0, ..step.clone() });
    }
    simpler
}
