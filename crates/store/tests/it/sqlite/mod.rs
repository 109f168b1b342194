//! The store on SQLite.

mod backup;
mod contract;
mod crash;
mod damage;
mod files;
mod power;
mod tampering;
