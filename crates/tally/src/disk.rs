//! Room on the disk. Whoever fills it stops the Lightning node while it holds money, so nothing new is begun in time.

use anyhow::{Context, Result};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::App;

/// Below so much free space nothing new is begun: 512 MiB. What has begun needs far less to come to its end.
const FREE_BYTES_MIN: u64 = 512 << 20;
/// How often it is looked at. Nobody can write as much as that through the API meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Tells the app whether the disk of a directory has room, from now on and for ever.
pub async fn watch(app: &App, dir: PathBuf) -> Infallible {
    let mut had_room = true;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let free = match look(dir.clone()).await {
            Ok(free) => free,
            // What was known last stands: a disk that is gone stops the node by itself.
            Err(error) => {
                tracing::error!("the free space of the disk is not known: {error:#}");
                continue;
            }
        };
        let room = free >= FREE_BYTES_MIN;
        app.set_room(room);
        if room != had_room {
            had_room = room;
            if room {
                tracing::info!(free, "the disk has room again");
            } else {
                tracing::error!(
                    free,
                    "the disk is almost full: no task is posted, taken or funded until there is room"
                );
            }
        }
    }
}

/// The free space in bytes, asked beside the runtime: a network's disk may take its time.
async fn look(dir: PathBuf) -> Result<u64> {
    tokio::task::spawn_blocking(move || free_bytes(&dir)).await?
}

/// What a user without privileges may still write.
fn free_bytes(dir: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_a_disk_and_a_missing_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        let error = free_bytes(&dir.path().join("gone")).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
