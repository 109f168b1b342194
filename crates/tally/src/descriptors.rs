//! File descriptors. Each connection takes one, whoever opened it; a process without a free one cannot ask for blocks.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that is asked of a system that would give more.
const LIMIT_MAX: u64 = 65_536;
/// What databases, the log, Bitcoin Core and the runtime take, with plenty to spare.
const RESERVE: usize = 1_000;

/// Raises this process's limit as far as it may, so that strangers' connections never take the last descriptor.
///
/// # Errors
/// If so many connections and the reserve do not fit below the limit that the system sets.
pub fn make_room(connections_max: usize) -> Result<()> {
    let needed = u64::try_from(connections_max.saturating_add(RESERVE))?;
    let limit = getrlimit(Resource::Nofile);
    let current = raised(&limit, needed)?;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).context("the limit of open files cannot be raised")
}

/// The soft limit to be set; `None` is no limit.
fn raised(limit: &Rlimit, needed: u64) -> Result<Option<u64>> {
    let Some(soft) = limit.current else { return Ok(None) };
    let soft = soft.max(limit.maximum.unwrap_or(LIMIT_MAX).min(LIMIT_MAX));
    ensure!(
        soft >= needed,
        "the system lets this process have {soft} files open, and its connections may need {needed}: raise the hard \
         limit (LimitNOFILE of a systemd unit, `ulimit -Hn` of a shell)"
    );
    Ok(Some(soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_soft_limit_is_raised() {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(1_024), maximum: hard }).unwrap();
        make_room(1_000).unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current.is_none_or(|soft| soft >= 2_000), "{limit:?}");
        assert_eq!(limit.maximum, hard);
    }

    #[test]
    fn as_much_as_there_may_be_and_no_less_than_is_needed() {
        let raised = |current, maximum| raised(&Rlimit { current, maximum }, 4_000);
        assert_eq!(raised(Some(1_024), Some(4_096)).unwrap(), Some(4_096));
        assert_eq!(raised(Some(1_024), None).unwrap(), Some(LIMIT_MAX));
        assert_eq!(raised(Some(1_024), Some(1 << 20)).unwrap(), Some(LIMIT_MAX));
        assert_eq!(raised(Some(1 << 20), Some(1 << 20)).unwrap(), Some(1 << 20), "what is higher already stays");
        assert_eq!(raised(None, None).unwrap(), None);
        let error = raised(Some(1_024), Some(2_048)).unwrap_err().to_string();
        assert!(error.contains("2048") && error.contains("4000"), "{error}");
    }
}
