//! The node's roles, and what stands beside an admin's key.

use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;
use tallystick_civics::roles::{
    Action, AdminCommand, Checked, Command, Event, Factor, HOLDERS_MAX, Needs, NodeCommand, Operation, PROPOSAL_LIFE,
    PROPOSALS_MAX, Proof, Rejection, Role, Roles, State,
};
use tallystick_core::{Coded, Ctx, Decider, Decision, Duration, Id, Msat, NostrKey, Timestamp, canonical};
use tallystick_testkit::{cases, complete, golden, same_table};

use crate::given::{HEIGHT, NOW, key, node};

type Decided = Result<Decision<Event, std::convert::Infallible>, Rejection>;

/// The step of [`NOW`] in an authenticator.
const STEP: u64 = 60_000_000;

fn ada() -> NostrKey {
    key(1)
}

fn bea() -> NostrKey {
    key(2)
}

fn opal() -> NostrKey {
    key(3)
}

fn pay() -> Action {
    Action::Pay { invoice: "lnbcrt1".into(), fee_limit: Msat::try_new(1_000).unwrap() }
}

fn grant(role: Role, key: NostrKey) -> Action {
    Action::GrantRole { role, key }
}

fn withdraw(role: Role, key: NostrKey) -> Action {
    Action::WithdrawRole { role, key }
}

fn right(step: u64) -> Factor {
    Factor::Code(Checked::Step(step))
}

const WRONG: Factor = Factor::Code(Checked::Wrong);

fn decide_at(state: &State, now: Timestamp, author: NostrKey, command: Command) -> Decided {
    Roles::decide(state, command, &Ctx { now, height: HEIGHT, author })
}

fn act(state: &State, author: NostrKey, action: Action, factor: Factor) -> Decided {
    decide_at(state, NOW, author, Command::Admin(AdminCommand::Act { action, factor }))
}

fn propose(state: &State, author: NostrKey, action: Action) -> Decided {
    decide_at(state, NOW, author, Command::Admin(AdminCommand::Propose(action)))
}

fn first_code(state: &State, author: NostrKey, code: Checked) -> Decided {
    decide_at(state, NOW, author, Command::Admin(AdminCommand::CompleteEnrolment(code)))
}

#[track_caller]
fn then(state: State, decided: Decided) -> State {
    match decided {
        Ok(Decision::Accept { events, .. }) => events.iter().fold(state, Roles::evolve),
        other => panic!("it should be accepted: {other:?}"),
    }
}

fn founded(admins: &[NostrKey]) -> State {
    let found = Command::Node(NodeCommand::Found { admins: admins.to_vec() });
    then(State::default(), decide_at(&State::default(), NOW, node(), found))
}

/// Ada is the only admin, and has an authenticator.
fn alone() -> State {
    let state = founded(&[ada()]);
    let begun = act(&state, ada(), Action::Enrol { admin: ada() }, Factor::Nothing);
    let state = then(state, begun);
    let complete = first_code(&state, ada(), Checked::Step(STEP));
    then(state, complete)
}

/// Ada has an authenticator, and Bea is an admin without one.
fn two() -> State {
    let state = alone();
    let granted = act(&state, ada(), grant(Role::Admin, bea()), right(STEP + 1));
    then(state, granted)
}

fn proposed(state: State, by: NostrKey, action: Action) -> State {
    let decided = propose(&state, by, action);
    then(state, decided)
}

#[test]
fn a_node_begins_with_its_founders_once() {
    let state = founded(&[bea(), ada(), ada()]);
    assert_eq!(state.operators, BTreeSet::from([ada(), bea()]));
    assert_eq!(state.admins.keys().copied().collect::<BTreeSet<_>>(), state.operators);
    let again = Command::Node(NodeCommand::Found { admins: vec![opal()] });
    assert_eq!(decide_at(&state, NOW, node(), again), Ok(Decision::AlreadyApplied));
    for admins in [vec![], (0..=HOLDERS_MAX).map(|n| key(u8::try_from(n + 1).unwrap())).collect()] {
        let found = Command::Node(NodeCommand::Found { admins });
        assert_eq!(decide_at(&State::default(), NOW, node(), found), Err(Rejection::Founders));
    }
}

/// Who asks; then each operation's need: what the key's role says of it. Opal is an operator alone, Ada an admin alone.
const MAY: &str = "
operator                | opal ok           | ada auth.not_operator | bea auth.not_operator
admin                   | opal auth.not_admin | ada ok              | bea auth.not_admin
admin and second factor | opal auth.not_admin | ada ok              | bea auth.not_admin
";

