//! A log that can lie, and a witness for it.

use std::{net::SocketAddr, sync::Arc};
use tallystick_core::Timestamp;
use tallystick_http::{ServeLimits, serve};
use tallystick_log::*;
use tallystick_testkit::ManualClock;
use tallystick_witness::{Folder, Record, Refusal, TrustedLog, Witness, WitnessLimits, router};
use tallystick_witness_client::{HttpWitness, HttpWitnessConfig};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::disk::Disk;

pub const ORIGIN: &str = "log.example/journal";
pub const NOW_S: u64 = 1_700_000_000;

pub fn key(name: &str, kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &[seed; 32]).unwrap()
}

/// A log with one history; another `salt` gives another one, that shares its first `common` leaves.
#[derive(Clone)]
pub struct Log {
    leaves: Vec<Hash>,
}

impl Log {
    pub fn new(leaves: u64) -> Self {
        Self { leaves: (0..leaves).map(|i| leaf_hash(format!("entry {i}").as_bytes())).collect() }
    }

    /// The same up to `common` leaves, and different after them.
    pub fn forked(&self, common: usize) -> Self {
        let leaves = self.leaves.iter().enumerate();
        Self { leaves: leaves.map(|(i, leaf)| if i < common { *leaf } else { leaf_hash(leaf) }).collect() }
    }

    pub fn key() -> SigningKey {
        key(ORIGIN, KeyKind::Note, 1)
    }

    pub fn trusted() -> TrustedLog {
        TrustedLog::try_new(ORIGIN, vec![Self::key().verifier().clone()]).unwrap()
    }

    pub fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let root = root_of_hashes(self.first(size));
        SignedCheckpoint::sign(Checkpoint::try_new(ORIGIN, size, root).unwrap(), &Self::key()).unwrap()
    }

    pub fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        let proof = if old == 0 || old >= new { Vec::new() } else { consistency(old, self.first(new), true) };
        AddCheckpoint::try_new(old, proof, self.checkpoint(new)).unwrap()
    }

    pub fn body(&self, old: u64, new: u64) -> Vec<u8> {
        self.request(old, new).to_string().into_bytes()
    }

    fn first(&self, size: u64) -> &[Hash] {
        &self.leaves[..usize::try_from(size).unwrap()]
    }
}

/// RFC 6962 §2.1.2, word for word.
fn consistency(m: u64, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    let m_usize = usize::try_from(m).unwrap();
    if m_usize == leaves.len() {
        return if whole { Vec::new() } else { vec![root_of_hashes(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m_usize <= k {
        (consistency(m, left, whole), root_of_hashes(right))
    } else {
        (consistency(m - k as u64, right, false), root_of_hashes(left))
    };
    proof.push(other);
    proof
}

/// A witness's own things, which outlive it.
#[derive(Clone)]
pub struct Post {
    pub seed: u8,
    pub records: Arc<Disk>,
    pub evidence: Arc<Disk>,
    pub clock: Arc<ManualClock>,
}

impl Post {
    /// A post to which the log was added.
    pub fn new(seed: u8) -> Self {
        let clock = ManualClock::new(Timestamp::from_secs(NOW_S));
        let post = Self { seed, records: Arc::default(), evidence: Arc::default(), clock };
        assert!(Record::begin(post.records.as_ref(), &Log::trusted()).unwrap());
        post
    }

    pub fn key(&self) -> SigningKey {
        key(&format!("w{}.example", self.seed), KeyKind::Cosignature, self.seed)
    }

    pub fn open(&self) -> Witness {
        self.open_on(self.records.clone()).unwrap()
    }

    pub fn open_on(&self, records: Arc<dyn Folder>) -> Result<Witness, tallystick_witness::StateError> {
        Witness::open(self.key(), vec![Log::trusted()], records, self.evidence.clone(), self.clock.clone())
    }

    pub fn head(&self) -> TreeHead {
        Record::read(self.records.as_ref(), &Log::trusted(), self.key().verifier()).unwrap().head()
    }
}

/// Both halves of what a request goes through.
pub fn ask(witness: &Witness, body: &[u8]) -> Result<NoteSignature, Refusal> {
    witness.cosign(&witness.admit(body)?)
}

/// A witness behind HTTP. It stops when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub async fn start(witness: Witness, path: &str, limits: WitnessLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Arc::new(witness), path, limits);
        let serving = tokio::spawn(serve(listener, router, std::future::pending(), ServeLimits::default()));
        Self { address, serving }
    }

    /// The client that the node uses.
    pub fn client(&self, path: &str, key: &VerifierKey) -> HttpWitness {
        HttpWitness::try_new(HttpWitnessConfig::new(format!("http://{}{path}", self.address), key.clone())).unwrap()
    }
}
