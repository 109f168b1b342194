//! Given a dispute, when somebody asks, then.

use tallystick_civics::{
    dispute::{
        Award, Command, Decision, Dispute, Event, NodeCommand, Opening, Phase, Plan, Rejection, Seats, UserCommand,
        commitment, decide, evolve, open,
    },
    draw::{Candidate, Candidates},
};
use tallystick_core::{BlockHeight, Blocks, Ctx, Digest32, Id, NostrKey, Sat};
pub use tallystick_testkit::escrow::{HEIGHT, NOW, key, node, requester as payer, sat, stranger, worker as payee};

pub const BLOCK: Digest32 = Digest32([0xb1; 32]);
pub const EVIDENCE: Digest32 = Digest32([0xee; 32]);
pub const REGISTRY_SEQ: u64 = 4_711;
/// What the first, second and third of the draw vote for. The second's is the median.
pub const VOTES: [Award; 3] = [Award::new(0b001), Award::new(0b010), Award::new(0b111)];

pub fn parts() -> Vec<Sat> {
    [50_000, 60_000, 90_000].map(sat).into()
}

pub fn id() -> Id<Dispute> {
    Id::from_parts(1_800_000_000_000, [7; 10])
}

/// A conflict of interest: a candidate who must not sit.
pub fn biased() -> NostrKey {
    key(10)
}

/// Twenty-four arbitrators, of whom one is biased and one a party.
pub fn candidates() -> Candidates {
    let mut list: Vec<_> = (10..34).map(key).chain([payee()]).map(|arbitrator| (arbitrator, 100)).collect();
    list.sort();
    Candidates::try_new(list.into_iter().map(|(arbitrator, weight)| Candidate { arbitrator, weight }).collect())
        .unwrap()
}

/// Room for two rounds and a half.
pub fn opening() -> Opening {
    Opening {
        id: id(),
        payer: payer(),
        payee: payee(),
        parts: parts(),
        plan: Plan::default(),
        rule_by: HEIGHT.after(Blocks(225)),
        seats_min: Seats::One,
        conflicts: vec![biased()],
        registry_seq: REGISTRY_SEQ,
    }
}

pub fn salt(arbitrator: NostrKey) -> [u8; 32] {
    let mut salt = arbitrator.to_bytes();
    salt.reverse();
    salt
}

#[derive(Clone, Debug)]
pub struct Given {
    pub dispute: Dispute,
    pub height: BlockHeight,
    pub facts: Vec<Event>,
}

impl Given {
    pub fn opened_by(author: NostrKey, opening: Opening) -> Self {
        let opened = open(opening, &Ctx { now: NOW, height: HEIGHT, author }).unwrap();
        let dispute = evolve(None, &opened).unwrap();
        Self { dispute, height: HEIGHT, facts: vec![opened] }
    }

    pub fn decide(&self, author: NostrKey, command: Command) -> Result<Decision, Rejection> {
        decide(&self.dispute, command, &Ctx { now: NOW, height: self.height, author })
    }

    pub fn ask(&self, author: NostrKey, command: UserCommand) -> Result<Decision, Rejection> {
        self.decide(author, Command::User(command))
    }

    #[track_caller]
    pub fn refused(&self, author: NostrKey, command: UserCommand, rejection: &Rejection) {
        assert_eq!(self.ask(author, command).as_ref(), Err(rejection));
    }

    pub fn report(&self, command: NodeCommand) -> Result<Decision, Rejection> {
        self.decide(node(), Command::Node(command))
    }

    pub fn events(mut self, events: Vec<Event>) -> Self {
        self.dispute = events.iter().fold(Some(self.dispute), evolve).unwrap();
        self.facts.extend(events);
        self
    }

    #[track_caller]
    fn accepted(self, answer: Result<Decision, Rejection>) -> Self {
        match answer {
            Ok(Decision::Accept { events, .. }) => self.events(events),
            other => panic!("should be accepted while {}: {other:?}", self.dispute.phase.name()),
        }
    }

    #[track_caller]
    pub fn done(self, author: NostrKey, command: UserCommand) -> Self {
        let answer = self.ask(author, command);
        self.accepted(answer)
    }

    #[track_caller]
    pub fn reported(self, command: NodeCommand) -> Self {
        let answer = self.report(command);
        self.accepted(answer)
    }