#[test]
fn a_role_does_what_the_table_says_and_nothing_else() {
    let state = alone();
    let state = then(state.clone(), act(&state, ada(), grant(Role::Operator, opal()), right(STEP + 1)));
    let state = then(state.clone(), act(&state, ada(), withdraw(Role::Operator, ada()), right(STEP + 2)));
    let mut rows = BTreeSet::new();
    for operation in Operation::ALL {
        let cell = |name: &str, key| match state.may(key, operation) {
            Ok(()) => format!("{name} ok"),
            Err(rejection) => format!("{name} {}", rejection.code()),
        };
        let cells = [cell("opal", opal()), cell("ada", ada()), cell("bea", bea())];
        rows.insert(format!("{} | {}", operation.needs().words(), cells.join(" | ")));
    }
    let mut rows: Vec<String> = rows.into_iter().collect();
    rows.sort_by_key(|row| [!row.starts_with("operator"), !row.starts_with("admin |")]);
    same_table(&rows, MAY);
}

#[test]
fn the_table_names_each_operation_once() {
    let names: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(names.len(), Operation::ALL.len());
    for action in actions() {
        assert_eq!(action.operation().needs(), Needs::SecondFactor, "{action:?}");
    }
    let with_factor = Operation::ALL.iter().filter(|operation| operation.needs() == Needs::SecondFactor);
    assert_eq!(with_factor.count(), actions().len());
}

fn actions() -> [Action; 7] {
    [
        grant(Role::Admin, opal()),
        withdraw(Role::Operator, ada()),
        Action::Enrol { admin: bea() },
        pay(),
        Action::CloseChannel { channel_id: "ab".repeat(32), force: true },
        Action::Erase { stream: "escrow/1".into() },
        Action::EraseEvidence { stream: "escrow/1".into(), dispute: Id::from_parts(7, [1; 10]) },
    ]
}

/// Action; then by whom and with what: Ada (with an authenticator) with nothing, a right code, a wrong one, her own proposal,
/// Bea's; Bea (without) with nothing, a code, Ada's proposal; a stranger with Ada's proposal.
const TABLE: &str = "
roles.granted         | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
roles.withdrawn       | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
roles.enrolment_begun | roles.not_self | roles.not_self | roles.not_self | roles.not_self | roles.not_self | roles.second_factor | roles.second_admin | + | auth.not_admin
roles.authorised      | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
roles.authorised      | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
roles.authorised      | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
roles.authorised      | roles.second_factor | + | roles.code_refused | roles.own_proposal | + | roles.second_factor | roles.not_enrolled | + | auth.not_admin
";

#[test]
fn every_action_with_every_second_factor() {
    let rows = actions().map(|action| {
        // Ada's proposal is the first, Bea's the second.
        let state = proposed(proposed(two(), ada(), action.clone()), bea(), action.clone());
        let code = right(STEP + 2);
        let tries = [
            (ada(), Factor::Nothing),
            (ada(), code),
            (ada(), WRONG),
            (ada(), Factor::Confirms(1)),
            (ada(), Factor::Confirms(2)),
            (bea(), Factor::Nothing),
            (bea(), code),
            (bea(), Factor::Confirms(1)),
            (opal(), Factor::Confirms(1)),
        ];
        let mut kind = String::new();
        let cells = tries.map(|(author, factor)| match act(&state, author, action.clone(), factor) {
            Ok(Decision::Accept { events, .. }) if matches!(events[0], Event::CodeRefused { .. }) => {
                events[0].kind().into()
            }
            Ok(Decision::Accept { events, .. }) => {
                kind = events[0].kind().into();
                "+".to_owned()
            }
            Ok(Decision::AlreadyApplied) => "=".into(),
            Err(rejection) => rejection.code().0.into(),
        });
        format!("{kind} | {}", cells.join(" | "))
    });
    same_table(&rows, TABLE);
}

#[test]
fn a_role_is_gone_with_the_fact() {
    let state = two();
    let state = proposed(state, bea(), pay());
    let state = then(state.clone(), act(&state, ada(), withdraw(Role::Admin, bea()), right(STEP + 2)));
    assert_eq!(state.may(bea(), Operation::Pay), Err(Rejection::NotAdmin));
    assert_eq!(act(&state, ada(), pay(), Factor::Confirms(1)), Err(Rejection::NoProposal), "and his proposals too");
    // Granted again, an admin begins without an authenticator.
    let state = then(state.clone(), act(&state, ada(), grant(Role::Admin, bea()), right(STEP + 3)));
    assert_eq!(state.enrolment(bea()), None);
}

