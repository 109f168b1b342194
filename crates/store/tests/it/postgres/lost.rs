//! A COMMIT whose answer is lost: the connection goes through a wire that is cut in the middle of it, once before the
//! server hears of it and once after.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use tallystick_app::port::journal::{AppendError, Appended, Journal, StoreError};
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{append, effect, later, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::open;

/// A COMMIT as the driver sends it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// What is done with the next COMMIT.
const PASS: u32 = 0;
const SWALLOW: u32 = 1;
const SEND_AND_CUT: u32 = 2;

/// A socket in `folder` that leads to the server's.
fn wire(folder: &Path, server: String, next: &Arc<AtomicU32>) {
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
    let next = Arc::clone(next);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&server).await.unwrap();
            tokio::spawn(carry(client, server, Arc::clone(&next)));
        }
    });
}

async fn carry(client: UnixStream, server: UnixStream, next: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        let part = &buffer[..count];
        let fate = if part == COMMIT { next.swap(PASS, SeqCst) } else { PASS };
        if fate != PASS {
            // From here on the client hears nothing any more.
            back.abort();
        }
        if fate == SWALLOW || to_server.write_all(part).await.is_err() || fate == SEND_AND_CUT {
            break;
        }
    }
    back.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_settled() {
    let address = Cluster::shared().database();
    let direct = open(&address).await.unwrap();
    let socket = address.split(' ').next().unwrap().strip_prefix("host=").unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let next = Arc::new(AtomicU32::new(PASS));
    wire(folder.path(), format!("{socket}/.s.PGSQL.5432"), &next);
    let store = open(&address.replace(&socket, folder.path().to_str().unwrap())).await.unwrap();
    store.append(append(1, 0)).await.unwrap();

    // Whether it happened or not: it is there once, and its writer is told so.
    for (version, fate) in (1..).zip([SWALLOW, SEND_AND_CUT, SEND_AND_CUT, SWALLOW]) {
        next.store(fate, SeqCst);
        let mut wanted = append(1, version);
        wanted.effects = vec![effect(&format!("pay {version}"), 0)];
        let wanted = store.append(wanted).await;
        assert_eq!(wanted, Ok(Appended { seq: version + 1, version: version + 1 }), "fate {fate}");
        assert_eq!(next.load(SeqCst), PASS, "the wire was cut");
        // A refusal decided in the same transaction is still one.
        assert!(matches!(store.append(append(1, 0)).await, Err(AppendError::Conflict { .. })));
    }
    assert_eq!(direct.verify_chain().await, Ok(5));
    assert_eq!(direct.due_effects(later(0), 10).await.unwrap().len(), 4);

    // What leaves no fact is not known: nobody is told that it was admitted, and the store goes on.
    for (n, fate) in [(1, SWALLOW), (2, SEND_AND_CUT)] {
        next.store(fate, SeqCst);
        let unknown = store.admit(request(n), later(0), later(9)).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    }
    assert_eq!(direct.admit(request(1), later(0), later(9)).await, Ok(true));
    assert_eq!(direct.admit(request(2), later(0), later(9)).await, Ok(false), "it had been admitted");
    assert_eq!(store.append(append(1, 5)).await.unwrap().seq, 6);
}
