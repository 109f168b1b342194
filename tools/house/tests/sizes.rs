//! Files stay small enough to be read: 600 lines are the end. Tests excepted.

use std::{fs, path::Path, process::Command};

const LINES_MAX: usize = 600;

#[test]
fn files_are_small() {
    // At run time: two checkouts may share one folder of built tests.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells it")).join("../..");
    // CI may run as another user than the one who owns the checkout: reading its list of files is safe all the same.
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(&root)
        .output()
        .expect("git is there");
    assert!(listed.status.success(), "git lists no files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let sources: Vec<&str> = listed.lines().filter(|path| !path.contains("/tests/")).collect();
    assert!(sources.len() > 20, "only {} files seen: the test looks in the wrong place", sources.len());
    let too_long: Vec<String> = sources
        .iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(root.join(path)).ok()?.lines().count();
            (lines > LINES_MAX).then(|| format!("{path} has {lines} lines"))
        })
        .collect();
    assert!(too_long.is_empty(), "files of more than {LINES_MAX} lines:\n{}", too_long.join("\n"));
}
