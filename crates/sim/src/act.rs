//! Does what a plan says, as far as it makes sense when its turn comes.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    sync::OnceLock,
};
use tallystick_app::{
    Answer, AppError, Clock,
    port::{
        evidence::{EvidenceStore, Matter, Room},
        journal::Journal,
        rail::{InvoiceReader, RailListener, RailNotice},
        request::{Action, Asked},
    },
    timers::Timers,
};
use tallystick_civics::{
    dispute::{Dispute, UserCommand as InDispute, commitment},
    registry::{Command as OfRegistry, OperatorCommand, UserCommand as Own},
};
use tallystick_core::{
    Authority, Blocks, Coded, Digest32, Duration, Id, Msat, NostrKey, PaymentHash, SignedRequest, Timestamp, canonical,
    fact::authority_digest,
};
use tallystick_escrow::{Case, State, Task, Tranche, TrancheState, UserCommand};
use tallystick_testkit::{
    asked_body,
    escrow::{NOW, REASONS, WORK, key, salt},
    rail::{InvoiceSpec, Outgoing},
    signed_request,
};

use crate::{
    books::{Books, tranches},
    draft::Draft,
    law::{purses, wallets},
    node::{Life, World},
    plan::{Act, Ask, Lock, Say, Side, Tell},
    standby::Both,
};

/// Users' keys: half of them post tasks, the others take them.
const PAIRS: usize = 100;
/// The numbers of arbitrators' keys: more than a panel and its replacement have seats.
const ARBITRATORS: Range<u8> = 201..221;
/// The number of the operator's key.
const OPERATOR: u8 = 250;
/// All arbitrators' wallet.
pub(crate) const ARBITRATOR: &str = "arbitrators";

/// What users and network have done that the laws are about, gathered while acts take turns.
#[derive(Default)]
pub(crate) struct Deeds {
    /// Requests whose change was acknowledged, with what they asked for.
    pub acknowledged: RefCell<Vec<(Digest32, String)>>,
    /// What changed something the second time.
    pub twice: RefCell<Vec<String>>,
    /// How many requests were signed.
    requests: Cell<u64>,
    /// All money that was brought in.
    pub brought_msat: Cell<u64>,
}

/// What acts have at hand.
pub(crate) struct Hand<'a> {
    pub world: &'a World,
    pub life: &'a Life,
    pub books: &'a Books,
    pub drafts: &'a [Draft],
    pub deeds: &'a Deeds,
    /// Whether nothing else happens at the same time: only then can it be told what changed something.
    pub is_alone: bool,
    /// Whether users ask the second replica.
    pub asks_standby: bool,
}

/// The id of the task at this place.
pub(crate) fn id_of(task: usize) -> Id<Task> {
    Id::from_parts(NOW.as_millis() + task as u64, [9; 10])
}

