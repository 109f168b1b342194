//! Evidence as clients make it: encrypted for the parties and the panel of one dispute, before it leaves this machine.
//!
//! ```text
//! content key (32 bytes, for this piece alone) ─┬─ AES-256-GCM ──▶ the piece, which the node keeps
//!                                               ├─ SHA-256, tagged ──▶ its first bytes: the key that opens it
//!                                               └─ NIP-44 (version 2) ──▶ one wrapped key for each reader
//! ```
//!
//! The content key is made of the author's own key and of what is shown (HMAC-SHA-256): to show the same file again, as
//! after a crash, makes the same piece, and the author can always make it again. Nobody else can.
//!
//! The key is wrapped, and not the content: who joins later, as a larger panel does, needs a hundred bytes more and not the
//! file again. AES-GCM, because browsers have it.
//!
//! # Invariants
//! * A piece opens with one key: it begins with a commitment to it. AES-GCM alone would let its author make bytes that
//!   show one thing to one arbitrator and another to the next, under two keys.
//! * It opens in the dispute that it was made for, as the word of whoever made it, and nowhere else.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use borsh::{BorshDeserialize, BorshSerialize};
use nostr::{
    key::{Keys, PublicKey},
    nips::nip44,
};
use tallystick_app::port::evidence::Matter;
use tallystick_core::{NostrKey, canonical};
use zeroize::{Zeroize, Zeroizing};

/// What every piece begins with: a name and a version.
const MAGIC: &[u8] = b"TLYE\x01";
const KEY_TAG: &str = "tallystick/evidence-key/v1";
const KEY_OF_TAG: &str = "tallystick/evidence-key-of/v1";
const PIECE_TAG: &str = "tallystick/evidence/v1";
/// Each key is used once.
const NONCE: [u8; 12] = [0; 12];
const COMMITMENT_BYTES: usize = 32;
/// What a piece has besides its content: frame, commitment, lengths, the cipher's tag; the name comes on top.
pub const OVERHEAD_BYTES: u64 = 5 + 32 + 4 + 4 + 16;

/// The key of one piece. Wiped when dropped.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

/// What was shown to the panel.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Shown {
    /// The file's name; empty if there is none.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Why a piece does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// No piece of evidence.
    #[error("this is no piece of evidence that this program knows")]
    Unknown,
    /// Another key opens it.
    #[error("the key that you were given is not this piece's: ask who filed it to share it again")]
    OtherKey,
    /// It was made for another dispute, by somebody else, or changed.
    #[error("the piece was changed, or made for another dispute or by somebody else")]
    Changed,
    /// What was wrapped for somebody else, or by somebody else.
    #[error("the wrapped key is not for you, not by who filed the piece, or was changed")]
    NotForYou,
    /// A key that encrypts nothing.
    #[error("nothing can be encrypted to this key")]
    BadReader,
}

impl ContentKey {
    /// The key of what this author shows in this dispute.
    pub fn of(author: &Keys, matter: Matter, shown: &Shown) -> Self {
        let mut plain = canonical::encode(shown);
        let what = canonical::sha256(&plain);
        plain.zeroize();
        Self(secret_of(author, KEY_OF_TAG, &[matter.task.as_bytes(), matter.dispute.as_bytes(), &what.0]))
    }

    fn commitment(&self) -> [u8; COMMITMENT_BYTES] {
        canonical::digest(KEY_TAG, &[self.0.as_slice()]).0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(self.0.as_slice()).expect("a key of 32 bytes")
    }

    /// Encrypts the key to a reader, as the author of the piece.
    ///
    /// # Errors
    /// [`SealedError::BadReader`] if the reader's key is none.
    pub fn wrap(&self, author: &Keys, reader: NostrKey) -> Result<String, SealedError> {
        let text = Zeroizing::new(hex(self.0.as_slice()));
        nip44::encrypt(author.secret_key(), &public(reader)?, text.as_bytes(), nip44::Version::V2)
            .map_err(|_| SealedError::BadReader)
    }

    /// Opens a wrapped key, as one of the readers.
    ///
    /// # Errors
    /// [`SealedError::NotForYou`].
    pub fn unwrap(reader: &Keys, author: NostrKey, wrapped: &str) -> Result<Self, SealedError> {
        let text = nip44::decrypt(reader.secret_key(), &public(author)?, wrapped);
        let text = Zeroizing::new(text.map_err(|_| SealedError::NotForYou)?);
        unhex(&text).map(Self).ok_or(SealedError::NotForYou)
    }
}

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentKey(…)")
    }
}

impl Shown {
    /// Encrypts. What comes out is what the node keeps, and its SHA-256 is its name. Its length tells how long the content is.
    pub fn seal(&self, matter: Matter, author: NostrKey, key: &ContentKey) -> Vec<u8> {
        let mut plain = canonical::encode(self);
        let aad = bound_to(matter, author);
        let sealed = key.cipher().encrypt(&Nonce::from(NONCE), Payload { msg: &plain, aad: &aad });
        plain.zeroize();
        let sealed = sealed.expect("far below the 64 GiB that AES-GCM takes");
        [MAGIC, &key.commitment(), &sealed].concat()
    }

    /// Opens what [`Shown::seal`] made.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn open(sealed: &[u8], matter: Matter, author: NostrKey, key: &ContentKey) -> Result<Self, SealedError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(SealedError::Unknown)?;
        let (commitment, body) = rest.split_first_chunk::<COMMITMENT_BYTES>().ok_or(SealedError::Unknown)?;
        if *commitment != key.commitment() {
            return Err(SealedError::OtherKey);
        }
        let aad = bound_to(matter, author);
        let plain = key.cipher().decrypt(&Nonce::from(NONCE), Payload { msg: body, aad: &aad });
        canonical::decode("evidence", &plain.map_err(|_| SealedError::Changed)?).map_err(|_| SealedError::Unknown)
    }
}

