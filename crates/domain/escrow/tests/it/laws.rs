//! Laws that hold whatever happens, in whatever order: users, notices, time and blocks at random, most of it nonsense.

use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;
use tallystick_civics::dispute::{Seats, UserCommand as Act};
use tallystick_core::{
    BlockHeight, Blocks, Decider, Decision, Digest32, Duration, Id, NostrKey, PaymentHash, Timestamp,
};
use tallystick_escrow::{
    Bonds, Command, Docket, Effect, Escrow, Event, Job, NodeCommand, OnSilence, PayFailure, Phase, ReleaseReason,
    Stage, State, Task, Terms, Tranche, TrancheState, UserCommand, Verdict, payout_id,
};
use tallystick_testkit::{cases, escrow::*};

use crate::arbitrary;

const PAYOUTS: [u64; 3] = [1_000, 2_500, 40_000];

#[derive(Clone, Debug)]
pub enum Op {
    Ask(NostrKey, UserCommand),
    Report(NodeCommand),
    Later(Duration),
    Mined(Blocks),
    /// Blocks up to this many before the last height for a payout.
    NearEnd(Blocks),
    /// What comes next when all goes well.
    Next,
}

/// The next step on the straight way to a payout, or back.
pub fn next_step(given: &Given) -> (NostrKey, Command) {
    let payouts: Vec<u64> = given.task().terms.workers_invoices().map(|payout| payout.get()).collect();
    let parts = given.phase().job().map(|job| job.tranches.as_slice()).unwrap_or_default();
    let first = |wanted: fn(TrancheState) -> bool| {
        (0u8..).zip(parts).find(|(_, part)| wanted(part.state)).map_or(0, |(tranche, _)| tranche)
    };
    let of_tranche = |tranche: u8| match parts.get(usize::from(tranche)) {
        None => NodeCommand::Wake,
        Some(part) => match part.state {
            TrancheState::Paying { attempt, .. } => {
                NodeCommand::RecordPayoutPaid { hash: part.hash, id: pay_id(tranche, attempt), fee: ROUTING_FEE }
            }
            TrancheState::Paid { .. } => {
                NodeCommand::RecordHoldClaimed { hash: part.hash, amount: part.hold().unwrap() }
            }
            TrancheState::Returning => NodeCommand::RecordHoldReturned { hash: part.hash },
            _ => match part.replaced.first() {
                Some(hash) => NodeCommand::RecordHoldReturned { hash: *hash },
                None => NodeCommand::Wake,
            },
        },
    };
    let unfinished = || {
        let open = |part: &Tranche| !part.state.is_final() || !part.replaced.is_empty();
        (0u8..).zip(parts).find(|(_, part)| open(part)).map_or(0, |(tranche, _)| tranche)
    };
    let user = |author, command| (author, Command::User(command));
    match given.phase() {
        Phase::Open => user(worker(), accept(&payouts)),
        Phase::Assigned { .. } => user(requester(), fund(given.task())),
        Phase::Funding { .. } => {
            let tranche = first(|state| state == TrancheState::Unfunded);
            let part = &parts[usize::from(tranche)];
            let delta = given.task().hold_blocks.plus(given.task().policy.payout_reserve());
            let claim_deadline = given.height.after(delta);
            let amount = part.hold().unwrap();
            (node(), Command::Node(NodeCommand::RecordHoldLocked { hash: part.hash, amount, claim_deadline }))
        }
        Phase::Active { job } => match open_milestone(given.task(), job) {
            Some((milestone, _)) if given.task().running(job, milestone).is_some() => {
                given.next_in_dispute(milestone).expect("a dispute that runs goes on")
            }
            Some((milestone, Stage::Working)) => user(worker(), submit_for(milestone)),
            Some((milestone, _)) => user(requester(), UserCommand::ApproveWork { milestone, tranches: None }),
            None => (node(), Command::Node(of_tranche(unfinished()))),
        },
        _ => (node(), Command::Node(of_tranche(unfinished()))),
    }
}

/// The first milestone of which something is undecided.
fn open_milestone(task: &Task, job: &Job) -> Option<(u32, Stage)> {
    let open = |at: &u32| task.decide_by(job, *at).is_some();
    (0..).zip(&job.milestones).find(|(at, _)| open(at)).map(|(at, part)| (at, part.stage))
}

