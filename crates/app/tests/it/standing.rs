//! Standing, made of the journal's facts.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::{
    AppError,
    erase::STREAM,
    port::{
        journal::{Append, Journal, NewFact},
        request::Action,
    },
    standing::{
        Book, KEPT, Kept, Known, LimitError,
        export::{self, Export, ExportError, Heading},
    },
};
use tallystick_civics::{
    anomaly::Kind,
    dispute::Award,
    reputation::{BondsLost, Deal, Did, End, Limits, Role, Service, Tier},
};
use tallystick_core::{Authority, Body, Coded, Duration, Id, NostrKey, Sat, Timestamp, canonical};
use tallystick_escrow::{Bonds, Task, Terms, UserCommand};
use tallystick_testkit::{
    asking,
    escrow::{self, key, panel_terms, requester, sat, stranger, terms, worker},
    golden,
    rail::Presence,
};

use crate::{
    bonds,
    disputes::{FIVE, admit, dispute, mined, refused, rule},
    faults::Troubled,
    node::{Node, PAYEE, World, task},
};

/// Posts a task in somebody's name.
async fn post(node: &Node, id: Id<Task>, by: NostrKey, sat: u64) -> Result<(), AppError> {
    let terms = terms(&[sat]);
    let request = asking(by, id, &Action::Create(terms.clone()));
    node.app.create(id, terms, request).await.map(drop)
}

