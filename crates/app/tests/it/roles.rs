//! The node's roles on the road: what several processes know of them, and what fsck finds.

use std::sync::Arc;
use tallystick_app::{
    AppError,
    cause::{Trusted, check_cause},
    erase::{ERASED, Erased},
    fsck::Damage,
    port::{
        evidence::Matter,
        journal::{Append, Journal, NewFact},
        request::{Action as Ask, AdminAsked, Code, FactorSaid},
    },
    roles::STREAM,
    vault::{ERASED as EVIDENCE_ERASED, EvidenceErased, STREAMS as EVIDENCE},
};
use tallystick_civics::roles::{Action, Event, NodeCommand, Operation, Proof, Rejection, Role};
use tallystick_core::{
    Authority, BlockHeight, Body, Ctx, Digest32, Duration, Fact, Id, Msat, NodeKey, NodeWord, NostrKey, SignedRequest,
    canonical,
};
use tallystick_escrow::Task;
use tallystick_testkit::{
    Requests, asking, asking_roles, asking_to_erase,
    escrow::{self, key, stranger, terms, worker},
};

use crate::node::{Node, World, task};

const HEIGHT: BlockHeight = BlockHeight(800_000);

fn ada() -> NostrKey {
    key(30)
}

fn bea() -> NostrKey {
    key(31)
}

fn pay() -> Action {
    Action::Pay { invoice: "lnbcrt1".into(), fee_limit: Msat::try_new(1_000).unwrap() }
}

fn grant(key: NostrKey) -> Action {
    Action::GrantRole { role: Role::Operator, key }
}

fn act(by: NostrKey, action: &Action, said: &FactorSaid) -> SignedRequest {
    asking_roles(by, &AdminAsked::Act(action.clone(), said.clone()))
}

async fn authorise(node: &Node, by: NostrKey, action: Action, said: FactorSaid) -> Result<Ctx, AppError> {
    node.app.authorise(action.clone(), &said, &act(by, &action, &said)).await
}

async fn propose(node: &Node, by: NostrKey, action: Action) -> u64 {
    let request = asking_roles(by, &AdminAsked::Propose(action.clone()));
    node.app.propose(action, request).await.unwrap().expect("it is not so yet")
}

/// What Ada's authenticator shows.
struct Codes(totp_rs::Totp);

impl Codes {
    fn now(&self, world: &World) -> FactorSaid {
        FactorSaid::Code(Code(self.at(world)))
    }

    fn at(&self, world: &World) -> String {
        self.0.generate(tallystick_app::Clock::now(&*world.clock).as_secs()).to_string()
    }
}

fn wrong() -> FactorSaid {
    FactorSaid::Code(Code("000000".into()))
}

/// Founded by Ada, who has an authenticator, and by Bea.
async fn founded(world: &World) -> (Node, Codes) {
    let node = world.start();
    node.app.found_roles(&[ada(), bea()].into()).await.unwrap();
    let enrol = Action::Enrol { admin: ada() };
    let said = FactorSaid::Confirms(propose(&node, bea(), enrol.clone()).await);
    let begun = node.app.enrol(&said, act(ada(), &enrol, &said)).await.unwrap();
    let uri = begun.uri(ada());
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let secret = totp_rs::Secret::try_from_base32(secret).ok().unwrap();
    let codes = Codes(totp_rs::Builder::new().with_secret(secret).build().ok().unwrap());
    let code = Code(codes.at(world));
    let request = asking_roles(ada(), &AdminAsked::CompleteEnrolment(code.clone()));
    node.app.complete_enrolment(code, request).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    (node, codes)
}

#[tokio::test]
async fn the_configuration_founds_once_and_says_nothing_afterwards() {
    let world = World::new();
    let node = world.start();
    node.app.found_roles(&[].into()).await.unwrap();
    assert_eq!((world.count().await, node.app.roles().await.unwrap().is_founded()), (0, false));
    assert_eq!(node.app.may(ada(), Operation::Balances).await, Err(Rejection::NotOperator.into()));
    node.app.found_roles(&[ada()].into()).await.unwrap();
    for node in [node, world.start()] {
        node.app.found_roles(&[bea()].into()).await.unwrap();
        assert_eq!(node.app.may(ada(), Operation::Pay).await, Ok(()));
        assert_eq!(node.app.may(bea(), Operation::Pay).await, Err(Rejection::NotAdmin.into()));
    }
    assert_eq!(world.count().await, 1);
    world.check().await;
}