#[test]
fn the_last_admin_cannot_go() {
    let state = alone();
    let go = withdraw(Role::Admin, ada());
    assert_eq!(act(&state, ada(), go.clone(), right(STEP + 1)), Err(Rejection::LastAdmin));
    assert_eq!(propose(&state, ada(), go.clone()), Err(Rejection::LastAdmin));
    let state = two();
    let state = then(state.clone(), act(&state, ada(), go, right(STEP + 2)));
    assert_eq!(state.admins.keys().collect::<Vec<_>>(), [&bea()]);
}

#[test]
fn a_code_counts_once_and_none_before_it() {
    let state = alone();
    for step in [STEP, STEP - 1] {
        assert_eq!(act(&state, ada(), pay(), right(step)), Err(Rejection::CodeUsed), "{step}");
    }
    let state = then(state.clone(), act(&state, ada(), pay(), right(STEP + 1)));
    assert_eq!(act(&state, ada(), pay(), right(STEP + 1)), Err(Rejection::CodeUsed));
    assert!(act(&state, ada(), pay(), right(STEP + 2)).is_ok());
}

#[test]
fn wrong_codes_make_the_next_try_wait_longer_and_longer() {
    let (mut state, mut now, mut pauses) = (alone(), NOW, Vec::new());
    let code = |factor| Command::Admin(AdminCommand::Act { action: pay(), factor });
    for _ in 0..18 {
        let refused = decide_at(&state, now, ada(), code(WRONG));
        state = then(state, refused);
        let until = state.enrolment(ada()).unwrap().paused_until;
        pauses.push(now.until(until).as_secs());
        if until > now {
            let early = Timestamp::from_millis(until.as_millis() - 1);
            for factor in [WRONG, right(STEP + 9)] {
                assert_eq!(decide_at(&state, early, ada(), code(factor)), Err(Rejection::Paused { until }));
            }
        }
        now = until;
    }
    assert_eq!(pauses[..6], [0, 0, 30, 60, 120, 240]);
    assert_eq!(pauses[12..], [30_720, 61_440, 86_400, 86_400, 86_400, 86_400]);
    let counted = decide_at(&state, now, ada(), code(right(STEP + 9)));
    let state = then(state, counted);
    assert_eq!(state.enrolment(ada()).unwrap().wrong, 0, "a right one ends it");
}

#[test]
fn nobody_enrols_himself_while_there_is_another_admin() {
    let enrol = |admin| Action::Enrol { admin };
    let state = founded(&[ada(), bea()]);
    assert_eq!(act(&state, ada(), enrol(ada()), Factor::Nothing), Err(Rejection::SecondFactor));
    let state = proposed(state, ada(), enrol(ada()));
    assert_eq!(act(&state, ada(), enrol(ada()), Factor::Confirms(1)), Err(Rejection::OwnProposal));
    assert_eq!(act(&state, bea(), enrol(ada()), Factor::Confirms(1)), Err(Rejection::NotSelf));
    let state = proposed(state, bea(), enrol(ada()));
    let state = then(state.clone(), act(&state, ada(), enrol(ada()), Factor::Confirms(2)));
    assert_eq!(
        act(&state, ada(), pay(), right(STEP)),
        Err(Rejection::NotEnrolled),
        "it begins with a first right code"
    );
    let wrong = then(state.clone(), first_code(&state, ada(), Checked::Wrong));
    assert!(!wrong.enrolment(ada()).unwrap().complete && wrong.enrolment(ada()).unwrap().wrong == 1);
    let state = then(state.clone(), first_code(&state, ada(), Checked::Step(STEP)));
    assert_eq!(first_code(&state, ada(), Checked::Step(STEP + 1)), Err(Rejection::NotEnrolling));
    assert!(act(&state, ada(), pay(), right(STEP + 1)).is_ok());
}

#[test]
fn who_is_alone_gets_another_authenticator_with_the_one_that_he_has() {
    let state = founded(&[ada()]);
    let enrol = Action::Enrol { admin: ada() };
    // Until the first right code he may begin anew: nothing is lost yet.
    let state = then(state.clone(), act(&state, ada(), enrol.clone(), Factor::Nothing));
    let state = then(state.clone(), act(&state, ada(), enrol.clone(), Factor::Nothing));
    assert_eq!(state.enrolment(ada()).unwrap().number, 2, "each has a secret of its own");
    let state = then(state.clone(), first_code(&state, ada(), Checked::Step(STEP)));
    assert_eq!(act(&state, ada(), enrol.clone(), Factor::Nothing), Err(Rejection::SecondFactor));
    let state = then(state.clone(), act(&state, ada(), enrol, right(STEP + 1)));
    let begun = state.enrolment(ada()).unwrap();
    assert!(begun.number == 3 && !begun.complete, "the old one is void");
}

