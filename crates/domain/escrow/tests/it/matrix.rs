//! Every command in every phase, asked by everybody. `=` is success that changes nothing, `+` names the new facts, the
//! rest is the rejection's code (of `escrow` unless it says otherwise). All tasks have two tranches.

use tallystick_civics::dispute::{Award, UserCommand as Act};
use tallystick_core::{Coded, Decision, NostrKey};
use tallystick_escrow::{Command, NodeCommand, PayFailure, UserCommand};
use tallystick_testkit::{escrow::*, same_table};

const TWO: [u64; 2] = [1_000, 2_000];

fn phases() -> Vec<(&'static str, Given)> {
    vec![
        ("absent", Given::nothing()),
        ("open", open(&TWO)),
        ("assigned", assigned(&TWO)),
        ("funding", funding(&TWO)),
        ("part funded", funding(&TWO).reported(locked(0, 1_000))),
        ("held", held(&TWO)),
        ("submitted", submitted(&TWO)),
        ("releasing", releasing(&TWO)),
        ("part paid", releasing(&TWO).reported(paid(0, 1))),
        ("refunding", refunding(&TWO)),
        ("settled", settled(&TWO)),
        ("refunded", refunded(&TWO)),
        ("cancelled", cancelled(&TWO)),
        ("expired", expired(&TWO)),
    ]
}

fn user_commands() -> Vec<(&'static str, UserCommand)> {
    vec![
        ("create", create(terms(&TWO))),
        ("accept", accept(&TWO)),
        ("fund", UserCommand::RequestFunding),
        ("submit", submit()),
        ("approve", approve()),
        ("reject", reject()),
        ("cancel", UserCommand::CancelTask),
    ]
}

fn node_commands() -> Vec<(&'static str, NodeCommand)> {
    vec![
        ("invoice", invoice_made(0)),
        ("locked", locked(0, 1_000)),
        ("lost", lost(0)),
        ("returned", returned(0)),
        ("claimed", claimed(0, 1_000)),
        ("paid", paid(0, 1)),
        ("failed", failed(0, 1, PayFailure::NoRoute)),
        ("expired", failed(0, 1, PayFailure::InvoiceExpired)),
        ("spent", spent(0)),
        ("refused", refused(1)),
    ]
}

fn short(given: &Given, author: NostrKey, command: Command) -> String {
    match given.decide(author, command) {
        Ok(Decision::AlreadyApplied) => "=".into(),
        Ok(Decision::Accept { events, .. }) => {
            let kinds = events.iter().map(|event| event.kind().trim_start_matches("escrow."));
            kinds.map(|kind| format!("+{kind}")).collect::<Vec<_>>().join(" ")
        }
        Err(rejection) => rejection.code().0.trim_start_matches("escrow.").into(),
    }
}

fn row(cells: &[&str]) -> String {
    cells.join(" | ")
}

#[test]
fn users_in_every_phase() {
    let mut rows = Vec::new();
    for (phase, given) in phases() {
        for (name, command) in user_commands() {
            let ask = |author| short(&given, author, Command::User(command.clone()));
            rows.push(row(&[phase, name, &ask(requester()), &ask(worker()), &ask(stranger())]));
        }
    }
    same_table(&rows, USERS);
}

#[test]
fn the_node_in_every_phase() {
    let mut rows = Vec::new();
    for (phase, given) in phases() {
        let mut cells = vec![phase.to_owned()];
        for (name, command) in node_commands() {
            cells.push(format!("{name}: {}", short(&given, node(), Command::Node(command))));
        }
        rows.push(cells.join(" | "));
    }
    same_table(&rows, NODE);
}

#[test]
fn wake_ups_in_every_phase() {
    let mut rows = Vec::new();
    for (phase, given) in phases() {
        let ask = |given: &Given| short(given, node(), Command::Node(NodeCommand::Wake));
        let early = ask(&given);
        let by_time = ask(&given.clone().at(DEADLINE.after(REVIEW)));
        let by_height = ask(&given.clone().height(decide_by()));
        rows.push(row(&[phase, &early, &by_time, &by_height]));
    }
    same_table(&rows, WAKE);
}

