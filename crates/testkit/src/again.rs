//! Tests that need a second process.

use std::process::Command;

/// This test's file again, to run one test as a child. What it prints is not captured.
///
/// # Panics
/// If the file cannot be found.
pub fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test's file"));
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command
}
