//! The journal as everybody sees it, from a real node with real witnesses: proofs that a stranger checks, erasing, fsck,
//! and a node that was put back to an older state.

use anyhow::{Context, Result, ensure};
use bitcoin::consensus::serialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tally::demo::PASSPHRASE;
use tallystick_log::{SignedCheckpoint, VerifierKey, WitnessPolicy};
use tallystick_store::StoreStatus;

use crate::{
    driver::{Driver, End},
    mark::refuses,
    support::{Authenticator, BINARY, Theatre},
    witness::{Home, Running},
};

const PROOFS: &str = "query($id: UUID!) { task(id: $id) { proofs { seq kind bundle } } }";

/// A node whose checkpoints need two of three witnesses.
struct Scene {
    theatre: Theatre,
    log: VerifierKey,
    witnesses: Vec<(Home, Running)>,
}

fn tally(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(BINARY).args(arguments).output()?)
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

impl Scene {
    async fn open() -> Result<Self> {
        let mut theatre = Theatre::open(&[]).await?;
        let vkey = theatre.fetch("vkey").await?.context("a log has a key")?;
        let log = VerifierKey::parse(String::from_utf8(vkey)?.trim())?;
        let (mut witnesses, mut config) = (Vec::new(), "\n[anchor]\nfacts_max = 1\n\n[log]\n".to_owned());
        config += "interval_ms = 100\n";
        for n in 1..=3 {
            let home = Home::of(&format!("w.example/{n}"), log.name().as_str(), &log.to_vkey()).await?;
            let running = home.start("").await?.context("it lives")?;
            let vkey = home.vkey.to_vkey();
            config += &format!("[[log.witnesses]]\nurl = \"{}\"\nvkey = \"{vkey}\"\n", running.prefix);
            witnesses.push((home, running));
        }
        theatre.stage.platform.stop().await?;
        let file = theatre.stage.platform.dir().join("tally.toml");
        let before = fs::read_to_string(&file)?.replace("\n[log]\n", "\n");
        fs::write(&file, before + &config)?;
        theatre.stage.platform.start(&[]).await?;
        // What founded the node's roles is anchored, and the change has to be the wallet's again before anything is held.
        let stage = &theatre.stage;
        let sent = async || Ok(!stage.chain.rpc().get_raw_mempool().await?.is_empty());
        stage.until("the first anchor is sent", sent).await?;
        stage.mine(1).await?;
        Ok(Self { theatre, log, witnesses })
    }

    fn policy(&self) -> Result<WitnessPolicy> {
        Ok(WitnessPolicy::try_new(2, self.witnesses.iter().map(|(home, _)| home.vkey.clone()).collect())?)
    }

    /// The published checkpoint, once it holds so many facts.
    async fn checkpoint(&self, size: u64) -> Result<SignedCheckpoint> {
        let found = std::sync::Mutex::new(None);
        let until = async || {
            let Some(note) = self.theatre.fetch("checkpoint").await? else { return Ok(false) };
            let signed = SignedCheckpoint::parse(&note)?;
            self.policy()?.verify(signed.note())?;
            let there = signed.verify(&self.log)?.size() >= size;
            *found.lock().expect("one at a time") = Some(signed);
            Ok(there)
        };
        self.theatre.stage.until("a checkpoint is published", until).await?;
        found.into_inner()?.context("it was found")
    }

    /// A task's proofs, once all are there.
    async fn proofs(&self, id: &str) -> Result<Vec<Value>> {
        let ask = async || self.theatre.stage.requester.api.ask("task", PROOFS, json!({ "id": id })).await;
        let all =
            |task: &Value| task["proofs"].as_array().is_some_and(|all| all.iter().all(|one| !one["bundle"].is_null()));
        self.theatre.stage.until("all is published", async || Ok(all(&ask().await?))).await?;
        Ok(ask().await?["proofs"].as_array().cloned().unwrap_or_default())
    }