/// A task that one posts and pays, and the other takes and hands in.
async fn settled(node: &Node, id: Id<Task>, (payer, payee): (NostrKey, NostrKey), sat: u64) {
    post(node, id, payer, sat).await.unwrap();
    node.accept(id, payee, node.invoices(&[sat])).await.unwrap();
    node.ask(id, payer, UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(id).await;
    node.ask(id, payee, escrow::submit()).await.unwrap();
    node.later(Duration::from_secs(5));
    node.ask(id, payer, escrow::approve()).await.unwrap();
    node.settle().await;
    assert_eq!(node.state_name(id).await, "settled");
}

async fn standing(node: &Node, key: NostrKey, role: Role) -> Known {
    node.app.standing(key, role).await.unwrap()
}

/// The book of all facts, made at once.
async fn book(world: &World) -> Book {
    let mut book = Book::default();
    world.facts().await.iter().try_for_each(|fact| book.take(fact)).unwrap();
    book
}

fn said(known: &Known) -> (i64, Vec<(&'static str, Vec<u64>)>, u64) {
    let terms = known.standing.score.terms.iter();
    let terms = terms.map(|term| (term.name, term.facts.clone())).collect();
    (known.standing.score.total, terms, known.standing.ended_well.get())
}

/// What is read on from fact to fact is what is made at once, and names the facts that it comes from.
#[tokio::test]
async fn a_standing_comes_from_the_facts_that_it_names() {
    let world = World::new();
    let node = world.start();
    let nobody = standing(&node, worker(), Role::Worker).await;
    assert_eq!((nobody.seq, said(&nobody)), (0, (0, Vec::new(), 0)));
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    // Who works for somebody whom others know is worth something.
    settled(&node, task(1), (requester(), stranger()), 50_000).await;
    let known = standing(&node, worker(), Role::Worker).await;
    let ends: Vec<u64> =
        world.facts().await.iter().filter(|fact| fact.kind == "escrow.task_settled").map(|f| f.seq).collect();
    assert_eq!(known.standing.score.terms[0].facts, ends[..1]);
    // 1,000 sat of fees are worth 158 points at most, and 500 sat with somebody else are a tenth of a weight.
    assert_eq!(said(&known), (15, vec![("trade", vec![ends[0]]), ("age", vec![ends[0]])], 10_000));
    let at_once = book(&world).await.about(worker(), Role::Worker, known.at).standing(&Limits::default()).unwrap();
    assert_eq!(at_once, known);
    assert_eq!(standing(&world.start(), worker(), Role::Worker).await, known, "after a restart as well");
}

/// How each task ends, and whose fault it is.
#[tokio::test]
async fn deals_tell_how_tasks_ended() {
    let world = World::new();
    let node = world.start();
    for (n, payouts) in [(0, &[20_000, 30_000][..]), (1, &[20_000]), (2, &[20_000]), (3, &[20_000]), (4, &[20_000])] {
        node.task_at(task(n), payouts, if n < 2 { "submitted" } else { "held" }).await;
    }
    node.ask(task(0), requester(), UserCommand::ApproveWork { milestone: 0, tranches: Some(vec![1]) }).await.unwrap();
    node.reject(task(0)).await.unwrap();
    node.reject(task(1)).await.unwrap();
    node.cancel(task(2), worker()).await.unwrap();
    node.cancel(task(3), requester()).await.unwrap();
    node.settle().await;
    // Nothing was locked: no deal.
    node.task_at(task(5), &[20_000], "funding").await;
    node.cancel(task(5), requester()).await.unwrap();
    let deal = async |n: u64| {
        let id = task(n);
        let facts = world.facts().await;
        let own: Vec<_> = facts.into_iter().filter(|fact| fact.stream == format!("escrow/{id}")).collect();
        node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().unwrap();
        let kept = world.facts().await.iter().rev().nth(1).and_then(|fact| Kept::of(fact).unwrap());
        kept.inspect(|kept| {
            assert_eq!(kept.deal.seq, own.last().unwrap().seq);
            assert_eq!((kept.deal.requester, kept.deal.worker), (requester(), worker()));
        })
    };
    let amounts = |deal: &Deal| (deal.paid.get(), deal.fee.get(), deal.refunded.get(), deal.end);
    let part = deal(0).await.unwrap().deal;
    assert_eq!(amounts(&part), (30_000, 300, 20_000, End::Settled));
    assert!(part.funded_at <= part.submitted_at.unwrap() && part.submitted_at.unwrap() <= part.ended_at);
    for (n, fault) in [(1, None), (2, Some(Role::Worker)), (3, Some(Role::Requester))] {
        assert_eq!(amounts(&deal(n).await.unwrap().deal), (0, 0, 20_000, End::Refunded { fault }), "task {n}");
    }
    assert_eq!(deal(5).await, None);
    // One is still held.
    let open = standing(&node, worker(), Role::Worker).await;
    assert_eq!((open.open_tasks, open.open_sat), (1, 20_000));
    world.check().await;
}

/// What routing costs may be the payee's own gain: it is no fee.
#[tokio::test]
async fn what_routing_costs_is_no_fee() {
    let world = World::new();
    world.rail.set_route_fee(escrow::msat(150_001));
    let node = world.start();
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().unwrap();
    let facts = world.facts().await;
    let kept = facts.iter().find_map(|fact| Kept::of(fact).unwrap()).unwrap();
    assert_eq!(kept.deal.fee, sat(849));
}

/// What is kept of a task that is erased.
async fn kept(node: &Node, id: Id<Task>) -> Deal {
    node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().unwrap();
    let kept = node.world.facts().await.iter().filter_map(|fact| Kept::of(fact).unwrap()).next_back();
    kept.unwrap().deal
}

/// Where the platform paid with its own money, no fee was earned.
#[tokio::test]
async fn a_payout_that_no_hold_covered_earned_no_fee() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.task_at(task(0), &[100_000], "releasing").await;
    node.turn().await;
    assert!(world.rail.lose_hold(node.hashes(task(0)).await[0]));
    node.turn().await;
    world.rail.set_presence(PAYEE, Presence::Online);
    node.settle().await;
    let deal = kept(&node, task(0)).await;
    assert_eq!((deal.paid, deal.fee, deal.end), (sat(100_000), Sat::ZERO, End::Settled));
}

#[tokio::test]
async fn who_gives_work_up_is_at_fault() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "submitted").await;
    node.ask(task(0), worker(), UserCommand::ConcedeWork { milestone: 0 }).await.unwrap();
    node.settle().await;
    let deal = kept(&node, task(0)).await;
    assert_eq!(deal.end, End::Refunded { fault: Some(Role::Worker) });
}

