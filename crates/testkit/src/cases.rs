//! How many cases a property test tries.

/// So many cases, or more if the environment asks for more (`PROPTEST_CASES`, as `make soak` does): a number in
/// proptest's own configuration would silence it.
pub fn cases(least: u32) -> u32 {
    let wished = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    wished.unwrap_or(0).max(least)
}