/// What a user may ask. A task of `tranches` tranches.
pub fn ask(tranches: usize) -> impl Strategy<Value = (NostrKey, UserCommand)> {
    let payouts = PAYOUTS[..tranches].to_vec();
    let command = prop_oneof![
        1 => Just(accept(&payouts)),
        1 => Just(UserCommand::RequestFunding),
        1 => (0u32..3).prop_map(submit_for),
        1 => (0u32..3).prop_map(|milestone| UserCommand::ApproveWork { milestone, tranches: None }),
        1 => (0u32..2, vec(0u32..3, 0..3)).prop_map(|(milestone, some)| approve_some(milestone, &some)),
        1 => (0u32..2).prop_map(reject_for),
        1 => Just(UserCommand::CancelTask),
        1 => (0u32..2, 0usize..3, 1usize..3, any::<bool>()).prop_map(|(milestone, first, count, again)| {
            let offered = (0u8..3).zip(PAYOUTS).skip(first).take(count).map(|(tranche, payout)| {
                invoice(next(tranche) + if again { 0x10 } else { 0 }, payout)
            });
            UserCommand::OfferRenewal { milestone, invoices: offered.collect() }
        }),
        2 => (0u32..2, any::<bool>()).prop_map(|(milestone, by)| {
            open_dispute(if by { requester() } else { worker() }, milestone)
        }),
        2 => (0u32..2, act_in_dispute()).prop_map(|(milestone, command)| UserCommand::Dispute { milestone, command }),
        1 => (0u32..2).prop_map(|milestone| UserCommand::ConcedeWork { milestone }),
        1 => (0u8..4, 0u64..3).prop_map(|(n, off)| collect_reward(n, off)),
        1 => (0u32..2).prop_map(|milestone| UserCommand::SubmitWork { milestone, work_hash: Digest32([1; 32]) }),
        1 => Just(create(terms(&payouts))),
    ];
    // The one who may, mostly: else nothing would ever happen.
    let anybody = prop_oneof![Just(requester()), Just(worker()), Just(stranger())];
    (command, anybody, 0..8, 0u8..20).prop_map(|(command, anybody, dice, someone)| {
        let proper = match command {
            UserCommand::AcceptTask { .. }
            | UserCommand::SubmitWork { .. }
            | UserCommand::OfferRenewal { .. }
            | UserCommand::ConcedeWork { .. } => worker(),
            UserCommand::OpenDispute { ref docket, .. } if docket.id == dispute_id(worker()) => worker(),
            UserCommand::Dispute { .. } | UserCommand::CollectReward { .. } if dice > 2 => key(10 + someone),
            _ => requester(),
        };
        (if dice == 0 { anybody } else { proper }, command)
    })
}

/// What somebody may do in a dispute, whether it fits or not.
fn act_in_dispute() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::AcceptSeat),
        Just(Act::RefuseSeat),
        Just(Act::Appeal),
        Just(Act::AcceptRuling),
        Just(Act::Withdraw),
        Just(Act::FileEvidence { hash: Digest32([3; 32]), bytes: 100 }),
        any::<[u8; 32]>().prop_map(|commitment| Act::CommitVote { commitment: Digest32(commitment) }),
    ]
}

/// An arbitrator's invoice, for what the harness's disputes pay or a little off.
pub fn collect_reward(n: u8, off: u64) -> UserCommand {
    let (_, mut facts) = invoice(0, 0);
    facts.hash = PaymentHash([0xa0 + n; 32]);
    facts.amount = Some(msat(2_000 + off));
    UserCommand::CollectReward { milestone: 0, invoice: Box::new((format!("reward invoice {n}"), facts)) }
}

