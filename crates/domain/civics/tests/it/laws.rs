//! Laws that hold whatever happens, in whatever order: users, the node and blocks at random, most of it nonsense.

use proptest::{collection::vec, prelude::*};
use tallystick_civics::dispute::{
    Award, Command, Decision, Dispute, Event, NodeCommand, Opening, Outcome, Phase, Seat, SeatState, Seats,
    UserCommand, evolve,
};
use tallystick_core::{BlockHeight, Blocks, NostrKey};
use tallystick_testkit::cases;

use crate::{arbitrary, given::*};

#[derive(Clone, Debug)]
enum Op {
    Ask(NostrKey, UserCommand),
    Report(NodeCommand),
    Mined(u32),
    /// Up to this many blocks before the last height for a ruling.
    NearEnd(u32),
    /// What the n-th of who could do something would do next, with this vote.
    Next(usize, Award),
    /// The n-th of the panel refuses, or a party appeals.
    Against(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => (0usize..7, (0u64..8).prop_map(Award::new)).prop_map(|(n, award)| Op::Next(n, award)),
        3 => (0usize..7).prop_map(Op::Against),
        4 => arbitrary::ask().prop_map(|(author, command)| Op::Ask(author, command)),
        3 => arbitrary::node_command().prop_map(Op::Report),
        4 => (0u32..12).prop_map(Op::Mined),
        1 => (0u32..90).prop_map(Op::NearEnd),
    ]
}

fn start() -> impl Strategy<Value = Given> {
    let seats = prop_oneof![Just(Seats::One), Just(Seats::Three), Just(Seats::Five)];
    (seats, 90u32..400).prop_map(|(seats_min, blocks)| {
        let parts = [10_000, 20_000, 30_000].map(sat).into();
        let opening = Opening { seats_min, parts, rule_by: HEIGHT.after(Blocks(blocks)), ..opening() };
        Given::opened_by(payee(), opening)
    })
}

/// A sensible step: the panel does its part, and the node its.
fn next(given: &Given, n: usize, award: Award) -> (NostrKey, Command) {
    let ready = |wanted: fn(&Seat) -> bool| {
        let ready: Vec<_> = given.dispute.panel.bench.iter().filter(|seat| wanted(seat)).collect();
        ready.get(n % ready.len().max(1)).map(|seat| seat.arbitrator)
    };
    let wake = (node(), Command::Node(NodeCommand::Wake));
    let user = |who: Option<NostrKey>, command: &dyn Fn(NostrKey) -> UserCommand| {
        who.map_or(wake.clone(), |who| (who, Command::User(command(who))))
    };
    match given.phase() {
        Phase::Drawing => (node(), Command::Node(given.draw())),
        Phase::Seating { .. } => user(ready(|seat| seat.state == SeatState::Asked), &|_| UserCommand::AcceptSeat),
        Phase::Committing { .. } => {
            user(ready(|seat| seat.state == SeatState::Accepted), &|who| given.commit(who, vote_of(who, award)))
        }
        Phase::Revealing { .. } => user(ready(|seat| matches!(seat.state, SeatState::Committed { .. })), &|who| {
            reveal(who, vote_of(who, award))
        }),
        Phase::Ruled { .. } if n == 0 => (payer(), Command::User(UserCommand::AcceptRuling)),
        Phase::Ruled { .. } if n == 1 => (payee(), Command::User(UserCommand::AcceptRuling)),
        _ => wake,
    }
}

/// Everybody votes by the own key, so that what is revealed is what was committed to; now and then somebody lies.
fn vote_of(who: NostrKey, award: Award) -> Award {
    if award == Award::new(7) { award } else { Award::new(u64::from(who.to_bytes()[0] % 7)) }
}

fn against(given: &Given, n: usize) -> (NostrKey, Command) {
    match given.phase() {
        Phase::Ruled { .. } => {
            (if n.is_multiple_of(2) { payer() } else { payee() }, Command::User(UserCommand::Appeal))
        }
        _ => {
            let bench = &given.dispute.panel.bench;
            let who = bench.get(n % bench.len().max(1)).map_or(stranger(), |seat| seat.arbitrator);
            (who, Command::User(UserCommand::RefuseSeat))
        }
    }
}