    pub fn at(mut self, height: BlockHeight) -> Self {
        self.height = height;
        self
    }

    pub fn later(self, blocks: u32) -> Self {
        let height = self.height.after(Blocks(blocks));
        self.at(height)
    }

    /// The draw as a node reports it now.
    pub fn draw(&self) -> NodeCommand {
        NodeCommand::RecordDraw {
            block_height: self.dispute.panel.draw_block(),
            block_hash: BLOCK,
            candidates: candidates(),
            registry_seq: REGISTRY_SEQ,
        }
    }

    /// The draw, as soon as its block is buried.
    #[track_caller]
    pub fn drawn(self) -> Self {
        let from = self.dispute.draw_from();
        let given = self.at(from);
        let draw = given.draw();
        given.reported(draw)
    }

    /// At the height of the next wake-up, woken.
    #[track_caller]
    pub fn woken(self) -> Self {
        let at = self.dispute.wake().unwrap();
        let height = at.max(self.height);
        self.at(height).reported(NodeCommand::Wake)
    }

    /// The n-th of the round's draw.
    pub fn drawn_as(&self, n: usize) -> NostrKey {
        self.dispute.panel.draw.as_ref().unwrap().order[n]
    }

    pub fn commit(&self, arbitrator: NostrKey, award: Award) -> UserCommand {
        let round = self.dispute.round();
        UserCommand::CommitVote { commitment: commitment(id(), round, arbitrator, award, &salt(arbitrator)) }
    }

    /// The first seats of the draw accept, and evidence is over.
    #[track_caller]
    pub fn seated(self) -> Self {
        let seats = self.dispute.panel.seats.count();
        (0..seats).fold(self, |given, n| given.accept(n)).woken()
    }

    #[track_caller]
    pub fn accept(self, n: usize) -> Self {
        let arbitrator = self.drawn_as(n);
        self.done(arbitrator, UserCommand::AcceptSeat)
    }

    #[track_caller]
    pub fn refuse(self, n: usize) -> Self {
        let arbitrator = self.drawn_as(n);
        self.done(arbitrator, UserCommand::RefuseSeat)
    }

    #[track_caller]
    pub fn commits(self, n: usize, award: Award) -> Self {
        let arbitrator = self.drawn_as(n);
        let command = self.commit(arbitrator, award);
        self.done(arbitrator, command)
    }

    #[track_caller]
    pub fn reveals(self, n: usize, award: Award) -> Self {
        let arbitrator = self.drawn_as(n);
        self.done(arbitrator, reveal(arbitrator, award))
    }

    /// All of the panel commit.
    #[track_caller]
    pub fn voted(self, votes: &[Award]) -> Self {
        votes.iter().enumerate().fold(self, |given, (n, award)| given.commits(n, *award))
    }

    /// All of the panel commit and reveal.
    #[track_caller]
    pub fn ruled(self, votes: &[Award]) -> Self {
        let given = self.voted(votes);
        votes.iter().enumerate().fold(given, |given, (n, award)| given.reveals(n, *award))
    }

    pub fn phase(&self) -> &Phase {
        &self.dispute.phase
    }
}

pub fn reveal(arbitrator: NostrKey, award: Award) -> UserCommand {
    UserCommand::RevealVote { award, salt: salt(arbitrator) }
}

pub fn file() -> UserCommand {
    UserCommand::FileEvidence { hash: EVIDENCE, bytes: 1_000 }
}

pub fn drawing() -> Given {
    Given::opened_by(payee(), opening())
}

pub fn seating() -> Given {
    drawing().drawn()
}

pub fn committing() -> Given {
    seating().seated()
}

pub fn revealing() -> Given {
    committing().voted(&VOTES)
}

pub fn ruled() -> Given {
    revealing().reveals(0, VOTES[0]).reveals(1, VOTES[1]).reveals(2, VOTES[2])
}

/// The payer appealed; the larger panel is not drawn yet.
pub fn appealed() -> Given {
    ruled().done(payer(), UserCommand::Appeal)
}

/// Nobody of the first panel answered; the next is not drawn yet.
pub fn replaced() -> Given {
    seating().woken()
}

pub fn decided() -> Given {
    ruled().woken()
}

pub fn failed() -> Given {
    replaced().drawn().woken()
}

pub fn withdrawn() -> Given {
    seating().done(payee(), UserCommand::Withdraw)
}
