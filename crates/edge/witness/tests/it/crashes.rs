//! The process or the machine stops at any step of writing the record, or the disk fails there.

use std::sync::Arc;
use tallystick_log::TreeHead;
use tallystick_witness::Refusal;

use crate::{
    disk::Disk,
    support::{Log, Post, ask},
};

/// More steps than a write has: at the last of them nothing stops.
const STEPS: usize = 8;

fn head(log: &Log, size: u64) -> TreeHead {
    TreeHead { size, root: *log.checkpoint(size).unverified().root() }
}

/// Opens a witness on what is left and checks the promises.
fn is_whole(post: &Post, left: Disk, answered: bool, at: &str) {
    let log = Log::new(20);
    let left = Post { records: Arc::new(left), ..post.clone() };
    let witness = left.open();
    let found = left.head();
    assert!(found == head(&log, 13) || (!answered && found == head(&log, 5)), "{at}: {found:?}");
    // Whatever is there, it goes on; and another history finds nobody once this one was answered for.
    let fork = log.forked(6);
    if answered {
        assert_eq!(ask(&witness, &fork.body(5, 13)), Err(Refusal::OldSize { known: 13 }), "{at}");
        assert_eq!(ask(&witness, &fork.body(13, 13)), Err(Refusal::TwoHistories { size: 13 }), "{at}");
    }
    ask(&witness, &log.body(found.size, 20)).unwrap();
    // A run that is killed again leaves what it has answered for, even if the power goes next.
    for later in left.records.after_power_cut() {
        assert_eq!(Post { records: Arc::new(later), ..left.clone() }.head(), head(&log, 20), "{at}");
    }
}

#[test]
fn the_old_or_the_new_record_is_there_wherever_it_stops() {
    let log = Log::new(20);
    let (mut answers, mut cuts) = (0, 0);
    for steps in 0..STEPS {
        for torn in [0, 1, 100, 100_000] {
            let post = Post::new(2);
            let witness = post.open();
            ask(&witness, &log.body(0, 5)).unwrap();
            post.records.fail_after(steps, torn);
            let answered = ask(&witness, &log.body(5, 13)).is_ok();
            answers += usize::from(answered);
            let at = format!("step {steps}, {torn} bytes");
            is_whole(&post, post.records.after_kill(), answered, &at);
            for left in post.records.after_power_cut() {
                cuts += 1;
                is_whole(&post, left, answered, &at);
            }
        }
    }
    // It stops at each of the three steps of the record and of its mark, and else answers.
    assert_eq!(answers, (STEPS - 6) * 4);
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn a_name_that_was_not_on_disk_is_before_it_is_answered_for() {
    let (log, post) = (Log::new(20), Post::new(2));
    let witness = post.open();
    ask(&witness, &log.body(0, 5)).unwrap();
    // Written and renamed, but nobody has waited for the folder.
    post.records.fail_after(2, 0);
    assert_eq!(ask(&witness, &log.body(5, 13)), Err(Refusal::Stopped));
    let again = Post { records: Arc::new(post.records.after_kill()), ..post };
    // The same checkpoint needs no new record, so nothing is written for it.
    ask(&again.open(), &log.body(13, 13)).unwrap();
    for left in again.records.after_power_cut() {
        assert_eq!(Post { records: Arc::new(left), ..again.clone() }.head(), head(&log, 13));
    }
}

#[test]
fn after_a_failed_write_nothing_is_cosigned_until_the_next_start() {
    let log = Log::new(20);
    for steps in 0..3 {
        let post = Post::new(2);
        let witness = post.open();
        ask(&witness, &log.body(0, 5)).unwrap();
        post.records.fail_after(steps, 7);
        assert!(!witness.has_failed());
        for body in [log.body(5, 13), log.body(5, 13), log.body(5, 5), log.body(13, 13)] {
            assert_eq!(ask(&witness, &body), Err(Refusal::Stopped));
        }
        assert!(witness.has_failed());
    }
}

#[test]
fn a_folder_that_cannot_be_synced_stops_the_start() {
    let post = Post::new(2);
    post.records.fail_after(0, 0);
    assert!(post.open_on(post.records.clone()).is_err());
}