/// Outcomes of a rail that could be true, and some that could not.
fn notice() -> impl Strategy<Value = NodeCommand> {
    // A tranche's own hold, mostly; or the next one, or the one after.
    let tranche =
        (0u8..3, prop_oneof![6 => Just(0), 3 => Just(0x40), 1 => Just(0x50)]).prop_map(|(n, which)| n + which);
    let payout = |tranche: u8| PAYOUTS[usize::from(tranche & 0x0f)];
    prop_oneof![
        3 => tranche.clone().prop_map(invoice_made),
        6 => (tranche.clone(), 0u32..700).prop_map(move |(tranche, more)| NodeCommand::RecordHoldLocked {
            hash: hash(tranche),
            amount: hold_of(payout(tranche)),
            claim_deadline: claim_deadline().after(Blocks(more)),
        }),
        1 => tranche.clone().prop_map(lost),
        2 => tranche.clone().prop_map(returned),
        2 => tranche.clone().prop_map(move |tranche| claimed(tranche, payout(tranche))),
        3 => (tranche.clone(), 1u32..3).prop_map(|(tranche, attempt)| NodeCommand::RecordPayoutPaid {
            hash: hash(tranche),
            id: pay_id(tranche & 0x0f, attempt),
            fee: ROUTING_FEE,
        }),
        3 => (tranche.clone(), 1u32..4, arbitrary::failure()).prop_map(|(tranche, attempt, reason)| {
            NodeCommand::RecordPayoutFailed { hash: hash(tranche), id: pay_id(tranche & 0x0f, attempt), reason }
        }),
        3 => Just(NodeCommand::Wake),
        1 => tranche.clone().prop_map(spent),
        1 => tranche.prop_map(refused),
        1 => arbitrary::node_command(),
    ]
}

fn op(tranches: usize) -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Next),
        3 => ask(tranches).prop_map(|(author, command)| Op::Ask(author, command)),
        8 => notice().prop_map(Op::Report),
        1 => (0u64..6_000).prop_map(|secs| Op::Later(Duration::from_secs(secs))),
        1 => (0u32..40).prop_map(|blocks| Op::Mined(Blocks(blocks))),
        1 => (0u32..20).prop_map(|blocks| Op::NearEnd(Blocks(blocks))),
    ]
}

/// `first` tranches are the first milestone's, and the others the second's, unless there are none.
pub fn task_terms(tranches: usize, first: usize, silence: bool) -> Terms {
    let on_silence = if silence { OnSilence::Release } else { OnSilence::Refund };
    let (one, two) = PAYOUTS[..tranches].split_at(first.min(tranches));
    let sooner = Timestamp::from_millis(DEADLINE.as_millis() - 6 * 3_600_000);
    let milestones = match two {
        [] => vec![milestone(one, DEADLINE)],
        two => vec![milestone(one, sooner), milestone(two, DEADLINE)],
    };
    let renewal = (tranches + first).is_multiple_of(2).then_some(on_silence);
    // Two of three have a panel, and two of three bonds, with or without.
    let panel = (first != 3).then_some(Seats::One);
    let worker = (tranches != 3).then(|| sat(700));
    let bonds = Bonds { requester: panel.map(|_| sat(500)).filter(|_| worker.is_some()), worker };
    Terms { on_silence, milestones, renewal, panel, bonds, ..terms(&[]) }
}

fn history() -> impl Strategy<Value = (Terms, Vec<Op>)> {
    (1usize..=3, 1usize..=3, any::<bool>()).prop_flat_map(|(tranches, first, silence)| {
        (Just(task_terms(tranches, first, silence)), vec(op(tranches), 0..60))
    })
}

