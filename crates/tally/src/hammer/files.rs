//! The log's files, as anybody can fetch them.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tallystick_graphql::client::Client;
use tallystick_log::{
    ENTRY_BYTES_MAX, HASH_BYTES, LogError, LogPath, NOTE_BYTES_MAX, ProveError, TILE_WIDTH, TileId, parse_tile,
};

use super::{Violation, numbers::Numbers};

/// For how long a file is asked for again when the node does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A tile that has to be fetched first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing(TileId);

/// Fetches the log's files; tiles once.
pub(super) struct Files {
    client: Client,
    numbers: Arc<Numbers>,
    tiles: BTreeMap<TileId, Vec<u8>>,
}

impl Files {
    pub fn new(client: Client, numbers: Arc<Numbers>) -> Self {
        Self { client, numbers, tiles: BTreeMap::new() }
    }

    /// The published checkpoint as it is; nothing before the first.
    pub async fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        self.get(&path(LogPath::Checkpoint), NOTE_BYTES_MAX).await
    }

    /// The entries below a tile of level 0.
    pub async fn entries(&self, id: TileId) -> Result<Vec<u8>> {
        self.must(LogPath::Entries(id), usize::from(TILE_WIDTH) * (ENTRY_BYTES_MAX + 2)).await
    }

    /// The bytes of a tile.
    pub async fn tile(&mut self, id: TileId) -> Result<Vec<u8>> {
        if let Some(bytes) = self.tiles.get(&id) {
            return Ok(bytes.clone());
        }
        let bytes = self.must(LogPath::Tile(id), usize::from(TILE_WIDTH) * HASH_BYTES).await?;
        self.tiles.insert(id, bytes.clone());
        Ok(bytes)
    }

    /// Computes something from tiles, fetching those that it asks for between tries: what computes does not wait.
    ///
    /// # Errors
    /// [`Violation::Missing`] if the node does not serve a tile, [`Violation::Tiles`] if one is none.
    pub async fn compute_from<T>(
        &mut self,
        size: u64,
        compute: impl Fn(&mut dyn FnMut(TileId) -> Result<Vec<u8>, Missing>) -> Result<T, ProveError<Missing>>,
    ) -> Result<T> {
        loop {
            let tried = {
                let mut read = |id: TileId| self.tiles.get(&id).cloned().ok_or(Missing(id));
                compute(&mut read)
            };
            match tried {
                Ok(computed) => return Ok(computed),
                Err(ProveError::Log(why)) => return Err(Violation::Tiles { size, why }.into()),
                Err(ProveError::Read(Missing(id))) => {
                    let bytes = self.tile(id).await?;
                    parse_tile(id, &bytes).map_err(|why: LogError| Violation::Tiles { size, why })?;
                }
            }
        }
    }

    /// Forgets tiles that will have grown, or all of them.
    pub fn forget(&mut self, all: bool) {
        self.tiles.retain(|id, _| id.is_full() && !all);
    }

    async fn must(&self, file: LogPath, bytes_max: usize) -> Result<Vec<u8>> {
        let path = path(file);
        Ok(self.get(&path, bytes_max).await?.ok_or(Violation::Missing { path })?)
    }

    async fn get(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>> {
        let start = Instant::now();
        loop {
            match self.client.file(path, bytes_max).await {
                Ok(file) => return Ok(file),
                Err(error) if ["client.unreachable", "client.file"].contains(&error.code.as_str()) => {
                    self.numbers.refused(&error.code);
                    if start.elapsed() > PATIENCE {
                        return Err(error).with_context(|| format!("{path} cannot be fetched"));
                    }
                }
                Err(error) => return Err(error).with_context(|| format!("{path} cannot be fetched")),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn path(file: LogPath) -> String {
    format!("/log/{file}")
}
