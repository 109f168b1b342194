//! Starts and stops the workers of a node.

use tokio::{sync::watch, task::JoinHandle};

use crate::{app::App, outbox::Outbox, timers::Timers};

/// The workers of a node.
#[derive(Debug)]
pub struct Workers;

/// Running workers.
#[derive(Debug)]
pub struct WorkerHandle {
    stop: watch::Sender<bool>,
    jobs: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts outbox and timers.
    pub fn start(app: &App) -> WorkerHandle {
        let (stop, stopped) = watch::channel(false);
        let outbox = Outbox::new(app.clone());
        let timers = Timers::new(app.clone());
        let (first, second) = (stopped.clone(), stopped);
        let jobs = vec![
            tokio::spawn(async move { outbox.run(until(first)).await }),
            tokio::spawn(async move { timers.run(until(second)).await }),
        ];
        WorkerHandle { stop, jobs }
    }
}

impl WorkerHandle {
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

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the handle is gone: that is a stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
