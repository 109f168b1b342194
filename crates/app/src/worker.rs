//! Starts and stops the workers of a node.

use std::sync::Arc;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    app::App,
    follow::Follower,
    outbox::Outbox,
    port::journal::{Heads, StoreError},
    timers::Timers,
};

/// The workers of a node.
#[derive(Debug)]
pub struct Workers;

/// Running workers.
#[derive(Debug)]
pub struct WorkerHandle {
    stop: watch::Sender<bool>,
    failed: watch::Receiver<bool>,
    jobs: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts outbox and timers, of which there are no others.
    pub fn start(app: &App) -> WorkerHandle {
        Self::run(app, Outbox::new(app.clone()))
    }

    /// Starts outbox and timers of one of several replicas; `epoch` grows with each that takes over.
    pub fn start_in_epoch(app: &App, epoch: u64) -> WorkerHandle {
        Self::run(app, Outbox::in_epoch(app.clone(), epoch))
    }

    /// From now on tells of facts as the journal has them, whoever wrote them: for a replica, before it serves anybody.
    ///
    /// # Errors
    /// [`StoreError`] if the journal does not answer, or is followed already.
    pub async fn follow(app: &App, heads: Arc<dyn Heads>) -> Result<WorkerHandle, StoreError> {
        let follower = Follower::new(app.clone(), heads).await?;
        let (stop, stopped) = watch::channel(false);
        let (alarm, failed) = watch::channel(false);
        let end = until(stopped.clone());
        let jobs = vec![watched("follower", async move { follower.run(end).await }, stopped, alarm)];
        Ok(WorkerHandle { stop, failed, jobs })
    }

    fn run(app: &App, outbox: Outbox) -> WorkerHandle {
        let (stop, stopped) = watch::channel(false);
        let (alarm, failed) = watch::channel(false);
        let timers = Timers::new(app.clone());
        let (first, second) = (until(stopped.clone()), until(stopped.clone()));
        let jobs = vec![
            watched("outbox", async move { outbox.run(first).await }, stopped.clone(), alarm.clone()),
            watched("timers", async move { timers.run(second).await }, stopped, alarm),
        ];
        WorkerHandle { stop, failed, jobs }
    }
}

impl WorkerHandle {
    /// Waits until a worker ends without having been stopped: by a panic. Payouts or refunds stand still then, and the
    /// node should be stopped.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // All of them were stopped: nothing fails any more.
            std::future::pending().await
        }
    }

    /// Stops the workers and waits for what they are doing.
    pub async fn stop(self) {
        // Workers that ended already need no word.
        let _ = self.stop.send(true);
        for job in self.jobs {
            if let Err(error) = job.await {
                tracing::error!("a worker ended badly: {error}");
            }
        }
    }
}

/// Runs a worker, and raises the alarm if it ends before it is stopped.
fn watched(
    name: &'static str,
    worker: impl Future<Output = ()> + Send + 'static,
    stopped: watch::Receiver<bool>,
    alarm: watch::Sender<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let ended = tokio::spawn(worker).await;
        // No handle any more is a stop as well.
        if !*stopped.borrow() && stopped.has_changed().is_ok() {
            tracing::error!(worker = name, panicked = ended.is_err(), "a worker ended by itself");
            alarm.send_replace(true);
        }
    })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the handle is gone: that is a stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
