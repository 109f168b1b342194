//! The read model, against what the facts make. It can be made again: what is wrong with it is told last.

use std::collections::VecDeque;
use tallystick_core::Id;
use tallystick_escrow::Task;

use super::{Damage, Fsck};
use crate::{
    change::ROWS_FORMAT,
    port::{limits::PAGE_MAX, tasks::TaskRow},
};

/// The rows, a page at a time.
pub(super) struct Rows {
    page: VecDeque<TaskRow>,
    last: Option<Id<Task>>,
    damage: Option<String>,
}

impl Rows {
    pub(super) async fn open(fsck: &Fsck) -> Result<Self, Damage> {
        let format = fsck.store.rows_format().await?;
        let other = format!("its format is {format}, not {ROWS_FORMAT}: the node makes it again at its start");
        let damage = (format != ROWS_FORMAT).then_some(other);
        Ok(Self { page: VecDeque::new(), last: None, damage })
    }

    /// Compares the next row with the one that it must be: tasks come in the order of their ids.
    pub(super) async fn compare(&mut self, fsck: &Fsck, made: &TaskRow) -> Result<(), Damage> {
        if self.damage.is_some() {
            return Ok(());
        }
        let id = made.id;
        self.damage = match self.next(fsck).await? {
            Some(found) if found == *made => None,
            Some(found) if found.id == id => Some(format!("the row of task {id} is not what its facts make")),
            Some(found) if found.id < id => Some(no_facts(found.id)),
            _ => Some(format!("task {id} has no row")),
        };
        Ok(())
    }

    /// What was wrong; also rows that nothing was compared with.
    pub(super) async fn finish(mut self, fsck: &Fsck) -> Result<(), Damage> {
        if self.damage.is_none() {
            self.damage = self.next(fsck).await?.map(|more| no_facts(more.id));
        }
        self.damage.map_or(Ok(()), |why| Err(Damage::Rows(why)))
    }

    async fn next(&mut self, fsck: &Fsck) -> Result<Option<TaskRow>, Damage> {
        if self.page.is_empty() {
            self.page = fsck.store.rows(self.last, PAGE_MAX).await?.into();
        }
        let row = self.page.pop_front();
        self.last = row.as_ref().map(|row| row.id).or(self.last);
        Ok(row)
    }
}

fn no_facts(id: Id<Task>) -> String {
    format!("task {id} has no facts, or was erased, and still has a row")
}