fn disputed_phases() -> Vec<(&'static str, Given)> {
    let rejected = held_with(panel_terms(&TWO)).done(worker(), submit()).done(requester(), reject());
    let drawn = rejected.clone().disputed_by(worker()).drawn();
    let ruled = drawn.clone().voted(&[Award::new(0b01); 3]);
    vec![
        ("working", held_with(panel_terms(&TWO))),
        ("rejected", rejected.clone()),
        ("drawing", rejected.clone().disputed_by(worker())),
        ("seating", drawn),
        ("ruled", ruled.clone()),
        ("decided", ruled.content()),
        ("withdrawn", rejected.disputed_by(worker()).done(worker(), act(Act::Withdraw))),
    ]
}

#[test]
fn users_in_every_stage_of_a_dispute() {
    let mut rows = Vec::new();
    for (phase, given) in disputed_phases() {
        let commands = |author| {
            [
                ("submit", submit()),
                ("approve", approve()),
                ("reject", reject()),
                ("cancel", UserCommand::CancelTask),
                ("concede", UserCommand::ConcedeWork { milestone: 0 }),
                ("dispute", open_dispute(author, 0)),
                ("withdraw", act(Act::Withdraw)),
                ("appeal", act(Act::Appeal)),
                ("accept ruling", act(Act::AcceptRuling)),
            ]
        };
        for (at, (name, _)) in commands(requester()).into_iter().enumerate() {
            let ask = |author| short(&given, author, Command::User(commands(author)[at].1.clone()));
            rows.push(row(&[phase, name, &ask(requester()), &ask(worker()), &ask(stranger())]));
        }
    }
    same_table(&rows, DISPUTED);
}

