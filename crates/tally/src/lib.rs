//! The one binary: configuration, wiring and commands.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`check`] | `tally fsck` and `tally verify` |
//! | `code` | the codes of errors that reach the command line |
//! | [`config`] | the node's configuration file |
//! | [`secret`] | passphrases and users' keys |
//! | [`init`] | `tally init` |
//! | [`descriptors`] | as many files open as all connections may need |
//! | [`entrance`] | whether users reach the API |
//! | [`disk`] | nothing new is begun when the disk is almost full |
//! | [`mark`] | the newest fact that is known: a journal that was put back does not hold it |
//! | [`published`] | the last checkpoint that was published: a log that was wiped does not hold it |
//! | [`store`] | where everything is kept; `tally store` |
//! | [`backup`] | `tally backup` |
//! | [`restore`], [`newest`] | `tally restore`; whether anyone has seen more than a backup holds |
//! | [`owner`] | what runs where the Lightning node is |
//! | [`replica`] | one of several: waits for the lease of the Lightning node, and keeps it |
//! | [`standby`] | what a replica without the node can do |
//! | [`standing`] | how much each key may have open; `tally standing`, `tally anomalies`, `tally journal export` |
//! | [`log`] | the journal as a log: its configuration and its worker |
//! | [`sealed`] | evidence as clients make it: encrypted for its readers |
//! | [`vault`] | how long evidence is kept, and what tidies it up |
//! | [`signal`] | being told to stop |
//! | [`serve`] | `tally serve`: wires store, app, Lightning node and API |
//! | [`rates`] | how often one key and one address may ask |
//! | [`recover`] | `tally recover-admin`: an admin by whoever has the machine |
//! | [`ask`] | `tally task`, `tally node`, `tally admin`: a client that signs |
//! | [`witness`] | `tally witness`: cosigns checkpoints of logs |
//! | [`hammer`] | `tally hammer`: a load generator that checks what it is answered |
//! | [`sim`] | `tally sim`: plays tasks by the thousand, and checks every law after every step |
//! | [`demo`] | `tally demo`: the stories of escrow, through the public API |

#![forbid(unsafe_code)]

#[macro_use]
mod say;

pub mod alive;
pub mod anchor;
pub mod ask;
pub mod backup;
pub mod check;
pub mod cli;
mod code;
pub mod config;
#[cfg(feature = "crash-points")]
pub mod crash;
pub mod demo;
pub mod descriptors;
pub mod disk;
pub mod entrance;
pub mod hammer;
pub mod init;
pub mod log;
pub mod mark;
pub mod newest;
pub mod owner;
pub mod published;
pub mod rates;
pub mod recover;
pub mod replica;
pub mod restore;
pub mod sealed;
pub mod secret;
pub mod serve;
pub mod signal;
pub mod sim;
pub mod standby;
pub mod standing;
pub mod store;
pub mod vault;
pub mod witness;

pub use code::code;