#[tokio::test]
async fn what_one_process_grants_withdraws_or_uses_up_counts_in_all() {
    let world = World::new();
    let (one, codes) = founded(&world).await;
    let two = world.start();
    let said = codes.now(&world);
    one.app.act(grant(worker()), &said, act(ada(), &grant(worker()), &said)).await.unwrap();
    assert_eq!(two.app.may(worker(), Operation::Balances).await, Ok(()));
    assert_eq!(authorise(&two, ada(), pay(), said).await, Err(Rejection::CodeUsed.into()));
    let withdraw = Action::WithdrawRole { role: Role::Operator, key: worker() };
    let said = FactorSaid::Confirms(propose(&two, bea(), withdraw.clone()).await);
    assert_eq!(two.app.act(withdraw.clone(), &said, act(ada(), &withdraw, &said)).await, Ok(true));
    assert_eq!(one.app.may(worker(), Operation::Balances).await, Err(Rejection::NotOperator.into()));
    world.check().await;
}

#[tokio::test]
async fn one_code_at_two_processes_at_once_counts_once() {
    let world = World::new();
    let (one, codes) = founded(&world).await;
    let two = world.start();
    let said = codes.now(&world);
    let (first, second) =
        tokio::join!(authorise(&one, ada(), pay(), said.clone()), authorise(&two, ada(), pay(), said));
    let refused = [&first, &second].into_iter().filter(|result| result.is_err());
    assert_eq!(refused.collect::<Vec<_>>(), [&Err(Rejection::CodeUsed.into())], "{first:?} {second:?}");
    world.check().await;
}

#[tokio::test]
async fn neither_a_restart_nor_another_process_forgets_wrong_codes() {
    let world = World::new();
    let (_, codes) = founded(&world).await;
    for _ in 0..3 {
        assert_eq!(authorise(&world.start(), ada(), pay(), wrong()).await, Err(AppError::WrongCode));
    }
    let node = world.start();
    let early = authorise(&node, ada(), pay(), codes.now(&world)).await;
    assert!(matches!(early, Err(AppError::Roles(Rejection::Paused { .. }))), "{early:?}");
    let before = world.count().await;
    for _ in 0..5 {
        assert!(authorise(&node, ada(), pay(), wrong()).await.is_err());
    }
    assert_eq!(world.count().await, before, "what is not looked at fills no journal");
    world.clock.advance(Duration::from_secs(30));
    assert!(authorise(&node, ada(), pay(), codes.now(&world)).await.is_ok());
    world.check().await;
}

#[tokio::test]
async fn a_request_works_once_and_a_strangers_leaves_no_trace() {
    let world = World::new();
    let (node, codes) = founded(&world).await;
    let (action, said) = (pay(), codes.now(&world));
    let request = act(ada(), &action, &said);
    node.app.authorise(action.clone(), &said, &request).await.unwrap();
    assert_eq!(node.app.authorise(action.clone(), &said, &request).await, Err(AppError::Replayed));
    let by_stranger = act(stranger(), &action, &said);
    for _ in 0..2 {
        let refused = node.app.authorise(action.clone(), &said, &by_stranger).await;
        assert_eq!(refused, Err(Rejection::NotAdmin.into()), "and it is not remembered");
    }
}

async fn cancelled(node: &Node, n: u64) -> Id<Task> {
    node.create(task(n), terms(&[20_000])).await.unwrap();
    node.cancel(task(n), escrow::requester()).await.unwrap();
    task(n)
}

