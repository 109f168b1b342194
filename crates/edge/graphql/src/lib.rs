//! The GraphQL edge: every request signed with NIP-98.
