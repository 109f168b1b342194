//! What must be there after a power loss: the same for both databases.

use std::sync::Arc;
use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::journal::Journal;
use tallystick_app::port::log::{LogState, LogStore, Published};
use tallystick_app::port::tasks::TaskReader;
use tallystick_core::Duration;
use tallystick_log::{CompactRange, KeyKind, KeyName, SignedCheckpoint, SigningKey, leaf_hash};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// xorshift64*: the same disks every time.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A file as a disk may hold it that lost power between two moments: sector by sector the one or the other, some torn, and
/// of the one's length or the other's.
pub fn mixed(old: &[u8], new: &[u8], dice: &mut Dice) -> Vec<u8> {
    let length = if dice.roll(2) == 0 { old.len() } else { new.len() }.max(old.len().min(new.len()));
    let mut bytes = vec![0; length];
    for (at, sector) in (0..).step_by(SECTOR).zip(bytes.chunks_mut(SECTOR)) {
        let of = |file: &[u8]| file.get(at..at + sector.len()).map(<[u8]>::to_vec);
        match (dice.roll(8), of(old), of(new)) {
            // Torn: the first bytes are new, the others old.
            (0, Some(old), Some(new)) => {
                let cut = usize::try_from(dice.roll(SECTOR as u64)).unwrap().min(sector.len());
                sector[..cut].copy_from_slice(&new[..cut]);
                sector[cut..].copy_from_slice(&old[cut..]);
            }
            (1..=4, Some(kept), _) | (_, _, Some(kept)) | (_, Some(kept), None) => sector.copy_from_slice(&kept),
            // Never written: whatever was on the disk.
            (_, None, None) => sector.fill(u8::try_from(dice.roll(256)).unwrap()),
        }
    }
    bytes
}

/// What was acknowledged: so many facts, and the log's state.
pub struct Promised {
    pub facts: u64,
    log: LogState,
}

pub async fn promised(store: &impl LogStore, facts: u64) -> Promised {
    Promised { facts, log: store.log_state().await.unwrap() }
}

/// Everything that must hold; `under_way` facts more may be there. Answers how many there are.
pub async fn check<S>(store: &S, promised: &Promised, under_way: u64) -> u64
where
    S: Journal + LogStore + TaskReader + Clone + 'static,
{
    let found = store.log_state().await.unwrap();
    let published = |state: &LogState| state.published.as_ref().map_or(0, |published| published.size);
    let log = &promised.log;
    assert!(found.size >= log.size && published(&found) >= published(log));
    // A start is a recovery: the tree goes on to what the facts make, and the chain is checked on the way.
    assert_eq!(worker(store).run_once().await, Ok(true));
    let (mut range, mut count, mut prev) = (CompactRange::new(), 0, tallystick_core::fact::CHAIN_START);
    for fact in store.facts(0, 1_000).await.unwrap() {
        assert_eq!((fact.seq, fact.prev, fact.link()), (count + 1, prev, fact.hash));
        assert!(fact.body.is_sound());
        (count, prev) = (fact.seq, fact.hash);
        range.append(leaf_hash(&fact.entry()), |_, _| ()).unwrap();
        let task = fact.stream.strip_prefix("escrow/").and_then(|id| id.parse().ok()).expect("a task's stream");
        assert!(store.task(task).await.unwrap().is_some(), "a fact without its row");
    }
    let may_be = promised.facts..=promised.facts + under_way;
    assert!(may_be.contains(&count) && found.size <= count, "{} acknowledged, {count} there", promised.facts);
    if let Some(Published { note, .. }) = store.log_state().await.unwrap().published {
        assert_eq!(*SignedCheckpoint::parse(&note).unwrap().unverified().root(), range.root());
    }
    count
}

pub fn worker<S: Journal + LogStore + Clone + 'static>(store: &S) -> LogWorker {
    let key =
        SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap();
    let config = LogConfig { key, interval: Duration::from_secs(1), witnesses: Vec::new(), witnesses_needed: 0 };
    let store = Arc::new(store.clone());
    LogWorker::try_new(Arc::clone(&store) as _, store, config).unwrap()
}
