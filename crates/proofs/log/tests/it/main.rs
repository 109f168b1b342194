//! The log through its public interface.

mod bundles;
mod support;
mod tiles;
mod trees;
mod vectors;
