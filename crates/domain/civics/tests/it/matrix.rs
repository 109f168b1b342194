//! Every command in every phase, asked by everybody. `=` is success that changes nothing, `+` names the new facts, the
//! rest is the rejection's code, of `dispute`.

use tallystick_civics::dispute::{Award, Command, Decision, NodeCommand, UserCommand};
use tallystick_core::{Coded, Digest32, NostrKey};
use tallystick_testkit::same_table;

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
drawing     | file     | +evidence_filed  | +evidence_filed           | not_party          | not_party  | not_party
drawing     | accept   | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | refuse   | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | commit   | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | other    | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | reveal   | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | lie      | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | beyond   | not_seated       | not_seated                | not_seated         | not_seated | not_seated
drawing     | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
drawing     | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
drawing     | withdraw | not_opener       | +withdrawn                | not_opener         | not_opener | not_opener
seating     | file     | +evidence_filed  | +evidence_filed           | not_party          | not_party  | not_party
seating     | accept   | not_seated       | not_seated                | +seat_accepted     | not_seated | not_seated
seating     | refuse   | not_seated       | not_seated                | +seat_refused      | not_seated | not_seated
seating     | commit   | not_seated       | not_seated                | not_committing     | not_seated | not_seated
seating     | other    | not_seated       | not_seated                | not_committing     | not_seated | not_seated
seating     | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
seating     | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
seating     | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
seating     | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
seating     | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
seating     | withdraw | not_opener       | +withdrawn                | not_opener         | not_opener | not_opener
part seated | file     | +evidence_filed  | +evidence_filed           | not_party          | not_party  | not_party
part seated | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
part seated | refuse   | not_seated       | not_seated                | +seat_refused      | not_seated | not_seated
part seated | commit   | not_seated       | not_seated                | not_committing     | not_seated | not_seated
part seated | other    | not_seated       | not_seated                | not_committing     | not_seated | not_seated
part seated | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part seated | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part seated | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part seated | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part seated | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part seated | withdraw | not_opener       | +withdrawn                | not_opener         | not_opener | not_opener
committing  | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
committing  | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
committing  | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
committing  | commit   | not_seated       | not_seated                | +vote_committed    | not_seated | not_seated
committing  | other    | not_seated       | not_seated                | +vote_committed    | not_seated | not_seated
committing  | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
committing  | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
committing  | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
committing  | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
committing  | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
committing  | withdraw | not_opener       | +withdrawn                | not_opener         | not_opener | not_opener
part voted  | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
part voted  | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
part voted  | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
part voted  | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
part voted  | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
part voted  | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part voted  | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part voted  | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
part voted  | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part voted  | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part voted  | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
revealing   | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
revealing   | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
revealing   | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
revealing   | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
revealing   | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
revealing   | reveal   | not_seated       | not_seated                | +vote_revealed     | not_seated | not_seated
revealing   | lie      | not_seated       | not_seated                | commitment_differs | not_seated | not_seated
revealing   | beyond   | not_seated       | not_seated                | bad_award          | not_seated | not_seated
revealing   | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
revealing   | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
revealing   | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
part shown  | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
part shown  | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
part shown  | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
part shown  | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
part shown  | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
part shown  | reveal   | not_seated       | not_seated                | =                  | not_seated | not_seated
part shown  | lie      | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
part shown  | beyond   | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
part shown  | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part shown  | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
part shown  | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
ruled       | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
ruled       | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
ruled       | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
ruled       | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
ruled       | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
ruled       | reveal   | not_seated       | not_seated                | =                  | not_seated | not_seated
ruled       | lie      | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
ruled       | beyond   | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
ruled       | appeal   | +round_begun     | +round_begun              | not_party          | not_party  | not_party
ruled       | content  | +ruling_accepted | +ruling_accepted          | not_party          | not_party  | not_party
ruled       | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
content     | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
content     | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
content     | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
content     | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
content     | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
content     | reveal   | not_seated       | not_seated                | =                  | not_seated | not_seated
content     | lie      | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
content     | beyond   | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
content     | appeal   | ruling_accepted  | +round_begun              | not_party          | not_party  | not_party
content     | content  | =                | +ruling_accepted +decided | not_party          | not_party  | not_party
content     | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
appealed    | file     | +evidence_filed  | +evidence_filed           | not_party          | not_party  | not_party
appealed    | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
appealed    | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
appealed    | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
appealed    | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
appealed    | reveal   | not_seated       | not_seated                | =                  | not_seated | not_seated
appealed    | lie      | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
appealed    | beyond   | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
appealed    | appeal   | =                | already_appealed          | not_party          | not_party  | not_party
appealed    | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
appealed    | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
replaced    | file     | +evidence_filed  | +evidence_filed           | not_party          | not_party  | not_party
replaced    | accept   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
replaced    | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
replaced    | commit   | not_seated       | not_seated                | not_committing     | not_seated | not_seated
replaced    | other    | not_seated       | not_seated                | not_committing     | not_seated | not_seated
replaced    | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
replaced    | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
replaced    | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
replaced    | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
replaced    | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
replaced    | withdraw | not_opener       | +withdrawn                | not_opener         | not_opener | not_opener
decided     | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
decided     | accept   | not_seated       | not_seated                | =                  | not_seated | not_seated
decided     | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
decided     | commit   | not_seated       | not_seated                | =                  | not_seated | not_seated
decided     | other    | not_seated       | not_seated                | already_committed  | not_seated | not_seated
decided     | reveal   | not_seated       | not_seated                | =                  | not_seated | not_seated
decided     | lie      | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
decided     | beyond   | not_seated       | not_seated                | already_revealed   | not_seated | not_seated
decided     | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
decided     | content  | =                | =                         | not_party          | not_party  | not_party
decided     | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
failed      | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
failed      | accept   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
failed      | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
failed      | commit   | not_seated       | not_seated                | not_committing     | not_seated | not_seated
failed      | other    | not_seated       | not_seated                | not_committing     | not_seated | not_seated
failed      | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
failed      | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
failed      | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
failed      | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
failed      | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
failed      | withdraw | not_opener       | not_withdrawable          | not_opener         | not_opener | not_opener
withdrawn   | file     | evidence_closed  | evidence_closed           | not_party          | not_party  | not_party
withdrawn   | accept   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
withdrawn   | refuse   | not_seated       | not_seated                | not_seating        | not_seated | not_seated
withdrawn   | commit   | not_seated       | not_seated                | not_committing     | not_seated | not_seated
withdrawn   | other    | not_seated       | not_seated                | not_committing     | not_seated | not_seated
withdrawn   | reveal   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
withdrawn   | lie      | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
withdrawn   | beyond   | not_seated       | not_seated                | not_revealing      | not_seated | not_seated
withdrawn   | appeal   | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
withdrawn   | content  | not_ruled        | not_ruled                 | not_party          | not_party  | not_party
withdrawn   | withdraw | not_opener       | =                         | not_opener         | not_opener | not_opener
";

