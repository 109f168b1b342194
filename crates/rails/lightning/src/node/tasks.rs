//! The node's tasks, stopped and joined together.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks with one switch.
pub(crate) struct Tasks {
    stop: watch::Sender<bool>,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { stop: watch::Sender::new(false), running: Mutex::new(JoinSet::new()) }
    }

    /// The switch, for tasks that must come to an orderly end.
    pub(crate) fn switch(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// What throws the switch.
    pub(crate) fn stopper(&self) -> watch::Sender<bool> {
        self.stop.clone()
    }

    /// Runs a task that looks at the switch itself.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Runs a task that can be dropped wherever it waits.
    pub(crate) fn run_until_stopped(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.switch();
        self.run(async move {
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