#[tokio::test]
async fn an_admin_erases_what_has_ended_and_a_code_is_not_wasted_on_what_has_not() {
    let world = World::new();
    let (node, codes) = founded(&world).await;
    node.create(task(9), terms(&[20_000])).await.unwrap();
    let said = codes.now(&world);
    let erase = async |id, by| node.app.erase_as_admin(id, &said, asking_to_erase(by, id, &said)).await;
    assert_eq!(erase(task(9), ada()).await, Err(AppError::NotEnded));
    assert_eq!(erase(task(9), stranger()).await, Err(Rejection::NotAdmin.into()));
    let id = cancelled(&node, 1).await;
    let seq = erase(id, ada()).await.unwrap().expect("erased");
    assert_eq!(seq, world.count().await as u64);
    assert_eq!(erase(id, ada()).await, Err(Rejection::CodeUsed.into()));
    let facts = world.facts().await;
    let [.., authorised, erased] = facts.as_slice() else { panic!("two facts") };
    assert_eq!((authorised.kind.as_str(), erased.kind.as_str()), ("roles.authorised", ERASED));
    assert_eq!(authorised.authority, erased.authority, "one request stands behind both");
    // Where there are roles, nobody erases without.
    let other = cancelled(&node, 2).await;
    let request = asking(ada(), other, &tallystick_app::port::request::Action::Erase);
    assert_eq!(node.app.erase(other, request).await, Err(Rejection::SecondFactor.into()));
    world.check().await;
}

/// Whoever proposes what is so already is given no number, not even that of a proposal that has ended.
#[tokio::test]
async fn a_proposal_that_ended_has_no_number() {
    let world = World::new();
    let (node, codes) = founded(&world).await;
    propose(&node, ada(), grant(worker())).await;
    world.clock.advance(Duration::from_secs(2 * 86_400));
    let said = codes.now(&world);
    assert_eq!(node.app.act(grant(worker()), &said, act(ada(), &grant(worker()), &said)).await, Ok(true));
    let request = asking_roles(ada(), &AdminAsked::Propose(grant(worker())));
    assert_eq!(node.app.propose(grant(worker()), request).await, Ok(None));
}

#[tokio::test]
async fn whoever_has_the_machine_makes_an_admin() {
    let world = World::new();
    let (node, codes) = founded(&world).await;
    let ctx = Ctx { now: escrow::NOW.after(Duration::from_secs(90)), height: HEIGHT, author: node.app.key() };
    assert_eq!(node.app.recover_admin(ada(), &ctx).await, Ok(true));
    assert_eq!(node.app.recover_admin(ada(), &ctx).await, Ok(false));
    let lost = authorise(&node, ada(), pay(), codes.now(&world)).await;
    assert_eq!(lost, Err(Rejection::NotEnrolled.into()), "whoever found the authenticator has nothing of it");
    assert_eq!(node.app.recover_admin(stranger(), &ctx).await, Ok(true));
    assert_eq!(node.app.may(stranger(), Operation::Pay).await, Ok(()));
    world.check().await;
}

/// What a node that lies would write.
async fn forged<S: AsRef<str>>(facts: impl FnOnce(&World) -> (S, Vec<NewFact>, Authority)) -> String {
    let world = World::new();
    let (node, _) = founded(&world).await;
    cancelled(&node, 1).await;
    world.check().await;
    let last = world.count().await as u64;
    let (stream, facts, authority) = facts(&world);
    let stream = stream.as_ref();
    let version = world.store.stream(stream, 0).await.unwrap().len() as u64;
    let append = Append {
        stream: stream.to_owned(),
        expected_version: version,
        facts,
        authority,
        recorded_at: tallystick_app::Clock::now(&*world.clock),
        height: HEIGHT,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: None,
        erases: None,
    };
    world.store.append(append).await.unwrap();
    match world.fsck().run(|_| ()).await {
        Err(Damage::Fact { seq, what }) if seq == last + 1 => what,
        other => panic!("{other:?}"),
    }
}

fn told(event: &Event) -> Vec<NewFact> {
    let content = canonical::encode(event);
    let body = if event.is_public() { Body::Public(content) } else { Body::private([3; 32], content) };
    vec![NewFact { kind: event.kind(), body }]
}

fn by(author: NostrKey, asked: AdminAsked) -> Authority {
    Authority::Request(asking_roles(author, &asked))
}

