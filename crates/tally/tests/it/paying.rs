//! A wallet that pays invoices whose money is held: again if a payment fails, until the money is locked.

use anyhow::{Context, Result};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tallystick_app::port::operator::{Payment, PaymentStatus};
use tallystick_core::Msat;
use tallystick_devnet::{Party, PartyError};
use tokio::task::JoinHandle;

/// The longest that a held payment is waited for.
const DAYS: tallystick_core::Duration = tallystick_core::Duration::from_secs(7 * 86_400);

/// What a payment came to, and when.
type Ended = (Result<Payment, PartyError>, Instant);

/// After so long whoever pays looks again: a node that went offline meanwhile tells nothing any more.
const LOOK_AGAIN: tallystick_core::Duration = tallystick_core::Duration::from_secs(5);

/// Payments under way, one for each invoice.
pub struct Paying {
    parts: Vec<Part>,
}

struct Part {
    party: Arc<Party>,
    bolt11: String,
    /// How long one try is waited for.
    patience: tallystick_core::Duration,
    running: Option<JoinHandle<Ended>>,
    /// When it succeeded.
    settled: Option<Instant>,
}

impl Paying {
    pub fn new(party: &Arc<Party>, invoices: impl IntoIterator<Item = String>) -> Self {
        let part = |bolt11| Part { party: party.clone(), bolt11, patience: DAYS, running: None, settled: None };
        Self { parts: invoices.into_iter().map(part).collect() }
    }

    /// Pays one more invoice, out of the wallet of somebody whose node may go offline.
    pub fn add(&mut self, party: &Arc<Party>, bolt11: String) {
        self.parts.push(Part { party: party.clone(), bolt11, patience: LOOK_AGAIN, running: None, settled: None });
    }

    /// Begins each payment that has not begun, or that failed.
    pub async fn tend(&mut self) {
        for part in &mut self.parts {
            if part.running.as_ref().is_some_and(JoinHandle::is_finished) {
                part.look().await;
            }
            if part.running.is_none() && part.settled.is_none() {
                let (party, bolt11, patience) = (part.party.clone(), part.bolt11.clone(), part.patience);
                let pay = async move { (party.pay(&bolt11, Msat::ZERO, patience).await, Instant::now()) };
                part.running = Some(tokio::spawn(pay));
            }
        }
    }

    /// When the payment of this invoice succeeded: the payee was paid by then, and the hold claimed.
    pub async fn settled(&mut self, number: usize, within: Duration) -> Result<Instant> {
        let part = &mut self.parts[number];
        if part.settled.is_none() {
            tokio::time::timeout(within, part.look()).await?;
        }
        part.settled.with_context(|| format!("the payer's payment {number} did not succeed"))
    }
}

impl Part {
    /// Waits for the end of what runs.
    async fn look(&mut self) {
        let Some(running) = &mut self.running else { return };
        let ended = running.await;
        self.running = None;
        if let Ok((Ok(payment), at)) = ended
            && payment.status == PaymentStatus::Succeeded
        {
            self.settled = Some(at);
        }
    }
}