/// A bond is put up, and not traded: it is in no sum, and counts when it is lost, for whoever lost it.
#[tokio::test]
async fn a_bond_counts_against_who_lost_it_and_for_nobody() {
    let world = bonds::world();
    let node = world.start();
    bonds::held(&node, task(0)).await;
    let open = standing(&node, worker(), Role::Worker).await;
    assert_eq!((open.open_tasks, open.open_sat), (1, 20_000));
    world.clock.set(bonds::over());
    node.settle().await;
    let names = |known: &Known| known.standing.score.terms.iter().map(|term| term.name).collect::<Vec<_>>();
    let lost = standing(&node, worker(), Role::Worker).await;
    assert_eq!((names(&lost), lost.standing.score.total), (vec!["bond_lost", "fault"], -700));
    assert_eq!(names(&standing(&node, requester(), Role::Requester).await), Vec::<&str>::new());
    assert_eq!(kept(&node, task(0)).await.bonds_lost, BondsLost::One(Role::Worker));

    // A ruling for the worker, and with it the requester's bond.
    let world = bonds::world();
    let node = world.start();
    admit(&node, 10..20).await;
    let both = Bonds { requester: Some(sat(3_000)), worker: None };
    bonds::held_with(&node, task(0), Terms { bonds: both, ..panel_terms(&[20_000]) }).await;
    dispute(&node, task(0), requester()).await;
    mined(&node, 6).await;
    rule(&node, task(0), &[Award::new(0b111); 3]).await;
    node.settle().await;
    let lost = standing(&node, requester(), Role::Requester).await;
    assert_eq!(names(&lost), ["dispute_lost", "bond_lost"]);
    assert!(!names(&standing(&node, worker(), Role::Worker).await).contains(&"bond_lost"));
    let deal = kept(&node, task(0)).await;
    assert_eq!((deal.bonds_lost, deal.dispute_lost_by), (BondsLost::One(Role::Requester), Some(Role::Requester)));
    assert_eq!((deal.paid, deal.refunded), (sat(20_000), Sat::ZERO));
}

/// The clock goes back between two facts: no deal ends before it begins, and a standing can still be told.
#[tokio::test]
async fn a_clock_that_was_set_back_leaves_a_standing() {
    let world = World::new();
    let node = world.start();
    node.later(Duration::from_secs(600));
    node.task_at(task(0), &[100_000], "submitted").await;
    world.clock.set(escrow::NOW);
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    let first = standing(&node, worker(), Role::Worker).await;
    assert_eq!(first.at, escrow::NOW.after(Duration::from_secs(600)), "the latest fact's time, not the clock's");
    let deal = kept(&node, task(0)).await;
    assert!(deal.funded_at <= deal.submitted_at.unwrap() && deal.submitted_at.unwrap() <= deal.ended_at);
    assert_eq!(said(&standing(&node, worker(), Role::Worker).await), said(&first));
}

/// Of several milestones the last one that was handed in tells how fast the end came.
#[tokio::test]
async fn the_last_work_counts() {
    let world = World::new();
    let node = world.start();
    let [part] = <[_; 1]>::try_from(terms(&[20_000]).milestones).unwrap();
    let two = Terms { milestones: vec![part.clone(), part], ..terms(&[]) };
    node.create(task(0), two).await.unwrap();
    node.accept(task(0), worker(), node.invoices(&[20_000, 20_000])).await.unwrap();
    node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(task(0)).await;
    for milestone in [0, 1] {
        node.later(Duration::from_secs(60));
        let work_hash = escrow::WORK;
        node.ask(task(0), worker(), UserCommand::SubmitWork { milestone, work_hash }).await.unwrap();
    }
    for milestone in [0, 1] {
        let tranches = None;
        node.ask(task(0), requester(), UserCommand::ApproveWork { milestone, tranches }).await.unwrap();
    }
    node.settle().await;
    assert_eq!(kept(&node, task(0)).await.submitted_at, Some(escrow::NOW.after(Duration::from_secs(120))));
}

