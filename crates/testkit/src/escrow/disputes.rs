//! Disputed tasks, and panels that sit.

use tallystick_civics::{
    dispute::{Award, Dispute, Phase as DisputePhase, SeatState, Seats, UserCommand as Act, commitment},
    draw::{Candidate, Candidates},
};
use tallystick_core::{BlockHeight, Digest32, Id, NostrKey};
use tallystick_escrow::{Case, Command, Docket, NodeCommand, Terms, UserCommand, plan};

use super::{Given, NOW, key, requester, terms, worker};

/// The block that every draw of these tests is decided by.
pub const DRAW_BLOCK: Digest32 = Digest32([0xb1; 32]);
/// The fact of the registry that disputes of these tests name.
pub const REGISTRY_SEQ: u64 = 7;

/// The id of a side's dispute.
pub fn dispute_id(author: NostrKey) -> Id<Dispute> {
    Id::from_parts(NOW.as_millis(), [author.to_bytes()[31]; 10])
}

/// Twenty arbitrators.
///
/// # Panics
/// Never: they are sorted.
pub fn candidates() -> Candidates {
    let mut list: Vec<_> = (10..30).map(key).collect();
    list.sort();
    let list = list.into_iter().map(|arbitrator| Candidate { arbitrator, weight: 100 });
    Candidates::try_new(list.collect()).expect("sorted")
}

/// The same terms with a panel.
#[must_use]
pub fn with_panel(seats: Seats, terms: Terms) -> Terms {
    Terms { panel: Some(seats), ..terms }
}

/// Terms with these payouts and a panel of three.
pub fn panel_terms(payouts: &[u64]) -> Terms {
    with_panel(Seats::Three, terms(payouts))
}

/// Open a dispute about a milestone, as this side.
pub fn open_dispute(author: NostrKey, milestone: u32) -> UserCommand {
    let docket = Docket { id: dispute_id(author), conflicts: Vec::new(), registry_seq: REGISTRY_SEQ };
    UserCommand::OpenDispute { milestone, docket }
}

/// Do something in the first milestone's dispute.
pub const fn act(command: Act) -> UserCommand {
    UserCommand::Dispute { milestone: 0, command }
}

/// An arbitrator's salt.
pub fn salt(arbitrator: NostrKey) -> [u8; 32] {
    let mut salt = arbitrator.to_bytes();
    salt.reverse();
    salt
}

impl Given {
    /// The last dispute of a milestone.
    ///
    /// # Panics
    /// If there is none.
    pub fn case(&self, milestone: usize) -> &Case {
        let job = self.phase().job().expect("a disputed task has a worker");
        job.milestones[milestone].cases.last().expect("the milestone is disputed")
    }

    /// The first milestone's dispute, opened by this side.
    #[must_use]
    pub fn disputed_by(self, author: NostrKey) -> Self {
        self.done(author, open_dispute(author, 0))
    }

    /// What the node reports of the draw of a milestone's dispute.
    pub fn draw(&self, milestone: u32) -> NodeCommand {
        let due = self.state.draws_due().into_iter().find(|due| due.milestone == milestone);
        NodeCommand::RecordDraw {
            milestone,
            block_height: due.expect("a draw is due").block,
            block_hash: DRAW_BLOCK,
            candidates: candidates(),
            registry_seq: REGISTRY_SEQ,
        }
    }

    /// The first milestone's panel was drawn.
    ///
    /// # Panics
    /// If no draw is due.
    #[must_use]
    pub fn drawn(self) -> Self {
        let from = self.state.draws_due().first().expect("a draw is due").from;
        let given = self.height(from);
        let draw = given.draw(0);
        given.reported(draw)
    }

    /// At the height of the next wake-up, woken.
    ///
    /// # Panics
    /// If none is due at a height.
    #[must_use]
    pub fn woken(self) -> Self {
        let height = self.state.wake().height.expect("a height to wake at").max(self.height);
        self.height(height).reported(NodeCommand::Wake)
    }

    /// Who was asked to sit on the first milestone's panel, in order.
    pub fn bench(&self) -> Vec<NostrKey> {
        self.case(0).dispute.panel.bench.iter().map(|seat| seat.arbitrator).collect()
    }

