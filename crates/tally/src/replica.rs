//! One of several replicas: waits for the lease of the Lightning node, and keeps it.
//!
//! ```text
//!   wait ──lease──▶ start the node from the database ──▶ work ──told to stop──▶ stop the node ──▶ give the lease back
//!                                                         └────lease lost────▶ the process ends at once
//! ```
//! A lease counts here from the moment before it was asked for, so that it ends here before it ends in the database. A
//! thread of its own watches that moment: however busy or stuck everything else is, a process whose lease is over is
//! gone before another one begins (docs/adr/0011).

use anyhow::{Context, Result, bail};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tallystick_postgres::{Lease, Leases, PostgresOptions};
use tokio::task::JoinHandle;

/// The lease's name.
pub const LEASE: &str = "lightning";
/// How a process ends that lost its lease: a failure that passes (`EX_TEMPFAIL` of sysexits.h).
const LOST: i32 = 75;
/// The longest pause before a lease is asked for again.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the last words of a process may take that lost its lease.
const LAST_WORDS_MAX: Duration = Duration::from_millis(50);

/// Takes the lease once it is free.
pub struct Waiting {
    leases: Leases,
    lasts: Duration,
}

/// The lease, kept until it is given back.
pub struct Keeper {
    lease: Lease,
    watch: Arc<Watch>,
    renewing: JoinHandle<Leases>,
}

/// When the lease is over here, unless it is renewed; nothing once it was given back.
struct Watch {
    over: Mutex<Option<Instant>>,
    changed: Condvar,
    stop: tokio::sync::Notify,
}

impl Waiting {
    /// Makes ready to wait.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn open(options: PostgresOptions, lasts: Duration) -> Result<Self> {
        let host = rustix::system::uname();
        let owner = format!("{} process {}", host.nodename().to_string_lossy(), std::process::id());
        Ok(Self { leases: Leases::open(options, owner).await?, lasts })
    }

    /// Takes the lease if it is free, and keeps it from then on: for who must be alone on the database, and not wait.
    ///
    /// # Errors
    /// If somebody has it, or the database does not answer.
    pub async fn take_now(mut self, options: &PostgresOptions) -> Result<Keeper> {
        let asked = Instant::now();
        if let Some(lease) = self.leases.take(LEASE, self.lasts).await? {
            return Keeper::start(self.leases, lease, self.lasts, asked);
        }
        let leases = Leases::read(options).await?;
        let owner = leases.into_iter().find(|lease| lease.name == LEASE).map(|lease| lease.owner).unwrap_or_default();
        bail!("{owner} has the lease {LEASE}: stop all replicas first, and run one such command at a time")
    }

    /// Waits for the lease, and keeps it from then on.
    ///
    /// # Errors
    /// If the watching thread cannot be started.
    pub async fn take(mut self) -> Result<Keeper> {
        let pause = PAUSE_MAX.min(self.lasts / 5);
        let mut told = false;
        loop {
            let asked = Instant::now();
            match self.leases.take(LEASE, self.lasts).await {
                Ok(Some(lease)) => return Keeper::start(self.leases, lease, self.lasts, asked),
                Ok(None) if !std::mem::replace(&mut told, true) => {
                    tracing::info!("another replica runs the Lightning node; this one waits to take it over");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("the lease cannot be asked for: {error}"),
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// When a lease that was asked for at `asked` is over here: a tenth sooner than there, as clocks run differently fast.
fn over(asked: Instant, lasts: Duration) -> Instant {
    asked + lasts.mul_f32(0.9)
}

impl Keeper {
    fn start(leases: Leases, lease: Lease, lasts: Duration, asked: Instant) -> Result<Self> {
        let watch = Arc::new(Watch {
            over: Mutex::new(Some(over(asked, lasts))),
            changed: Condvar::new(),
            stop: tokio::sync::Notify::new(),
        });
        let watching = Arc::clone(&watch);
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(move || watching.run());
        thread.context("the thread that watches the lease cannot be started")?;
        tracing::info!(token = lease.token, "this replica has the lease of the Lightning node");
        let renewing = tokio::spawn(renew(leases, lease, lasts, Arc::clone(&watch)));
        Ok(Self { lease, watch, renewing })
    }

    /// The lease.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// Gives the lease back: for when nothing that needs it runs any more.
    pub async fn release(self) {
        self.watch.stop.notify_one();
        let Ok(mut leases) = self.renewing.await else { return };
        if let Err(error) = leases.release(self.lease).await {
            tracing::warn!("the lease cannot be given back, and ends by itself: {error}");
        }
        self.watch.set(None);
    }
}

/// Renews the lease until told to stop.
async fn renew(mut leases: Leases, lease: Lease, lasts: Duration, watch: Arc<Watch>) -> Leases {
    let every = lasts / 5;
    loop {
        tokio::select! {
            () = watch.stop.notified() => return leases,
            () = tokio::time::sleep(every) => {}
        }
        let asked = Instant::now();
        match tokio::time::timeout(every * 2, leases.renew(lease, lasts)).await {
            Ok(Ok(true)) => watch.set(Some(over(asked, lasts))),
            Ok(Ok(false)) => end("another replica has taken the lease of the Lightning node"),
            Ok(Err(error)) => tracing::warn!("the lease cannot be renewed: {error}"),
            Err(_) => tracing::warn!("the lease cannot be renewed: PostgreSQL does not answer"),
        }
    }
}

impl Watch {
    fn set(&self, over: Option<Instant>) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = over;
        self.changed.notify_one();
    }

    /// Until the lease was given back. Ends the process when it is over before.
    fn run(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(left) = over.map(|over| over.saturating_duration_since(Instant::now())) {
            if left.is_zero() {
                end("the lease of the Lightning node could not be renewed in time");
            }
            over = self.changed.wait_timeout(over, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Ends the process: from here on another replica may run the node, and nothing may leave this one.
fn end(why: &'static str) -> ! {
    // Who reads the log may have stopped reading: that must not keep this process alive.
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let words = format!("{why}: this process ends, and may be started again");
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{words}");
        } else {
            say!("{words}");
        }
        // Nobody waits any more if this came late.
        let _ = told.send(());
    });
    // Told or not.
    let _ = hears.recv_timeout(LAST_WORDS_MAX);
    std::process::exit(LOST)
}
