//! A private Bitcoin and Lightning network in this process, for demos and tests.