#[tokio::test]
async fn fsck_finds_what_no_admin_asked_for_or_the_rules_do_not_allow() {
    let other = "is not proven: the signed request behind the fact asks for something else";
    let granted = |proof| Event::ActionAuthorised { by: ada(), action: grant(stranger()), proof };
    let asks = |action, said| AdminAsked::Act(action, said);
    let code = || Proof::Code { step: 1 << 40 };
    let completed = |admin| Event::EnrolmentCompleted { admin, step: 1 << 40 };
    // Somebody else's grant; another role; another proof; in another's name.
    for (author, asked, event) in [
        (ada(), asks(grant(worker()), wrong()), granted(code())),
        (ada(), asks(grant(stranger()), FactorSaid::Nothing), granted(code())),
        (ada(), asks(grant(stranger()), FactorSaid::Confirms(2)), granted(Proof::Confirms { proposal: 1 })),
        (bea(), asks(grant(stranger()), wrong()), granted(code())),
        (ada(), AdminAsked::Propose(grant(stranger())), granted(code())),
        // A right code, and a wrong one, that somebody else is said to have shown.
        (ada(), AdminAsked::CompleteEnrolment(Code("000000".into())), completed(bea())),
        (ada(), asks(grant(stranger()), wrong()), Event::CodeRefused { admin: bea(), paused_until: escrow::NOW }),
    ] {
        assert_eq!(forged(|_| (STREAM, told(&event), by(author, asked))).await, other);
    }
    // Well asked for, and not allowed: by nobody's proposal, by who is no admin, by an admin alone.
    let stranger_granted =
        Event::ActionAuthorised { by: stranger(), action: grant(stranger()), proof: Proof::Code { step: 1 << 40 } };
    for (author, asked, event) in [
        (ada(), asks(grant(stranger()), FactorSaid::Confirms(7)), granted(Proof::Confirms { proposal: 7 })),
        (stranger(), asks(grant(stranger()), wrong()), stranger_granted),
        (ada(), asks(grant(stranger()), FactorSaid::Nothing), granted(Proof::Alone)),
    ] {
        let what = forged(|_| (STREAM, told(&event), by(author, asked))).await;
        assert!(what.starts_with("is not what the rules decide"), "{what}");
    }
    // Told as something else.
    let renamed = NewFact { kind: Event::PROPOSED, ..told(&granted(code())).remove(0) };
    let what = forged(|_| (STREAM, vec![renamed], by(ada(), asks(grant(stranger()), wrong())))).await;
    assert!(what.starts_with("is not proven"), "{what}");
    // What is private must not be told, and what is public not hidden.
    let shown = told(&granted(code())).remove(0);
    let hidden = NewFact { kind: shown.kind, body: Body::private([3; 32], canonical::encode(&granted(code()))) };
    let what = forged(|_| (STREAM, vec![hidden], by(ada(), asks(grant(stranger()), wrong())))).await;
    assert!(what.contains("hides what is public"), "{what}");
}

#[tokio::test]
async fn fsck_finds_an_erasure_that_nobody_was_let_do_and_a_word_that_is_not_the_nodes() {
    let erased = Erased { stream: format!("escrow/{}", task(1)), version: 2 };
    let fact = vec![NewFact { kind: ERASED, body: Body::Public(canonical::encode(&erased)) }];
    let request = asking_to_erase(ada(), task(1), &wrong());
    let world = World::new();
    let (node, codes) = founded(&world).await;
    // As before there were roles.
    let id = cancelled(&node, 1).await;
    let said = codes.now(&world);
    node.app.erase_as_admin(id, &said, asking_to_erase(ada(), id, &said)).await.unwrap();
    world.check().await;
    let append = Append {
        stream: "journal".into(),
        expected_version: 1,
        facts: fact,
        authority: Authority::Request(request),
        recorded_at: tallystick_app::Clock::now(&*world.clock),
        height: HEIGHT,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: None,
        erases: None,
    };
    world.store.append(append).await.unwrap();
    let found = world.fsck().run(|_| ()).await.unwrap_err().to_string();
    assert!(found.contains("was erased, which nobody was let do"), "{found}");

    let recovered = Event::AdminRecovered { admin: stranger() };
    let founded = |admins: &[NostrKey]| Event::RolesFounded { admins: admins.to_vec() };
    let found_by = |admins: &[NostrKey]| NodeCommand::Found { admins: admins.to_vec() };
    let other = "the node's word behind the fact is for something else";
    for (secret, told_as, command, found) in [
        ([7; 32], recovered.clone(), NodeCommand::Recover { admin: stranger() }, "which is not the node's key"),
        ([8; 32], recovered.clone(), NodeCommand::Recover { admin: worker() }, other),
        ([8; 32], recovered, found_by(&[stranger()]), other),
        ([8; 32], founded(&[stranger()]), found_by(&[ada()]), other),
        ([8; 32], founded(&[ada()]), found_by(&[ada(), bea()]), other),
        // Its own word: but the node has roles already.
        ([8; 32], founded(&[stranger()]), found_by(&[stranger()]), "is not what the rules decide"),
    ] {
        let word = |world: &World| {
            let command = canonical::encode(&command);
            let word = NodeWord {
                stream: STREAM,
                expected_version: 4,
                recorded_at: tallystick_app::Clock::now(&*world.clock),
                height: HEIGHT,
                command: &command,
            };
            (STREAM, told(&told_as), NodeKey::try_new(&secret).unwrap().authorise(&word))
        };
        let what = forged(word).await;
        assert!(what.contains(found), "{what}");
    }
}

