//! The client against servers that answer what they are told to.

mod answers;
mod limits;
mod login;
mod server;
