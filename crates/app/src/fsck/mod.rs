//! Recomputes everything from the first fact, and names the first bad one.
//!
//! | module | what it checks |
//! | --- | --- |
//! | `facts` | the chain, versions, bodies, who signed, what was erased |
//! | `tree` | every tile of the log, and the published checkpoint |
//! | `rows` | the read model, against a replay of every task; names that tasks hold |
//!
//! Facts are appended while it runs: it checks those that were there when it began.

mod facts;
mod rows;
mod tree;

use std::sync::Arc;
use tallystick_core::{Code, Coded};
use tallystick_log::{VerifierKey, WitnessPolicy};

use crate::port::{
    journal::{Journal, StoreError},
    log::LogStore,
    tasks::TaskRebuild,
};

/// What is checked, and against which keys.
pub struct Fsck {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The tree beside it.
    pub log: Arc<dyn LogStore>,
    /// The read model.
    pub rows: Arc<dyn TaskRebuild>,
    /// The log's key; without it, the published checkpoint's root is checked, and not who signed it.
    pub key: Option<VerifierKey>,
    /// Which witnesses must have cosigned the published checkpoint.
    pub policy: WitnessPolicy,
}

/// What was found sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    /// Facts.
    pub facts: u64,
    /// Facts whose bodies were erased, as other facts tell.
    pub erased: u64,
    /// Signatures behind facts.
    pub signatures: u64,
    /// Facts in the log's tree.
    pub logged: u64,
    /// Facts under the published checkpoint.
    pub published: u64,
    /// Tasks.
    pub tasks: u64,
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
    /// The read model is not what the facts make.
    #[error("the read model: {0}")]
    Rows(String),
}

impl Coded for Damage {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Fact { .. } => Code("fsck.fact"),
            Self::Log(_) => Code("fsck.log"),
            Self::Rows(_) => Code("fsck.rows"),
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
        let mut tree = tree::Tree::open(&*self.log).await?;
        let mut facts = facts::Facts::default();
        let mut after = 0;
        loop {
            let page = self.journal.facts(after, crate::port::limits::PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            facts.check(&*self.journal, &page).await?;
            tree.check(&*self.log, &page).await?;
            progress(Progress { what: "facts", done: after });
        }
        facts.check_erasures()?;
        let (logged, published) = tree.finish(self.key.as_ref(), &self.policy)?;
        let tasks = rows::check(self, &facts, &mut progress).await?;
        Ok(Sound { logged, published, tasks, ..facts.sound() })
    }
}
