//! Recomputes everything from the first fact, and names the first bad one.
//!
//! | module | what it checks |
//! | --- | --- |
//! | `facts` | the chain, versions, bodies, who signed and asked for what, what was erased |
//! | `tree` | every tile of the log, the published checkpoint, and checkpoints that others kept |
//! | `roles` | who has which role, and that whoever erased was let |
//! | `tasks` | each task by `rules`, `outbox`, `names` and `rows` |
//! | `rules` | each decision: what the rules make of the command behind it |
//! | `outbox` | the effects, against those that the facts ask for |
//! | `names` | the payment hashes that tasks hold, against those that the facts name |
//! | `away` | when the node says that it was away, against what it told tasks of that |
//! | `registry` | the registry of arbitrators, and the lists that panels were drawn from |
//! | `remembered` | the requests that are refused the second time, against those behind the facts |
//! | `rows` | the read model, against what the facts make |
//! | `evidence` | the evidence that is kept, against its hashes and the facts |
//!
//! It looks at one moment ([`Snapshot`]): a node may go on, and write and erase, meanwhile.

mod away;
mod evidence;
mod facts;
mod names;
mod outbox;
mod registry;
mod remembered;
mod roles;
mod rows;
mod rules;
mod tasks;
mod tree;

use std::sync::Arc;
use tallystick_core::{Code, Coded, Digest32, Timestamp};
use tallystick_log::{Checkpoint, VerifierKey, WitnessPolicy};

use self::{evidence::Evidence, remembered::Remembered};
use crate::{
    cause::Trusted,
    port::{journal::StoreError, rail::InvoiceReader, request::RequestReader, snapshot::Snapshot},
};

/// What is checked, and against what.
pub struct Fsck {
    /// The store.
    pub store: Arc<dyn Snapshot>,
    /// Reads what requests ask for.
    pub requests: Arc<dyn RequestReader>,
    /// Reads workers' invoices.
    pub invoices: Arc<dyn InvoiceReader>,
    /// The node's key and its operators. Without the node's key, all of the node's words must be by one key.
    pub trusted: Trusted,
    /// The log's key; without it, the published checkpoint's root is checked, and not who signed it.
    pub key: Option<VerifierKey>,
    /// Which witnesses must have cosigned the published checkpoint.
    pub policy: WitnessPolicy,
    /// Checkpoints that others kept, each with a name for it: their signatures are checked already.
    pub checkpoints: Vec<(String, Checkpoint)>,
    /// The last checkpoint that is known to have been published from this store, if its node kept it beside it: one as large must
    /// be there.
    pub published: Option<Checkpoint>,
    /// The time: requests that are remembered for longer are told.
    pub now: Timestamp,
}

/// What was found sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    /// Facts.
    pub facts: u64,
    /// Facts whose bodies were erased, as other facts tell.
    pub erased: u64,
    /// Facts with a signature behind them that asks for them.
    pub signatures: u64,
    /// Facts in the log's tree.
    pub logged: u64,
    /// Facts under the published checkpoint.
    pub published: u64,
    /// The log is far behind the facts: nobody could publish for so long, or it was wiped, in whole or in part.
    pub behind: Option<Behind>,
    /// Tasks.
    pub tasks: u64,
    /// Effects in the outbox.
    pub effects: u64,
    /// Pieces of evidence that are kept.
    pub evidence: u64,
    /// A clock was set back, or somebody wrote among the requests that are remembered.
    pub clock: Option<ClockSet>,
}

/// How the log is behind the facts, by more than ten minutes as they tell the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Its tree does not hold this fact, nor any after it.
    Tree(u64),
    /// No checkpoint was ever published.
    Checkpoint,
}

