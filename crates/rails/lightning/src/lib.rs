//! A Lightning node on LDK: hold invoices, pass-through payouts and its on-chain wallet.