/// A command whose facts did not come into the journal takes no room.
#[tokio::test]
async fn what_failed_is_not_open() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.app.limit_open(Limits::default());
    trouble.refused.store(1, Ordering::Release);
    assert!(matches!(post(&node, task(0), requester(), 150_000).await, Err(AppError::Store(_))));
    post(&node, task(1), requester(), 150_000).await.unwrap();
}

/// An erasure takes what the parties wrote, and changes nobody's standing: not in this process, and not for who reads
/// the journal afterwards.
#[tokio::test]
async fn an_erasure_changes_no_standing() {
    let world = World::new();
    let node = world.start();
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    settled(&node, task(1), (requester(), stranger()), 50_000).await;
    let before = standing(&node, worker(), Role::Worker).await;
    assert!(before.standing.score.total > 0);
    for id in [task(0), task(1)] {
        node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().expect("erased");
    }
    for node in [node, world.start()] {
        let after = standing(&node, worker(), Role::Worker).await;
        assert_eq!(said(&after), said(&before));
        assert!(after.seq > before.seq);
    }
    let facts = world.facts().await;
    let left: Vec<_> =
        facts.iter().filter(|fact| fact.body.content().is_some()).map(|fact| fact.kind.as_str()).collect();
    assert_eq!(left, [KEPT, "journal.erased", KEPT, "journal.erased"]);
    world.check().await;
}

/// Of what is kept, fsck finds what the task's own entries do not bear out.
#[tokio::test]
async fn a_kept_deal_that_its_task_did_not_end_with_is_damage() {
    let world = World::new();
    let node = world.start();
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().unwrap();
    world.check().await;
    let facts = world.facts().await;
    let mut kept = facts.iter().find_map(|fact| Kept::of(fact).unwrap()).unwrap();
    kept.deal.seq -= 1;
    let forged = Append {
        stream: STREAM.into(),
        expected_version: 2,
        facts: vec![NewFact { kind: KEPT, body: Body::private([5; 32], canonical::encode(&kept)) }],
        authority: Authority::Request(asking(stranger(), task(0), &Action::Erase)),
        recorded_at: facts.last().unwrap().recorded_at,
        height: facts.last().unwrap().height,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: None,
        erases: None,
    };
    let seq = world.store.append(forged).await.unwrap().seq;
    let damage = world.fsck().run(|_| ()).await.unwrap_err();
    assert_eq!(damage.to_string(), format!("fact {seq} keeps a deal that its task did not end with"));
}

/// Who loses before a panel is told so, a ruling in the middle has no loser, and what arbitrators can ask for is no fee.
#[tokio::test]
async fn rulings_count_and_outlive_an_erasure() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    for (n, award) in [(0, Award::new(0b00111)), (1, Award::NOTHING)] {
        refused(&node, task(n), &FIVE).await;
        dispute(&node, task(n), worker()).await;
        mined(&node, 6).await;
        rule(&node, task(n), &[award; 3]).await;
        node.settle().await;
    }
    let before = standing(&node, worker(), Role::Worker).await;
    let lost = before.standing.score.terms.iter().find(|term| term.name == "dispute_lost").unwrap();
    // 1,000, and the root of 100,000 sat.
    assert_eq!((lost.points, &lost.facts), (-1_316, &before.standing.cut_by));
    let other = standing(&node, requester(), Role::Requester).await.standing;
    assert_eq!((other.score.total, other.cut_by), (0, Vec::new()));
    let ended = book(&world).await.all(before.at);
    for n in [0, 1] {
        node.app.erase(task(n), asking(stranger(), task(n), &Action::Erase)).await.unwrap().unwrap();
    }
    let facts = world.facts().await;
    let kept: Vec<Kept> = facts.iter().filter_map(|fact| Kept::of(fact).unwrap()).collect();
    let told = |kept: &Kept| {
        let Deal { paid, fee, refunded, end, dispute_lost_by, disputed, .. } = kept.deal;
        (paid.get(), fee.get(), refunded.get(), end, dispute_lost_by, disputed)
    };
    let ruled = |award| End::Ruled { award: sat(award), of: sat(100_000) };
    // 600 sat, less three rewards of a third of 200 sat.
    assert_eq!(told(&kept[0]), (60_000, 400, 40_000, ruled(60_000), None, true));
    assert_eq!(told(&kept[1]), (0, 0, 100_000, ruled(0), Some(Role::Worker), true));
    let votes = kept.iter().flat_map(|kept| &kept.votes);
    for vote in votes.clone() {
        let fact = facts.iter().find(|fact| fact.seq == vote.seq).unwrap();
        assert_eq!((fact.kind.as_str(), fact.recorded_at), ("dispute.vote_revealed", vote.asked_at));
        assert!(matches!(vote.did, Did::Revealed { vote, ruling, of } if vote == ruling && of == sat(100_000)));
    }
    assert_eq!(votes.count(), 6);
    assert_eq!(book(&world).await.all(before.at), ended, "votes of tasks that are not erased count as well");
    assert_eq!(said(&standing(&world.start(), worker(), Role::Worker).await), said(&before));
    world.check().await;
}

