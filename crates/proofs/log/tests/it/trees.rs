//! Trees and proofs against a naive tree.

use crate::support::{consistency, leaves, mth, path};
use proptest::prelude::*;
use tallystick_log::*;

fn prover(leaves: &[Hash]) -> Prover<impl FnMut(TileId) -> Result<Vec<u8>, LogError>> {
    let tiles = TileEdge::new().integrate(leaves).unwrap();
    Prover::new(leaves.len() as u64, move |id| {
        tiles.iter().find(|tile| tile.id == id).map(Tile::to_bytes).ok_or(LogError::BadTile)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_are_those_of_the_naive_tree(n in 1usize..700, a in 0usize..700, b in 0usize..700) {
        let (index, old, leaves) = (a % n, b % n + 1, leaves(n));
        let (root, size) = (mth(&leaves), n as u64);
        let mut prover = prover(&leaves);
        prop_assert_eq!(prover.root().unwrap(), root);
        let proof = prover.inclusion(index as u64).unwrap();
        prop_assert_eq!(&proof, &path(index, &leaves));
        verify_inclusion(&leaves[index], index as u64, size, &proof, &root).unwrap();
        let more = [proof.as_slice(), &[root]].concat();
        prop_assert!(verify_inclusion(&leaves[index], index as u64, size, &more, &root).is_err());
        let proof = prover.consistency(old as u64).unwrap();
        prop_assert_eq!(&proof, &consistency(old, &leaves, true));
        verify_consistency(old as u64, size, &proof, &mth(&leaves[..old]), &root).unwrap();
    }

    #[test]
    fn subtrees_are_proved(n in 1usize..600, start in 0usize..600, span in 1usize..600) {
        let end = (start + span).min(n);
        if let Ok(subtree) = Subtree::try_new(start as u64, end as u64) {
            let leaves = leaves(n);
            let proof = prover(&leaves).subtree_consistency(subtree).unwrap();
            verify_subtree_consistency(subtree, n as u64, &proof, &mth(&leaves[start..end]), &mth(&leaves)).unwrap();
        }
    }

    #[test]
    fn hostile_numbers_do_not_panic(a: u64, b: u64, c: u64, len in 0usize..70) {
        let (hash, proof) = ([7; 32], vec![[9; 32]; len]);
        for (a, b, c) in [(a, b, c), (a, u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX, b), (0, u64::MAX, u64::MAX)] {
            prop_assert!(verify_inclusion(&hash, a, b, &proof, &hash).is_err() || b == 1);
            let _ = verify_consistency(a, b, &proof, &hash, &hash);
            if let Ok(subtree) = Subtree::try_new(a, b) {
                let _ = verify_subtree_consistency(subtree, c, &proof, &hash, &hash);
            }
            prop_assert!(new_tiles(a, b).take(3).count() <= 3);
        }
    }
}
