//! Arrows between crates point one way only: `core ← domain, proofs ← app ← store, rails, nostr, edge ← tally`.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

/// What a crate may use, by the folder that it lives in.
fn may_use(room: &str, other: &str) -> bool {
    // What products share about people stands on the core alone.
    if room.starts_with("domain/") && room != "domain/civics" && other == "domain/civics" {
        return true;
    }
    let (floor, other) = (room.split('/').next().unwrap_or(room), other.split('/').next().unwrap_or(other));
    match floor {
        "core" => false,
        "domain" => other == "core",
        // Proofs may stand on one another: a bundle on the log's.
        "proofs" => ["core", "proofs"].contains(&other),
        "app" => ["core", "domain", "proofs"].contains(&other),
        "postgres" | "nostr" => ["core", "domain", "proofs", "app"].contains(&other),
        // The journal and the Lightning node keep their tables in one database.
        "store" => ["core", "domain", "proofs", "app", "postgres"].contains(&other),
        // Edges may stand on one another: all on the HTTP server.
        "edge" => ["core", "domain", "proofs", "app", "edge"].contains(&other),
        // Rails as well: Lightning on Bitcoin.
        "rails" => ["core", "domain", "proofs", "app", "postgres", "rails"].contains(&other),
        "testkit" => ["core", "domain", "proofs", "app", "rails"].contains(&other),
        // The simulator runs the real app, on the testkit's journal and network.
        "sim" => ["core", "domain", "proofs", "app", "testkit"].contains(&other),
        "devnet" => ["core", "domain", "proofs", "app", "rails", "testkit"].contains(&other),
        "tally" => true,
        _ => false,
    }
}

/// Crates without IO: these dependencies would bring it in.
const IO: [&str; 8] = ["tokio", "reqwest", "axum", "rusqlite", "hyper", "mio", "getrandom", "tracing"];

#[test]
fn arrows_point_one_way() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata answers");
    let crates = metadata.workspace_root.join("crates");
    let room_of = |manifest: &Path| -> Option<String> {
        let folder = manifest.parent()?.strip_prefix(&crates).ok()?;
        Some(folder.to_string_lossy().into_owned())
    };
    let mut seen = 0;
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(room) = room_of(package.manifest_path.as_std_path()) else { continue };
        for dependency in package.dependencies.iter().filter(|dep| dep.kind == DependencyKind::Normal) {
            let other = dependency.path.as_ref().and_then(|path| room_of(path.join("Cargo.toml").as_std_path()));
            if let Some(other) = other {
                seen += 1;
                if !may_use(&room, &other) {
                    wrong.push(format!("{room} must not use {other}"));
                }
            }
            let pure = ["core", "domain", "proofs"].contains(&room.split('/').next().unwrap_or_default());
            if pure && IO.contains(&dependency.name.as_str()) {
                wrong.push(format!("{room} must not use {}: it is pure", dependency.name));
            }
        }
    }
    assert!(seen > 10, "only {seen} arrows seen: the test looks in the wrong place");
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn the_rule_itself_refuses_wrong_arrows() {
    assert!(!may_use("core", "domain/escrow"));
    assert!(!may_use("domain/escrow", "app"));
    assert!(may_use("domain/escrow", "domain/civics"));
    assert!(!may_use("domain/civics", "domain/escrow"));
    assert!(!may_use("domain/civics", "domain/civics"));
    assert!(!may_use("app", "store"));
    assert!(!may_use("app", "rails/lightning"));
    assert!(!may_use("edge/graphql", "store"));
    assert!(!may_use("rails/lightning", "store"));
    assert!(may_use("edge/graphql", "app"));
    assert!(!may_use("edge/witness", "rails/witness"));
    assert!(may_use("edge/witness", "edge/http"));
    assert!(may_use("rails/lightning", "rails/bitcoin"));
}