/// Phase, command; then requester, worker, stranger. All have a panel of three.
const DISPUTED: &str = "
working   | submit        | not_worker                                                 | +work_submitted                    | not_worker
working   | approve       | not_submitted                                              | not_requester                      | not_requester
working   | reject        | not_submitted                                              | not_requester                      | not_requester
working   | cancel        | +refund_begun                                              | +refund_begun                      | not_party
working   | concede       | not_worker                                                 | +refund_begun                      | not_worker
working   | dispute       | +dispute_opened                                            | +dispute_opened                    | not_party
working   | withdraw      | not_disputed                                               | not_disputed                       | not_disputed
working   | appeal        | not_disputed                                               | not_disputed                       | not_disputed
working   | accept ruling | not_disputed                                               | not_disputed                       | not_disputed
rejected  | submit        | not_worker                                                 | =                                  | not_worker
rejected  | approve       | +release_begun +payout_begun +payout_begun                 | not_requester                      | not_requester
rejected  | reject        | =                                                          | not_requester                      | not_requester
rejected  | cancel        | not_cancellable                                            | +refund_begun                      | not_party
rejected  | concede       | not_worker                                                 | +refund_begun                      | not_worker
rejected  | dispute       | +dispute_opened                                            | +dispute_opened                    | not_party
rejected  | withdraw      | not_disputed                                               | not_disputed                       | not_disputed
rejected  | appeal        | not_disputed                                               | not_disputed                       | not_disputed
rejected  | accept ruling | not_disputed                                               | not_disputed                       | not_disputed
drawing   | submit        | not_worker                                                 | =                                  | not_worker
drawing   | approve       | +release_begun +payout_begun +payout_begun +dispute.closed | not_requester                      | not_requester
drawing   | reject        | =                                                          | not_requester                      | not_requester
drawing   | cancel        | not_cancellable                                            | not_cancellable                    | not_party
drawing   | concede       | not_worker                                                 | +refund_begun +dispute.closed      | not_worker
drawing   | dispute       | disputed                                                   | =                                  | not_party
drawing   | withdraw      | dispute.not_opener                                         | +dispute.withdrawn +refund_planned | dispute.not_opener
drawing   | appeal        | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
drawing   | accept ruling | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
seating   | submit        | not_worker                                                 | =                                  | not_worker
seating   | approve       | +release_begun +payout_begun +payout_begun +dispute.closed | not_requester                      | not_requester
seating   | reject        | =                                                          | not_requester                      | not_requester
seating   | cancel        | not_cancellable                                            | not_cancellable                    | not_party
seating   | concede       | not_worker                                                 | +refund_begun +dispute.closed      | not_worker
seating   | dispute       | disputed                                                   | =                                  | not_party
seating   | withdraw      | dispute.not_opener                                         | +dispute.withdrawn +refund_planned | dispute.not_opener
seating   | appeal        | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
seating   | accept ruling | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
ruled     | submit        | not_worker                                                 | =                                  | not_worker
ruled     | approve       | disputed                                                   | not_requester                      | not_requester
ruled     | reject        | =                                                          | not_requester                      | not_requester
ruled     | cancel        | not_cancellable                                            | not_cancellable                    | not_party
ruled     | concede       | not_worker                                                 | disputed                           | not_worker
ruled     | dispute       | disputed                                                   | =                                  | not_party
ruled     | withdraw      | dispute.not_opener                                         | dispute.not_withdrawable           | dispute.not_opener
ruled     | appeal        | +dispute.round_begun                                       | +dispute.round_begun               | dispute.not_party
ruled     | accept ruling | +dispute.ruling_accepted                                   | +dispute.ruling_accepted           | dispute.not_party
decided   | submit        | not_worker                                                 | =                                  | not_worker
decided   | approve       | =                                                          | not_requester                      | not_requester
decided   | reject        | =                                                          | not_requester                      | not_requester
decided   | cancel        | not_cancellable                                            | not_cancellable                    | not_party
decided   | concede       | not_worker                                                 | not_held                           | not_worker
decided   | dispute       | not_held                                                   | disputed_before                    | not_party
decided   | withdraw      | dispute.not_opener                                         | dispute.not_withdrawable           | dispute.not_opener
decided   | appeal        | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
decided   | accept ruling | =                                                          | =                                  | dispute.not_party
withdrawn | submit        | not_worker                                                 | =                                  | not_worker
withdrawn | approve       | +release_begun +payout_begun +payout_begun                 | not_requester                      | not_requester
withdrawn | reject        | =                                                          | not_requester                      | not_requester
withdrawn | cancel        | not_cancellable                                            | +refund_begun                      | not_party
withdrawn | concede       | not_worker                                                 | +refund_begun                      | not_worker
withdrawn | dispute       | +dispute_opened                                            | disputed_before                    | not_party
withdrawn | withdraw      | dispute.not_opener                                         | =                                  | dispute.not_opener
withdrawn | appeal        | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
withdrawn | accept ruling | dispute.not_ruled                                          | dispute.not_ruled                  | dispute.not_party
";

