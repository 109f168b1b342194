//! Erasing what is private in a stream.

use rusqlite::{OptionalExtension, params};
use tallystick_app::port::journal::{AppendError, Erasure};

use crate::sqlite::ledger::Ledger;

const PENDING: &str = "SELECT 1 FROM outbox WHERE stream = ?1 AND finished = 0 LIMIT 1";
const ERASE: [&str; 3] = [
    "UPDATE authorities SET bytes = NULL
        WHERE digest IN (SELECT authority FROM facts WHERE stream = ?1 AND commitment IS NOT NULL)",
    "UPDATE facts SET body = NULL, salt = NULL WHERE stream = ?1 AND commitment IS NOT NULL",
    "UPDATE outbox SET body = x'' WHERE stream = ?1",
];
const HIDE: &str = "DELETE FROM tasks WHERE id = ?1";

impl Ledger {
    /// Erases, or says why not; whoever calls undoes everything then. `secure_delete` overwrites what is erased.
    pub(crate) fn erase(&self, erasure: &Erasure) -> Result<(), AppendError> {
        let Erasure { stream, version, task } = erasure;
        self.expect(stream, *version)?;
        let pending = self.conn.query_row(PENDING, [stream], |_| Ok(())).optional();
        if self.note(pending)?.is_some() {
            return Err(AppendError::UnderWay { stream: stream.clone() });
        }
        for sql in ERASE {
            self.note(self.conn.execute(sql, [stream]))?;
        }
        self.note(self.conn.execute(HIDE, params![task.as_bytes()]))?;
        Ok(())
    }
}
