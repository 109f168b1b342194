//! The anchors, as the facts of their stream make them.

use tallystick_core::{BlockHeight, Fact, Sat, Timestamp};
use tallystick_log::{
    Checkpoint,
    anchor::{AnchorTx, OutPoint, Txid, commitment},
};

use super::event::{AnchorEvent, Confirmed, Made};
use crate::port::{anchor::Seal, journal::StoreError};

/// A version of an anchor: one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its transaction, without witnesses.
    pub anchor: AnchorTx,
    /// Its id.
    pub txid: Txid,
    /// Its transaction, signed.
    pub tx: Vec<u8>,
    /// The checkpoint's text.
    pub checkpoint: String,
    /// Leaves under the checkpoint.
    pub size: u64,
    /// What it leaves to the next anchor.
    pub seal_value: Sat,
    /// What it pays.
    pub fee: Sat,
    /// When it was made.
    pub made_at: Timestamp,
    /// The best block's height then.
    pub made_height: BlockHeight,
}

/// An anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its number, from 1.
    pub number: u64,
    /// Its versions, the oldest first; never empty.
    pub versions: Vec<Version>,
    /// Where it is, once that counts.
    pub confirmed: Option<Confirmed>,
    /// When the first version was made.
    pub made_at: Timestamp,
}

impl Anchor {
    /// The version that is in the chain.
    pub fn confirmed_version(&self) -> Option<&Version> {
        let confirmed = self.confirmed.as_ref()?;
        self.versions.iter().find(|version| version.txid.to_raw_hash_bytes() == confirmed.txid)
    }
}

/// A transaction id's bytes in the order of its hash.
pub(crate) trait RawBytes {
    fn to_raw_hash_bytes(&self) -> [u8; 32];
}

impl RawBytes for Txid {
    fn to_raw_hash_bytes(&self) -> [u8; 32] {
        *AsRef::<[u8; 32]>::as_ref(self)
    }
}

/// All anchors of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    version: u64,
    own: Vec<u64>,
    anchors: Vec<Anchor>,
}

impl Anchors {
    /// Follows facts of the stream, in order.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they do not follow.
    pub fn follow(&mut self, facts: &[Fact]) -> Result<(), StoreError> {
        facts.iter().try_for_each(|fact| self.apply(fact))
    }

    fn apply(&mut self, fact: &Fact) -> Result<(), StoreError> {
        let applied = match AnchorEvent::of(fact)? {
            AnchorEvent::Made(made) => self.made(fact, made, true),
            AnchorEvent::Replaced(made) => self.made(fact, made, false),
            AnchorEvent::Confirmed(confirmed) => self.of_number(confirmed.number).map(|anchor| {
                anchor.confirmed = Some(confirmed);
            }),
            AnchorEvent::Dropped(dropped) => self.of_number(dropped.number).map(|anchor| anchor.confirmed = None),
        };
        applied.ok_or_else(|| StoreError::Corrupt(format!("fact {} does not follow from the anchors", fact.seq)))?;
        self.version = fact.version;
        self.own.push(fact.seq);
        Ok(())
    }

    fn made(&mut self, fact: &Fact, made: Made, first: bool) -> Option<()> {
        let anchor = AnchorTx::from_signed(&made.tx).ok()?;
        let size = Checkpoint::parse(&made.checkpoint).ok()?.size();
        if *anchor.commitment() != commitment(made.checkpoint.as_bytes()) {
            return None;
        }
        let version = Version {
            txid: anchor.txid(),
            anchor,
            tx: made.tx,
            checkpoint: made.checkpoint,
            size,
            seal_value: Sat::try_new(made.seal_sat).ok()?,
            fee: Sat::try_new(made.fee_sat).ok()?,
            made_at: fact.recorded_at,
            made_height: fact.height,
        };
        if first {
            let number = self.count() + 1;
            let made_at = version.made_at;
            let fresh = Anchor { number, versions: vec![version], confirmed: None, made_at };
            (made.number == number).then(|| self.anchors.push(fresh))
        } else {
            self.of_number(made.number).map(|anchor| anchor.versions.push(version))
        }
    }

    fn of_number(&mut self, number: u64) -> Option<&mut Anchor> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.anchors.get_mut(index)
    }

    /// The stream's version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.anchors.len() as u64
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> &[Anchor] {
        &self.anchors
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Anchor> {
        self.anchors.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The first that does not count yet.
    pub fn open(&self) -> Option<&Anchor> {
        self.anchors.iter().find(|anchor| anchor.confirmed.is_none())
    }

    /// The last that counts.
    pub fn last_confirmed(&self) -> Option<&Anchor> {
        self.anchors.iter().rfind(|anchor| anchor.confirmed.is_some())
    }

    /// What the anchor of this number must spend. Nothing for the first, or if the one before does not count.
    pub fn seal_of(&self, number: u64) -> Option<Seal> {
        let before = self.get(number.checked_sub(1)?)?.confirmed_version()?;
        Some(Seal { outpoint: before.anchor.next_seal(), value: before.seal_value })
    }

    /// The outpoint that the first anchor spends: what a verifier's policy pins.
    pub fn genesis(&self) -> Option<OutPoint> {
        Some(self.anchors.first()?.versions.first()?.anchor.seal())
    }

    /// How many facts after `from` and up to `to` are anchors' own.
    pub fn own_between(&self, from: u64, to: u64) -> u64 {
        self.own.iter().filter(|seq| (from + 1..=to).contains(*seq)).count() as u64
    }
}
