//! The node's tasks, stopped and joined together.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks with one switch. None of them may end before it is thrown: a node with a part missing must not go on.
pub(crate) struct Tasks {
    stop: watch::Sender<bool>,
    failed: watch::Sender<bool>,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { stop: watch::Sender::new(false), failed: watch::Sender::new(false), running: Mutex::default() }
    }

    /// The switch, for tasks that must come to an orderly end.
    pub(crate) fn switch(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Becomes true once, when the node fails.
    pub(crate) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.subscribe()
    }

    /// Runs a task that looks at the switch itself. If it ends sooner, or panics, everything stops.
    pub(crate) fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.spawn(async move {
            let ended = tokio::spawn(task).await;
            if !*stop.borrow() {
                tracing::error!(task = name, panicked = ended.is_err(), "a part of the Lightning node ended; it stops");
                failed.send_replace(true);
                stop.send_replace(true);
            }
        });
    }

    /// Runs a task that can be dropped wherever it waits.
    pub(crate) fn run_until_stopped(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.switch();
        self.run(name, async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = task => {}
            }
        });
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for all tasks to end.
    pub(crate) async fn join(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.join_all().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_too_soon_stops_the_others() {
        for panics in [false, true] {
            let tasks = Tasks::new();
            tasks.run_until_stopped("patient", std::future::pending());
            assert!(!*tasks.failed().borrow());
            tasks.run("hasty", async move { assert!(!panics, "on purpose") });
            tasks.join().await;
            assert!(*tasks.failed().borrow());
        }
    }

    #[tokio::test]
    async fn stopping_is_no_failure() {
        let tasks = Tasks::new();
        tasks.run_until_stopped("patient", std::future::pending());
        tasks.stop();
        tasks.join().await;
        assert!(!*tasks.failed().borrow());
    }
}
