//! Where Bitcoin Core is, and how to log in to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How an [`crate::RpcClient`] reaches Bitcoin Core.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// The address, such as `http://127.0.0.1:18443`. Only `http`, and without credentials in it.
    pub url: String,
    /// Who we are.
    pub auth: RpcAuth,
    /// The longest that one request may take, connecting included.
    pub timeout: Duration,
}

impl RpcConfig {
    /// The usual limit for one request. Bitcoin Core answers slowly only while it connects blocks.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

    /// A configuration with the usual timeout.
    #[must_use]
    pub fn new(url: impl Into<String>, auth: RpcAuth) -> Self {
        Self { url: url.into(), auth, timeout: Self::TIMEOUT_DEFAULT }
    }
}

/// The credentials of HTTP Basic authentication.
#[derive(Clone)]
pub enum RpcAuth {
    /// A fixed user and password (`rpcauth` or `rpcuser`/`rpcpassword`).
    UserPass {
        /// The user.
        user: String,
        /// The password; never shown.
        password: String,
    },
    /// Bitcoin Core's cookie file. It is read at first, and again when the login is refused: a restart writes a new one.
    CookieFile(PathBuf),
}

impl fmt::Debug for RpcAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserPass { user, .. } => {
                f.debug_struct("UserPass").field("user", user).field("password", &"[redacted]").finish()
            }
            Self::CookieFile(path) => f.debug_tuple("CookieFile").field(path).finish(),
        }
    }
}
