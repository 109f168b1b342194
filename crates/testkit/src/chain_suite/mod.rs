//! The contract of Bitcoin Core's JSON-RPC, as far as this project relies on it, as tests that every regtest node runs.
//!
//! ```text
//! // `make` is an `async fn` that answers how to reach an empty regtest node (an `RpcConfig`), and whatever must live as
//! // long as it. A Bitcoin Core needs `-regtest -txindex`, no wallet, no peers.
//! tallystick_testkit::chain_suite!(crate::make);
//! ```
//!
//! Each case is a function over a node with nothing but the first block. The cases send plain JSON and look at plain
//! JSON; they mine with the node's own methods and sign for themselves. What differs between versions of Bitcoin Core is
//! asked from the node (relay fees) or told apart by its version (29 and later are known).

pub mod blocks;
pub mod fixture;
pub mod headers;
pub mod locks;
pub mod lookups;
pub mod mempool;
pub mod mining;
pub mod packages;
pub mod parameters;
pub mod protocol;
pub mod reorgs;
pub mod replacement;
pub mod scripts;
pub mod spend;

/// Makes one test of each case of the suite. `$make` is the path, from `crate`, of an `async fn() -> (RpcConfig, guard)`.
#[macro_export]
macro_rules! chain_suite {
    ($make:path) => {
        $crate::chain_suite! { @cases $make;
            headers { an_empty_chain, headers_link, a_block_in_every_verbosity }
            mining {
                generate_answers_hashes, rewards_mature_after_100_blocks, blocks_take_the_mempool,
                generateblock_takes_what_it_is_given, better_paying_transactions_come_first,
            }
            mempool {
                sending_and_mining, entries_tell_the_family, the_mempool_tells_about_itself, fees_have_bounds,
                inputs_must_exist, amounts_must_add_up, dust_is_refused, forms_that_are_refused, chains_have_a_limit,
            }
            replacement { paying_more_replaces, descendants_go_too, a_list_may_not_replace }
            scripts { signatures_must_be_right, taproot_and_scripts_spend, anchors_are_for_everyone }
            locks {
                height_locks, time_locks, relative_height_locks, relative_time_locks, script_locks,
            }
            packages {
                a_child_pays_for_its_parent, a_package_that_is_known, topologies_that_are_refused,
                dust_must_be_spent, a_package_must_pay_a_better_rate, version_3_families_are_small, lists_are_tried_together,
            }
            lookups { outputs, transactions }
            reorgs {
                transactions_come_back, a_longer_branch_wins, conflicts_of_the_new_branch_stay_out,
                tips_are_told,
            }
            blocks { blocks_that_are_refused, branches_and_duplicates, witnesses_are_committed_to }
            parameters { numbers_and_types, hashes, unknown_things, fee_estimates, about_the_node }
            protocol { logins, versions_and_status, batches }
        }
    };
    (@cases $make:path; $($module:ident { $($case:ident),* $(,)? })*) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (config, _guard) = $make().await;
                    $crate::chain_suite::$module::$case(config).await;
                }
            )*
        })*
    };
}
