//! The seed file: 32 random bytes, sealed with a passphrase.
//!
//! ```text
//! magic "tallyseed" · version 2 · birth u32 · m KiB u32 · t u32 · p u32 · salt 16 · nonce 12 · AES-256-GCM(seed) 48
//! ```
//! *Birth* is the height before which nothing was paid to the seed's addresses: all ones for a fresh seed.
//!
//! The key is Argon2id of the passphrase (RFC 9106), numbers are little-endian, and everything before the ciphertext is
//! its associated data. The costs are read back from the file, within limits: a file from somebody else must not be
//! able to take all memory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::LightningError;

/// The seed's file in the node's own directory, sealed with the passphrase.
pub const SEED_FILE: &str = "node_seed";
const MAGIC: &[u8; 9] = b"tallyseed";
const VERSION: u8 = 2;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const BIRTH_FRESH: u32 = u32::MAX;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 * 4 + SALT_BYTES + NONCE_BYTES;
const FILE_BYTES: usize = HEADER_BYTES + 32 + 16;

/// RFC 9106's second recommendation: 64 MiB, 3 passes; one lane, as we derive on one thread.
const COSTS: Costs = Costs { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// What is accepted when a file is read back.
const COSTS_MAX: Costs = Costs { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };
const COSTS_MIN: Costs = Costs { memory_kib: 8 * 1024, passes: 1, lanes: 1 };

/// The node's seed: everything that it owns.
pub(crate) struct Seed {
    bytes: Zeroizing<[u8; 32]>,
    /// For a seed of an earlier node: the height from which its money is looked for.
    birth: Option<u32>,
}

impl Seed {
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// A seed that has not been used.
    pub(crate) fn fresh(bytes: [u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(bytes), birth: None }
    }

    /// The seed of an earlier node, to which nothing was paid before this height.
    pub(crate) fn restored(bytes: [u8; 32], birth: u32) -> Self {
        Self { bytes: Zeroizing::new(bytes), birth: Some(birth) }
    }

    pub(crate) fn birth(&self) -> Option<u32> {
        self.birth
    }

    pub(crate) fn random() -> Result<Self, LightningError> {
        Ok(Self::fresh(random()?))
    }

    pub(crate) fn into_bytes(self) -> Zeroizing<[u8; 32]> {
        self.bytes
    }
}

#[derive(Clone, Copy)]
struct Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Costs {
    fn check(self) -> Result<Self, LightningError> {
        let within = |value, min, max| (min..=max).contains(&value);
        if within(self.memory_kib, COSTS_MIN.memory_kib, COSTS_MAX.memory_kib)
            && within(self.passes, COSTS_MIN.passes, COSTS_MAX.passes)
            && within(self.lanes, COSTS_MIN.lanes, COSTS_MAX.lanes)
        {
            Ok(self)
        } else {
            Err(LightningError::SeedMalformed("the costs of its passphrase are out of bounds"))
        }
    }
}

/// Writes the file of a new node's seed.
pub(crate) fn create(dir: &Path, passphrase: &str, seed: &Seed) -> Result<(), LightningError> {
    if passphrase.is_empty() {
        return Err(LightningError::Config("the passphrase is empty".to_owned()));
    }
    std::fs::create_dir_all(dir).map_err(LightningError::io("the data directory cannot be made"))?;
    let path = dir.join(SEED_FILE);
    if path.try_exists().map_err(LightningError::io("the seed file cannot be looked for"))? {
        return Err(LightningError::SeedExists);
    }
    write_new(dir, &seal(seed, passphrase)?)
}

/// Reads the seed file.
pub(crate) fn open(dir: &Path, passphrase: &str) -> Result<Seed, LightningError> {
    let file = File::open(dir.join(SEED_FILE)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => LightningError::SeedMissing,
        _ => LightningError::Io { what: "the seed file cannot be opened", source: error },
    })?;
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    file.take(FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(LightningError::io("the seed file cannot be read"))?;
    unseal(&bytes, passphrase)
}

fn seal(seed: &Seed, passphrase: &str) -> Result<Vec<u8>, LightningError> {
    let nonce: [u8; NONCE_BYTES] = random()?;
    let salt: [u8; SALT_BYTES] = random()?;
    let mut file = Vec::with_capacity(FILE_BYTES);
    file.extend_from_slice(MAGIC);
    file.push(VERSION);
    file.extend_from_slice(&seed.birth.unwrap_or(BIRTH_FRESH).to_le_bytes());
    for cost in [COSTS.memory_kib, COSTS.passes, COSTS.lanes] {
        file.extend_from_slice(&cost.to_le_bytes());
    }
    file.extend_from_slice(&salt);
    file.extend_from_slice(&nonce);
    let payload = Payload { msg: seed.expose(), aad: &file };
    let sealed = cipher(COSTS, passphrase, &salt)?
        .encrypt(&Nonce::from(nonce), payload)
        .expect("AES-GCM takes any message shorter than 64 GiB");
    file.extend_from_slice(&sealed);
    Ok(file)
}

fn unseal(file: &[u8], passphrase: &str) -> Result<Seed, LightningError> {
    const SHORT: LightningError = LightningError::SeedMalformed("it does not have the length of one");
    let (magic, rest) = file.split_first_chunk::<9>().ok_or(SHORT)?;
    let (version, _) = rest.split_first().ok_or(SHORT)?;
    if magic != MAGIC {
        return Err(LightningError::SeedMalformed("it does not begin like one"));
    }
    if *version != VERSION {
        return Err(LightningError::SeedMalformed("it is from another version"));
    }
    if file.len() != FILE_BYTES {
        return Err(SHORT);
    }
    let (header, sealed) = file.split_at(HEADER_BYTES);
    let rest = &header[MAGIC.len() + 1..];
    let (birth, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let (memory, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let (passes, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let (lanes, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let [memory_kib, passes, lanes] = [memory, passes, lanes].map(|bytes| u32::from_le_bytes(*bytes));
    let costs = Costs { memory_kib, passes, lanes }.check()?;
    let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or(SHORT)?;
    let nonce: [u8; NONCE_BYTES] = rest.try_into().map_err(|_| SHORT)?;
    let seed = cipher(costs, passphrase, salt)?
        .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: header })
        .map(Zeroizing::new)
        .map_err(|_| LightningError::WrongPassphrase)?;
    let bytes = Zeroizing::new(seed.as_slice().try_into().map_err(|_| SHORT)?);
    Ok(Seed { bytes, birth: Some(u32::from_le_bytes(*birth)).filter(|birth| *birth != BIRTH_FRESH) })
}

fn cipher(costs: Costs, passphrase: &str, salt: &[u8]) -> Result<Aes256Gcm, LightningError> {
    const REFUSED: LightningError = LightningError::SeedMalformed("the costs of its passphrase are refused");
    let params = Params::new(costs.memory_kib, costs.passes, costs.lanes, Some(32)).map_err(|_| REFUSED)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
        .map_err(|_| REFUSED)?;
    Ok(Aes256Gcm::new((&*key).into()))
}

/// Writes the file beside its place, makes it durable, and only then gives it its name: a crash leaves no half seed.
fn write_new(dir: &Path, bytes: &[u8]) -> Result<(), LightningError> {
    let io = LightningError::io;
    let temporary = dir.join("node_seed.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(io("the seed file cannot be made"))?;
    file.write_all(bytes).map_err(io("the seed file cannot be written"))?;
    file.sync_all().map_err(io("the seed file cannot be made durable"))?;
    std::fs::rename(&temporary, dir.join(SEED_FILE)).map_err(io("the seed file cannot be named"))?;
    let directory = File::open(dir).map_err(io("the data directory cannot be opened"))?;
    directory.sync_all().map_err(io("the data directory cannot be made durable"))
}

fn random<const N: usize>() -> Result<[u8; N], LightningError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| LightningError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_comes_back_with_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let seed = Seed::random().unwrap();
        create(dir.path(), "correct horse", &seed).unwrap();
        assert_eq!(open(dir.path(), "correct horse").unwrap().expose(), seed.expose());
        assert_eq!(open(dir.path(), "correct horse").unwrap().birth(), None);
        assert!(matches!(open(dir.path(), "wrong horse"), Err(LightningError::WrongPassphrase)));
        assert!(matches!(create(dir.path(), "correct horse", &seed), Err(LightningError::SeedExists)));
        let file = std::fs::read(dir.path().join(SEED_FILE)).unwrap();
        assert!(!file.windows(8).any(|window| seed.expose().windows(8).any(|part| part == window)));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), "x", &Seed::random().unwrap()).unwrap();
        let mode = std::fs::metadata(dir.path().join(SEED_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!dir.path().join("node_seed.new").exists());
    }

    #[test]
    fn a_missing_file_and_an_empty_passphrase_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(dir.path(), "x"), Err(LightningError::SeedMissing)));
        assert!(matches!(create(dir.path(), "", &Seed::random().unwrap()), Err(LightningError::Config(_))));
    }

    #[test]
    fn a_damaged_file_is_refused_without_a_panic() {
        let good = seal(&Seed::fresh([5; 32]), "x").unwrap();
        for cut in [0, 1, HEADER_BYTES, FILE_BYTES - 1] {
            assert!(matches!(unseal(&good[..cut], "x"), Err(LightningError::SeedMalformed(_))));
        }
        let flipped = |at: usize| {
            let mut file = good.clone();
            file[at] ^= 1;
            unseal(&file, "x").map(|_| ())
        };
        assert!(matches!(flipped(0), Err(LightningError::SeedMalformed(_))));
        assert!(matches!(flipped(MAGIC.len()), Err(LightningError::SeedMalformed(_))));
        assert!(matches!(flipped(FILE_BYTES - 1), Err(LightningError::WrongPassphrase)));
    }

    #[test]
    fn a_restored_seed_remembers_where_to_look() {
        let sealed = seal(&Seed::restored([5; 32], 700_000), "x").unwrap();
        assert_eq!(unseal(&sealed, "x").unwrap().birth(), Some(700_000));
    }

    #[test]
    fn a_file_cannot_ask_for_all_memory() {
        let mut file = seal(&Seed::fresh([5; 32]), "x").unwrap();
        file[MAGIC.len() + 5..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(unseal(&file, "x"), Err(LightningError::SeedMalformed(_))));
    }
}