impl Hand<'_> {
    /// Does it, and tells what came of it.
    pub(crate) async fn act(&self, act: &Act) -> String {
        match act {
            Act::Ask { task, by, what, again } => self.ask(*task, *by, what, *again && self.is_alone).await,
            Act::Lock { task, tranche, how } => self.lock(*task, *tranche, *how),
            Act::Tell(which) => self.tell(*which).await,
            Act::Network => moved(self.world.rail.step()),
            Act::Outbox => store_word(self.life.outbox.run_once().await),
            Act::Timers => timers(self.life).await,
            Act::Clock { secs } => {
                self.set_clock(*secs);
                String::new()
            }
            Act::Reorganise { blocks } => {
                self.world.rail.reorganise(Blocks(*blocks));
                String::new()
            }
            Act::Presence { task, is } => {
                self.world.rail.set_presence(&wallets(*task).1, *is);
                String::new()
            }
            Act::RouteFee { msat } => {
                self.world.rail.set_route_fee(Msat::try_new(*msat).unwrap_or(Msat::ZERO));
                String::new()
            }
            Act::LoseHold { task, tranche } => self.lose_hold(*task, *tranche),
            // The player's own.
            Act::Pass { .. } | Act::Restart | Act::Cut { .. } | Act::Away { .. } | Act::Rest => String::new(),
        }
    }

    fn set_clock(&self, secs: i64) {
        let millis = self.world.clock.now().as_millis();
        let by = secs.unsigned_abs() * 1_000;
        let set = if secs < 0 { millis.saturating_sub(by) } else { millis.saturating_add(by) };
        self.world.clock.set(Timestamp::from_millis(set));
    }

    fn part(&self, task: usize, tranche: usize) -> Option<&Tranche> {
        tranches(self.books.states.get(task)?).get(tranche)
    }

    fn lock(&self, task: usize, tranche: usize, how: Lock) -> String {
        let rail = &self.world.rail;
        let Some(part) = self.part(task, tranche) else { return "there is no such tranche".into() };
        let payer = purses(task, part.purpose).0;
        let invoice = match how {
            Lock::Renewal => part.renewal.as_ref().and_then(|next| next.funding_invoice.as_ref()),
            _ => part.funding_invoice.as_ref(),
        };
        let Some(invoice) = invoice else { return "there is no invoice".into() };
        let amount = part.hold().unwrap_or(Msat::ZERO);
        let locked = match how {
            Lock::Asked | Lock::Renewal => rail.pay_hold(&payer, invoice),
            Lock::TooLittle => {
                let less = Msat::try_new(amount.get().saturating_sub(1)).unwrap_or(Msat::ZERO);
                part.state == TrancheState::Unfunded
                    && rail.lock(&payer, part.hash, less, rail_height(self).after(Blocks(900)))
            }
            Lock::TooShort => {
                part.state == TrancheState::Unfunded
                    && rail.lock(&payer, part.hash, amount, rail_height(self).after(Blocks(330)))
            }
        };
        if locked { "locked".into() } else { "not taken".into() }
    }

    /// Under a payout that would be the platform's loss: no rule can help there, and none is to be blamed.
    fn lose_hold(&self, task: usize, tranche: usize) -> String {
        let Some(hash) = self.part(task, tranche).map(|part| part.hash) else { return "there is no hold".into() };
        let flies = self
            .world
            .rail
            .seen_payments()
            .values()
            .any(|payment| payment.hash == hash && matches!(payment.state, Outgoing::InFlight | Outgoing::Paid));
        if flies { "it is being paid out, and stays".into() } else { moved(self.world.rail.lose_hold(hash)) }
    }

    async fn tell(&self, which: Tell) -> String {
        let (rail, listener) = (&self.world.rail, Both(&self.life.app, &self.life.standby.app));
        let (place, twice) = match which {
            Tell::All => return format!("{} heard", rail.deliver(&listener).await),
            Tell::One(place) => (place, false),
            Tell::Twice(place) => (place, true),
        };
        let mut lanes: Vec<RailNotice> = Vec::new();
        for notice in rail.notices() {
            if !lanes.iter().any(|first| hash_of(first) == hash_of(&notice)) {
                lanes.push(notice);
            }
        }
        if lanes.is_empty() {
            return "nothing to tell".into();
        }
        let notice = lanes.swap_remove(place % lanes.len());
        let heard = rail.tell(&listener, notice.clone()).await;
        if twice && heard && self.is_alone {
            let before = self.facts().await;
            // What comes of it, the journal tells.
            let _ = listener.hear(notice.clone()).await;
            self.compare(before, &format!("{notice:?}, told again")).await;
        }
        format!("{}{}", notice_text(&notice), if heard { "" } else { ", not heard" })
    }

    async fn facts(&self) -> usize {
        self.world.store.facts(self.books.chain.len() as u64, 1_000).await.map_or(0, |facts| facts.len())
    }

    async fn compare(&self, before: usize, what: &str) {
        if self.facts().await != before {
            self.deeds.twice.borrow_mut().push(what.to_owned());
        }
    }

    async fn ask(&self, task: usize, by: Side, what: &Ask, again: bool) -> String {
        if task >= self.drafts.len() {
            return "there is no such task".into();
        }
        if *what == Ask::Post {
            self.fill_wallets(task);
        }
        let Some((n, prepared)) = self.prepare(task, by, what) else { return "there is nothing to say".into() };
        let said = format!("{by} {task} {what}");
        let first = self.give(task, n, (&said, prepared.clone())).await;
        if again && first.is_ok() {
            let before = self.facts().await;
            // What comes of it, the journal tells.
            let _ = self.give(task, n, (&said, prepared)).await;
            self.compare(before, &format!("{said}, asked again")).await;
        }
        let where_asked = if self.asks_standby { ", by the second replica" } else { "" };
        let became = match first {
            Ok(answer) if answer.changed => answer.view.state.clone(),
            Ok(answer) => format!("{} already", answer.view.state),
            Err(error) => error.code().to_string(),
        };
        became + where_asked
    }

    fn fill_wallets(&self, task: usize) {
        if self.books.states.get(task).is_some_and(|state| *state == State::Absent) {
            let ((requester, worker), (has, puts_up)) = (wallets(task), self.drafts[task].budgets_sat());
            if self.world.rail.wallet_msat(&requester) == 0 {
                self.world.rail.add_wallet(&requester, has);
                self.world.rail.add_wallet(&worker, puts_up);
                self.deeds.brought_msat.set(self.deeds.brought_msat.get() + (has + puts_up) * 1_000);
            }
        }
    }

    /// What is asked for, with invoices made once: the same again is the very same.
    fn prepare(&self, task: usize, by: Side, what: &Ask) -> Option<(u8, Action)> {
        let (requester, worker) = wallets(task);
        let invoice = |sat| self.world.rail.invoice(&worker, sat);
        let n = match by {
            Side::Requester => u8::try_from(1 + task % PAIRS).ok()?,
            Side::Worker => u8::try_from(1 + PAIRS + task % PAIRS).ok()?,
            Side::Seat(seat) => number_of(self.who_sits(task, seat, what)?)?,
        };
        let action = match what {
            Ask::Post => Action::Create(self.terms(task)),
            Ask::Accept => Action::Accept(self.terms(task).workers_invoices().map(|sat| invoice(sat.get())).collect()),
            Ask::Fund => match self.drafts[task].bonds.1 {
                Some(bond) => Action::FundWithBond(self.world.rail.invoice(&requester, bond)),
                None => Action::Fund,
            },
            Ask::Submit(milestone) => Action::Submit { milestone: *milestone, work_hash: WORK },
            Ask::Offer(milestone) => Action::OfferRenewal {
                milestone: *milestone,
                invoices: self.undecided(task, *milestone).into_iter().map(invoice).collect(),
            },
            Ask::Approve(milestone, tranches) => Action::Approve { milestone: *milestone, tranches: tranches.clone() },
            Ask::Reject(milestone) => Action::Reject { milestone: *milestone, reason_hash: REASONS },
            Ask::Cancel => Action::Cancel,
            Ask::Concede(milestone) => Action::Concede { milestone: *milestone },
            Ask::Dispute(milestone) => Action::OpenDispute { milestone: *milestone },
            Ask::Say(milestone, say) => {
                Action::Dispute { milestone: *milestone, command: self.say(task, (by, n), *milestone, *say)? }
            }
            Ask::Collect(milestone) => {
                let spec = InvoiceSpec { amount: Some(self.case(task, *milestone)?.reward), ..InvoiceSpec::good(0) };
                let invoice = self.world.rail.invoice_with(ARBITRATOR, &spec);
                Action::CollectReward { milestone: *milestone, invoice }
            }
        };
        Some((n, action))
    }

    fn case(&self, task: usize, milestone: u32) -> Option<&Case> {
        let State::Present(posted) = &self.books.states[task] else { return None };
        posted.phase.job()?.milestones.get(usize::try_from(milestone).ok()?)?.cases.last()
    }

    /// Who has a seat: on the panel that sits, or, to be paid, among those who voted.
    fn who_sits(&self, task: usize, seat: usize, what: &Ask) -> Option<NostrKey> {
        match what {
            Ask::Collect(milestone) => self.case(task, *milestone)?.dispute.served().get(seat).copied(),
            Ask::Say(milestone, _) => {
                let bench = &self.case(task, *milestone)?.dispute.panel.bench;
                bench.get(seat).map(|seat| seat.arbitrator)
            }
            _ => None,
        }
    }

    fn say(&self, task: usize, (by, n): (Side, u8), milestone: u32, say: Say) -> Option<InDispute> {
        let dispute: &Dispute = &self.case(task, milestone)?.dispute;
        let vote = |seat: usize| {
            let award = self.drafts[task].panel?.vote(seat, dispute.round(), dispute.opening.parts.len());
            Some((dispute.panel.bench.get(seat)?.arbitrator, award))
        };
        Some(match (say, by) {
            (Say::Commit, Side::Seat(seat)) => {
                let (who, award) = vote(seat)?;
                let (id, round) = (dispute.opening.id, dispute.round());
                InDispute::CommitVote { commitment: commitment(id, round, who, award, &salt(who)) }
            }
            (Say::Reveal, Side::Seat(seat)) => {
                let (who, award) = vote(seat)?;
                InDispute::RevealVote { award, salt: salt(who) }
            }
            (Say::Accept, _) => InDispute::AcceptSeat,
            (Say::Refuse, _) => InDispute::RefuseSeat,
            (Say::File, _) => InDispute::FileEvidence { hash: canonical::sha256(&piece(n)), bytes: 1_000 },
            (Say::Appeal, _) => InDispute::Appeal,
            (Say::Content, _) => InDispute::AcceptRuling,
            (Say::Withdraw, _) => InDispute::Withdraw,
            (Say::Commit | Say::Reveal, _) => return None,
        })
    }

    /// The terms as they were posted, or as they would be now.
    fn terms(&self, task: usize) -> tallystick_escrow::Terms {
        match &self.books.states[task] {
            State::Present(posted) => posted.terms.clone(),
            State::Absent => self.drafts[task].terms(task, self.world.clock.now()),
        }
    }

    fn undecided(&self, task: usize, milestone: u32) -> Vec<u64> {
        let State::Present(posted) = &self.books.states[task] else { return Vec::new() };
        let own = posted.terms.tranches_of(milestone);
        let held = (0..).zip(self.books.tranches(task)).filter(|(at, part)| own.contains(at) && part.state.is_held());
        held.map(|(_, part)| part.payout.get()).collect()
    }

    /// What is to be filed is kept before, as the API sees to it.
    async fn upload(&self, task: usize, milestone: u32, n: u8) {
        if let Some(case) = self.case(task, milestone) {
            let matter = Matter { task: id_of(task), dispute: case.dispute.opening.id };
            // From nobody else.
            if case.dispute.opening.side_of(key(n)).is_some() {
                let (store, now) = (&self.world.store, self.world.clock.now());
                store.keep(matter, key(n), piece(n), now, Room::SIDE).await.expect("memory has room");
            }
        }
    }

    /// A request that was signed for this, and its answer.
    async fn give(&self, task: usize, n: u8, (said, action): (&str, Action)) -> Result<Answer, AppError> {
        let id = id_of(task);
        let app = if self.asks_standby { &self.life.standby.app } else { &self.life.app };
        let asked = Asked::Task { task: id, action: action.clone() };
        let request = self.deeds.sign(n, &asked, self.world.clock.now());
        let authority = authority_digest(&Authority::Request(request.clone()));
        if let Action::Dispute { milestone, command: InDispute::FileEvidence { .. } } = &action {
            self.upload(task, *milestone, n).await;
        }
        let answer = match action {
            Action::Create(terms) => app.create(id, terms, request).await,
            Action::Accept(invoices) => app.accept(id, invoices, request).await,
            Action::OfferRenewal { milestone, invoices } => app.offer_renewal(id, milestone, invoices, request).await,
            Action::Fund => app.ask(id, UserCommand::RequestFunding, request).await,
            Action::Submit { milestone, work_hash } => {
                app.ask(id, UserCommand::SubmitWork { milestone, work_hash }, request).await
            }
            Action::Approve { milestone, tranches } => {
                app.ask(id, UserCommand::ApproveWork { milestone, tranches }, request).await
            }
            Action::Reject { milestone, reason_hash } => {
                app.ask(id, UserCommand::RejectWork { milestone, reason_hash }, request).await
            }
            Action::Concede { milestone } => app.ask(id, UserCommand::ConcedeWork { milestone }, request).await,
            Action::OpenDispute { milestone } => app.open_dispute(id, milestone, request).await,
            Action::Dispute { milestone, command } => {
                app.ask(id, UserCommand::Dispute { milestone, command }, request).await
            }
            Action::CollectReward { milestone, invoice } => app.collect_reward(id, milestone, invoice, request).await,
            Action::FundWithBond(bolt11) => {
                let facts = self.world.rail.read(&bolt11)?;
                app.ask(id, UserCommand::FundWithBond { invoice: Box::new((bolt11, facts)) }, request).await
            }
            // Nobody here erases.
            Action::Erase | Action::EraseEvidence { .. } => Err(AppError::Fault),
            Action::Cancel => app.ask(id, UserCommand::CancelTask, request).await,
        };
        if answer.as_ref().is_ok_and(|answer| answer.changed) {
            self.deeds.acknowledged.borrow_mut().push((authority, said.to_owned()));
        }
        answer
    }
}

