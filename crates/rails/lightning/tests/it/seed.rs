//! The seed through the public API.

use tallystick_core::Coded;
use tallystick_lightning::LightningNode;

#[test]
fn a_seed_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    LightningNode::create(dir.path(), "one").unwrap();
    let again = LightningNode::create(dir.path(), "two").unwrap_err();
    assert_eq!(again.code().0, "lightning.seed_exists");
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["node_seed"]);
}