/// A quarter is not less than a quarter, on either side.
#[tokio::test]
async fn who_got_a_quarter_lost_nothing() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    for (n, award) in [(0, Award::new(0b0001)), (1, Award::new(0b0111))] {
        refused(&node, task(n), &[25_000; 4]).await;
        dispute(&node, task(n), worker()).await;
        mined(&node, 6).await;
        rule(&node, task(n), &[award; 3]).await;
        node.settle().await;
        assert_eq!(kept(&node, task(n)).await.dispute_lost_by, None);
    }
}

/// A book is made of all facts, in their order, and what is kept of a deal is the journal's own word.
#[tokio::test]
async fn a_book_has_no_gap_and_believes_one_stream() {
    let world = World::new();
    let node = world.start();
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().unwrap();
    let facts = world.facts().await;
    let mut book = Book::default();
    assert!(book.take(&facts[1]).is_err());
    book.take(&facts[0]).unwrap();
    assert!(book.take(&facts[0]).is_err() && book.take(&facts[2]).is_err());
    book.take(&facts[1]).unwrap();
    assert_eq!(book.seq(), 2);
    let mut kept = facts.iter().find(|fact| fact.kind == KEPT).unwrap().clone();
    assert!(Kept::of(&kept).unwrap().is_some());
    kept.stream = "arbitrator/7".into();
    assert_eq!(Kept::of(&kept), Ok(None));
}

/// What is on its way to the journal is open as well: who comes meanwhile finds no room.
#[tokio::test]
async fn what_is_about_to_be_open_counts() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.app.limit_open(Limits::default());
    trouble.meet(2);
    let waits = post(&node, task(0), requester(), 150_000);
    let comes = async {
        let refused = post(&node, task(1), requester(), 50_001).await;
        let passes = post(&node, task(2), requester(), 50_000).await;
        (refused, passes)
    };
    let (waited, (refused, passed)) = tokio::join!(waits, comes);
    assert!(matches!(refused, Err(AppError::Limit(LimitError::Sat { open: 150_000, .. }))), "{refused:?}");
    assert_eq!((waited, passed), (Ok(()), Ok(())));
}

