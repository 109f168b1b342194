//! The registry: who may be drawn.

use proptest::{collection::vec, prelude::*};
use tallystick_civics::registry::{
    Admission, Command, Event, OperatorCommand, PAY_BYTES_MAX, Registry, Rejection, State, UserCommand,
};
use tallystick_core::{Coded, Ctx, Decider, Decision, Digest32, NostrKey};
use tallystick_testkit::cases;

use crate::{
    arbitrary,
    given::{HEIGHT, NOW, key, node, stranger},
};

const STATEMENT: Digest32 = Digest32([1; 32]);
const OTHER: Digest32 = Digest32([2; 32]);

fn arbitrator() -> NostrKey {
    key(11)
}

fn decide(
    state: &State,
    author: NostrKey,
    command: Command,
) -> Result<Decision<Event, std::convert::Infallible>, Rejection> {
    Registry::decide(state, command, &Ctx { now: NOW, height: HEIGHT, author })
}

fn register(statement_hash: Digest32, pay: &str) -> Command {
    Command::User(UserCommand::Register { statement_hash, pay: pay.into() })
}

fn admit(statement_hash: Digest32) -> Command {
    Command::Operator(OperatorCommand::Admit { arbitrator: arbitrator(), statement_hash })
}

fn suspend() -> Command {
    Command::Operator(OperatorCommand::Suspend { arbitrator: arbitrator() })
}

fn own(command: UserCommand) -> Command {
    Command::User(command)
}

fn author_of(command: &Command) -> NostrKey {
    if matches!(command, Command::User(_)) { arbitrator() } else { node() }
}

/// Everything done, in order, by who may.
#[track_caller]
fn after(commands: &[Command]) -> State {
    commands.iter().fold(State::Absent, |state, command| match decide(&state, author_of(command), command.clone()) {
        Ok(Decision::Accept { events, .. }) => events.iter().fold(state, Registry::evolve),
        other => panic!("{command:?} should be accepted: {other:?}"),
    })
}

fn eligible(state: &State) -> bool {
    matches!(state, State::Present(arbitrator) if arbitrator.is_eligible())
}

fn admission(state: &State) -> Admission {
    let State::Present(arbitrator) = state else { panic!("nobody registered") };
    arbitrator.admission
}

#[test]
fn only_who_was_admitted_and_neither_paused_nor_left_is_eligible() {
    let (registered, admitted) = (register(STATEMENT, "a@b.example"), admit(STATEMENT));
    let with = |more: &[Command]| after(&[std::slice::from_ref(&registered), more].concat());
    use UserCommand::{Pause, Resume, Withdraw};
    assert!(!eligible(&State::Absent));
    assert!(!eligible(&with(&[])));
    assert!(eligible(&with(std::slice::from_ref(&admitted))));
    assert!(!eligible(&with(&[admitted.clone(), own(Pause)])));
    assert!(eligible(&with(&[admitted.clone(), own(Pause), own(Resume)])));
    assert!(!eligible(&with(&[admitted.clone(), own(Withdraw)])));
    assert!(!eligible(&with(&[admitted.clone(), suspend()])));
    assert!(eligible(&with(&[admitted.clone(), suspend(), admitted.clone()])));
    assert!(!eligible(&with(&[own(Pause), admitted])));
}

#[test]
fn an_admission_is_for_a_statement() {
    let admitted = [register(STATEMENT, "a@b.example"), admit(STATEMENT)];
    let with = |more: &[Command]| after(&[&admitted, more].concat());
    assert!(eligible(&with(&[register(STATEMENT, "c@d.example")])));
    let changed = with(&[register(OTHER, "a@b.example")]);
    assert_eq!(admission(&changed), Admission::Pending);
    assert_eq!(decide(&changed, node(), admit(STATEMENT)), Err(Rejection::OtherStatement));
    assert!(eligible(&with(&[register(OTHER, "a@b.example"), admit(OTHER)])));
}

#[test]
fn nobody_leaves_a_suspension_by_leaving() {
    let suspended = [register(STATEMENT, "a@b.example"), admit(STATEMENT), suspend()];
    let with = |more: &[Command]| after(&[&suspended, more].concat());
    for state in [
        with(&[register(OTHER, "a@b.example")]),
        with(&[own(UserCommand::Withdraw), register(STATEMENT, "a@b.example")]),
    ] {
        assert_eq!(admission(&state), Admission::Suspended);
    }
    let back = after(&[
        register(STATEMENT, "a@b.example"),
        admit(STATEMENT),
        own(UserCommand::Pause),
        own(UserCommand::Withdraw),
        register(STATEMENT, "a@b.example"),
    ]);
    assert_eq!(admission(&back), Admission::Pending);
    let State::Present(back) = back else { panic!() };
    assert!(!back.paused && !back.withdrawn);
}

