//! Looks, decides, does it, again and again.

use std::{convert::Infallible, sync::Arc};
use tallystick_core::{Authority, BlockHeight, Body, Code, Coded, Digest32, Duration, NodeWord, canonical};
use tallystick_log::{
    SignedCheckpoint,
    anchor::{Txid, commitment},
};

use super::{
    decide::{AnchorPolicy, Latest, Sight, Step, decide},
    event::{AnchorEvent, Made, STREAM},
    state::Anchors,
};
use crate::{
    app::App,
    error::AppError,
    port::{
        anchor::{AnchorOrder, AnchorRail, AnchorRailError, Place, Sent},
        journal::{Append, AppendError, NewFact, StoreError},
    },
};

/// Steps in one go, at most.
const STEPS_MAX: u32 = 16;

/// Why anchoring does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorFault {
    /// The journal, or the road.
    #[error(transparent)]
    App(#[from] AppError),
    /// The wallet or the chain.
    #[error(transparent)]
    Rail(#[from] AnchorRailError),
}

impl Coded for AnchorFault {
    fn code(&self) -> Code {
        match self {
            Self::App(error) => error.code(),
            Self::Rail(error) => error.code(),
        }
    }
}

impl From<StoreError> for AnchorFault {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

/// The worker that anchors. Of several replicas, the one that has the wallet runs it.
pub struct AnchorWorker {
    app: App,
    rail: Arc<dyn AnchorRail>,
    policy: AnchorPolicy,
    pause: Duration,
    anchors: Anchors,
}

impl AnchorWorker {
    /// A worker that looks again after every `pause`.
    pub fn new(app: App, rail: Arc<dyn AnchorRail>, policy: AnchorPolicy, pause: Duration) -> Self {
        Self { app, rail, policy, pause, anchors: Anchors::default() }
    }

    /// Works until it is dropped, which may be at any point: what was begun is gone on with from the facts.
    pub async fn run(mut self) -> Infallible {
        let mut last = None;
        loop {
            let outcome = self.run_once().await.err();
            // Each fault is told once, not at every look.
            if let Some(fault) = outcome.as_ref().filter(|fault| last.as_ref() != Some(*fault)) {
                tracing::warn!(code = %fault.code(), "anchoring waits: {fault}");
            }
            last = outcome;
            tokio::time::sleep(std::time::Duration::from_millis(self.pause.as_millis().max(1))).await;
        }
    }

    /// Does all that can be done now.
    ///
    /// # Errors
    /// [`AnchorFault`]; what is done then stays, and another try goes on from there.
    pub async fn run_once(&mut self) -> Result<(), AnchorFault> {
        for _ in 0..STEPS_MAX {
            let facts = self.app.0.parts.journal.stream(STREAM, self.anchors.version()).await?;
            self.anchors.follow(&facts)?;
            let sight = self.look().await?;
            if !self.take(decide(&self.anchors, &sight, &self.policy)).await? {
                break;
            }
        }
        Ok(())
    }

    /// The anchors, as far as the last look showed them.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    async fn look(&self) -> Result<Sight, AnchorFault> {
        let published = self.app.0.parts.log.log_state().await?.published;
        let latest = published.map(|published| {
            let note = SignedCheckpoint::parse(&published.note);
            let note = note.map_err(|error| StoreError::Corrupt(format!("the published checkpoint: {error}")))?;
            Ok::<_, StoreError>(Latest { text: note.note().text().to_owned(), size: published.size })
        });
        let last = self.anchors.last_confirmed().and_then(|anchor| anchor.confirmed.as_ref());
        let last_stands = match last {
            None => true,
            Some(confirmed) => {
                let block = self.rail.block_at(BlockHeight(confirmed.height)).await?;
                block.is_some_and(|block| *AsRef::<[u8; 32]>::as_ref(&block) == confirmed.block)
            }
        };
        let place = match self.anchors.open() {
            Some(anchor) if last_stands => {
                let txids: Vec<Txid> = anchor.versions.iter().rev().map(|version| version.txid).collect();
                let since = anchor.versions.first().map_or(BlockHeight(0), |version| version.made_height);
                self.rail.find(&txids, since).await?
            }
            _ => Place::Nowhere,
        };
        let (now, tip) = (self.app.clock().now(), self.rail.tip().await?);
        Ok(Sight { now, tip, latest: latest.transpose()?, last_stands, place })
    }

    /// Takes a step. Answers whether another may follow at once.
    async fn take(&self, step: Step) -> Result<bool, AnchorFault> {
        match step {
            Step::Rest => Ok(false),
            Step::Send { number, tx } => self.send(number, &tx).await,
            Step::Record(event) => {
                tell(&event);
                self.record(event).await
            }
            Step::Sign { number, latest, seal, replaces, otherwise } => {
                let order = AnchorOrder {
                    commitment: commitment(latest.text.as_bytes()),
                    seal,
                    replaces,
                    fee_rate_max_sat_vb: self.policy.fee_rate_max_sat_vb,
                };
                let signed = match (self.rail.sign(&order).await, otherwise) {
                    (Ok(signed), _) => signed,
                    // What was made before may still confirm.
                    (Err(error), Some(tx)) => {
                        self.send(number, &tx).await?;
                        return Err(error.into());
                    }
                    (Err(error), None) => return Err(error.into()),
                };
                let made = Made {
                    number,
                    checkpoint: latest.text,
                    tx: signed.tx,
                    seal_sat: signed.seal_value.get(),
                    fee_sat: signed.fee.get(),
                };
                let first = number > self.anchors.count();
                let event = if first { AnchorEvent::Made(made) } else { AnchorEvent::Replaced(made) };
                tell(&event);
                self.record(event).await
            }
        }
    }

    /// Sends a version whose fact is on disk. It rests afterwards: what became of it is seen at the next look.
    async fn send(&self, number: u64, tx: &[u8]) -> Result<bool, AnchorFault> {
        match self.rail.send(tx).await? {
            Sent::There => {}
            Sent::Orphan => {
                tracing::error!(number, "an anchor spends what is not there: its seal may be spent by another")
            }
            Sent::Refused(why) => tracing::warn!(number, why, "an anchor was not taken"),
        }
        Ok(false)
    }

    async fn record(&self, event: AnchorEvent) -> Result<bool, AnchorFault> {
        let app = &self.app;
        let ctx = app.ctx(app.key())?;
        let expected_version = self.anchors.version();
        let command = canonical::encode(&event);
        let authority: Authority = app.0.parts.key.authorise(&NodeWord {
            stream: STREAM,
            expected_version,
            recorded_at: ctx.now,
            height: ctx.height,
            command: &command,
        });
        let append = Append {
            stream: STREAM.to_owned(),
            expected_version,
            facts: vec![NewFact { kind: event.kind(), body: Body::Public(event.body()) }],
            authority,
            recorded_at: ctx.now,
            height: ctx.height,
            effects: Vec::new(),
            finishes: Vec::new(),
            reservations: Vec::new(),
            row: None,
            erases: None,
        };
        match app.0.parts.journal.append(append).await {
            Ok(_) => Ok(true),
            // Another replica was faster: what it wrote is read, and decided on.
            Err(AppendError::Conflict { .. }) => Ok(true),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(AppendError::Taken { .. } | AppendError::UnderWay { .. } | AppendError::Erased { .. }) => {
                Err(AppError::Fault.into())
            }
        }
    }
}

fn tell(event: &AnchorEvent) {
    match event {
        AnchorEvent::Made(made) => tracing::info!(number = made.number, fee_sat = made.fee_sat, "an anchor is made"),
        AnchorEvent::Replaced(made) => {
            tracing::info!(number = made.number, fee_sat = made.fee_sat, "an anchor is replaced");
        }
        AnchorEvent::Confirmed(confirmed) => {
            tracing::info!(number = confirmed.number, height = confirmed.height, "an anchor counts");
        }
        AnchorEvent::Dropped(dropped) => tracing::error!(
            number = dropped.number,
            height = dropped.height,
            block = %Digest32(dropped.block),
            "the chain was reorganised below an anchor that counted; it is sent again"
        ),
    }
}
