//! Tiles and their paths.

use crate::support::{leaves, mth};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tallystick_log::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn tiles_made_in_batches_are_those_made_at_once(batches in prop::collection::vec(0usize..400, 1..6)) {
        let leaves = leaves(batches.iter().sum());
        let (mut edge, mut range, mut written) = (TileEdge::new(), CompactRange::new(), BTreeMap::new());
        let mut at = 0;
        for batch in batches {
            let tiles = edge.integrate(&leaves[at..at + batch]).unwrap();
            let ids: Vec<TileId> = tiles.iter().map(|tile| tile.id).collect();
            prop_assert_eq!(ids, new_tiles(at as u64, (at + batch) as u64).collect::<Vec<_>>());
            written.extend(tiles.into_iter().map(|tile| (tile.id, tile)));
            for leaf in &leaves[at..at + batch] {
                range.append(*leaf, |_, _| ()).unwrap();
            }
            at += batch;
            prop_assert_eq!(edge.root().unwrap(), mth(&leaves[..at]));
            prop_assert_eq!(range.root(), mth(&leaves[..at]));
        }
        for tile in TileEdge::new().integrate(&leaves).unwrap() {
            prop_assert_eq!(written.get(&tile.id), Some(&tile));
        }
    }

    #[test]
    fn paths_have_one_spelling(path in "(tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?|.{0,40})") {
        if let Ok(parsed) = LogPath::parse(&path) {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn entries_come_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20), noise: Vec<u8>) {
        let bytes = encode_entries(&entries).unwrap();
        let width = u16::try_from(entries.len()).unwrap();
        prop_assert_eq!(parse_entries(&bytes, width).unwrap(), entries);
        prop_assert!(parse_entries(&bytes[..bytes.len() - 1], width).is_err());
        let _ = parse_entries(&noise, width);
    }
}

#[test]
fn the_standards_examples() {
    let path = LogPath::Tile(TileId::try_new(0, 1_234_067, 256).unwrap());
    assert_eq!(path.to_string(), "tile/0/x001/x234/067");
    let of_70000: Vec<_> = new_tiles(0, 70_000).collect();
    assert_eq!(of_70000.len(), 273 + 1 + 1 + 1 + 1);
    assert!(LogPath::parse("tile/0/000.p/256").is_err());
}
