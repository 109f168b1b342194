//! The contract of [`Journal`], [`LogStore`], [`TaskReader`], [`TaskRebuild`] and [`EvidenceStore`], as tests that every implementation runs.
//!
//! ```text
//! // `make` is an `async fn` that answers an empty store and whatever must live as long as it.
//! tallystick_testkit::store_suite!(make);
//! ```
//!
//! Each case is a function over an empty store. The cases know the ports alone.

pub mod appends;
pub mod erasing;
pub mod evidence;
pub mod fixture;
pub mod log;
pub mod outbox;
pub mod races;
pub mod rebuild;
pub mod requests;
pub mod tasks;

use tallystick_app::port::{
    evidence::EvidenceStore,
    journal::Journal,
    log::LogStore,
    tasks::{TaskReader, TaskRebuild},
};

/// All ports together: what the suite runs on.
pub trait Store: Journal + LogStore + TaskReader + TaskRebuild + EvidenceStore + 'static {}

impl<S> Store for S where S: Journal + LogStore + TaskReader + TaskRebuild + EvidenceStore + 'static {}

/// Makes one test of each case of the suite. `$make` is the path of an `async fn() -> (Store, guard)`.
#[macro_export]
macro_rules! store_suite {
    ($make:path) => {
        $crate::store_suite! { @cases $make;
            appends {
                facts_read_back, facts_below_a_prefix_come_in_order, versions_go_on, a_stale_version_is_a_conflict, the_chain_links_every_fact,
                the_journal_reads_in_pages, authorities_read_back, a_name_belongs_to_one_stream,
                a_refusal_leaves_nothing, a_conflict_leaves_nothing, limits_are_refused,
            }
            erasing {
                what_is_private_goes_and_every_hash_stays, a_stream_that_goes_on_is_not_erased,
                what_was_erased_stays_as_it_is,
            }
            evidence {
                a_piece_reads_back, room_is_counted_for_each_uploader, two_at_once_share_the_room,
                only_what_nobody_files_is_dropped, keys_are_wrapped_to_readers, matters_are_listed_and_erased,
            }
            log {
                tiles_grow_and_read_back, one_of_two_integrators_wins, tiles_are_mended,
                checkpoints_only_go_forward, entries_are_those_of_the_facts
            }
            outbox {
                an_effect_lives_until_it_is_finished, a_key_is_unique_for_ever, facts_finish_effects,
                effects_come_by_due_time, a_clock_that_jumps_back_delays_nothing, unknown_keys_are_passed_over,
                times_beyond_the_largest_are_refused, a_claimed_effect_is_nobody_elses,
                a_claim_that_ran_out_is_taken_again, a_later_epoch_takes_over,
                claimers_at_once_share_what_is_due,
            }
            requests { a_replay_is_refused, a_request_is_forgotten_after_its_time, other_requests_do_not_disturb }
            tasks {
                a_row_shows_its_newest_version, queries_filter, queries_page, queries_have_limits,
                due_by_time_and_height, the_next_wake_is_the_earliest,
            }
            rebuild { rows_are_cleared_and_shown_again, the_read_model_is_made_again_from_the_facts }
            races {
                one_of_two_writers_wins, one_of_two_streams_gets_the_name, one_of_two_replays_is_admitted,
                many_streams_share_one_gapless_sequence,
            }
        }
    };
    (@cases $make:path; $($module:ident { $($case:ident),* $(,)? })*) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _guard) = $make().await;
                    $crate::store_suite::$module::$case(::std::sync::Arc::new(store)).await;
                }
            )*
        })*
    };
}