/// Does one thing, and checks every law on the way.
fn apply(given: Given, op: Op) -> Given {
    let (author, command) = match op {
        Op::Later(span) => return given.later(span),
        Op::Mined(blocks) => {
            let height = given.height.after(blocks);
            return given.height(height);
        }
        Op::NearEnd(blocks) => {
            let view = tallystick_escrow::TaskView::from(given.task());
            let end = view.milestones.iter().filter_map(|part| part.decide_by).min();
            let height = end.map_or(given.height, |end| end.before(blocks).max(given.height));
            return given.height(height);
        }
        Op::Next => match given.dispute_waits_for() {
            Some(height) => return given.height(height),
            None => next_step(&given),
        },
        // Each dispute has an id of its own, as the requests have that open them.
        Op::Ask(author, UserCommand::OpenDispute { milestone, docket }) => {
            let id = Id::from_parts(NOW.as_millis(), [u8::try_from(given.facts.len()).unwrap(); 10]);
            (author, Command::User(UserCommand::OpenDispute { milestone, docket: Docket { id, ..docket } }))
        }
        Op::Ask(author, command) => (author, Command::User(command)),
        Op::Report(command) => (node(), Command::Node(command)),
    };
    let due = wake_is_due(&given) && command == Command::Node(NodeCommand::Wake);
    let answer = given.decide(author, command.clone());
    let Ok(Decision::Accept { events, effects }) = answer else {
        assert!(!due, "a due wake-up changed nothing: {answer:?}");
        return given;
    };
    assert!(!events.is_empty(), "a decision without a fact");
    let outlives = matches!(
        events[0],
        Event::HoldSpent { .. }
            | Event::OtherHoldSpent { .. }
            | Event::RewardBegun { .. }
            | Event::RewardFailed { .. }
            | Event::RewardPaid { .. }
    );
    assert!(outlives || !given.phase().is_final(), "{} is final, but {command:?} was accepted", given.phase_name());
    check_silence(&given, &events);
    let mut after = given.clone().events(events);
    assert_ne!(given.state, after.state, "{command:?} was accepted and changed nothing");
    check_effects(&given, &after, &effects);
    after.effects.extend(effects);
    // The same again, at once.
    let again = after.decide(author, command.clone());
    assert!(!matches!(again, Ok(Decision::Accept { .. })), "{command:?} worked twice: {again:?}");
    if let Command::User(_) = command {
        assert_eq!(again, Ok(Decision::AlreadyApplied), "{command:?} right after itself");
    }
    after
}

/// Silence pays only after the review, or at least after its blocks.
fn check_silence(given: &Given, events: &[Event]) {
    let by_silence = events.iter().filter_map(|event| match event {
        Event::ReleaseBegun { milestone, reason: ReleaseReason::Silence, .. } => Some(*milestone),
        _ => None,
    });
    for released in by_silence {
        let job = given.phase().job().unwrap();
        let Some(Stage::Submitted { review_until }) = given.task().stage(job, released) else {
            panic!("paid by silence without work")
        };
        if given.now >= review_until {
            continue;
        }
        let is_it = |fact: &Event| matches!(fact, Event::WorkSubmitted { milestone, .. } if *milestone == released);
        let submitted = given.facts.iter().position(is_it).unwrap();
        let review = given.task().terms.review_window.as_millis().div_ceil(600_000);
        let had = given.heights[submitted].until(given.height);
        assert!(u64::from(had.0) >= review, "paid by silence after {had} of a review of {review} blocks");
    }
}

pub fn wake_is_due(given: &Given) -> bool {
    let wake = given.state.wake();
    wake.at.is_some_and(|at| at <= given.now) || wake.height.is_some_and(|at| at <= given.height)
}

fn check_effects(before: &Given, after: &Given, effects: &[Effect]) {
    if effects.is_empty() {
        return;
    }
    let task = after.task();
    let parts = &after.phase().job().expect("effects need tranches").tranches;
    for effect in effects {
        if let Effect::PayReward { .. } | Effect::NoteService { .. } = effect {
            continue;
        }
        let (position, part) = (0..).zip(parts).find(|(_, part)| owns(part, hash_of(effect))).expect("an own hash");
        match (effect, part.state) {
            (Effect::CancelHold { hash }, _) if part.replaced.contains(hash) => {}
            (Effect::MakeHoldInvoice { amount, .. }, TrancheState::Unfunded | TrancheState::Held { .. }) => {
                assert!(part.fee.get() >= 1 && *amount > part.payout.to_msat());
                assert_eq!(*amount, part.hold().unwrap());
            }
            (
                Effect::Pay { id, begin_by, fee_limit, cltv_limit, .. },
                TrancheState::Paying { attempt, covered, .. },
            ) => {
                assert!(matches!(part.verdict, Some(Verdict::Release(_))), "a payout that nobody decided on");
                assert_eq!(*id, payout_id(task.id, position, attempt));
                assert!(covered, "a payout that no hold covers");
                // 46 blocks end it on the chain, if need be.
                let over = begin_by.after(*cltv_limit).after(Blocks(46));
                assert!(over <= locked_until(after, position), "a payout that may outlast its hold");
                assert!(before.height <= *begin_by, "a payout that is too late already");
                assert!(*fee_limit <= part.fee.to_msat(), "routing may cost more than the fee");
            }
            (Effect::ClaimHold { amount, .. }, TrancheState::Paid { .. }) => assert_eq!(*amount, part.hold().unwrap()),
            (Effect::CancelHold { .. }, TrancheState::Returning) => {}
            (effect, state) => panic!("{effect:?} on a tranche that is {state:?}"),
        }
    }
}