/// Two keys that trade with each other get flags, and nothing else for it.
#[tokio::test]
async fn self_trade_raises_no_limit_and_is_flagged() {
    let world = World::new();
    let node = world.start();
    node.app.limit_open(Limits::default());
    let (a, b) = (requester(), worker());
    for n in 0..6 {
        settled(&node, task(n), if n % 2 == 0 { (a, b) } else { (b, a) }, 150_000).await;
    }
    for (key, role) in [(a, Role::Requester), (b, Role::Worker)] {
        let known = standing(&node, key, role).await;
        assert_eq!((known.standing.score.total, known.standing.tier), (0, Tier::Novice));
        assert_eq!((known.standing.ended_well, known.standing.open_limit), (Sat::ZERO, sat(200_000)));
    }
    let refused = LimitError::Sat { role: Role::Requester, tier: Tier::Novice, limit: 200_000, open: 0, more: 200_001 };
    assert_eq!(post(&node, task(9), a, 200_001).await, Err(refused.clone().into()));
    assert_eq!(refused.code().0, "reputation.open_sat");
    let flags = node.app.anomalies().await.unwrap();
    let kinds: Vec<Kind> = flags.iter().map(|flag| flag.kind).collect();
    assert_eq!(kinds, [Kind::ReciprocalPair, Kind::CaptivePair, Kind::InstantDeals]);
    for flag in flags {
        let mut pair = [a, b];
        pair.sort();
        assert_eq!((flag.who, flag.evidence.len()), (pair.to_vec(), 6));
    }
}

#[tokio::test]
async fn a_limit_counts_what_is_open_in_a_role_until_it_ends() {
    let world = World::new();
    let node = world.start();
    node.app.limit_open(Limits { tasks: [3; 4], ..Limits::default() });
    let sats =
        |role, open, more| AppError::from(LimitError::Sat { role, tier: Tier::Novice, limit: 200_000, open, more });
    post(&node, task(0), requester(), 150_000).await.unwrap();
    assert_eq!(post(&node, task(1), requester(), 50_001).await, Err(sats(Role::Requester, 150_000, 50_001)));
    post(&node, task(1), requester(), 50_000).await.unwrap();
    // The same again is no second one.
    post(&node, task(1), requester(), 50_000).await.unwrap();
    post(&node, task(2), stranger(), 190_000).await.unwrap();

    // In another role all of the limit is free, and taking counts as well.
    node.accept(task(2), requester(), node.invoices(&[190_000])).await.unwrap();
    node.accept(task(0), worker(), node.invoices(&[150_000])).await.unwrap();
    node.accept(task(1), worker(), node.invoices(&[50_000])).await.unwrap();
    post(&node, task(3), stranger(), 1_000).await.unwrap();
    let taken = node.accept(task(3), worker(), node.invoices(&[1_000])).await;
    assert_eq!(taken, Err(sats(Role::Worker, 200_000, 1_000)));

    // What ends makes room.
    node.cancel(task(1), worker()).await.unwrap();
    node.accept(task(3), worker(), node.invoices(&[1_000])).await.unwrap();
    for n in [4, 5] {
        post(&node, task(n), requester(), 1_000).await.unwrap();
    }
    let many = LimitError::Tasks { role: Role::Requester, tier: Tier::Novice, limit: 3, open: 3 };
    assert_eq!(post(&node, task(6), requester(), 1_000).await, Err(many.clone().into()));
    assert_eq!(many.code().0, "reputation.open_tasks");
    world.check().await;
}

/// A node that lowered its limits does not fund what it would not take any more; what is funded goes on.
#[tokio::test]
async fn funding_is_looked_at_again() {
    let world = World::new();
    let before = world.start();
    before.task_at(task(0), &[150_000], "assigned").await;
    before.task_at(task(1), &[150_000], "held").await;
    let node = world.start();
    node.app.limit_open(Limits::default());
    let refused =
        LimitError::Sat { role: Role::Requester, tier: Tier::Novice, limit: 200_000, open: 150_000, more: 150_000 };
    let fund = || node.ask(task(0), requester(), UserCommand::RequestFunding);
    assert_eq!(fund().await.map(drop), Err(refused.into()));
    node.submit(task(1)).await.unwrap();
    node.approve(task(1)).await.unwrap();
    node.settle().await;
    fund().await.unwrap();
    // The second time nothing is opened.
    fund().await.unwrap();
}

