//! Files, encrypted to the parties and the panel.

use anyhow::{Context, Result, bail, ensure};
use nostr::key::Keys;
use serde_json::{Value, json};
use std::{
    fs::{self, File, OpenOptions},
    io::{IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tallystick_civics::dispute::EVIDENCE_BYTES_MAX;
use tallystick_core::{Digest32, NostrKey};
use tallystick_graphql::client::Progress;

use super::{super::Api, Matters, matter::keys as keys_in};
use crate::{
    cli::OfMilestone,
    sealed::{ContentKey, OVERHEAD_BYTES, Shown},
};

/// Bytes of a file's name that are shown to the panel.
const NAME_BYTES_MAX: usize = 255;
const MIB: u64 = 1 << 20;

/// A piece that was filed.
#[derive(Clone, Debug)]
pub struct Filed {
    /// SHA-256 of the encrypted bytes.
    pub hash: Digest32,
    /// How many.
    pub bytes: u64,
    /// How many can open it.
    pub readers: usize,
}

/// Files what a file or a text holds.
pub(super) async fn add_from(
    api: &Api,
    keys: &Keys,
    of: &OfMilestone,
    file: Option<&Path>,
    text: Option<String>,
) -> Result<Filed> {
    let shown = match (file, text) {
        (Some(path), None) => read(path)?,
        (None, Some(text)) => Shown { name: String::new(), content: text.into_bytes() },
        _ => bail!("name a file, or give a --text"),
    };
    add(api, keys, of, &shown).await
}

/// Encrypts something to everybody who may read it now, uploads it and files it. Doing it again goes on from wherever it
/// stopped: the same content makes the same piece.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn add(api: &Api, keys: &Keys, of: &OfMilestone, shown: &Shown) -> Result<Filed> {
    let Matters { matter, .. } = Matters::read(api, of).await?;
    let me = api.client().author();
    let key = ContentKey::of(keys, matter, shown);
    let sealed = shown.seal(matter, me, &key);
    let bytes = u64::try_from(sealed.len())?;
    let hash = api.client().upload_evidence(matter, sealed, progress(bytes)).await?;
    // Before it is filed: whoever reads that it is there can open it.
    let readers = Matters::read(api, of).await?.readers()?;
    wrap(api, (keys, &key), (of, &matter.dispute.to_string(), hash), &readers).await?;
    let variables = json!({ "id": of.id, "milestone": of.milestone, "hash": hash.to_string(), "bytes": bytes });
    let declared = ("$hash: Hex32!, $bytes: Int!", "hash: $hash, bytes: $bytes");
    api.of_milestone("submitEvidence", declared, variables).await?;
    Ok(Filed { hash, bytes, readers: readers.len() })
}

/// Gives the key of all that you filed to readers who have none yet. Answers how many keys it gave.
///
/// # Errors
/// If the node refuses, with its code, or shows a key that does not open your own piece.
pub async fn share(api: &Api, keys: &Keys, of: &OfMilestone) -> Result<usize> {
    let matter = Matters::read(api, of).await?;
    share_shown(api, keys, of, &matter).await
}

/// The same of a dispute that was just read.
pub(super) async fn share_shown(api: &Api, keys: &Keys, of: &OfMilestone, matter: &Matters) -> Result<usize> {
    let me = api.client().author();
    let mut shared = 0;
    for piece in matter.shown["evidence"].as_array().into_iter().flatten() {
        let missing = keys_in(&piece["withoutKey"])?;
        if piece["by"] != me.to_string().as_str() || piece["kept"] != true || missing.is_empty() {
            continue;
        }
        let hash = piece["hash"].as_str().context("a piece has a hash")?.parse()?;
        let own = piece["key"].as_str().context("the node lost the key of your own evidence: add the file again")?;
        let key = ContentKey::unwrap(keys, me, own).context("the key of your own evidence")?;
        wrap(api, (keys, &key), (of, &matter.matter.dispute.to_string(), hash), &missing).await?;
        shared += missing.len();
    }
    Ok(shared)
}

async fn wrap(
    api: &Api,
    (keys, key): (&Keys, &ContentKey),
    (of, dispute, hash): (&OfMilestone, &str, Digest32),
    readers: &[NostrKey],
) -> Result<()> {
    let wrapped = |reader: &NostrKey| -> Result<Value> {
        Ok(json!({ "reader": reader.to_string(), "key": key.wrap(keys, *reader)? }))
    };
    let wrapped: Vec<Value> = readers.iter().map(wrapped).collect::<Result<_>>()?;
    let document = "mutation($id: UUID!, $dispute: UUID!, $hash: Hex32!, $keys: [WrappedKeyInput!]!) { \
        shareEvidence(id: $id, dispute: $dispute, hash: $hash, keys: $keys) }";
    let variables = json!({ "id": of.id, "dispute": dispute, "hash": hash.to_string(), "keys": wrapped });
    api.ask("shareEvidence", document, variables).await?;
    Ok(())
}

/// Fetches a piece and opens it.
///
/// # Errors
/// If you may not read it, have no key for it, or it was changed.
pub async fn get(api: &Api, keys: &Keys, of: &OfMilestone, hash: Digest32) -> Result<Shown> {
    let matter = Matters::read(api, of).await?;
    let piece = matter.piece(hash)?;
    let by: NostrKey = piece["by"].as_str().context("a piece has an author")?.parse()?;
    ensure!(piece["kept"] == true, "it was erased");
    let wrapped = piece["key"].as_str();
    let wrapped = wrapped.with_context(|| format!("{by} has not given you its key yet: ask for it, or wait"))?;
    let key = ContentKey::unwrap(keys, by, wrapped)?;
    let sealed = api.client().fetch_evidence(matter.matter, hash).await?;
    Ok(Shown::open(&sealed, matter.matter, by, &key)?)
}

/// Fetches a piece into a new file: this one, or one in the current folder that is named after it.
pub(super) async fn get_into(
    api: &Api,
    keys: &Keys,
    of: &OfMilestone,
    hash: Digest32,
    out: Option<&Path>,
) -> Result<PathBuf> {
    let shown = get(api, keys, of, hash).await?;
    let path = out.map_or_else(|| PathBuf::from(file_name(hash, &shown.name)), Path::to_owned);
    let context = || format!("cannot create {}", path.display());
    // Never over another file, whatever its author called it; and for its reader alone.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(context)?;
    file.write_all(&shown.content).with_context(context)?;
    Ok(path)
}

/// A file's name that leads nowhere else, with what its author called it.
fn file_name(hash: Digest32, name: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let short = &hash.to_string()[..8];
    let name: String = name.chars().map(sound).take(100).collect();
    if name.is_empty() { format!("evidence-{short}.txt") } else { format!("evidence-{short}-{name}") }
}

fn read(path: &Path) -> Result<Shown> {
    let context = || format!("cannot read {}", path.display());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ensure!(name.len() <= NAME_BYTES_MAX, "the file's name has more than {NAME_BYTES_MAX} bytes");
    let room = EVIDENCE_BYTES_MAX - OVERHEAD_BYTES - u64::try_from(name.len())?;
    let length = fs::metadata(path).with_context(context)?.len();
    ensure!(length <= room, "{} has {length} bytes; a piece of evidence has {room} at most", path.display());
    let mut content = Vec::new();
    File::open(path).with_context(context)?.take(room + 1).read_to_end(&mut content).with_context(context)?;
    ensure!(u64::try_from(content.len())? <= room, "{} grows", path.display());
    Ok(Shown { name, content })
}

/// Tells a person how far an upload is, each MiB.
#[allow(clippy::print_stderr, reason = "the standard output is the answer alone")]
fn progress(all: u64) -> Progress {
    let (told, interactive) = (AtomicU64::new(0), std::io::stderr().is_terminal() && all > MIB);
    Arc::new(move |gone| {
        if interactive && (gone == all || told.load(Ordering::Relaxed) + MIB <= gone) {
            told.store(gone, Ordering::Relaxed);
            let end = if gone == all { '\n' } else { '\r' };
            eprint!("{} of {} KiB uploaded{end}", gone >> 10, all >> 10);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        let hash = Digest32([0xab; 32]);
        assert_eq!(file_name(hash, "photo 1.jpg"), "evidence-abababab-photo_1.jpg");
        assert_eq!(file_name(hash, "../../.ssh/id"), "evidence-abababab-.._.._.ssh_id");
        assert_eq!(file_name(hash, ""), "evidence-abababab.txt");
        assert!(file_name(hash, &"ä".repeat(1_000)).len() < 130);
    }

    #[test]
    fn a_file_that_is_too_large_is_told_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let room = EVIDENCE_BYTES_MAX - OVERHEAD_BYTES - 5;
        File::create(&path).unwrap().set_len(room + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most"));
        File::create(&path).unwrap().set_len(room).unwrap();
        let shown = read(&path).unwrap();
        let keys = Keys::generate();
        let me = NostrKey::try_new(keys.public_key().to_bytes()).unwrap();
        let matter = tallystick_app::port::evidence::Matter {
            task: tallystick_core::Id::from_parts(1, [1; 10]),
            dispute: tallystick_core::Id::from_parts(2, [1; 10]),
        };
        let sealed = shown.seal(matter, me, &ContentKey::of(&keys, matter, &shown));
        assert_eq!(u64::try_from(sealed.len()).unwrap(), EVIDENCE_BYTES_MAX);
    }
}