/// State; then register, other statement, pause, resume, withdraw by the arbitrator; admit, suspend by an operator.
const TABLE: &str = "
absent    | +registered | +registered | not_found | not_found | not_found  | not_found | not_found
pending   | =           | +registered | +paused   | =         | +withdrawn | +admitted | +suspended
admitted  | =           | +registered | +paused   | =         | +withdrawn | =         | +suspended
paused    | =           | +registered | =         | +resumed  | +withdrawn | =         | +suspended
suspended | =           | +registered | +paused   | =         | +withdrawn | +admitted | =
withdrawn | +registered | +registered | withdrawn | withdrawn | =          | withdrawn | +suspended
";

#[test]
fn every_command_in_every_state() {
    let registered = [register(STATEMENT, "a@b.example"), admit(STATEMENT)];
    let with = |more: &[Command]| after(&[&registered, more].concat());
    let states = [
        ("absent", State::Absent),
        ("pending", after(&registered[..1])),
        ("admitted", with(&[])),
        ("paused", with(&[own(UserCommand::Pause)])),
        ("suspended", with(&[suspend()])),
        ("withdrawn", with(&[own(UserCommand::Withdraw)])),
    ];
    let commands = [
        register(STATEMENT, "a@b.example"),
        register(OTHER, "a@b.example"),
        own(UserCommand::Pause),
        own(UserCommand::Resume),
        own(UserCommand::Withdraw),
        admit(STATEMENT),
        suspend(),
    ];
    let expected = TABLE.lines().filter(|line| !line.is_empty());
    for ((name, state), expected) in states.iter().zip(expected) {
        let cell = |command: &Command| match decide(state, author_of(command), command.clone()) {
            Ok(Decision::AlreadyApplied) => "=".to_owned(),
            Ok(Decision::Accept { events, .. }) => events[0].kind().replace("arbitrator.", "+"),
            Err(rejection) => rejection.code().0.replace("arbitrator.", ""),
        };
        let row: Vec<String> = [(*name).to_owned()].into_iter().chain(commands.iter().map(cell)).collect();
        assert_eq!(row, expected.split('|').map(str::trim).collect::<Vec<_>>());
    }
}

#[test]
fn only_the_arbitrator_itself_speaks_for_it() {
    let state = after(&[register(STATEMENT, "a@b.example")]);
    for command in [register(STATEMENT, "a@b.example"), own(UserCommand::Pause), own(UserCommand::Withdraw)] {
        assert_eq!(decide(&state, stranger(), command), Err(Rejection::NotSelf));
    }
    let other = Command::Operator(OperatorCommand::Suspend { arbitrator: stranger() });
    assert_eq!(decide(&state, node(), other), Err(Rejection::NotFound));
}

#[test]
fn how_to_pay() {
    let ask = |pay: &str| decide(&State::Absent, arbitrator(), register(STATEMENT, pay));
    for bad in ["", "a b", "bäcker@b.example", "line\n", &"x".repeat(PAY_BYTES_MAX + 1)] {
        assert_eq!(ask(bad), Err(Rejection::Pay), "{bad}");
    }
    assert!(ask(&"x".repeat(PAY_BYTES_MAX)).is_ok() && ask("x").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(512)) })]

    #[test]
    fn a_repeat_changes_nothing(
        events in vec(arbitrary::registry_event(), 0..12),
        command in prop_oneof![
            Just(register(STATEMENT, "a@b.example")),
            Just(register(OTHER, "c@d.example")),
            Just(own(UserCommand::Pause)),
            Just(own(UserCommand::Resume)),
            Just(own(UserCommand::Withdraw)),
            Just(admit(STATEMENT)),
            Just(suspend()),
        ],
    ) {
        let events = events.into_iter().map(|event| match event {
            Event::ArbitratorRegistered { statement_hash, pay, .. } => {
                Event::ArbitratorRegistered { arbitrator: arbitrator(), statement_hash, pay }
            }
            event => event,
        });
        let state = events.fold(State::Absent, |state, event| Registry::evolve(state, &event));
        if let Ok(Decision::Accept { events, .. }) = decide(&state, author_of(&command), command.clone()) {
            let after = events.iter().fold(state.clone(), Registry::evolve);
            prop_assert_ne!(&after, &state);
            prop_assert_eq!(decide(&after, author_of(&command), command), Ok(Decision::AlreadyApplied));
        }
    }
}
