//! The one binary of Tallystick.
#![allow(clippy::print_stderr, reason = "this is where a command line tells what went wrong")]

use clap::Parser;
use rustix::fs::Mode;
use std::process::ExitCode;
use tally::cli::{Cli, Command};

fn main() -> ExitCode {
    // Seeds, keys, journals: whatever this program writes is its owner's alone, also what a library creates for it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let result = match Cli::parse().command {
        Command::Init(args) => tally::init::run(&args),
        Command::Seed(args) => tally::init::show_seed(&args),
        Command::Store(command) => block_on(tally::store::run(command)),
        Command::Backup(args) => block_on(tally::backup::run(args)),
        Command::Restore(args) => block_on(tally::restore::run(args)),
        Command::Fsck(args) => block_on(tally::check::fsck(args)),
        Command::Verify(args) => tally::check::verify(&args),
        Command::Journal { access, command } => block_on(tally::ask::journal(access, command)),
        Command::Anchor(command) => block_on(tally::anchor::run(command)),
        Command::Key(command) => tally::ask::key(command),
        Command::Serve(args) => block_on(tally::serve::run(args)),
        Command::Task { access, command } => block_on(tally::ask::task(access, command)),
        Command::Standing(args) => block_on(tally::standing::tell(args)),
        Command::Anomalies(args) => block_on(tally::standing::anomalies(args)),
        Command::Dispute { access, command } => block_on(tally::ask::dispute::run(access, command)),
        Command::Arbitrator { access, command } => block_on(tally::ask::arbitrator::run(access, command)),
        Command::Node { access, command } => block_on(tally::ask::node(access, command)),
        Command::Admin { access, command } => block_on(tally::ask::admin(access, command)),
        Command::RecoverAdmin(args) => block_on(tally::recover::run(args)),
        Command::Witness(command) => tally::witness::run(command),
        Command::Hammer(args) => block_on(tally::hammer::run(&args)),
        Command::Sim(args) => tally::sim::run(&args),
        Command::Demo { keep } => block_on(tally::demo::run(keep)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match tally::code(&error) {
                Some(code) => eprintln!("error: {error:#} ({code})"),
                None => eprintln!("error: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
