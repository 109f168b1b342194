//! All facts of a journal in a file, and back.

use anyhow::{Context, Result, ensure};
use rustix::fs::Mode;
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tallystick_app::{
    port::limits::PAGE_MAX,
    standing::{
        Book,
        export::{Export, Heading, line},
    },
};
use tallystick_civics::reputation::Limits;
use tallystick_core::Coded;

use crate::{config::Config, store};

/// Bytes of a line, at most: a body of a mebibyte, in hexadecimal, and its entry.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// `tally journal export`.
///
/// # Errors
/// If the journal cannot be read, or the file is there or cannot be written.
pub async fn export(data_dir: &Path, out: &Path) -> Result<()> {
    let config = Config::read(data_dir)?;
    let limits = config.standing.limits()?;
    let store = store::snapshot(&config).await?;
    let (facts, head) = store.head().await?;
    let mode = (Mode::RUSR | Mode::WUSR).bits();
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(out);
    let mut file = BufWriter::new(file.with_context(|| format!("cannot make {}", out.display()))?);
    writeln!(file, "{}", serde_json::to_string(&Heading::new(facts, head, &limits))?)?;
    let mut after = 0;
    while after < facts {
        let page = store.facts(after, PAGE_MAX).await?;
        after = page.last().with_context(|| format!("fact {} is missing", after + 1))?.seq;
        for fact in &page {
            writeln!(file, "{}", line(fact))?;
        }
    }
    let file = file.into_inner().context("cannot write the export")?;
    file.sync_all().context("cannot write the export")?;
    say!(
        "{facts} facts, the last with the hash {head}. The file says what all parties agreed on: it is not for strangers"
    );
    Ok(())
}

/// Makes the book of an export's facts, and the limits of the node that it is of.
///
/// # Errors
/// If the file is no export, or its facts are not one chain.
pub(super) fn read(path: &Path) -> Result<(Book, Limits)> {
    let name = || path.display().to_string();
    let coded = |code: tallystick_core::Code| format!("{} ({code})", name());
    let mut lines = Lines(BufReader::new(File::open(path).with_context(name)?));
    let first = lines.next()?.with_context(|| format!("{} is empty", name()))?;
    let mut export = Export::open(&first).map_err(|error| anyhow::anyhow!("{}: {error}", coded(error.code())))?;
    let mut book = Book::default();
    while let Some(text) = lines.next()? {
        let fact = export.read(&text).map_err(|error| anyhow::anyhow!("{}: {error}", coded(error.code())))?;
        book.take(&fact).with_context(name)?;
    }
    export.finish().map_err(|error| anyhow::anyhow!("{}: {error}", coded(error.code())))?;
    Ok((book, export.heading().limits()))
}

struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    /// The next line without its end; nothing at the end of the file.
    fn next(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        self.0.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        ensure!(line.pop() == Some('\n'), "a line is longer than {LINE_BYTES_MAX} bytes, or does not end");
        Ok(Some(line))
    }
}