/// What user `n` files.
fn piece(n: u8) -> Vec<u8> {
    vec![n; 1_000]
}

impl Deeds {
    /// A request that user `n` signed, and nobody has seen before.
    fn sign(&self, n: u8, asked: &Asked, now: Timestamp) -> SignedRequest {
        let number = self.requests.get();
        self.requests.set(number + 1);
        signed_request(n, &asked_body(number, asked), now)
    }
}

/// Arbitrators register, and an operator admits them.
pub(crate) async fn enrol(world: &World, life: &Life, deeds: &Deeds) {
    world.rail.add_wallet(ARBITRATOR, 0);
    let now = world.clock.now();
    for n in ARBITRATORS {
        let register = OfRegistry::User(Own::Register { statement_hash: WORK, pay: "a@b.example".into() });
        let arbitrator = arbitrators()[usize::from(n - ARBITRATORS.start)];
        let admit = OfRegistry::Operator(OperatorCommand::Admit { arbitrator, statement_hash: WORK });
        for (who, command) in [(n, register), (OPERATOR, admit)] {
            let request = deeds.sign(who, &Asked::Registry(command.clone()), now);
            // A store in memory does not fail, and nothing is wrong with either command.
            let _ = life.app.ask_registry(command, request).await;
        }
    }
}

