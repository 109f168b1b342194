//! The SQLite store through its public API.

mod contract;
mod crash;
mod damage;
mod files;