/// 32 bytes that only this key can make, from these fields: HMAC-SHA-256 of the framed fields, under the secret key.
pub fn secret_of(keys: &Keys, tag: &str, fields: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut engine = HmacEngine::<sha256::Hash>::new(keys.secret_key().as_secret_bytes());
    engine.input(&canonical::frame(tag, fields));
    Zeroizing::new(Hmac::<sha256::Hash>::from_engine(engine).to_byte_array())
}

fn bound_to(matter: Matter, author: NostrKey) -> Vec<u8> {
    canonical::frame(PIECE_TAG, &[matter.task.as_bytes(), matter.dispute.as_bytes(), &author.to_bytes()])
}

fn public(key: NostrKey) -> Result<PublicKey, SealedError> {
    PublicKey::from_slice(&key.to_bytes()).map_err(|_| SealedError::BadReader)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::Id;

    fn keys(n: u8) -> Keys {
        Keys::parse(&hex(&[n; 32])).unwrap()
    }

    fn of(keys: &Keys) -> NostrKey {
        NostrKey::try_new(keys.public_key().to_bytes()).unwrap()
    }

    fn matter(n: u64) -> Matter {
        Matter { task: Id::from_parts(n, [1; 10]), dispute: Id::from_parts(n + 1, [2; 10]) }
    }

    fn shown() -> Shown {
        Shown { name: "photo.jpg".into(), content: vec![7; 100_000] }
    }

    #[test]
    fn each_reader_opens_it_and_nobody_else() {
        let (author, readers, stranger) = (keys(1), [keys(1), keys(2), keys(3)], keys(4));
        let key = ContentKey::of(&author, matter(1), &shown());
        let sealed = shown().seal(matter(1), of(&author), &key);
        let overhead = OVERHEAD_BYTES + u64::try_from("photo.jpg".len()).unwrap();
        assert_eq!(u64::try_from(sealed.len()).unwrap(), 100_000 + overhead);
        for reader in &readers {
            let wrapped = key.wrap(&author, of(reader)).unwrap();
            assert!(wrapped.len() <= tallystick_app::port::evidence::WRAPPED_BYTES_MAX, "{}", wrapped.len());
            let own = ContentKey::unwrap(reader, of(&author), &wrapped).unwrap();
            assert_eq!(Shown::open(&sealed, matter(1), of(&author), &own), Ok(shown()));
            assert_eq!(ContentKey::unwrap(&stranger, of(&author), &wrapped).err(), Some(SealedError::NotForYou));
            assert_eq!(ContentKey::unwrap(reader, of(&stranger), &wrapped).err(), Some(SealedError::NotForYou));
        }
        let other = ContentKey::of(&author, matter(2), &shown());
        assert_eq!(Shown::open(&sealed, matter(1), of(&author), &other), Err(SealedError::OtherKey));
    }

    #[test]
    fn it_opens_where_it_belongs_and_unchanged() {
        let small = Shown { name: String::new(), content: b"a word".to_vec() };
        let (author, key) = (of(&keys(1)), ContentKey::of(&keys(1), matter(1), &small));
        let sealed = small.seal(matter(1), author, &key);
        let open = |sealed: &[u8], n, by| Shown::open(sealed, matter(n), by, &key);
        assert_eq!(open(&sealed, 1, author), Ok(small));
        assert_eq!(open(&sealed, 2, author), Err(SealedError::Changed));
        assert_eq!(open(&sealed, 1, of(&keys(2))), Err(SealedError::Changed));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&changed, 1, author).is_err(), "byte {at}");
            assert!(open(&sealed[..at], 1, author).is_err(), "{at} bytes");
        }
    }

    /// Bytes that decrypt under two keys are easy to make, if the cipher is asked alone: the commitment names one of them.
    #[test]
    fn a_piece_has_one_key() {
        let (author, keys) = (of(&keys(1)), [1, 2].map(|n| ContentKey::of(&keys(n), matter(1), &shown())));
        let [one, two] = keys.each_ref().map(|key| shown().seal(matter(1), author, key));
        // The body of one behind the commitment of the other.
        let mixed = [&two[..MAGIC.len() + COMMITMENT_BYTES], &one[MAGIC.len() + COMMITMENT_BYTES..]].concat();
        assert_eq!(Shown::open(&mixed, matter(1), author, &keys[0]), Err(SealedError::OtherKey));
        assert_eq!(Shown::open(&mixed, matter(1), author, &keys[1]), Err(SealedError::Changed));
        assert_ne!(keys[0].commitment(), keys[1].commitment());
    }

    /// A client that crashed anywhere makes the same piece again; another author, dispute or content makes another.
    #[test]
    fn the_same_file_makes_the_same_piece() {
        let seal = |n: u8, at: u64, shown: &Shown| {
            shown.seal(matter(at), of(&keys(n)), &ContentKey::of(&keys(n), matter(at), shown))
        };
        let renamed = Shown { name: "other.jpg".into(), ..shown() };
        assert_eq!(seal(1, 1, &shown()), seal(1, 1, &shown()));
        let commitment = |sealed: &[u8]| sealed[MAGIC.len()..MAGIC.len() + COMMITMENT_BYTES].to_vec();
        let all = [seal(1, 1, &shown()), seal(2, 1, &shown()), seal(1, 2, &shown()), seal(1, 1, &renamed)];
        let different: std::collections::BTreeSet<_> = all.iter().map(|sealed| commitment(sealed)).collect();
        assert_eq!(different.len(), all.len());
    }
}