/// Phase, command; then requester, worker, stranger.
const USERS: &str = "
absent      | create  | +task_created                              | +task_created   | +task_created
absent      | accept  | not_found                                  | not_found       | not_found
absent      | fund    | not_found                                  | not_found       | not_found
absent      | submit  | not_found                                  | not_found       | not_found
absent      | approve | not_found                                  | not_found       | not_found
absent      | reject  | not_found                                  | not_found       | not_found
absent      | cancel  | not_found                                  | not_found       | not_found
open        | create  | =                                          | id_taken        | id_taken
open        | accept  | own_task                                   | +task_accepted  | +task_accepted
open        | fund    | not_assigned                               | not_requester   | not_requester
open        | submit  | not_worker                                 | not_worker      | not_worker
open        | approve | not_submitted                              | not_requester   | not_requester
open        | reject  | not_submitted                              | not_requester   | not_requester
open        | cancel  | +task_cancelled                            | not_party       | not_party
assigned    | create  | =                                          | id_taken        | id_taken
assigned    | accept  | own_task                                   | =               | already_assigned
assigned    | fund    | +funding_requested                         | not_requester   | not_requester
assigned    | submit  | not_worker                                 | not_held        | not_worker
assigned    | approve | not_submitted                              | not_requester   | not_requester
assigned    | reject  | not_submitted                              | not_requester   | not_requester
assigned    | cancel  | +task_cancelled                            | +task_cancelled | not_party
funding     | create  | =                                          | id_taken        | id_taken
funding     | accept  | own_task                                   | =               | already_assigned
funding     | fund    | =                                          | not_requester   | not_requester
funding     | submit  | not_worker                                 | not_held        | not_worker
funding     | approve | not_submitted                              | not_requester   | not_requester
funding     | reject  | not_submitted                              | not_requester   | not_requester
funding     | cancel  | +task_cancelled                            | +task_cancelled | not_party
part funded | create  | =                                          | id_taken        | id_taken
part funded | accept  | own_task                                   | =               | already_assigned
part funded | fund    | =                                          | not_requester   | not_requester
part funded | submit  | not_worker                                 | not_held        | not_worker
part funded | approve | not_submitted                              | not_requester   | not_requester
part funded | reject  | not_submitted                              | not_requester   | not_requester
part funded | cancel  | +refund_begun                              | +refund_begun   | not_party
held        | create  | =                                          | id_taken        | id_taken
held        | accept  | own_task                                   | =               | already_assigned
held        | fund    | =                                          | not_requester   | not_requester
held        | submit  | not_worker                                 | +work_submitted | not_worker
held        | approve | not_submitted                              | not_requester   | not_requester
held        | reject  | not_submitted                              | not_requester   | not_requester
held        | cancel  | +refund_begun                              | +refund_begun   | not_party
submitted   | create  | =                                          | id_taken        | id_taken
submitted   | accept  | own_task                                   | =               | already_assigned
submitted   | fund    | =                                          | not_requester   | not_requester
submitted   | submit  | not_worker                                 | =               | not_worker
submitted   | approve | +release_begun +payout_begun +payout_begun | not_requester   | not_requester
submitted   | reject  | +work_rejected +refund_begun               | not_requester   | not_requester
submitted   | cancel  | not_cancellable                            | +refund_begun   | not_party
releasing   | create  | =                                          | id_taken        | id_taken
releasing   | accept  | own_task                                   | =               | already_assigned
releasing   | fund    | =                                          | not_requester   | not_requester
releasing   | submit  | not_worker                                 | =               | not_worker
releasing   | approve | =                                          | not_requester   | not_requester
releasing   | reject  | not_submitted                              | not_requester   | not_requester
releasing   | cancel  | not_cancellable                            | not_cancellable | not_party
part paid   | create  | =                                          | id_taken        | id_taken
part paid   | accept  | own_task                                   | =               | already_assigned
part paid   | fund    | =                                          | not_requester   | not_requester
part paid   | submit  | not_worker                                 | =               | not_worker
part paid   | approve | =                                          | not_requester   | not_requester
part paid   | reject  | not_submitted                              | not_requester   | not_requester
part paid   | cancel  | not_cancellable                            | not_cancellable | not_party
refunding   | create  | =                                          | id_taken        | id_taken
refunding   | accept  | own_task                                   | =               | already_assigned
refunding   | fund    | =                                          | not_requester   | not_requester
refunding   | submit  | not_worker                                 | =               | not_worker
refunding   | approve | not_submitted                              | not_requester   | not_requester
refunding   | reject  | =                                          | not_requester   | not_requester
refunding   | cancel  | not_cancellable                            | not_cancellable | not_party
settled     | create  | =                                          | id_taken        | id_taken
settled     | accept  | own_task                                   | =               | already_assigned
settled     | fund    | ended                                      | not_requester   | not_requester
settled     | submit  | not_worker                                 | =               | not_worker
settled     | approve | =                                          | not_requester   | not_requester
settled     | reject  | not_submitted                              | not_requester   | not_requester
settled     | cancel  | not_cancellable                            | not_cancellable | not_party
refunded    | create  | =                                          | id_taken        | id_taken
refunded    | accept  | own_task                                   | =               | already_assigned
refunded    | fund    | ended                                      | not_requester   | not_requester
refunded    | submit  | not_worker                                 | =               | not_worker
refunded    | approve | not_submitted                              | not_requester   | not_requester
refunded    | reject  | =                                          | not_requester   | not_requester
refunded    | cancel  | not_cancellable                            | not_cancellable | not_party
cancelled   | create  | =                                          | id_taken        | id_taken
cancelled   | accept  | own_task                                   | =               | already_assigned
cancelled   | fund    | ended                                      | not_requester   | not_requester
cancelled   | submit  | not_worker                                 | not_held        | not_worker
cancelled   | approve | not_submitted                              | not_requester   | not_requester
cancelled   | reject  | not_submitted                              | not_requester   | not_requester
cancelled   | cancel  | =                                          | not_cancellable | not_party
expired     | create  | =                                          | id_taken        | id_taken
expired     | accept  | own_task                                   | =               | already_assigned
expired     | fund    | ended                                      | not_requester   | not_requester
expired     | submit  | not_worker                                 | not_held        | not_worker
expired     | approve | not_submitted                              | not_requester   | not_requester
expired     | reject  | not_submitted                              | not_requester   | not_requester
expired     | cancel  | not_cancellable                            | not_cancellable | not_party
";

