//! One holder at a time, by the database's clock.

use std::time::{Duration, Instant};
use tallystick_postgres::{FENCE, Lease, Leases, Note, connect};

use super::fresh;

const LONG: Duration = Duration::from_secs(60);
/// A limit for what must come by itself.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_holds_it_until_it_is_given_back() {
    let options = fresh();
    let mut one = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let mut two = Leases::open(options.clone(), "two".to_owned()).await.unwrap();
    assert_eq!(Leases::read(&options).await, Ok(Vec::new()));
    let first = one.take("a", LONG).await.unwrap().unwrap();
    assert_eq!(two.take("a", LONG).await, Ok(None));
    assert_eq!(one.take("a", LONG).await, Ok(None), "nor does its holder take it a second time");
    let other = two.take("b", LONG).await.unwrap().unwrap();
    assert_eq!((first.token, other.token), (1, 1));
    let seen = Leases::read(&options).await.unwrap();
    assert_eq!(
        seen.iter().map(|lease| (&*lease.name, &*lease.owner)).collect::<Vec<_>>(),
        [("a", "one"), ("b", "two")]
    );
    assert!(seen.iter().all(|lease| (1..=60_000).contains(&lease.left_ms)));

    one.release(first).await.unwrap();
    let second = two.take("a", LONG).await.unwrap().unwrap();
    assert_eq!(second.token, 2);
    assert_eq!(one.renew(first, LONG).await, Ok(false), "what somebody else has is not renewed");
    one.release(first).await.unwrap();
    assert_eq!(one.take("a", LONG).await, Ok(None), "nor given back");
    assert_eq!(two.renew(second, LONG).await, Ok(true));
}

#[tokio::test]
async fn a_silent_holder_loses_it() {
    let options = fresh();
    let mut one = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let mut two = Leases::open(options, "two".to_owned()).await.unwrap();
    let lasts = Duration::from_millis(400);
    let asked = Instant::now();
    let first = one.take("a", lasts).await.unwrap().unwrap();
    let second = loop {
        if let Some(lease) = two.take("a", LONG).await.unwrap() {
            break lease;
        }
        assert!(asked.elapsed() < SOON, "nobody can take it");
    };
    assert!(asked.elapsed() >= lasts, "taken before its time was over");
    assert_eq!((second.token, one.renew(first, LONG).await), (2, Ok(false)));
}

#[tokio::test]
async fn many_at_once_and_one_gets_it() {
    let options = fresh();
    let mut set = tokio::task::JoinSet::new();
    for n in 0..8 {
        let options = options.clone();
        set.spawn(async move {
            let mut leases = Leases::open(options, n.to_string()).await.unwrap();
            leases.take("a", LONG).await.unwrap()
        });
    }
    assert_eq!(set.join_all().await.into_iter().flatten().count(), 1);
}

#[tokio::test]
async fn what_a_holder_leaves_is_there_for_the_next() {
    let options = fresh();
    let mut leases = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let first = leases.take("a", LONG).await.unwrap().unwrap();
    let mut note = Note::new(options.clone(), first);
    assert_eq!(note.read().await.unwrap(), "");
    note.write("here").await.unwrap();
    assert_eq!(note.read().await.unwrap(), "here");
    leases.renew(first, LONG).await.unwrap();
    leases.release(first).await.unwrap();
    let second = leases.take("a", LONG).await.unwrap().unwrap();
    assert!(note.write("late").await.is_err(), "who lost the lease leaves nothing");
    assert!(note.read().await.is_err());
    let mut note = Note::new(options.clone(), second);
    assert_eq!(note.read().await.unwrap(), "here");
    let other = leases.take("b", LONG).await.unwrap().unwrap();
    assert_eq!(Note::new(options, other).read().await.unwrap(), "", "another lease's is another");
}

