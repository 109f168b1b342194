//! Evidence, up and down.

use hyper::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use std::time::Duration;
use tallystick_app::port::evidence::Matter;
use tallystick_civics::dispute::EVIDENCE_BYTES_MAX;
use tallystick_core::{Digest32, canonical::sha256};

use super::{Client, ClientError, Progress, body::Outgoing, error_of};

/// Longer than the edge itself takes to give up.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(310);

impl Client {
    /// Uploads a piece of evidence, which must be encrypted already; it is filed by another request. Answers its hash.
    /// Doing it again does no harm. `progress` hears how many bytes are gone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload_evidence(
        &self,
        matter: Matter,
        content: Vec<u8>,
        progress: Progress,
    ) -> Result<Digest32, ClientError> {
        let hash = sha256(&content);
        let body = Outgoing::told(content.clone().into(), progress);
        self.transfer(Method::PUT, (matter, hash), Some(&content), body).await?;
        Ok(hash)
    }

    /// Fetches a piece of evidence as it is kept: encrypted. What does not have its hash is not answered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch_evidence(&self, matter: Matter, hash: Digest32) -> Result<Vec<u8>, ClientError> {
        let content = self.transfer(Method::GET, (matter, hash), None, Outgoing::default()).await?;
        if sha256(&content) == hash {
            return Ok(content);
        }
        Err(ClientError::answer("the node answered other bytes than those that the hash names"))
    }

    async fn transfer(
        &self,
        method: Method,
        (matter, hash): (Matter, Digest32),
        signed: Option<&[u8]>,
        body: Outgoing,
    ) -> Result<Vec<u8>, ClientError> {
        let base = self.url.strip_suffix("/graphql").unwrap_or(&self.url);
        let url = format!("{base}/evidence/{}/{}/{hash}", matter.task, matter.dispute);
        let authorization = self.authorization_for(&url, method.as_str(), signed)?;
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(|error| ClientError::new("client.url", error))?;
        let bytes_max = usize::try_from(EVIDENCE_BYTES_MAX).unwrap_or(usize::MAX);
        match self.exchange_in(TRANSFER_TIMEOUT, request, bytes_max).await? {
            (StatusCode::OK | StatusCode::NO_CONTENT, bytes) => Ok(bytes.to_vec()),
            (status, bytes) => {
                let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let refused = answer["errors"].get(0).map(error_of);
                Err(refused.unwrap_or_else(|| ClientError::answer(format!("the node answered {status}"))))
            }
        }
    }
}