fn apply(given: Given, op: Op) -> Given {
    let (author, command) = match op {
        Op::Mined(blocks) => return given.later(blocks),
        Op::NearEnd(blocks) => {
            let height = given.dispute.opening.rule_by.before(Blocks(blocks)).max(given.height);
            return given.at(height);
        }
        Op::Next(n, award) => {
            // As soon as the draw can be recorded.
            let waits = *given.phase() == Phase::Drawing && given.height < given.dispute.draw_from();
            let height = if waits { given.dispute.draw_from() } else { given.height };
            let given = given.at(height);
            let (author, command) = next(&given, n, award);
            return check(given, author, command);
        }
        Op::Against(n) => against(&given, n),
        Op::Ask(author, command) => (author, Command::User(command)),
        Op::Report(command) => (node(), Command::Node(command)),
    };
    check(given, author, command)
}

/// Does one thing, and checks every law on the way.
fn check(given: Given, author: NostrKey, command: Command) -> Given {
    let is_wake = command == Command::Node(NodeCommand::Wake);
    let due = given.dispute.wake().is_some_and(|at| at <= given.height);
    let answer = given.decide(author, command.clone());
    let Ok(Decision::Accept { events, .. }) = answer else {
        assert!(!(is_wake && due), "a due wake-up changed nothing: {answer:?}");
        return given;
    };
    assert!(!is_wake || due, "a wake-up that was not due changed something: {events:?}");
    assert!(!events.is_empty(), "a decision without a fact");
    assert!(!given.phase().is_final(), "{} is final, but {command:?} was accepted", given.phase().name());
    let after = given.clone().events(events.clone());
    assert_ne!(given.dispute, after.dispute, "{command:?} was accepted and changed nothing");
    for fact in &events {
        check_fact(fact, &after);
    }
    assert!(
        after.dispute.wake().is_none_or(|at| at > after.height),
        "{command:?} left something due: {:?}",
        after.dispute.phase
    );
    let again = after.decide(author, command.clone());
    assert_eq!(again, Ok(Decision::AlreadyApplied), "{command:?} right after itself");
    after
}

fn check_fact(fact: &Event, after: &Given) {
    let dispute = &after.dispute;
    let panel = |round: u32| dispute.panels().nth(usize::try_from(round - 1).unwrap()).unwrap();
    match fact {
        Event::RulingMade { round, award, .. } => {
            let (votes, majority) = (panel(*round).votes(), panel(*round).seats.majority());
            assert!(votes.len() >= majority, "{} votes of {majority} ruled", votes.len());
            assert!(votes.contains(award), "a ruling for which nobody voted");
            let value = |award: &Award| (award.value(&dispute.opening.parts), award.mask());
            let lower = votes.iter().filter(|vote| value(vote) < value(award)).count();
            let higher = votes.iter().filter(|vote| value(vote) > value(award)).count();
            assert!(lower * 2 < votes.len() && higher * 2 <= votes.len(), "{award:?} is no median of {votes:?}");
        }
        Event::RoundBegun { at, .. } => {
            let end = at.after(dispute.opening.plan.round_blocks());
            assert!(end <= dispute.opening.rule_by, "a round that may end too late");
        }
        Event::CommittingBegun { until } | Event::RevealingBegun { until } => {
            assert!(*until <= dispute.opening.rule_by, "a phase that may end too late");
        }
        _ => {}
    }
}