/// How a request is remembered that came while a clock was not where it was before, or after. Any time is possible then, and
/// no fact tells of a request that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSet {
    /// This one for longer than any that has come, as far as facts and the time tell.
    Ahead(Digest32),
    /// This one still, and later ones are forgotten.
    Back(Digest32),
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being checked: `facts`, or `tasks`.
    pub what: &'static str,
    /// So many are done.
    pub done: u64,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The store does not answer, or a value cannot even be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database's own pages, tables and indexes are not whole, or do not agree with each other. Whether a fact is lost
    /// with them is not known.
    #[error("the database: {0}")]
    Database(String),
    /// A fact is bad: the first one.
    #[error("fact {seq} {what}")]
    Fact {
        /// Its number.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The log's tree or checkpoint is not what the facts make.
    #[error("the log: {0}")]
    Log(String),
    /// The outbox is not what the facts ask for.
    #[error("the outbox: {0}")]
    Outbox(String),
    /// A name is held that no fact gives its holder.
    #[error("the reserved names: {0}")]
    Names(String),
    /// Somebody's signed words are kept, and no fact is theirs.
    #[error("the authorities: {0}")]
    Authorities(String),
    /// What is remembered of requests is not what those behind the facts leave.
    #[error("the remembered requests: {0}")]
    Requests(String),
    /// Evidence is not what its hash names.
    #[error("the evidence: {0}")]
    Evidence(String),
    /// The read model is not what the facts make. Nothing else is wrong then.
    #[error("the read model: {0}")]
    Rows(String),
    /// The journal has fewer facts than somebody has seen.
    #[error("rolled back: {name} has seen {size} facts, and the journal has {facts}")]
    Rollback {
        /// What tells so.
        name: String,
        /// Facts that it has seen.
        size: u64,
        /// Facts here.
        facts: u64,
    },
    /// Somebody has seen other facts.
    #[error("forked: the first {size} facts are not those that {name} has seen")]
    Fork {
        /// What tells so.
        name: String,
        /// Facts that it has seen.
        size: u64,
    },
}

impl Coded for Damage {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Database(_) => Code("fsck.database"),
            Self::Fact { .. } => Code("fsck.fact"),
            Self::Log(_) => Code("fsck.log"),
            Self::Outbox(_) => Code("fsck.outbox"),
            Self::Names(_) => Code("fsck.names"),
            Self::Authorities(_) => Code("fsck.authorities"),
            Self::Requests(_) => Code("fsck.requests"),
            Self::Evidence(_) => Code("fsck.evidence"),
            Self::Rows(_) => Code("fsck.rows"),
            Self::Rollback { .. } => Code("fsck.rollback"),
            Self::Fork { .. } => Code("fsck.fork"),
        }
    }
}

impl Damage {
    fn fact(seq: u64, what: impl Into<String>) -> Self {
        Self::Fact { seq, what: what.into() }
    }
}

impl Fsck {
    /// Checks everything; `progress` hears of it now and then.
    ///
    /// # Errors
    /// [`Damage`]: the first that was found.
    pub async fn run(&self, mut progress: impl FnMut(Progress) + Send) -> Result<Sound, Damage> {
        // What is found by a damaged index says nothing: first, that there is none.
        self.store.check_structure().await.map_err(|error| match error {
            StoreError::Corrupt(why) => Damage::Database(why),
            error => error.into(),
        })?;
        let mut tree = tree::Tree::open(self).await?;
        let mut facts = facts::Facts::new(self.trusted.clone(), Remembered::open(&*self.store).await?);
        let mut after = 0;
        loop {
            let page = self.store.facts(after, crate::port::limits::PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            facts.check(self, &page).await?;
            tree.check(&*self.store, &page).await?;
            progress(Progress { what: "facts", done: after });
        }
        facts.check_head(self.store.head().await?)?;
        facts.check_erasures()?;
        facts.check_authorities(&*self.store).await?;
        self.checkpoints.iter().try_for_each(|(name, checkpoint)| tree.follows(name, checkpoint))?;
        let (logged, published, behind) = tree.finish(self)?;
        tree.no_more(&*self.store).await?;
        roles::check(self, &facts).await?;
        let evidence = Evidence::read(self).await?;
        let (tasks, effects, clock) = tasks::check(self, &facts, &evidence, &mut progress).await?;
        let evidence = evidence.count();
        Ok(Sound { logged, published, behind, tasks, effects, evidence, clock, ..facts.sound() })
    }
}