/// What the node reports of the first tranche.
const NODE: &str = "
absent      | invoice: not_found     | locked: not_found     | lost: not_found                | returned: not_found      | claimed: not_found                 | paid: not_found                 | failed: not_found                    | expired: not_found                            | spent: not_found                 | refused: not_found
open        | invoice: unknown_hash  | locked: unknown_hash  | lost: unknown_hash             | returned: unknown_hash   | claimed: unknown_hash              | paid: unknown_hash              | failed: unknown_hash                 | expired: unknown_hash                         | spent: unknown_hash              | refused: unknown_hash
assigned    | invoice: hold_unwanted | locked: hold_unwanted | lost: =                        | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
funding     | invoice: =             | locked: +hold_locked  | lost: =                        | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
part funded | invoice: =             | locked: =             | lost: +hold_lost               | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
held        | invoice: =             | locked: =             | lost: +hold_lost +refund_begun | returned: =              | claimed: +hold_spent               | paid: +hold_spent               | failed: =                            | expired: =                                    | spent: +hold_spent               | refused: =
submitted   | invoice: =             | locked: =             | lost: +hold_lost               | returned: =              | claimed: +hold_spent               | paid: +hold_spent               | failed: =                            | expired: =                                    | spent: +hold_spent               | refused: =
releasing   | invoice: =             | locked: =             | lost: +hold_lost               | returned: =              | claimed: claim_before_payout       | paid: +payout_paid              | failed: +payout_failed +payout_begun | expired: +payout_failed +tranche_refund_begun | spent: +hold_spent               | refused: =
part paid   | invoice: =             | locked: =             | lost: +hold_lost               | returned: =              | claimed: +hold_claimed             | paid: =                         | failed: =                            | expired: =                                    | spent: =                         | refused: =
refunding   | invoice: =             | locked: hold_unwanted | lost: +hold_lost               | returned: +hold_returned | claimed: +hold_spent               | paid: +hold_spent               | failed: =                            | expired: =                                    | spent: +hold_spent               | refused: =
settled     | invoice: =             | locked: hold_unwanted | lost: =                        | returned: =              | claimed: =                         | paid: =                         | failed: =                            | expired: =                                    | spent: =                         | refused: =
refunded    | invoice: =             | locked: hold_unwanted | lost: =                        | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
cancelled   | invoice: hold_unwanted | locked: hold_unwanted | lost: =                        | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
expired     | invoice: hold_unwanted | locked: hold_unwanted | lost: =                        | returned: =              | claimed: +hold_spent +task_settled | paid: +hold_spent +task_settled | failed: =                            | expired: =                                    | spent: +hold_spent +task_settled | refused: =
";

/// Phase; then a wake-up too early, after all times, and at the last height for a payout.
const WAKE: &str = "
absent      | not_found | not_found                                  | not_found
open        | =         | +task_expired                              | =
assigned    | =         | +task_expired                              | =
funding     | =         | +task_expired                              | =
part funded | =         | +refund_begun                              | +refund_begun
held        | =         | +refund_begun                              | +refund_begun
submitted   | =         | +release_begun +payout_begun +payout_begun | +release_begun +payout_begun +payout_begun
releasing   | =         | =                                          | =
part paid   | =         | =                                          | =
refunding   | =         | =                                          | =
settled     | =         | =                                          | =
refunded    | =         | =                                          | =
cancelled   | =         | =                                          | =
expired     | =         | =                                          | =
";