#[test]
fn a_proposal_is_for_the_very_same_for_a_day_and_once() {
    let state = proposed(two(), bea(), pay());
    let other = Action::Pay { invoice: "lnbcrt1".into(), fee_limit: Msat::try_new(1_001).unwrap() };
    assert_eq!(act(&state, ada(), other, Factor::Confirms(1)), Err(Rejection::OtherAction));
    assert_eq!(act(&state, ada(), pay(), Factor::Confirms(2)), Err(Rejection::NoProposal));
    assert_eq!(propose(&state, bea(), pay()), Ok(Decision::AlreadyApplied));
    let end = NOW.after(PROPOSAL_LIFE);
    let confirm = || Command::Admin(AdminCommand::Act { action: pay(), factor: Factor::Confirms(1) });
    assert!(decide_at(&state, end, ada(), confirm()).is_ok());
    let late = end.after(Duration::from_millis(1));
    assert_eq!(decide_at(&state, late, ada(), confirm()), Err(Rejection::NoProposal));
    let done = then(state.clone(), act(&state, ada(), pay(), Factor::Confirms(1)));
    assert_eq!(act(&done, ada(), pay(), Factor::Confirms(1)), Err(Rejection::NoProposal));
    // What is too old is forgotten with the next one.
    let anew = decide_at(&state, late, bea(), Command::Admin(AdminCommand::Propose(pay())));
    assert_eq!(then(state, anew).proposals.keys().collect::<Vec<_>>(), [&2]);
}

#[test]
fn proposals_and_holders_have_limits() {
    let mut state = two();
    for n in 0..PROPOSALS_MAX {
        state = proposed(state, bea(), Action::Erase { stream: format!("escrow/{n}") });
    }
    assert_eq!(propose(&state, bea(), pay()), Err(Rejection::TooManyProposals));
    assert!(propose(&state, ada(), pay()).is_ok());
    let mut state = alone();
    for n in 1..HOLDERS_MAX {
        let holder = grant(Role::Operator, key(u8::try_from(n + 100).unwrap()));
        let step = STEP + u64::try_from(n).unwrap();
        state = then(state.clone(), act(&state, ada(), holder, right(step)));
    }
    let more = act(&state, ada(), grant(Role::Operator, opal()), right(STEP + 100));
    assert_eq!(more, Err(Rejection::TooManyHolders));
}

#[test]
fn whoever_has_the_machine_makes_an_admin() {
    let recover = |admin| Command::Node(NodeCommand::Recover { admin });
    let state = then(two(), decide_at(&two(), NOW, node(), recover(ada())));
    assert_eq!(state.enrolment(ada()), None, "a lost authenticator is gone");
    assert_eq!(decide_at(&state, NOW, node(), recover(ada())), Ok(Decision::AlreadyApplied));
    let state = then(state.clone(), decide_at(&state, NOW, node(), recover(opal())));
    assert!(state.may(opal(), Operation::Pay).is_ok() && state.may(opal(), Operation::Balances).is_ok());
}

fn events() -> Vec<Event> {
    let authorised = |action, proof| Event::ActionAuthorised { by: ada(), action, proof };
    let mut events = vec![
        Event::RolesFounded { admins: vec![ada(), bea()] },
        Event::AdminRecovered { admin: ada() },
        Event::ActionProposed { proposal: 7, by: bea(), action: pay(), at: NOW, until: NOW.after(PROPOSAL_LIFE) },
    ];
    events.extend(actions().map(|action| authorised(action, Proof::Code { step: STEP })));
    events.extend([
        authorised(pay(), Proof::Confirms { proposal: 7 }),
        authorised(Action::Enrol { admin: ada() }, Proof::Alone),
        Event::EnrolmentCompleted { admin: ada(), step: STEP },
        Event::CodeRefused { admin: ada(), paused_until: NOW },
    ]);
    events
}

#[test]
fn events_and_node_commands_keep_their_bytes() {
    let lines: Vec<_> = events().iter().map(|event| (event.kind().to_owned(), canonical::encode(event))).collect();
    golden("roles_events.txt", &lines);
    complete::<Event>(&lines, 6);
    let commands = [
        ("Found", NodeCommand::Found { admins: vec![ada(), bea()] }),
        ("Recover", NodeCommand::Recover { admin: ada() }),
    ];
    let lines: Vec<_> = commands.iter().map(|(name, command)| ((*name).into(), canonical::encode(command))).collect();
    golden("roles_node_commands.txt", &lines);
    complete::<NodeCommand>(&lines, 2);
}