    fn verify(&self, file: &Path, more: &[&str]) -> Result<Output> {
        let (file, log) = (file.display().to_string(), self.log.to_vkey());
        let mut arguments = vec!["verify".to_owned(), file, "--log".to_owned(), log];
        for (home, _) in &self.witnesses {
            arguments.extend(["--witness".to_owned(), home.vkey.to_vkey()]);
        }
        arguments.extend(more.iter().map(ToString::to_string));
        tally(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Whoever says another height than the first header has is told which one it is.
    fn tells_the_first_height(&self, file: &Path, headers: &str) -> Result<()> {
        for from in ["1", "1000"] {
            let output = self.verify(file, &["--headers", headers, "--headers-from", from, "--network", "regtest"])?;
            let told = said(&output).contains("give --headers-from 0");
            ensure!(!output.status.success() && told, "{}", said(&output));
        }
        Ok(())
    }

    /// The first anchor's seal, and a folder with all anchors that count.
    fn anchors(&self, dir: &Path) -> Result<(String, PathBuf)> {
        let (data, folder) = (self.theatre.stage.platform.dir().display().to_string(), dir.join("anchors"));
        let status = said(&tally(&["anchor", "status", "--data-dir", &data])?);
        let genesis = status.lines().find_map(|line| line.strip_prefix("genesis ")).context("there are anchors")?;
        let out = folder.display().to_string();
        let export =
            |number: u64| tally(&["anchor", "export", &number.to_string(), "--data-dir", &data, "--out", &out]);
        let mut number = 1;
        while export(number)?.status.success() {
            number += 1;
        }
        ensure!(number > 1, "{status}");
        Ok((genesis.to_owned(), folder))
    }

    /// All headers of the chain, in a file.
    async fn headers(&self, dir: &Path) -> Result<PathBuf> {
        let rpc = self.theatre.stage.chain.rpc();
        let mut bytes = Vec::new();
        for height in 0..=rpc.get_block_count().await? {
            bytes.extend(serialize(&rpc.get_block_header(&rpc.get_block_hash(height).await?).await?.header));
        }
        let path = dir.join("headers");
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

impl Theatre {
    /// A file of the log; nothing if it is not there.
    async fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let url = self.stage.platform.url().replace("/graphql", &format!("/log/{path}"));
        let answer = reqwest::get(url).await?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(answer.error_for_status()?.bytes().await?.to_vec()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_checks_a_paid_task_with_files_alone() -> Result<()> {
    let scene = Scene::open().await?;
    let task = Driver::new(&scene.theatre.stage).run(End::Paid, &[10_000]).await?;
    let id = task["id"].as_str().context("a task has an id")?;
    let proofs = scene.proofs(id).await?;
    ensure!(proofs.len() >= 7, "{proofs:?}");
    let dir = tempfile::tempdir()?;
    let mut files = Vec::new();
    for proof in &proofs {
        let file = dir.path().join(format!("fact-{}.proof", proof["seq"]));
        fs::write(&file, proof["bundle"].as_str().context("a bundle")?)?;
        let output = scene.verify(&file, &[])?;
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(proof["kind"].as_str().context("a kind")?));
        files.push(file);
    }
    // Strangers see the log, and no contents.
    let seen = scene.theatre.stage.platform.operator().ask("task", PROOFS, json!({ "id": id })).await?;
    assert!(seen["proofs"].is_array(), "operators see them");
    let stranger = tally::ask::Api::new(&scene.theatre.stage.platform.url(), nostr::key::Keys::generate())?;
    assert!(stranger.ask("task", PROOFS, json!({ "id": id })).await?["proofs"].is_null());

    // Anything turned is refused, with a code and a word.
    let mut bytes = fs::read(&files[0])?;
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    let turned = dir.path().join("turned");
    fs::write(&turned, bytes)?;
    let output = scene.verify(&turned, &[])?;
    assert!(!output.status.success() && said(&output).contains("the bundle proves nothing"), "{}", said(&output));
    let other = scene.witnesses[0].0.vkey.to_vkey();
    let wrong = ["verify", &files[0].display().to_string(), "--log", &other].map(str::to_owned);
    assert!(
        !tally(&wrong.iter().map(String::as_str).collect::<Vec<_>>())?.status.success(),
        "another key than the log's"
    );

    // Once an anchor is six blocks deep, Bitcoin vouches for it too.
    let anchored = async || {
        scene.theatre.stage.mine(1).await?;
        let bundle = scene.proofs(id).await?[0]["bundle"].as_str().map(str::to_owned).context("a bundle")?;
        fs::write(&files[0], bundle)?;
        Ok(said(&scene.verify(&files[0], &[])?).contains("with the block at height "))
    };
    scene.theatre.stage.until("an anchor counts", anchored).await?;
    let headers = scene.headers(dir.path()).await?.display().to_string();
    let more = ["--headers", headers.as_str(), "--headers-from", "0", "--network", "regtest"];
    let output = scene.verify(&files[0], &more)?;
    assert!(output.status.success() && said(&output).contains("confirmations"), "{}", said(&output));
    assert!(said(&output).contains("not checked  whether"), "{}", said(&output));
    let mainnet = ["--headers", headers.as_str(), "--headers-from", "0"];
    let output = scene.verify(&files[0], &mainnet)?;
    assert!(!output.status.success() && said(&output).contains("anchor.too_easy"), "{}", said(&output));
    assert!(said(&output).contains("of the network bitcoin (--network)"), "{}", said(&output));

    scene.tells_the_first_height(&files[0], &headers)?;

    // The whole chain of anchors from its genesis on, and a block that is known.
    let (genesis, anchors) = scene.anchors(dir.path())?;
    let rpc = scene.theatre.stage.chain.rpc();
    let tip = rpc.get_block_hash(rpc.get_block_count().await?).await?.to_string();
    let chain = |genesis: &str, block: &str| {
        let folder = anchors.display().to_string();
        let own = ["--genesis", genesis, "--anchors", &folder, "--block", block];
        scene.verify(&files[0], &[&more[..], &own].concat())
    };
    let output = chain(&genesis, &tip)?;
    assert!(output.status.success(), "{}", said(&output));
    for words in ["one history  it is anchor", "it is not after the block of --block"] {
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    let (txid, vout) = genesis.split_once(':').context("an outpoint")?;
    let another = format!("{txid}:{}", vout.parse::<u32>()? + 1);
    let output = chain(&another, &tip)?;
    assert!(!output.status.success() && said(&output).contains("anchor.wrong_seal"), "{}", said(&output));
    let output = chain(&genesis, txid)?;
    assert!(!output.status.success() && said(&output).contains("anchor.other_chain"), "{}", said(&output));
    scene.theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_task_leaves_its_proofs_and_fsck_finds_what_was_not_told() -> Result<()> {
    let mut scene = Scene::open().await?;
    let task = Driver::new(&scene.theatre.stage).run(End::Cancelled, &[10_000]).await?;
    let id = task["id"].as_str().context("a task has an id")?.to_owned();
    let before = scene.proofs(&id).await?;
    let erase = "mutation($id: UUID!, $code: String!) { eraseTask(id: $id, secondFactor: { code: $code }) }";
    let refused =
        scene.theatre.stage.requester.api.ask("eraseTask", erase, json!({ "id": id, "code": "000000" })).await;
    assert!(format!("{:#}", refused.unwrap_err()).contains("auth.not_admin"));
    let admin = scene.theatre.stage.platform.operator();
    let authenticator = Authenticator::enrol(admin).await?;
    let seq = admin.ask("eraseTask", erase, json!({ "id": id, "code": authenticator.next() })).await?;
    let seq = seq.as_u64().context("the fact that tells of it")?;
    assert!(scene.theatre.stage.requester.api.task(&id).await?.is_null());
    scene.checkpoint(seq).await?;
    // What a party kept still proves it.
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("kept.proof");
    fs::write(&file, before[0]["bundle"].as_str().context("a bundle")?)?;
    assert!(scene.verify(&file, &[])?.status.success());

    let data = scene.theatre.stage.platform.dir().display().to_string();
    let key = scene.log.to_vkey();
    let kept = dir.path().join("kept.checkpoint");
    fs::write(&kept, scene.checkpoint(seq).await?.to_string())?;
    let kept = kept.display().to_string();
    let fsck = || tally(&["fsck", "--data-dir", &data, "--log", &key, "--checkpoint", &kept]);
    // While the node goes on, and afterwards.
    let sound = fsck()?;
    assert!(sound.status.success() && said(&sound).contains("sound"), "{}", said(&sound));
    let rebuild = || tally(&["store", "rebuild", "--data-dir", &data]);
    // Witnesses are those of the configuration, keys those of the seed.
    let plain = said(&tally(&["fsck", "--data-dir", &data])?);
    assert!(plain.contains("sound") && !plain.contains("cosigned") && plain.contains("who signed"), "{plain}");
    let passphrase = dir.path().join("passphrase");
    fs::write(&passphrase, PASSPHRASE)?;
    let passphrase = passphrase.display().to_string();
    let own = || tally(&["fsck", "--data-dir", &data, "--passphrase-file", &passphrase, "--checkpoint", &kept]);
    let all = said(&own()?);
    assert!(all.contains("sound") && !all.contains("not checked"), "{all}");
    assert!(!rebuild()?.status.success(), "the node runs");
    scene.theatre.stage.platform.stop().await?;
    let sound = fsck()?;
    assert!(sound.status.success() && said(&sound).contains("sound"), "{}", said(&sound));
    let journal = rusqlite::Connection::open(scene.theatre.stage.platform.dir().join("journal.sqlite"))?;
    let note: Vec<u8> = journal.query_row("SELECT published FROM log_state", [], |row| row.get(0))?;
    let alone = String::from_utf8(note.clone())?.lines().take(5).map(|line| format!("{line}\n")).collect::<String>();
    journal.execute("UPDATE log_state SET published = ?", [alone.into_bytes()])?;
    let uncosigned = own()?;
    assert!(!uncosigned.status.success() && said(&uncosigned).contains("fsck.log"), "{}", said(&uncosigned));
    journal.execute("UPDATE log_state SET published = ?", [note])?;
    journal.execute_batch(
        "UPDATE log_tiles SET hashes = zeroblob(length(hashes)); UPDATE tasks SET state = 'paid'; DELETE FROM read_models;
         INSERT INTO read_models VALUES ('tasks', 1); INSERT INTO log_tiles VALUES (0, 9, zeroblob(32))",
    )?;
    drop(journal);
    assert!(said(&fsck()?).contains("fsck.log"));
    let rebuilt = rebuild()?;
    assert!(rebuilt.status.success() && said(&rebuilt).contains("sound"), "{}", said(&rebuilt));
    assert!(fsck()?.status.success());
    changes_are_found(&scene.theatre.stage.platform.dir().join("journal.sqlite"), fsck)?;
    scene.theatre.stage.platform.start(&[]).await?;
    scene.theatre.close().await
}

/// A guard that is gone, and a fact that was changed: fsck names each. What was changed is put back: the stage's own end
/// needs a node that runs.
fn changes_are_found(journal: &Path, fsck: impl Fn() -> Result<Output>) -> Result<()> {
    const UNGUARD: &str = "DROP TRIGGER facts_stay_as_they_are";
    let of_kind = |kind: &str| format!("UPDATE facts SET kind = '{kind}' WHERE seq = 2");
    let open = || rusqlite::Connection::open(journal);
    let of_guard = "SELECT sql FROM sqlite_master WHERE name = 'facts_stay_as_they_are'";
    let guard: String = open()?.query_row(of_guard, [], |row| row.get(0))?;
    let kind: String = open()?.query_row("SELECT kind FROM facts WHERE seq = 2", [], |row| row.get(0))?;
    open()?.execute_batch(&format!("{UNGUARD}; {}", of_kind("escrow.other")))?;
    let found = || {
        let found = fsck()?;
        ensure!(!found.status.success(), "{}", said(&found));
        Ok(said(&found))
    };
    let unguarded = found()?;
    ensure!(unguarded.contains("facts_stay_as_they_are") && unguarded.contains("fsck.database"), "{unguarded}");
    open()?.execute_batch(&guard)?;
    let bad = found()?;
    ensure!(bad.contains("fact 2 does not match its hash (fsck.fact)"), "{bad}");
    open()?.execute_batch(&format!("{UNGUARD}; {}; {guard}", of_kind(&kind)))?;
    Ok(())
}

/// A journal that was put back to an older copy, with what the node knew of it, is told by its witnesses: the node ends
/// before it opens its channels.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_put_back_is_caught() -> Result<()> {
    let mut scene = Scene::open().await?;
    let first = scene.theatre.stage.post("Before the copy", &[10_000], "REFUND").await?;
    drop(first);
    let size = scene.checkpoint(1).await?.unverified().size();
    scene.theatre.stage.platform.stop().await?;
    let journal = scene.theatre.stage.platform.dir().join("journal.sqlite");
    let mark = scene.theatre.stage.platform.dir().join(tally::mark::FILE);
    let (copy, known) = (fs::read(&journal)?, fs::read(&mark)?);
    scene.theatre.stage.platform.start(&[]).await?;
    for _ in 0..3 {
        scene.theatre.stage.post("After the copy", &[10_000], "REFUND").await?;
    }
    let newest = scene.checkpoint(size + 3).await?.unverified().size();
    scene.theatre.stage.platform.stop().await?;
    let (newer, newest_known) = (fs::read(&journal)?, fs::read(&mark)?);
    let put = |bytes: &[u8]| -> Result<()> {
        for end in ["-wal", "-shm"] {
            let beside = PathBuf::from(format!("{}{end}", journal.display()));
            if beside.exists() {
                fs::remove_file(beside)?;
            }
        }
        fs::File::create(&journal)?.write_all(bytes)?;
        Ok(())
    };
    put(&copy)?;
    fs::write(&mark, known)?;
    refuses(&mut scene.theatre.stage.platform, &["knows a tree of", "put back to an older state"]).await?;

    // Nor if it went on before it could ask them, until it had more than they have seen.
    let config = scene.theatre.stage.platform.dir().join("tally.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.split("[[log.witnesses]]").next().context("there are witnesses")?)?;
    scene.theatre.stage.platform.start(&[]).await?;
    while StoreStatus::of_sqlite(&journal)?.facts <= newest + 5 {
        scene.theatre.stage.post("Another history", &[10_000], "REFUND").await?;
    }
    scene.theatre.stage.platform.stop().await?;
    fs::write(&config, text)?;
    refuses(&mut scene.theatre.stage.platform, &["that the", "do not begin with", "went on from there"]).await?;
    for (home, _) in &scene.witnesses {
        assert!(home.size().await? <= newest);
    }
    put(&newer)?;
    fs::write(&mark, newest_known)?;
    scene.theatre.stage.platform.start(&[]).await?;
    scene.theatre.close().await
}
