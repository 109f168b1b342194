//! What all handlers share, and who gets room when there is little.

use std::sync::Arc;
use tallystick_app::{App, port::tasks::TaskQuery, vault::Vault};
use tallystick_core::NostrKey;
use tallystick_http::Lobby;

use crate::{
    auth::Authenticator,
    config::EdgeConfig,
    document::{Limits, Transport},
    error::EdgeError,
    panels::Panels,
    quota::{Seats, Shares, Standing},
    rate::Rates,
    schema::{self, EdgeSchema, Request, Services, Session},
};

/// States in which a task holds money. To be a party of such a task costs something; keys and open tasks are free.
const WITH_MONEY: [&str; 6] = ["held", "submitted", "rejected", "disputed", "releasing", "refunding"];

/// Everything that handlers share.
pub(crate) struct Edge {
    pub config: EdgeConfig,
    pub app: App,
    pub vault: Vault,
    pub schema: EdgeSchema,
    pub authenticator: Authenticator,
    pub requests: Seats,
    /// Uploads and downloads of evidence.
    pub transfers: Seats,
    /// WebSockets that have said who they are, and those that have not.
    pub websockets: Seats,
    pub unnamed: Arc<Lobby>,
    pub rates: Rates,
    panels: Panels,
}

impl Edge {
    pub fn new(config: EdgeConfig, services: Services) -> Self {
        let (app, vault) = (services.app.clone(), services.vault.clone());
        Self {
            schema: schema::build(services, config.complexity_max),
            authenticator: Authenticator::new(&config, app.clock().now()),
            requests: Seats::new(Shares {
                total: config.requests_max,
                per_key: config.requests_per_key_max,
                free_divisor: 4,
            }),
            transfers: Seats::new(Shares {
                total: config.transfers_max,
                per_key: config.transfers_per_key_max,
                free_divisor: 0,
            }),
            websockets: Seats::new(Shares {
                total: config.websockets_max,
                per_key: config.websockets_per_key_max,
                free_divisor: 0,
            }),
            unnamed: Lobby::new(config.websockets_unnamed_max),
            rates: Rates::new(&config.rates),
            panels: Panels::default(),
            app,
            vault,
            config,
        }
    }

    pub fn limits(&self, transport: Transport) -> Limits {
        let selections = match transport {
            Transport::Post => self.config.selections_max,
            Transport::Websocket => self.config.subscription_selections_max,
        };
        Limits { depth: self.config.depth_max, selections }
    }

    pub fn session(&self, viewer: NostrKey, request: Option<Request>) -> Session {
        Session { viewer, request }
    }

    /// Takes something limited for a key: as a stranger, while strangers have room. Only when they have none is looked
    /// up who it is.
    ///
    /// # Errors
    /// What `take` refuses with.
    pub async fn admit<T>(
        &self,
        key: NostrKey,
        take: impl Fn(Standing) -> Result<T, EdgeError>,
    ) -> Result<T, EdgeError> {
        match take(Standing::Stranger) {
            Err(EdgeError::Busy) if self.is_known(key).await => take(Standing::Known),
            result => result,
        }
    }

    /// Whether a key is one that nobody makes up at will.
    async fn is_known(&self, key: NostrKey) -> bool {
        match self.app.roles().await {
            Ok(roles) if roles.operators.contains(&key) || roles.admins.contains_key(&key) => return true,
            Ok(_) => {}
            Err(error) => tracing::warn!("who has which role cannot be read: {error}"),
        }
        self.has_money_held(key).await || self.sits(key).await
    }

    /// Whether a key sits on a panel: others drew it, and time runs.
    async fn sits(&self, key: NostrKey) -> bool {
        self.panels.include(key, &self.app).await.unwrap_or_else(|error| {
            tracing::warn!("who sits on panels cannot be read: {error}");
            false
        })
    }

    /// Whether a key is the requester or the worker of a task that holds money.
    async fn has_money_held(&self, key: NostrKey) -> bool {
        let states: Vec<_> = WITH_MONEY.iter().map(|&state| state.to_owned()).collect();
        for (requester, worker) in [(Some(key), None), (None, Some(key))] {
            let query = TaskQuery { states: states.clone(), requester, worker, before: None, limit: 1 };
            match self.app.tasks(&query).await {
                Ok(found) if found.is_empty() => {}
                Ok(_) => return true,
                Err(error) => tracing::warn!("whose tasks hold money cannot be read: {error}"),
            }
        }
        false
    }
}
