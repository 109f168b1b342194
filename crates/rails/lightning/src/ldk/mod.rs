//! LDK's parts, with our own put in.

pub(crate) mod keys;
pub(crate) mod logger;
pub(crate) mod persist;
pub(crate) mod settings;
pub(crate) mod types;