    /// Everybody who was asked accepts, evidence closes, and all vote like this, in the order of the bench.
    ///
    /// # Panics
    /// If the dispute is not where this can begin.
    #[must_use]
    pub fn voted(self, votes: &[Award]) -> Self {
        let bench = self.bench();
        let mut given = bench.iter().fold(self, |given, who| given.done(*who, act(Act::AcceptSeat))).woken();
        let dispute = given.case(0).dispute.clone();
        for (who, award) in bench.iter().zip(votes) {
            let commitment = commitment(dispute.opening.id, dispute.round(), *who, *award, &salt(*who));
            given = given.done(*who, act(Act::CommitVote { commitment }));
        }
        if matches!(given.case(0).dispute.phase, DisputePhase::Committing { .. }) {
            given = given.woken();
        }
        for (who, award) in bench.iter().zip(votes) {
            given = given.done(*who, act(Act::RevealVote { award: *award, salt: salt(*who) }));
        }
        given
    }

    /// Both sides are content with the ruling.
    #[must_use]
    pub fn content(self) -> Self {
        self.done(requester(), act(Act::AcceptRuling)).done(worker(), act(Act::AcceptRuling))
    }

    /// The height that the first running dispute waits for, if it waits for blocks and nobody's word.
    pub fn dispute_waits_for(&self) -> Option<BlockHeight> {
        let job = self.phase().job()?;
        let milestones = 0..u32::try_from(job.milestones.len()).unwrap_or(u32::MAX);
        let milestone = milestones.into_iter().find(|at| self.task().running(job, *at).is_some())?;
        let (who, command) = self.next_in_dispute(milestone)?;
        let dispute = &self.task().running(job, milestone)?.dispute;
        let height = match dispute.phase {
            DisputePhase::Drawing => Some(dispute.draw_from()),
            _ if who == super::node() && command == Command::Node(NodeCommand::Wake) => dispute.wake(),
            _ => None,
        };
        height.filter(|height| *height > self.height)
    }

    /// What comes next in a milestone's dispute when all goes well: who, and what. Votes are for every other part.
    pub fn next_in_dispute(&self, milestone: u32) -> Option<(NostrKey, Command)> {
        let job = self.phase().job()?;
        let dispute = &self.task().running(job, milestone)?.dispute;
        let wake = (super::node(), Command::Node(NodeCommand::Wake));
        let seat = |wanted: fn(SeatState) -> bool| dispute.panel.bench.iter().find(|seat| wanted(seat.state));
        let user = |who, command| Some((who, Command::User(UserCommand::Dispute { milestone, command })));
        let award = Award::new(0x5555_5555_5555_5555 & ((1 << dispute.opening.parts.len().min(63)) - 1));
        match dispute.phase {
            DisputePhase::Drawing => Some((super::node(), Command::Node(self.draw(milestone)))),
            DisputePhase::Seating { .. } => match seat(|state| state == SeatState::Asked) {
                Some(seat) => user(seat.arbitrator, Act::AcceptSeat),
                None => Some(wake),
            },
            DisputePhase::Committing { .. } => match seat(|state| state == SeatState::Accepted) {
                Some(seat) => {
                    let who = seat.arbitrator;
                    let commitment = commitment(dispute.opening.id, dispute.round(), who, award, &salt(who));
                    user(who, Act::CommitVote { commitment })
                }
                None => Some(wake),
            },
            DisputePhase::Revealing { .. } => match seat(|state| matches!(state, SeatState::Committed { .. })) {
                Some(seat) => user(seat.arbitrator, Act::RevealVote { award, salt: salt(seat.arbitrator) }),
                None => Some(wake),
            },
            DisputePhase::Ruled { ref accepted, .. } => {
                let first = accepted.is_empty();
                user(if first { requester() } else { worker() }, Act::AcceptRuling)
            }
            _ => None,
        }
    }

    /// The last height at which the first milestone can be disputed.
    ///
    /// # Panics
    /// If nothing of it is held.
    pub fn open_by(&self) -> BlockHeight {
        let job = self.phase().job().expect("a worker");
        plan::open_by(&self.task().policy, self.task().decide_by(job, 0).expect("money is held"))
    }
}
