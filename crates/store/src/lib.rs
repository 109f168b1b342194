//! The journal, the outbox and the read models on SQLite.
