//! Keys, deals and markets for tests and benches.

use tallystick_civics::reputation::{Deal, Did, End, Limits, Market, Role, Service, Standing};
use tallystick_core::{Id, NostrKey, Sat, Timestamp};

pub const DAY: u64 = 86_400_000;
/// The day on which tests ask.
pub const TODAY: u64 = 20_000;

pub fn now() -> Timestamp {
    at(TODAY)
}

/// Noon of a day.
pub fn at(day: u64) -> Timestamp {
    Timestamp::from_millis(day * DAY + DAY / 2)
}

pub fn sat(amount: u64) -> Sat {
    Sat::try_new(amount).unwrap()
}

/// The `n`th key of these tests: half of all numbers are the x of a point on the curve.
pub fn key(n: u32) -> NostrKey {
    let candidate = |salt: u8| {
        let mut bytes = [salt; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        NostrKey::try_new(bytes).ok()
    };
    (1..=u8::MAX).find_map(candidate).unwrap()
}

/// The default fee: a hundredth, 10 sat at least.
pub fn fee_of(paid: u64) -> u64 {
    paid.div_ceil(100).max(10)
}

/// A deal that ended well so many days before today.
pub fn deal(seq: u64, requester: u32, worker: u32, paid: u64, days_ago: u64) -> Deal {
    let ended_at = at(TODAY - days_ago);
    let before = |minutes: u64| Timestamp::from_millis(ended_at.as_millis() - minutes * 60_000);
    Deal {
        seq,
        task: Id::from_parts(seq, [0; 10]),
        requester: key(requester),
        worker: key(worker),
        paid: sat(paid),
        fee: sat(fee_of(paid)),
        refunded: Sat::ZERO,
        funded_at: before(1_000 + seq % 700),
        submitted_at: Some(before(60)),
        ended_at,
        end: End::Settled,
        disputed: false,
        dispute_lost_by: None,
        bonds_lost: Default::default(),
    }
}

/// The same deal, ruled against a side: what a worker loses goes back, what a requester loses is paid.
pub fn lost_by(deal: Deal, role: Role) -> Deal {
    let of = deal.paid;
    let (award, fee) = if role == Role::Worker { (Sat::ZERO, Sat::ZERO) } else { (of, deal.fee) };
    let refunded = sat(of.get() - award.get());
    let end = End::Ruled { award, of };
    Deal { paid: award, fee, refunded, end, disputed: true, dispute_lost_by: Some(role), ..deal }
}

/// The same deal, given back.
pub fn refunded(deal: Deal, fault: Option<Role>) -> Deal {
    Deal { paid: Sat::ZERO, fee: Sat::ZERO, refunded: deal.paid, end: End::Refunded { fault }, ..deal }
}

pub fn standing(deals: &[Deal], who: u32, role: Role) -> Standing {
    let limits = Limits::default();
    Market::try_new(deals, &limits, now()).unwrap().standing(key(who), role)
}

/// Deals that make a key count in full: ten counterparties, from `with` on, each worth 500 sat of fees.
pub fn established(who: u32, with: u32) -> impl Iterator<Item = Deal> {
    (0..10).map(move |n| deal(0, with + n, who, 50_000, 0))
}

/// Numbers deals in their order.
pub fn numbered(deals: impl IntoIterator<Item = Deal>) -> Vec<Deal> {
    (1..).zip(deals).map(|(seq, deal)| Deal { seq, ..deal }).collect()
}

pub fn vote(seq: u64, arbitrator: u32, vote: u64, ruling: u64, days_ago: u64) -> Service {
    let did = Did::Revealed { vote: sat(vote), ruling: sat(ruling), of: sat(1_000) };
    service(seq, arbitrator, did, days_ago)
}

pub fn service(seq: u64, arbitrator: u32, did: Did, days_ago: u64) -> Service {
    let asked_at = at(TODAY - days_ago);
    Service { seq, dispute: Id::from_parts(seq, [0; 10]), arbitrator: key(arbitrator), asked_at, did }
}

/// A linear congruential generator (Knuth's MMIX numbers): the same market for the same seed.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Honest people: amounts from 2,000 sat to half a million, most of them small; work takes an hour to four days, a review a
/// minute to a day.
pub fn honest(random: &mut Lcg, requester: u32, worker: u32) -> Deal {
    let paid = (2_000 << random.below(8)) + random.below(2_000);
    let days_ago = 10 + random.below(500);
    let mut deal = deal(0, requester, worker, paid, days_ago);
    let end = deal.ended_at.as_millis() - random.below(DAY / 2);
    let submitted = end - 60_000 - random.below(DAY);
    let funded = submitted - DAY / 24 - random.below(4 * DAY);
    deal.ended_at = Timestamp::from_millis(end);
    deal.submitted_at = Some(Timestamp::from_millis(submitted));
    deal.funded_at = Timestamp::from_millis(funded);
    match random.below(100) {
        0 => lost_by(deal, Role::Worker),
        1 => lost_by(deal, Role::Requester),
        2 | 3 => refunded(deal, None),
        _ => deal,
    }
}

/// A market in which anybody deals with anybody, some more than others.
pub fn random_market(seed: u64, keys: u32, deals: usize) -> Vec<Deal> {
    let mut random = Lcg(seed);
    let anybody = |random: &mut Lcg| {
        let one = random.below(u64::from(keys)).min(random.below(u64::from(keys)));
        u32::try_from(one).unwrap()
    };
    // Making a key searches the curve: once for each is enough.
    let names: Vec<NostrKey> = (0..keys).map(key).collect();
    numbered((0..deals).map(|_| {
        let requester = anybody(&mut random);
        let worker = loop {
            let worker = anybody(&mut random);
            if worker != requester {
                break worker;
            }
        };
        let deal = honest(&mut random, 0, 1);
        Deal { requester: names[requester as usize], worker: names[worker as usize], ..deal }
    }))
}

/// A market of regulars: everybody has six workers, and asks one of them four times out of five.
pub fn market_of_regulars(seed: u64, keys: u32, deals: usize) -> Vec<Deal> {
    let mut random = Lcg(seed);
    numbered((0..deals).map(|_| {
        let any = |random: &mut Lcg| u32::try_from(random.below(u64::from(keys))).unwrap();
        let requester = any(&mut random);
        let regular = u32::try_from(random.below(6)).unwrap();
        let spread = if random.below(5) == 0 { any(&mut random) } else { (requester * 7 + regular * 31 + 1) % keys };
        let worker = if spread == requester { (spread + 1) % keys } else { spread };
        honest(&mut random, requester, worker)
    }))
}
