//! An append whose turn has not come yet.

use tallystick_app::port::journal::Append;
use tallystick_core::fact::authority_digest;
use tallystick_core::{Digest32, canonical};

use crate::error::Result;

/// An append within the limits, with what can be computed before its turn comes.
pub(crate) struct Prepared {
    pub(crate) append: Append,
    pub(crate) authority: Digest32,
    pub(crate) authority_bytes: Vec<u8>,
}

impl Prepared {
    /// Checks the limits and encodes the authority: on the caller's thread, not the writer's.
    pub(crate) fn try_new(append: Append) -> Result<Self> {
        append.check_limits()?;
        let authority_bytes = canonical::encode(&append.authority);
        Ok(Self { authority: authority_digest(&append.authority), authority_bytes, append })
    }
}
