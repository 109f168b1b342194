//! What the use cases need of the world. Every trait here is owned by the app and implemented by an adapter.

pub mod anchor;
pub mod blocks;
pub mod entrance;
pub mod evidence;
pub mod journal;
pub mod layer;
pub mod limits;
pub mod log;
pub mod operator;
pub mod rail;
pub mod request;
pub mod snapshot;
pub mod tasks;
pub mod witness;