/// Whatever the facts say, nobody is asked twice, and only who was asked is paid or blamed.
fn check_people(dispute: &Dispute) {
    let asked: Vec<_> = dispute.panels().flat_map(|panel| &panel.bench).map(|seat| seat.arbitrator).collect();
    let mut once = asked.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), asked.len(), "somebody was asked twice");
    let parties = [dispute.opening.payer, dispute.opening.payee, biased()];
    assert!(parties.iter().all(|party| !asked.contains(party)), "somebody decides about themselves");
    let (served, silent) = (dispute.served(), dispute.silent());
    assert!(silent.iter().all(|silence| !served.contains(&silence.arbitrator)), "paid and blamed");
    assert!(dispute.panels().count() <= 3, "more than one replacement and one appeal");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1_000)) })]

    #[test]
    fn nothing_breaks_the_laws(start in start(), ops in vec(op(), 0..80)) {
        let given = ops.into_iter().fold(start, apply);
        let replayed = given.facts.iter().fold(None, evolve);
        prop_assert_eq!(replayed.as_ref(), Some(&given.dispute), "replay differs from what was lived through");
        check_people(&given.dispute);
        prop_assert_eq!(given.phase().is_final(), given.dispute.outcome() != Outcome::Running);
        // Woken once at the end of its time, it is over, wherever it stood.
        if !given.phase().is_final() {
            let end = given.dispute.opening.rule_by.max(given.height);
            let ended = given.at(end).reported(NodeCommand::Wake);
            prop_assert!(ended.phase().is_final(), "{:?} after the end of its time", ended.phase());
        }
    }

    /// Block by block, woken when it is due: nobody can draw it out, by doing something or by doing nothing.
    #[test]
    fn every_dispute_ends_in_time(start in start(), ops in vec((op(), 0u32..6), 0..60)) {
        let mut given = start;
        let rule_by = given.dispute.opening.rule_by;
        let mut ops = ops.into_iter();
        while !given.phase().is_final() {
            prop_assert!(given.height < rule_by, "still {:?} at {}", given.phase(), given.height);
            if let Some((op, blocks)) = ops.next() {
                let end = given.height.after(Blocks(blocks)).min(rule_by);
                given = match op {
                    Op::Mined(_) | Op::NearEnd(_) => given,
                    // Only when it is time: the clock is ours here.
                    Op::Next(..) if given.height < given.dispute.draw_from() => given,
                    op => apply(given, op),
                };
                given = mine(given, end);
            } else {
                let next = given.height.after(Blocks(1));
                given = mine(given, next);
            }
        }
        prop_assert!(given.height <= rule_by);
    }

    #[test]
    fn a_silent_panel_never_rules(start in start(), seats in 0usize..4, commits in 0usize..4, reveals in 0usize..4) {
        let mut given = start.drawn();
        let majority = given.dispute.panel.seats.majority();
        for n in 0..seats.min(given.dispute.panel.seats.count()) {
            given = given.accept(n);
        }
        given = given.woken();
        for n in 0..commits {
            if matches!(given.phase(), Phase::Committing { .. }) && n < seats {
                given = given.commits(n, Award::new(1));
            }
        }
        if matches!(given.phase(), Phase::Committing { .. }) { given = given.woken(); }
        for n in 0..reveals {
            if matches!(given.phase(), Phase::Revealing { .. }) && n < seats.min(commits) {
                given = given.reveals(n, Award::new(1));
            }
        }
        if matches!(given.phase(), Phase::Revealing { .. }) { given = given.woken(); }
        let voted = seats.min(commits).min(reveals);
        let ruled = given.facts.iter().any(|fact| matches!(fact, Event::RulingMade { .. }));
        prop_assert_eq!(ruled, voted >= majority, "{} of {} voted", voted, majority);
    }

    #[test]
    fn any_facts_can_be_replayed(opened in any::<bool>(), events in vec(arbitrary::event(), 0..40)) {
        let mut state = opened.then(|| seating().dispute);
        for event in &events {
            let ended = state.clone().filter(|dispute| dispute.phase.is_final());
            state = evolve(state, event);
            if ended.is_some() {
                prop_assert_eq!(&state, &ended, "a fact changed a dispute that had ended");
            }
            if let Some(dispute) = &state {
                let _ = (dispute.wake(), dispute.served(), dispute.silent(), dispute.outcome(), dispute.excluded());
            }
        }
    }

    #[test]
    fn rules_answer_in_any_state(
        events in vec(arbitrary::event(), 0..20),
        height in any::<u32>(),
        command in arbitrary::node_command(),
        (author, user) in arbitrary::ask(),
    ) {
        let given = seating().events(events).at(BlockHeight(height));
        // Neither panics nor runs for ever: that is all.
        let _ = given.report(command);
        let _ = given.ask(author, user);
    }
}

/// Blocks up to this height; the node wakes the dispute whenever it asks for it.
fn mine(mut given: Given, end: BlockHeight) -> Given {
    while given.height < end && !given.phase().is_final() {
        given = given.later(1);
        if given.dispute.wake().is_some_and(|at| at <= given.height) {
            given = check(given, node(), Command::Node(NodeCommand::Wake));
        }
    }
    given
}
