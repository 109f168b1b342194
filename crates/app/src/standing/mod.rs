//! People's standing, made of the journal's facts alone ([`tallystick_civics::reputation`]).
//!
//! | module | what it does |
//! | --- | --- |
//! | `book` | the fold over facts |
//! | `deal` | a task's facts as a deal |
//! | `kept` | what stays of an erased task |
//! | `limit` | how much a key may have open at once |
//! | [`export`] | the facts in a file, for whoever computes the same from them |
//!
//! Nothing of it is stored. The book is made from the first fact on when it is first needed, and read on from there: who
//! asks is answered with every fact that was in the journal then, whichever replica wrote it.

mod book;
mod deal;
pub mod export;
mod kept;
mod limit;

pub use book::{About, All, Book, Known};
pub use kept::{KEPT, Kept};
pub use limit::LimitError;

pub(crate) use kept::to_keep;

use std::sync::OnceLock;
use tallystick_civics::{
    anomaly::Flag,
    reputation::{Limits, Role},
};
use tallystick_core::NostrKey;
use tokio::sync::Mutex;

use self::limit::Beginning;
use crate::{app::App, error::AppError, port::limits::PAGE_MAX};

/// What the app keeps of standings.
#[derive(Default)]
pub(crate) struct Standings {
    book: Mutex<Book>,
    limits: OnceLock<Limits>,
    beginning: Beginning,
}

impl App {
    /// A key's standing in a role, with every fact that is in the journal now.
    ///
    /// # Errors
    /// [`AppError::Store`]; [`AppError::Reputation`] if the journal's facts contradict each other.
    pub async fn standing(&self, key: NostrKey, role: Role) -> Result<Known, AppError> {
        let now = self.0.parts.clock.now();
        let about = {
            let mut book = self.0.standing.book.lock().await;
            self.catch_up(&mut book).await?;
            book.about(key, role, now)
        };
        let limits = self.open_limits().cloned().unwrap_or_default();
        apart(move || about.standing(&limits)).await
    }

    /// What looks odd in all of the journal.
    ///
    /// # Errors
    /// As [`App::standing`].
    pub async fn anomalies(&self) -> Result<Vec<Flag>, AppError> {
        let now = self.0.parts.clock.now();
        let all = {
            let mut book = self.0.standing.book.lock().await;
            self.catch_up(&mut book).await?;
            book.all(now)
        };
        apart(move || all.odd()).await
    }

    /// Reads the journal's facts for standings up to its end, so that nobody waits for it later. Answers how many there are.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn read_standings(&self) -> Result<u64, AppError> {
        let mut book = self.0.standing.book.lock().await;
        self.catch_up(&mut book).await?;
        Ok(book.seq())
    }

    /// The limits on what is open, if there are any.
    pub fn open_limits(&self) -> Option<&Limits> {
        self.0.standing.limits.get()
    }

    async fn catch_up(&self, book: &mut Book) -> Result<(), AppError> {
        loop {
            let page = self.0.parts.journal.facts(book.seq(), PAGE_MAX).await?;
            page.iter().try_for_each(|fact| book.take(fact))?;
            if page.len() < PAGE_MAX as usize {
                return Ok(());
            }
        }
    }
}

/// Computes where nobody else waits for it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, AppError> + Send + 'static) -> Result<T, AppError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AppError::Fault)?
}