/// Who asks at once is not let through at once.
#[tokio::test]
async fn commands_at_once_share_one_limit() {
    let world = World::new();
    let node = world.start();
    node.app.limit_open(Limits::default());
    let posts = (0..8).map(|n| {
        let (app, terms) = (node.app.clone(), terms(&[60_000]));
        let request = asking(requester(), task(n), &Action::Create(terms.clone()));
        tokio::spawn(async move { app.create(task(n), terms, request).await.map(drop) })
    });
    let mut passed = 0;
    for post in Vec::from_iter(posts) {
        match post.await.unwrap() {
            Ok(()) => passed += 1,
            Err(AppError::Limit(LimitError::Sat { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(passed, 3);
}

async fn exported(world: &World) -> Vec<String> {
    let facts = world.facts().await;
    let heading = Heading::new(facts.len() as u64, facts.last().unwrap().hash, &Limits::default());
    let lines = facts.iter().map(export::line);
    [serde_json::to_string(&heading).unwrap()].into_iter().chain(lines).collect()
}

fn read(lines: &[String]) -> Result<Book, ExportError> {
    let mut export = Export::open(&lines[0])?;
    let mut book = Book::default();
    for line in &lines[1..] {
        book.take(&export.read(line)?).unwrap();
    }
    export.finish()?;
    Ok(book)
}

/// The file says the same as the node, and no line of it can be changed, left out or made up.
#[tokio::test]
async fn an_export_says_the_same_and_is_one_chain() {
    let world = World::new();
    let node = world.start();
    settled(&node, task(0), (requester(), worker()), 100_000).await;
    settled(&node, task(1), (requester(), stranger()), 50_000).await;
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().unwrap();
    let known = standing(&node, worker(), Role::Worker).await;
    let lines = exported(&world).await;
    let limits = Export::open(&lines[0]).unwrap().heading().limits();
    let same = read(&lines).unwrap().about(worker(), Role::Worker, known.at).standing(&limits).unwrap();
    assert_eq!(same, known);

    let all = lines.len() as u64 - 1;
    assert_eq!(read(&lines[..lines.len() - 1]).unwrap_err(), ExportError::End { seq: all - 1 });
    let mut less = lines.clone();
    less.remove(3);
    assert_eq!(read(&less).unwrap_err(), ExportError::Chain(4));
    let at = lines.iter().position(|line| line.contains("content")).unwrap();
    let mut other = lines.clone();
    let end = other[at].rfind('"').unwrap();
    let digit = if other[at][..end].ends_with('0') { "1" } else { "0" };
    other[at].replace_range(end - 1..end, digit);
    assert_eq!(read(&other).unwrap_err(), ExportError::Opening(at as u64));
    assert!(matches!(read(&["{}".into()]).unwrap_err(), ExportError::Line { line: 1, .. }));
}

/// Kept deals are stored for ever.
#[test]
fn golden_bytes_of_a_kept_deal() {
    let at = |secs: u64| Timestamp::from_secs(1_800_000_000 + secs);
    let mut deal = Deal {
        seq: 7,
        task: task(0).same(),
        requester: key(1),
        worker: key(2),
        paid: sat(10_000),
        fee: sat(100),
        refunded: sat(5),
        funded_at: at(0),
        submitted_at: Some(at(1)),
        ended_at: at(2),
        end: End::Ruled { award: sat(3), of: sat(4) },
        disputed: true,
        dispute_lost_by: Some(Role::Requester),
        bonds_lost: BondsLost::One(Role::Worker),
    };
    let vote =
        |seq, did| Service { seq, dispute: Id::from_parts(seq, [4; 10]), arbitrator: key(3), asked_at: at(3), did };
    let votes = vec![
        vote(1, Did::Refused),
        vote(2, Did::Silent),
        vote(3, Did::Revealed { vote: sat(1), ruling: sat(2), of: sat(3) }),
    ];
    let ends = [
        ("ruled", deal.end),
        ("settled", End::Settled),
        ("fault", End::Refunded { fault: Some(Role::Worker) }),
        ("refunded", End::Refunded { fault: None }),
    ];
    let lines = ends.map(|(name, end)| {
        deal.end = end;
        (name.to_owned(), canonical::encode(&Kept { deal: deal.clone(), votes: votes.clone() }))
    });
    golden("kept_deals.txt", &lines);
}
