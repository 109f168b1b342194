//! Votes that can be shown again after any crash: nothing of them has to be kept.
//!
//! The salt is made of the arbitrator's own key, the dispute and the round (HMAC-SHA-256). With it and the commitment, which the
//! node shows, the vote itself is found by trying all: there are as many as the disputed tranches can be split into.

use anyhow::{Context, Result, bail, ensure};
use nostr::key::Keys;
use serde_json::{Value, json};
use tallystick_civics::dispute::{Award, Dispute, commitment};
use tallystick_core::{Digest32, Id, NostrKey};
use zeroize::Zeroizing;

use super::{super::Api, Matters};
use crate::{
    cli::{Bond, OfMilestone},
    sealed::secret_of,
};

const SALT_TAG: &str = "tallystick/vote-salt/v1";
/// Parts of a dispute up to which a forgotten vote is looked for: a million awards.
const PARTS_SOUGHT_MAX: usize = 20;

/// What somebody votes for. Bonds stay where they are unless they are named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// The disputed tranches that are to be paid out, counted from 0 among all that is disputed.
    pub to_worker: &'a [u32],
    /// Whose bonds are to be taken.
    pub take_bonds: &'a [Bond],
}

impl<'a, T: AsRef<[u32]> + ?Sized> From<&'a T> for Said<'a> {
    fn from(to_worker: &'a T) -> Self {
        Self { to_worker: to_worker.as_ref(), take_bonds: &[] }
    }
}

/// Commits to a vote: these parts are to be paid out.
///
/// # Errors
/// If the node refuses, with its code, or a part is none.
pub async fn vote<'a>(api: &Api, keys: &Keys, of: &OfMilestone, said: impl Into<Said<'a>>) -> Result<Value> {
    let matter = Matters::read(api, of).await?;
    let award = award(said.into(), &matter.kinds())?;
    let (dispute, round) = (matter.matter.dispute, matter.round()?);
    let hidden = commitment(dispute, round, api.client().author(), award, &salt(keys, dispute, round));
    let variables = json!({ "id": of.id, "milestone": of.milestone, "commitment": hidden.to_string() });
    api.of_milestone("commitVote", ("$commitment: Hex32!", "commitment: $commitment"), variables).await
}

/// Shows the vote that was committed to. Which one it was is found out, or may be said.
///
/// # Errors
/// If the node refuses, with its code; if what it shows was not committed to by this key, or another vote was said.
pub async fn reveal(api: &Api, keys: &Keys, of: &OfMilestone, said: Option<Said<'_>>) -> Result<Value> {
    let matter = Matters::read(api, of).await?;
    reveal_shown(api, keys, of, &matter, said).await
}

/// The same of a dispute that was just read.
pub(super) async fn reveal_shown(
    api: &Api,
    keys: &Keys,
    of: &OfMilestone,
    matter: &Matters,
    said: Option<Said<'_>>,
) -> Result<Value> {
    let me = api.client().author();
    let seat = matter.seat(me).context("you have no seat on this panel")?;
    let hidden = seat["commitment"].as_str().context("you have not voted")?.parse()?;
    let (dispute, round, parts) = (matter.matter.dispute, matter.round()?, matter.parts());
    let salt = salt(keys, dispute, round);
    let ballot = Ballot { dispute, round, arbitrator: me, salt: &salt, hidden };
    let award = match said {
        Some(said) => {
            let award = award(said, &matter.kinds())?;
            ensure!(ballot.is(award), "this is not the vote that you committed to");
            award
        }
        None => ballot.find(parts)?,
    };
    let to_worker: Vec<u32> = (0..).take(parts).filter(|part| includes(award, *part)).collect();
    let salt = Digest32(*salt).to_string();
    let take_bonds = taken(award, &matter.kinds());
    let variables = json!({
        "id": of.id, "milestone": of.milestone, "toWorker": to_worker, "takeBonds": take_bonds, "salt": salt
    });
    let declared = (
        "$toWorker: [Int!]!, $takeBonds: [TaskRole!], $salt: Hex32!",
        "toWorker: $toWorker, takeBonds: $takeBonds, salt: $salt",
    );
    api.of_milestone("revealVote", declared, variables).await
}

/// The salt of this key's vote in a round.
fn salt(keys: &Keys, dispute: Id<Dispute>, round: u32) -> Zeroizing<[u8; 32]> {
    secret_of(keys, SALT_TAG, &[dispute.as_bytes(), &round.to_le_bytes()])
}

/// A commitment, and all that is known of it but the vote.
struct Ballot<'a> {
    dispute: Id<Dispute>,
    round: u32,
    arbitrator: NostrKey,
    salt: &'a [u8; 32],
    hidden: Digest32,
}