fn owns(part: &Tranche, hash: PaymentHash) -> bool {
    part.hash == hash || part.replaced.contains(&hash) || part.renewal.as_ref().is_some_and(|next| next.hash == hash)
}

/// The deadline of a tranche's hold, as it was when the money was locked.
fn locked_until(given: &Given, position: u32) -> BlockHeight {
    let mut deadlines = given.facts.iter().filter_map(|fact| match fact {
        Event::HoldLocked { tranche, claim_deadline, .. } | Event::HoldRenewed { tranche, claim_deadline, .. }
            if *tranche == position =>
        {
            Some(*claim_deadline)
        }
        _ => None,
    });
    deadlines.next_back().expect("a payout without a hold")
}

fn hash_of(effect: &Effect) -> PaymentHash {
    match effect {
        Effect::MakeHoldInvoice { hash, .. }
        | Effect::Pay { hash, .. }
        | Effect::ClaimHold { hash, .. }
        | Effect::CancelHold { hash }
        | Effect::PayReward { hash, .. } => *hash,
        Effect::NoteService { .. } => panic!("it is of no hash"),
    }
}

/// What the facts alone say of each tranche.
fn check_facts(given: &Given) {
    for tranche in 0..5 {
        let count =
            |wanted: fn(&Event) -> Option<u32>| given.facts.iter().filter(|fact| wanted(fact) == Some(tranche)).count();
        let paid = count(|fact| if let Event::PayoutPaid { tranche, .. } = fact { Some(*tranche) } else { None });
        let claimed = count(|fact| if let Event::HoldClaimed { tranche, .. } = fact { Some(*tranche) } else { None });
        let back = count(|fact| if let Event::HoldReturned { tranche } = fact { Some(*tranche) } else { None });
        let gone = count(|fact| if let Event::HoldLost { tranche } = fact { Some(*tranche) } else { None });
        let spent = count(|fact| if let Event::HoldSpent { tranche, .. } = fact { Some(*tranche) } else { None });
        let other = count(|fact| if let Event::OtherHoldSpent { tranche, .. } = fact { Some(*tranche) } else { None });
        assert!(paid + spent <= 1, "tranche {tranche} was paid {paid} times, and spent {spent} times");
        assert!(claimed <= paid, "tranche {tranche} was claimed without having been paid");
        assert!(back <= 1 && back + claimed <= 1, "tranche {tranche} was given back and claimed");
        assert!(paid == 0 || back == 0, "tranche {tranche} was paid and given back");
        let state = given.phase().job().and_then(|job| job.tranches.get(tranche as usize)).map(|part| part.state);
        if other == 0 {
            let part = given.phase().job().and_then(|job| job.tranches.get(tranche as usize));
            let renewed =
                count(|fact| if let Event::HoldRenewed { tranche, .. } = fact { Some(*tranche) } else { None });
            let replaced =
                count(
                    |fact| if let Event::ReplacedHoldReturned { tranche, .. } = fact { Some(*tranche) } else { None },
                );
            let on_their_way = part.map_or(0, |part| part.replaced.len());
            assert_eq!(renewed, replaced + on_their_way, "a hold whose place was taken, and that never came back");
        }
        if let Some(TrancheState::Uncovered { .. }) = state {
            assert!(gone >= 1, "uncovered without a loss");
        }
    }
    let keys: Vec<String> = given.effects.iter().map(Effect::key).collect();
    let different: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(keys.len(), different.len(), "an effect's key was used twice: the second would never be done: {keys:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1_500)) })]

    #[test]
    fn nothing_breaks_the_laws((terms, ops) in history()) {
        let given = ops.into_iter().fold(open_with(terms), apply);
        check_facts(&given);
        let replayed = given.facts.iter().fold(State::default(), Escrow::evolve);
        prop_assert_eq!(&replayed, &given.state, "replay differs from what was lived through");
        // What comes after the end moves a task only from one end to another.
        let after = |fact: &&Event| matches!(
            fact,
            Event::HoldSpent { .. }
                | Event::OtherHoldSpent { .. }
                | Event::RewardBegun { .. }
                | Event::RewardFailed { .. }
                | Event::RewardPaid { .. }
        );
        let last = given.facts.iter().rfind(|fact| !after(fact));
        prop_assert_eq!(given.phase().is_final(), matches!(
            last,
            Some(Event::TaskSettled | Event::TaskRefunded | Event::TaskCancelled { .. } | Event::TaskExpired)
        ));
    }

    #[test]
    fn any_facts_can_be_replayed(
        first in any::<bool>(),
        events in vec(arbitrary::event(), 0..40),
    ) {
        let start = if first { open(&PAYOUTS).state } else { State::Absent };
        let mut state = start;
        for event in &events {
            let may_change = matches!(
                event,
                Event::HoldSpent { .. }
                    | Event::OtherHoldSpent { .. }
                    | Event::RewardBegun { .. }
                    | Event::RewardFailed { .. }
                    | Event::RewardPaid { .. }
            );
            let ended = matches!(&state, State::Present(task) if task.phase.is_final() && !may_change);
            let ended = ended.then(|| state.clone());
            state = Escrow::evolve(state, event);
            if let Some(ended) = ended {
                prop_assert_eq!(&state, &ended, "a fact changed a task that had ended");
            }
            // Whatever the facts made of it, it can be asked and shown.
            let _ = state.wake();
            if let State::Present(task) = &state {
                let view = tallystick_escrow::TaskView::from(task.as_ref());
                prop_assert_eq!(view.state, task.state_name());
            }
        }
    }

    #[test]
    fn rules_answer_in_any_state(
        events in vec(arbitrary::event(), 0..20),
        command in arbitrary::node_command(),
        (author, user) in ask(3),
    ) {
        let given = open(&PAYOUTS).events(events);
        // Neither panics: that is all.
        let _ = given.decide(node(), Command::Node(command));
        let _ = given.decide(author, Command::User(user));
    }
}

/// But that money moved: `a_payout_that_the_journal_knows_nothing_of_is_a_fact`.
#[test]
fn ended_tasks_take_nothing() {
    for given in [settled(&[1_000]), refunded(&[1_000]), cancelled(&[1_000]), expired(&[1_000])] {
        let far = given.clone().at(DEADLINE.after(REVIEW)).height(claim_deadline());
        for given in [given, far] {
            assert_eq!(given.state.wake(), tallystick_escrow::Wake::default());
            let users = [
                create(terms(&[1_000])),
                accept(&[1_000]),
                UserCommand::RequestFunding,
                submit(),
                approve(),
                reject(),
                UserCommand::CancelTask,
            ];
            for (author, command) in users.iter().flat_map(|c| [requester(), worker(), stranger()].map(|a| (a, c))) {
                let answer = given.decide(author, Command::User(command.clone()));
                assert!(!matches!(answer, Ok(Decision::Accept { .. })), "{command:?}: {answer:?}");
            }
            let outcomes = [
                invoice_made(0),
                locked(0, 1_000),
                lost(0),
                returned(0),
                failed(0, 1, PayFailure::NoRoute),
                NodeCommand::Wake,
            ];
            for command in outcomes {
                let answer = given.decide(node(), Command::Node(command.clone()));
                assert!(!matches!(answer, Ok(Decision::Accept { .. })), "{command:?}: {answer:?}");
            }
        }
    }
}

/// The laws would be worth nothing if chance never led anywhere.
#[test]
fn chance_reaches_every_phase() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..1_000 {
        let (terms, ops) = history().new_tree(&mut runner).unwrap().current();
        let mut given = open_with(terms);
        for op in ops {
            given = apply(given, op);
            seen.insert(given.phase_name());
        }
    }
    let phases = [
        "assigned",
        "cancelled",
        "disputed",
        "expired",
        "funding",
        "held",
        "open",
        "refunded",
        "refunding",
        "rejected",
        "releasing",
        "settled",
        "submitted",
    ];
    assert!(seen.iter().eq(&phases), "{seen:?}");
}