/// The same at the height of the next wake-up, before it was given.
const OVER: &str = "
drawing     | file     | time_over                 | time_over                 | not_party  | not_party  | not_party
drawing     | withdraw | not_opener                | +withdrawn                | not_opener | not_opener | not_opener
seating     | file     | time_over                 | time_over                 | not_party  | not_party  | not_party
seating     | accept   | not_seated                | not_seated                | time_over  | not_seated | not_seated
seating     | refuse   | not_seated                | not_seated                | time_over  | not_seated | not_seated
seating     | withdraw | not_opener                | +withdrawn                | not_opener | not_opener | not_opener
part seated | file     | time_over                 | time_over                 | not_party  | not_party  | not_party
part seated | refuse   | not_seated                | not_seated                | time_over  | not_seated | not_seated
part seated | withdraw | not_opener                | +withdrawn                | not_opener | not_opener | not_opener
committing  | commit   | not_seated                | not_seated                | time_over  | not_seated | not_seated
committing  | other    | not_seated                | not_seated                | time_over  | not_seated | not_seated
committing  | withdraw | not_opener                | +withdrawn                | not_opener | not_opener | not_opener
revealing   | reveal   | not_seated                | not_seated                | time_over  | not_seated | not_seated
revealing   | lie      | not_seated                | not_seated                | time_over  | not_seated | not_seated
revealing   | beyond   | not_seated                | not_seated                | time_over  | not_seated | not_seated
ruled       | appeal   | time_over                 | time_over                 | not_party  | not_party  | not_party
ruled       | content  | +ruling_accepted +decided | +ruling_accepted +decided | not_party  | not_party  | not_party
content     | appeal   | ruling_accepted           | time_over                 | not_party  | not_party  | not_party
content     | content  | =                         | +ruling_accepted +decided | not_party  | not_party  | not_party
appealed    | file     | time_over                 | time_over                 | not_party  | not_party  | not_party
replaced    | file     | time_over                 | time_over                 | not_party  | not_party  | not_party
replaced    | withdraw | not_opener                | +withdrawn                | not_opener | not_opener | not_opener
";

/// Phase; then the draw, a wake-up now, one when it is due, and one at the last height for a ruling.
const NODE: &str = "
drawing     | +panel_drawn | = | +panel_failed +failed      | +panel_failed +failed
seating     | =            | = | +panel_failed +round_begun | +panel_failed +failed
part seated | =            | = | +panel_failed +round_begun | +panel_failed +failed
committing  | =            | = | +panel_failed +round_begun | +panel_failed +failed
part voted  | =            | = | +panel_failed +round_begun | +panel_failed +failed
revealing   | =            | = | +panel_failed +round_begun | +panel_failed +failed
part shown  | =            | = | +panel_failed +round_begun | +panel_failed +failed
ruled       | =            | = | +decided                   | +decided
content     | =            | = | +decided                   | +decided
appealed    | +panel_drawn | = | +panel_failed +decided     | +panel_failed +decided
replaced    | +panel_drawn | = | +panel_failed +failed      | +panel_failed +failed
decided     | =            | = | =                          | =
failed      | =            | = | =                          | =
withdrawn   | =            | = | =                          | =
";
