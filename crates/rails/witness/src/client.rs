//! One request: sent, limited, checked.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, Uri, header};
use std::{fmt, time::Duration};
use tallystick_app::port::witness::{Witness, WitnessError};
use tallystick_log::{AddCheckpoint, KeyKind, NOTE_BYTES_MAX, NoteSignature, VerifierKey};
use tokio::time::timeout;

use crate::{ConfigError, HttpWitnessConfig, answer, tls};

/// A witness that is asked over HTTP.
pub struct HttpWitness {
    address: Uri,
    key: VerifierKey,
    timeout: Duration,
    http: tls::Http,
}

impl fmt::Debug for HttpWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWitness").field("address", &self.address).field("key", &self.key).finish_non_exhaustive()
    }
}

impl HttpWitness {
    /// A client for one witness. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn try_new(config: HttpWitnessConfig) -> Result<Self, ConfigError> {
        if config.key.kind() != KeyKind::Cosignature {
            return Err(ConfigError::Key(config.key.to_vkey()));
        }
        let address = config.address()?;
        let http = tls::connect(&address, &config.roots)?;
        Ok(Self { address, key: config.key, timeout: config.timeout, http })
    }

    async fn exchange(&self, request: &AddCheckpoint) -> Result<NoteSignature, WitnessError> {
        let post = Request::post(self.address.clone()).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let post = post.body(Full::new(Bytes::from(request.to_string())));
        let post = post.map_err(|error| WitnessError::Unavailable(error.to_string()))?;
        let response = self.http.request(post).await.map_err(|error| self.unavailable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, NOTE_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                WitnessError::Nonsense(format!("the answer is longer than {NOTE_BYTES_MAX} bytes"))
            } else {
                self.unavailable(error.as_ref())
            }
        })?;
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        answer::read(request, &self.key, head.status, kind, &body.to_bytes())
    }

    /// What failed, down to the cause, and where: the outer error alone says *client error*. An address holds no secret.
    fn unavailable(&self, mut error: &dyn std::error::Error) -> WitnessError {
        let mut text = format!("{}: {error}", self.address);
        while let Some(cause) = error.source() {
            text = format!("{text}: {cause}");
            error = cause;
        }
        WitnessError::Unavailable(text)
    }
}

#[async_trait]
impl Witness for HttpWitness {
    fn key(&self) -> &VerifierKey {
        &self.key
    }

    async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<NoteSignature, WitnessError> {
        let late = || WitnessError::Unavailable(format!("nothing within {} ms", self.timeout.as_millis()));
        timeout(self.timeout, self.exchange(request)).await.unwrap_or_else(|_| Err(late()))
    }
}
