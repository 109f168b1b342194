//! Where users reach the node.

use async_trait::async_trait;

/// Looks at the node from where its users stand.
#[async_trait]
pub trait Entrance: Send + Sync {
    /// Whether a request is answered that is sent now, as a user would send it, in as long as a user would wait.
    async fn is_open(&self) -> bool;
}
