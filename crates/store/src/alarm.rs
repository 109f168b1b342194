//! Tells of a writer that ended by itself.

use tokio::sync::watch;

/// Held by the writer. It goes off when it is dropped before it was disarmed, by a panic too.
pub(crate) struct Alarm {
    failed: watch::Sender<bool>,
    armed: bool,
}

/// Hears the alarm.
pub(crate) struct Listener(watch::Receiver<bool>);

impl Alarm {
    /// An armed alarm, and who hears it.
    pub(crate) fn armed() -> (Self, Listener) {
        let (failed, hears) = watch::channel(false);
        (Self { failed, armed: true }, Listener(hears))
    }

    /// The writer was closed: its end is no failure.
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.armed {
            self.failed.send_replace(true);
        }
    }
}

impl Listener {
    /// Waits until the alarm goes off: for ever if it was disarmed.
    pub(crate) async fn heard(&self) {
        let mut failed = self.0.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // Nothing fails any more.
            std::future::pending().await
        }
    }
}
