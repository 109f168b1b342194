//! Bugs that the simulator has to find. They are here and nowhere else: rules around the real rules, ports around the real
//! ports. Everything is found by the laws alone: `fsck`, which decides every fact again by the real rules, would find most
//! of them by itself, and is left out.

mod ports;
mod rules;

use std::time::{Duration, Instant};
use tallystick_sim::{Hunt, Setup, Source, hunt, run, shrink};

/// Each bug must show within so many seeds.
const SEEDS_MAX: u64 = 2_000;
/// A story that is longer than this is none.
const STEPS_MAX: usize = 25;

fn mutants() -> Vec<(&'static str, Setup)> {
    let plain = Setup { fsck: false, ..Setup::shipped() };
    let ruled = |rules| Setup { rules, ..plain };
    let kept = |journal| Setup { journal, ..plain };
    let paid = |rail| Setup { rail, ..plain };
    vec![
        ("a payout begun too late", ruled(rules::payout_too_late)),
        ("a hold let go before its renewal is locked", ruled(rules::hold_let_go_before_its_renewal)),
        ("a failure counted twice", ruled(rules::failure_counted_twice)),
        ("a refund while a payout is under way", ruled(rules::refund_under_a_payout)),
        ("a claim before the payee was paid", ruled(rules::claim_before_the_payout)),
        ("a hold kept at its deadline", ruled(rules::hold_kept_at_its_deadline)),
        ("a payout to another tranche's invoice", ruled(rules::payout_of_another_tranche)),
        ("a hold of another tranche's amount", ruled(rules::hold_of_another_tranche)),
        ("silence that pays before the review is over", ruled(rules::silence_before_the_review_is_over)),
        ("a partial funding that is never given back", ruled(rules::partial_funding_kept)),
        ("a replaced hold that is never returned", ruled(rules::replaced_hold_kept)),
        ("a route that may cost more than the fee", ruled(rules::fee_without_a_limit)),
        ("work that is taken back after it was handed in", ruled(rules::work_taken_back)),
        ("a hold kept after its payout failed for good", ruled(rules::failed_payout_kept)),
        ("time that decides while a panel sits", ruled(rules::dispute_unseen)),
        ("a ruling that is not what the votes make", ruled(rules::votes_unseen)),
        ("more paid than a panel awarded", ruled(rules::award_exceeded)),
        ("a bond taken for a time in which we were away", ruled(rules::outages_unseen)),
        ("a bond taken and given back", ruled(rules::bond_taken_and_given_back)),
        ("a bond kept until its hold ends", ruled(rules::bond_kept_at_its_deadline)),
        ("a bond that is not given back in the end", ruled(rules::bond_never_given_back)),
        ("a bond taken from who has handed in", ruled(rules::bond_taken_in_spite_of_work)),
        ("a bond taken from whom blocks kept from handing in", ruled(rules::bond_taken_in_spite_of_blocks)),
        ("a bond that is locked when no time is left", ruled(rules::bond_locked_at_the_last_moment)),
        ("a bond taken that no ruling takes", ruled(rules::bond_taken_by_any_ruling)),
        (
            "a bond taken while late work is taken as well",
            Setup { rules: rules::bond_taken_at_the_deadline, tasks: ports::woken_early, ..plain },
        ),
        ("a broken promise takes no bond", ruled(rules::broken_promise_unseen)),
        ("a ruling's bond is left", ruled(rules::bond_left_by_a_ruling)),
        ("an outage that the journal does not tell", kept(ports::outages_untold)),
        ("an outage that is told after the timers ran", kept(ports::outages_told_late)),
        ("an outage that is told at starts alone", kept(ports::outages_told_at_starts_alone)),
        ("a journal that takes nothing, which nobody sees", kept(ports::unwritten_unseen)),
        ("a network whose being cut nobody sees", paid(ports::cut_unseen)),
        ("users who are shut out, which nobody sees", Setup { entrance: ports::shut_out_unseen, ..plain }),
        ("an effect forgotten after a restart", kept(ports::effects_forgotten)),
        ("a fact acknowledged and not written", kept(ports::answered_before_it_is_written)),
        ("a command lost to another one", kept(ports::conflict_swallowed)),
        ("a row that is not shown", kept(ports::row_forgotten)),
        ("an effect that never ends", kept(ports::effect_never_ends)),
        ("a payout made anew by a repeated call", paid(ports::pays_anew)),
        ("a hold that the rail keeps", paid(ports::keeps_holds)),
        ("tasks that no block wakes", Setup { tasks: ports::blocks_unseen, ..plain }),
    ]
}

#[test]
fn every_seeded_bug_is_found_and_told() {
    let mut missed = Vec::new();
    for (name, setup) in mutants() {
        let hunted = Hunt { from: 0, seeds: SEEDS_MAX, tasks: None, threads: 2, until: None };
        let Some(seed) = hunt(&hunted, &setup, |_| ()).failed else {
            missed.push(name);
            continue;
        };
        let plan = run(Source::Seed { seed, tasks: None }, &setup, false).plan;
        let shrunk = shrink(&plan, &setup, Instant::now() + Duration::from_secs(60)).expect("it fails again");
        let steps = shrunk.plan.steps.len();
        println!("{name}: seed {seed}, {} after {} runs, {steps} steps", shrunk.broken, shrunk.runs);
        assert!(steps <= STEPS_MAX, "{name}: a story of {steps} steps:\n{}", shrunk.story.join("\n"));
    }
    assert!(missed.is_empty(), "not found within {SEEDS_MAX} seeds: {missed:#?}");
}

#[test]
fn a_story_is_told_the_same_again() {
    let setup = Setup { rules: rules::replaced_hold_kept, fsck: false, ..Setup::shipped() };
    let hunted = Hunt { from: 0, seeds: SEEDS_MAX, tasks: None, threads: 1, until: None };
    let seed = hunt(&hunted, &setup, |_| ()).failed.expect("it is found");
    let tell = || {
        let plan = run(Source::Seed { seed, tasks: None }, &setup, false).plan;
        shrink(&plan, &setup, Instant::now() + Duration::from_secs(60)).expect("it fails again").story
    };
    let story = tell();
    println!("{}", story.join("\n"));
    assert_eq!(story, tell());
    assert!(story.iter().any(|line| line.contains("hold renewed")), "{}", story.join("\n"));
}