impl Ballot<'_> {
    fn is(&self, award: Award) -> bool {
        commitment(self.dispute, self.round, self.arbitrator, award, self.salt) == self.hidden
    }

    /// The vote that was committed to.
    fn find(&self, parts: usize) -> Result<Award> {
        ensure!(parts <= PARTS_SOUGHT_MAX, "say again what you voted (--to-worker): there are too many votes to try");
        let found = (0..1u64 << parts).map(Award::new).find(|award| self.is(*award));
        found.context("what you committed to was not made with this key, or by this program: say what you voted")
    }
}

/// The award that this is, of parts of these kinds: each bit is what goes for the worker's good.
fn award(said: Said<'_>, kinds: &[&str]) -> Result<Award> {
    for part in said.to_worker {
        match usize::try_from(*part).ok().and_then(|part| kinds.get(part)) {
            Some(&"WORK") => {}
            Some(_) => bail!("part {part} is a bond: say --take-bond for it, or nothing"),
            None => {
                bail!("there is no disputed tranche {part}: they are counted from 0, and there are {}", kinds.len())
            }
        }
    }
    for (bond, kind) in [(Bond::Requester, "REQUESTER_BOND"), (Bond::Worker, "WORKER_BOND")] {
        ensure!(!said.take_bonds.contains(&bond) || kinds.contains(&kind), "no bond of the {bond:?} is disputed");
    }
    let is_for_worker = |(part, kind): &(u32, &&str)| match **kind {
        "REQUESTER_BOND" => said.take_bonds.contains(&Bond::Requester),
        "WORKER_BOND" => !said.take_bonds.contains(&Bond::Worker),
        _ => said.to_worker.contains(part),
    };
    Ok((0..)
        .zip(kinds)
        .filter(is_for_worker)
        .fold(Award::NOTHING, |award, (part, _)| Award::new(award.mask() | 1 << part)))
}

/// Whose bonds an award of parts of these kinds takes, as the API names them.
fn taken(award: Award, kinds: &[&str]) -> Vec<&'static str> {
    let is_taken = |(part, kind): (u32, &&str)| match (*kind, includes(award, part)) {
        ("REQUESTER_BOND", true) => Some("REQUESTER"),
        ("WORKER_BOND", false) => Some("WORKER"),
        _ => None,
    };
    (0..).zip(kinds).filter_map(is_taken).collect()
}

fn includes(award: Award, part: u32) -> bool {
    usize::try_from(part).is_ok_and(|part| award.includes(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_found_again_from_the_key_alone() {
        let keys = Keys::parse(&"11".repeat(32)).unwrap();
        let arbitrator = NostrKey::try_new(keys.public_key().to_bytes()).unwrap();
        let dispute = Id::from_parts(7, [3; 10]);
        for (round, parts) in [(1, vec![]), (1, vec![0, 1, 2]), (2, vec![4]), (2, vec![0, 1, 2, 3, 4])] {
            let voted = award(Said::from(&parts), &["WORK"; 5]).unwrap();
            let hidden = commitment(dispute, round, arbitrator, voted, &salt(&keys, dispute, round));
            // Another process, with nothing but the key.
            let salt = salt(&Keys::parse(&"11".repeat(32)).unwrap(), dispute, round);
            let ballot = Ballot { dispute, round, arbitrator, salt: &salt, hidden };
            assert_eq!(ballot.find(5).unwrap(), voted);
            let other = Ballot { round: round + 1, ..ballot };
            assert!(other.find(5).is_err());
        }
        assert_ne!(salt(&keys, dispute, 1), salt(&keys, dispute, 2));
    }

    #[test]
    fn bonds_stay_unless_they_are_named() {
        let kinds = ["WORK", "WORK", "REQUESTER_BOND", "WORKER_BOND"];
        let of = |to_worker: &[u32], take_bonds: &[Bond]| {
            award(Said { to_worker, take_bonds }, &kinds).map(Award::mask).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[], &[]), Ok(0b1000));
        assert_eq!(of(&[1], &[]), Ok(0b1010));
        assert_eq!(of(&[0, 1], &[Bond::Requester]), Ok(0b1111));
        assert_eq!(of(&[], &[Bond::Worker]), Ok(0b0000));
        assert_eq!(of(&[0], &[Bond::Worker, Bond::Requester]), Ok(0b0101));
        assert!(of(&[2], &[]).unwrap_err().contains("is a bond"));
        assert!(of(&[4], &[]).unwrap_err().contains("no disputed tranche 4"));
        let none = award(Said { to_worker: &[], take_bonds: &[Bond::Worker] }, &["WORK"]);
        assert!(none.unwrap_err().to_string().contains("no bond of the Worker"));
    }
}