/// The keys of all arbitrators, made once: each is a multiplication on the curve.
fn arbitrators() -> &'static [NostrKey] {
    static KEYS: OnceLock<Vec<NostrKey>> = OnceLock::new();
    KEYS.get_or_init(|| ARBITRATORS.map(key).collect())
}

fn number_of(arbitrator: NostrKey) -> Option<u8> {
    let at = arbitrators().iter().position(|key| *key == arbitrator)?;
    u8::try_from(at).ok().map(|at| ARBITRATORS.start + at)
}

/// New ones each time: timers leave a task alone for a while that could not be woken, and that while is real time.
pub(crate) async fn timers(life: &Life) -> String {
    Timers::new(life.app.clone()).run_once().await.map_or_else(|error| error.to_string(), |_| String::new())
}

fn rail_height(hand: &Hand<'_>) -> tallystick_core::BlockHeight {
    tallystick_app::port::rail::HoldRail::height(&hand.world.rail)
}

fn moved(it: bool) -> String {
    if it { String::new() } else { "nothing moves".into() }
}

fn store_word(result: Result<(), tallystick_app::port::journal::StoreError>) -> String {
    result.map_or_else(|error| error.to_string(), |()| String::new())
}

/// The lane of a notice: a hash, or the chain.
fn hash_of(notice: &RailNotice) -> Option<PaymentHash> {
    match notice {
        RailNotice::HoldLocked { hash, .. }
        | RailNotice::HoldLost { hash }
        | RailNotice::HoldClaimed { hash, .. }
        | RailNotice::PayoutPaid { hash, .. }
        | RailNotice::PayoutFailed { hash, .. } => Some(*hash),
        RailNotice::Block { .. } => None,
    }
}

fn notice_text(notice: &RailNotice) -> String {
    match notice {
        RailNotice::HoldLocked { claim_deadline, .. } => format!("a hold is locked, until {}", claim_deadline.0),
        RailNotice::HoldLost { .. } => "a hold is lost".into(),
        RailNotice::HoldClaimed { .. } => "a hold was claimed".into(),
        RailNotice::PayoutPaid { .. } => "a payout arrived".into(),
        RailNotice::PayoutFailed { reason, .. } => format!("a payout failed: {reason:?}"),
        RailNotice::Block { height } => format!("a block, {}", height.0),
    }
}

/// The longest that the node waits in a step that gives it time.
pub(crate) const REST_MAX: Duration = Duration::from_secs(3_600);

/// Whether a request's facts are in the journal.
pub(crate) async fn is_kept(world: &World, authority: Digest32) -> bool {
    matches!(world.store.authority(authority).await, Ok(Some(_)))
}
