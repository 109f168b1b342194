//! The rules of escrow: a task, its tranches and the blocks that they may take.

/// A task: the aggregate of this crate.
#[derive(Clone, Debug)]
pub struct Task;
