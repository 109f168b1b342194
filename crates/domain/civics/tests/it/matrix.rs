//! Every command in every phase, asked by everybody. `=` is success that changes nothing, `+` names the new facts, the
//! rest is the rejection's code, of `dispute`.

use tallystick_civics::dispute::{Award, Command, Decision, NodeCommand, UserCommand};
use tallystick_core::{Coded, Digest32, NostrKey};

use crate::given::*;

fn phases() -> Vec<(&'static str, Given)> {
    vec![
        ("drawing", drawing()),
        ("seating", seating()),
        ("part seated", seating().accept(0)),
        ("committing", committing()),
        ("part voted", committing().commits(0, VOTES[0])),
        ("revealing", revealing()),
        ("part shown", revealing().reveals(0, VOTES[0])),
        ("ruled", ruled()),
        ("content", ruled().done(payer(), UserCommand::AcceptRuling)),
        ("appealed", appealed()),
        ("replaced", replaced()),
        ("decided", decided()),
        ("failed", failed()),
        ("withdrawn", withdrawn()),
    ]
}

/// The first and the fourth of the first draw: one is asked, the other would step in.
fn drawn() -> (NostrKey, NostrKey) {
    let given = seating();
    (given.drawn_as(0), given.drawn_as(3))
}

type Named = (&'static str, Box<dyn Fn(NostrKey) -> UserCommand>);

fn commands() -> Vec<Named> {
    let given = seating();
    vec![
        ("file", Box::new(|_| file())),
        ("accept", Box::new(|_| UserCommand::AcceptSeat)),
        ("refuse", Box::new(|_| UserCommand::RefuseSeat)),
        ("commit", Box::new(move |who| given.commit(who, VOTES[0]))),
        ("other", Box::new(|_| UserCommand::CommitVote { commitment: Digest32([0; 32]) })),
        ("reveal", Box::new(|who| reveal(who, VOTES[0]))),
        ("lie", Box::new(|who| reveal(who, VOTES[1]))),
        ("beyond", Box::new(|who| reveal(who, Award::new(0b1000)))),
        ("appeal", Box::new(|_| UserCommand::Appeal)),
        ("content", Box::new(|_| UserCommand::AcceptRuling)),
        ("withdraw", Box::new(|_| UserCommand::Withdraw)),
    ]
}

fn short(given: &Given, author: NostrKey, command: Command) -> String {
    match given.decide(author, command) {
        Ok(Decision::AlreadyApplied) => "=".into(),
        Ok(Decision::Accept { events, .. }) => {
            let kinds = events.iter().map(|event| event.kind().trim_start_matches("dispute."));
            kinds.map(|kind| format!("+{kind}")).collect::<Vec<_>>().join(" ")
        }
        Err(rejection) => rejection.code().0.trim_start_matches("dispute.").into(),
    }
}

#[track_caller]
fn same_table(actual: &[String], expected: &str) {
    let expected: Vec<String> = expected
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join(" | "))
        .collect();
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual.len(), expected.len(), "a row is missing or too many:\n{}", actual.join("\n"));
}

#[test]
fn users_in_every_phase() {
    let (asked, standby) = drawn();
    let mut rows = Vec::new();
    for (phase, given) in phases() {
        for (name, command) in commands() {
            let ask = |author| short(&given, author, Command::User(command(author)));
            let cells = [payer(), payee(), asked, standby, stranger()].map(ask);
            rows.push(format!("{phase} | {name} | {}", cells.join(" | ")));
        }
    }
    same_table(&rows, USERS);
}

#[test]
fn users_when_a_phases_time_is_over() {
    let (asked, standby) = drawn();
    let mut rows = Vec::new();
    for (phase, given) in phases().into_iter().filter(|(_, given)| given.dispute.wake().is_some()) {
        let given = given.clone().at(given.dispute.wake().unwrap());
        for (name, command) in commands() {
            let before = short(&given.clone().at(HEIGHT), asked, Command::User(command(asked)));
            let ask = |author| short(&given, author, Command::User(command(author)));
            let cells = [payer(), payee(), asked, standby, stranger()].map(ask);
            // Only what parties and the panel could do before is of interest.
            if before.contains('+') || cells.iter().any(|cell| cell.contains('+') || cell == "time_over") {
                rows.push(format!("{phase} | {name} | {}", cells.join(" | ")));
            }
        }
    }
    same_table(&rows, OVER);
}

#[test]
fn the_node_in_every_phase() {
    let mut rows = Vec::new();
    for (phase, given) in phases() {
        let ask = |given: &Given, command| short(given, node(), Command::Node(command));
        let draw = ask(&given.clone().at(given.dispute.draw_from().max(given.height)), given.draw());
        let early = ask(&given, NodeCommand::Wake);
        let due = given.clone().at(given.dispute.wake().unwrap_or(given.height));
        let end = given.clone().at(given.dispute.opening.rule_by);
        let (due, end) = (ask(&due, NodeCommand::Wake), ask(&end, NodeCommand::Wake));
        rows.push(format!("{phase} | {draw} | {early} | {due} | {end}"));
    }
    same_table(&rows, NODE);
}

/// Phase, command; then payer, payee (who opened it), the first of the draw, the fourth, a stranger.
const USERS: &str = "
";

/// The same at the height of the next wake-up, before it was given.
const OVER: &str = "
";

/// Phase; then the draw, a wake-up now, one when it is due, and one at the last height for a ruling.
const NODE: &str = "
";
