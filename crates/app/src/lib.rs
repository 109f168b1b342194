//! The use cases: one road in, ports, outbox worker and timers.

pub mod port;
