//! A node that shows one history to one client and another to the next.

use tallystick_app::port::witness::{Witness as _, WitnessError};
use tallystick_log::*;
use tallystick_witness::WitnessLimits;
use tallystick_witness_client::HttpWitness;

use crate::support::{Log, Post, Server};

/// Witnesses behind HTTP, all honest but the first `liars`, who cosign anything.
struct Field {
    posts: Vec<Post>,
    clients: Vec<HttpWitness>,
    _servers: Vec<Server>,
    liars: usize,
}

impl Field {
    async fn new(n: usize, liars: usize) -> Self {
        let (mut posts, mut clients, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..n {
            let post = Post::new(u8::try_from(10 + seed).unwrap());
            let server = Server::start(post.open(), "", WitnessLimits::default()).await;
            clients.push(server.client("", post.key().verifier()));
            posts.push(post);
            servers.push(server);
        }
        Self { posts, clients, _servers: servers, liars }
    }

    fn policy(&self, k: usize) -> WitnessPolicy {
        WitnessPolicy::try_new(k, self.posts.iter().map(|post| post.key().verifier().clone()).collect()).unwrap()
    }

    /// What a node does that wants cosignatures: it asks each of these witnesses, and adds what they answer.
    async fn collect(&self, log: &Log, old: u64, new: u64, asked: &[usize]) -> SignedCheckpoint {
        let request = log.request(old, new);
        let mut signed = request.checkpoint().clone();
        for at in asked {
            let line = if *at < self.liars {
                Ok(self.posts[*at].key().cosign(signed.unverified(), 7).unwrap())
            } else {
                self.clients[*at].add_checkpoint(&request).await
            };
            match line {
                Ok(line) => signed.note_mut().add(line).unwrap(),
                Err(error) => assert!(
                    matches!(error, WitnessError::Behind { .. } | WitnessError::OtherHistory(_)),
                    "it is there, and says why: {error}"
                ),
            }
        }
        signed
    }
}

/// Whether a node that deals its witnesses out between two histories can show both to clients who ask for k of n.
async fn both_can_be_shown(n: usize, k: usize, f: usize) -> bool {
    let (log, mut both) = (Log::new(20), false);
    let fork = log.forked(6);
    for split in 0..1_usize << n {
        let field = Field::new(n, f).await;
        let all: Vec<usize> = (0..n).collect();
        let start = field.collect(&log, 0, 5, &all).await;
        assert_eq!(field.policy(n).verify(start.note()).unwrap().len(), n, "all see the common beginning");
        let (first, second): (Vec<usize>, Vec<usize>) = all.iter().partition(|at| split >> **at & 1 == 1);
        // Each half hears one history first, then the whole field is asked for both.
        let mut shown = Vec::new();
        for (history, half) in [(&log, &first), (&fork, &second)] {
            shown.push((history, field.collect(history, 5, 13, half).await));
        }
        let mut convinced = 0;
        for (history, signed) in &mut shown {
            let rest = field.collect(history, 5, 13, &all).await;
            for line in rest.note().signatures() {
                signed.note_mut().add(line.clone()).unwrap();
            }
            signed.verify(Log::key().verifier()).unwrap();
            convinced += usize::from(field.policy(k).verify(signed.note()).is_ok());
        }
        both |= convinced == 2;
        // Whoever heard one and was asked for the other has the proof.
        let caught = field.posts.iter().skip(f).all(|post| post.evidence.files().len() == 1);
        assert!(caught, "split {split:b}");
    }
    both
}

#[tokio::test(flavor = "multi_thread")]
async fn with_enough_witnesses_one_history_at_most_is_believed() {
    for (n, k, f) in [(1, 1, 0), (3, 2, 0), (4, 3, 1)] {
        assert!(2 * k - n > f);
        assert!(!both_can_be_shown(n, k, f).await, "{k} of {n}, {f} liars");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_few_both_are() {
    for (n, k, f) in [(2, 1, 0), (4, 2, 0), (3, 2, 1)] {
        assert!(2 * k <= n + f);
        assert!(both_can_be_shown(n, k, f).await, "{k} of {n}, {f} liars: the bound is the right one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_witness_catches_a_node_that_goes_back() {
    let (log, post) = (Log::new(20), Post::new(2));
    let server = Server::start(post.open(), "", WitnessLimits::default()).await;
    let client = server.client("", post.key().verifier());
    client.add_checkpoint(&log.request(0, 13)).await.unwrap();
    let fork = log.forked(6);
    assert_eq!(client.add_checkpoint(&fork.request(5, 15)).await, Err(WitnessError::Behind { size: 13 }));
    let refused = client.add_checkpoint(&fork.request(13, 15)).await.unwrap_err();
    assert!(matches!(&refused, WitnessError::OtherHistory(why) if why.contains("witness.not_consistent")), "{refused}");
    let refused = client.add_checkpoint(&fork.request(13, 13)).await.unwrap_err();
    assert!(matches!(&refused, WitnessError::OtherHistory(why) if why.contains("witness.two_histories")), "{refused}");
    assert_eq!(post.head().size, 13);
}
