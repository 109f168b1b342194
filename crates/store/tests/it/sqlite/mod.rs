//! The store on SQLite.

mod backup;
mod contract;
mod crash;
mod damage;
mod files;
mod flips;
mod power;
mod standing;
mod tampering;
