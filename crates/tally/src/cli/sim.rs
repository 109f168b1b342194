//! Arguments of `tally sim`.

use clap::Args;

/// Tasks of one run: more have no users' keys of their own.
const TASKS_MAX: u64 = 1_000;
/// The highest first seed, and the most seeds: together they are a number still.
const SEEDS_MAX: u64 = u64::MAX / 2;

/// Arguments of `tally sim`.
#[derive(Clone, Debug, Args)]
pub struct SimArgs {
    /// Run this one seed, and tell its story: of a seed that breaks a law the shortest one that still does, of any other all
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    pub seed: Option<u64>,
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    pub seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=SEEDS_MAX))]
    pub from: u64,
    /// How many tasks each seed has; one to three, as the seed says, if absent. A seed is another one with another number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=TASKS_MAX))]
    pub tasks: Option<u64>,
    /// Stop after so many seconds, however many seeds are left
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub secs: Option<u64>,
    /// On how many threads; as many as the machine has, if absent. Each seed runs in one of them
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub threads: Option<u64>,
    /// For how many seconds the story of a broken law may be made shorter
    #[arg(long, default_value_t = 60)]
    pub shrink_secs: u64,
}