/// A standby that was behind has taken over: it does not know of the last holder, and gives its token to another.
#[tokio::test]
async fn a_holder_that_the_database_forgot_has_lost_it() {
    let options = fresh();
    let mut one = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let mut two = Leases::open(options.clone(), "two".to_owned()).await.unwrap();
    let client = connect(&options).await.unwrap();
    let lost = one.take("a", LONG).await.unwrap().unwrap();
    client.execute("DELETE FROM leases", &[]).await.unwrap();
    let taken = two.take("a", LONG).await.unwrap().unwrap();
    assert_eq!(taken.token, lost.token);
    assert_eq!(one.renew(lost, LONG).await, Ok(false));
    one.release(lost).await.unwrap();
    assert_eq!(one.take("a", LONG).await, Ok(None), "what is another's is not given back");
    let fence = async |lease: Lease| client.query(FENCE, &[&"a", &lease.token, &lease.nonce]).await.unwrap().len();
    assert_eq!((fence(lost).await, fence(taken).await), (0, 1));
    assert_eq!(two.renew(taken, LONG).await, Ok(true));
}

/// A database that had leases before they had a nonce: its holder keeps the row, nobody who knows no nonce takes it again.
#[tokio::test]
async fn leases_of_an_older_program_are_brought_up_to_date() {
    let options = fresh();
    drop(Leases::open(options.clone(), "one".to_owned()).await.unwrap());
    let client = connect(&options).await.unwrap();
    let old = "ALTER TABLE leases DROP COLUMN nonce, DROP COLUMN note; UPDATE tallystick_parts SET version = 1 WHERE part = 'leases';
        INSERT INTO leases VALUES ('a', 'old', 7, clock_timestamp() + interval '1 minute')";
    client.batch_execute(old).await.unwrap();
    let mut two = Leases::open(options, "two".to_owned()).await.unwrap();
    assert_eq!(two.take("a", LONG).await, Ok(None), "the old program has it still");
    let renew = "UPDATE leases SET until = clock_timestamp() WHERE name = 'a' AND token = 7";
    assert_eq!(client.execute(renew, &[]).await.unwrap(), 1);
    let take = "INSERT INTO leases (name, owner, token, until) VALUES ('a', 'old', 1, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET token = leases.token + 1";
    client.execute(take, &[]).await.unwrap_err();
    assert_eq!(two.take("a", LONG).await.unwrap().unwrap().token, 8);
}

/// A transaction that has found its token there keeps others from taking the lease until it is through, even if the
/// lease's time is over; one that comes later finds that it is gone.
#[tokio::test]
async fn the_fence_holds_while_a_transaction_runs() {
    let options = fresh();
    let mut one = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let mut two = Leases::open(options.clone(), "two".to_owned()).await.unwrap();
    let lease = one.take("a", Duration::ZERO).await.unwrap().unwrap();
    let client = connect(&options).await.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(client.query(FENCE, &[&"a", &lease.token, &lease.nonce]).await.unwrap().len(), 1);
    let taking = tokio::spawn(async move { two.take("a", LONG).await });
    let limit = Instant::now() + SOON;
    let watcher = connect(&options).await.unwrap();
    while watcher.query("SELECT 1 FROM pg_locks WHERE NOT granted", &[]).await.unwrap().is_empty() {
        assert!(Instant::now() < limit && !taking.is_finished(), "the lease was taken under a running transaction");
    }
    client.batch_execute("COMMIT").await.unwrap();
    let next = taking.await.unwrap().unwrap().unwrap();
    assert_eq!(next.token, lease.token + 1);
    assert!(client.query(FENCE, &[&"a", &lease.token, &lease.nonce]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let options = fresh();
    let mut leases = Leases::open(options.clone(), "one".to_owned()).await.unwrap();
    let lease = leases.take("a", LONG).await.unwrap().unwrap();
    let client = connect(&options).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    assert_eq!(client.query(cut, &[]).await.unwrap().len(), 1);
    let limit = Instant::now() + SOON;
    // The first call may find the connection gone only by using it.
    while leases.renew(lease, LONG).await != Ok(true) {
        assert!(Instant::now() < limit, "no new connection");
    }
}