#[test]
fn only_who_has_which_role_is_public() {
    let public = events().into_iter().filter(Event::is_public);
    let kinds: BTreeSet<_> = public.map(|event| event.kind()).collect();
    let expected = ["roles.admin_recovered", "roles.founded", "roles.granted", "roles.withdrawn"];
    assert_eq!(kinds, expected.into());
}

#[test]
fn a_digest_names_one_action() {
    let digests: BTreeSet<_> = actions().iter().map(Action::digest).collect();
    assert_eq!(digests.len(), actions().len());
}

fn any_command() -> impl Strategy<Value = (NostrKey, Command)> {
    let person = || (1u8..5).prop_map(key);
    let role = || prop_oneof![Just(Role::Operator), Just(Role::Admin)];
    let action = || {
        prop_oneof![
            (role(), person()).prop_map(|(role, key)| grant(role, key)),
            (role(), person()).prop_map(|(role, key)| withdraw(role, key)),
            person().prop_map(|admin| Action::Enrol { admin }),
            Just(pay()),
        ]
    };
    let checked = || prop_oneof![4 => (STEP..STEP + 40).prop_map(Checked::Step), 1 => Just(Checked::Wrong)];
    let factor =
        prop_oneof![Just(Factor::Nothing), checked().prop_map(Factor::Code), (1u64..20).prop_map(Factor::Confirms)];
    let command = prop_oneof![
        2 => action().prop_map(AdminCommand::Propose),
        6 => (action(), factor).prop_map(|(action, factor)| AdminCommand::Act { action, factor }),
        2 => checked().prop_map(AdminCommand::CompleteEnrolment),
    ];
    let command = prop_oneof![
        30 => command.prop_map(Command::Admin),
        1 => person().prop_map(|admin| Command::Node(NodeCommand::Recover { admin })),
    ];
    (person(), command)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(512)) })]

    #[test]
    fn whatever_is_asked_two_stand_behind_each_action(
        founders in vec((1u8..4).prop_map(key), 1..3),
        commands in vec(any_command(), 0..60),
    ) {
        let mut state = founded(&founders);
        let mut proposers = std::collections::BTreeMap::new();
        let mut steps = BTreeSet::new();
        for (author, command) in commands {
            let Ok(Decision::Accept { events, .. }) = decide_at(&state, NOW, author, command) else { continue };
            for event in events {
                match &event {
                    Event::ActionProposed { proposal, by, action, .. } => {
                        prop_assert!(proposers.insert(*proposal, (*by, action.clone())).is_none());
                    }
                    Event::ActionAuthorised { by, action, proof } => {
                        prop_assert!(state.admins.contains_key(by));
                        match proof {
                            Proof::Alone => {
                                let enrols = matches!(action, Action::Enrol { .. });
                                prop_assert!(enrols && state.admins.len() == 1);
                            }
                            Proof::Code { step } => {
                                let number = state.enrolment(*by).unwrap().number;
                                prop_assert!(steps.insert((number, *step)), "a code counted twice");
                            }
                            Proof::Confirms { proposal } => {
                                let (other, same) = &proposers[proposal];
                                prop_assert!(other != by && same == action && state.admins.contains_key(other));
                            }
                        }
                    }
                    Event::EnrolmentCompleted { admin, step } => {
                        let number = state.enrolment(*admin).unwrap().number;
                        prop_assert!(steps.insert((number, *step)), "a code counted twice");
                    }
                    _ => {}
                }
                state = Roles::evolve(state, &event);
                prop_assert!(state.is_founded(), "the last admin is gone");
            }
        }
    }

    #[test]
    fn what_is_granted_or_withdrawn_again_changes_nothing(
        commands in vec(any_command(), 0..30),
        role in prop_oneof![Just(Role::Operator), Just(Role::Admin)],
        other in 1u8..5,
    ) {
        let mut state = alone();
        for (author, command) in commands {
            if let Ok(Decision::Accept { events, .. }) = decide_at(&state, NOW, author, command) {
                state = events.iter().fold(state, Roles::evolve);
            }
        }
        for action in [grant(role, key(other)), withdraw(role, key(other))] {
            let code = right(STEP + 1_000);
            if let Ok(Decision::Accept { events, .. }) = act(&state, ada(), action.clone(), code) {
                let after = events.iter().fold(state.clone(), Roles::evolve);
                if after.admins.contains_key(&ada()) {
                    prop_assert_eq!(act(&after, ada(), action, code), Ok(Decision::AlreadyApplied));
                }
            }
        }
    }
}