/// Of a fact whose contents are not told, its kind still has to be one that the request can lead to.
#[test]
fn a_request_stands_behind_no_hidden_fact_of_another_kind() {
    let asks = |action, said| AdminAsked::Act(action, said);
    let enrol = Action::Enrol { admin: ada() };
    let kinds =
        [Event::PROPOSED, Event::AUTHORISED, Event::CODE_REFUSED, Event::ENROLMENT_BEGUN, Event::ENROLMENT_COMPLETED];
    for (asked, fitting) in [
        (AdminAsked::Propose(pay()), [true, false, false, false, false]),
        (asks(pay(), wrong()), [false, true, true, false, false]),
        (asks(enrol, wrong()), [false, false, true, true, false]),
        (AdminAsked::CompleteEnrolment(Code("000000".into())), [false, false, true, false, true]),
    ] {
        let fits = kinds.map(|kind| {
            let fact = Fact {
                seq: 1,
                stream: STREAM.into(),
                version: 1,
                kind: kind.into(),
                body: Body::Private { commitment: Digest32([5; 32]), opening: None },
                authority: Digest32([6; 32]),
                recorded_at: escrow::NOW,
                height: HEIGHT,
                prev: Digest32([0; 32]),
                hash: Digest32([0; 32]),
            };
            check_cause(&fact, &by(ada(), asked.clone()), &Requests, &Trusted::default()).is_ok()
        });
        assert_eq!(fits, fitting, "{asked:?}");
    }
}

/// Evidence goes before its time by an admin with a second factor alone; an operator's, or an admin's, bare request is found.
#[tokio::test]
async fn fsck_finds_evidence_that_nobody_was_let_erase() {
    let matter = Matter { task: task(1), dispute: Id::from_parts(7, [1; 10]) };
    let content = canonical::encode(&EvidenceErased { matter, hashes: vec![Digest32([5; 32])] });
    let stream = format!("{EVIDENCE}{}", matter.dispute);
    let request = asking(ada(), matter.task, &Ask::EraseEvidence { dispute: matter.dispute });
    let fact = || vec![NewFact { kind: EVIDENCE_ERASED, body: Body::Public(content.clone()) }];
    let what = forged(|_| (stream.as_str(), fact(), Authority::Request(request))).await;
    assert!(what.contains("was erased, which nobody was let do"), "{what}");
}

#[tokio::test]
async fn a_replica_hears_of_roles_without_a_rail() {
    let world = World::new();
    let (_, codes) = founded(&world).await;
    // Not connected: it knows no height yet, and may read, but decides nothing.
    let app = world.app(Arc::clone(&world.store) as _);
    assert_eq!(app.may(ada(), Operation::Pay).await, Ok(()));
    let said = codes.now(&world);
    let refused = app.authorise(pay(), &said, &act(ada(), &pay(), &said)).await;
    assert_eq!(refused, Err(AppError::Starting));
}
