//! `[standing]`: how much each key may have open; `tally standing`, `tally anomalies` and `tally journal export`.

mod answer;
mod export;

pub use export::export;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tallystick_app::{App, Clock as _, SystemClock};
use tallystick_civics::reputation::{Limits, Role};
use tallystick_core::{Coded, Sat, Timestamp};

use crate::{
    ask::{connect, print},
    cli::{AnomaliesArgs, Side, StandingArgs},
};

const STANDING: &str = "query($key: NostrKey!, $role: TaskRole!) { standing(key: $key, role: $role) { key role seq at score \
    terms { name points why facts } tier cutBy endedWellSat openLimitSat tasksLimit openSat openTasks \
    badges { name facts } } }";
const ANOMALIES: &str = "{ anomalies { kind who evidence sentence strength } }";

/// How much each key may have open at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandingSection {
    /// Whether anybody is held to it.
    pub enforce: bool,
    /// The most sat, by tier.
    pub open_sat: Option<[u64; 4]>,
    /// The most tasks, by tier.
    pub open_tasks: Option<[u32; 4]>,
    /// Nor more than so many times what ended well lately.
    pub factor: Option<u32>,
}

impl Default for StandingSection {
    fn default() -> Self {
        Self { enforce: true, open_sat: None, open_tasks: None, factor: None }
    }
}

impl StandingSection {
    /// The limits, checked; enforced or not.
    ///
    /// # Errors
    /// If a number is out of range, or two contradict each other.
    pub fn limits(&self) -> Result<Limits> {
        let Limits { mut open, tasks, factor } = Limits::default();
        if let Some(sats) = self.open_sat {
            for (limit, sat) in open.iter_mut().zip(sats) {
                *limit = Sat::try_new(sat).context("[standing] open_sat")?;
            }
        }
        let tasks = self.open_tasks.unwrap_or(tasks);
        let limits = Limits { open, tasks, factor: self.factor.unwrap_or(factor) };
        limits.check().context("[standing]")?;
        Ok(limits)
    }

    /// The limits that everybody is held to, if anybody is.
    ///
    /// # Errors
    /// As [`Self::limits`].
    pub fn enforced(&self) -> Result<Option<Limits>> {
        self.enforce.then(|| self.limits()).transpose()
    }
}

/// Reads the journal's facts for standings, so that whoever asks first need not wait for it.
pub(crate) async fn read(app: App) {
    match app.read_standings().await {
        Ok(facts) => tracing::info!(facts, "standings are made"),
        Err(error) => tracing::error!(code = %error.code(), "standings cannot be made: {error}"),
    }
}

/// `tally standing`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached; if the file is no export.
pub async fn tell(args: StandingArgs) -> Result<()> {
    let roles = match args.role {
        Some(side) => vec![side],
        None => vec![Side::Requester, Side::Worker],
    };
    let mut told = Vec::new();
    if let Some(file) = &args.from {
        let (book, limits) = export::read(file)?;
        for side in roles {
            let known = book.about(args.who, role(side), time(args.at)).standing(&limits)?;
            told.push(answer::standing(&known));
        }
    } else {
        let api = connect(&args.access)?;
        for side in roles {
            let variables = json!({ "key": args.who, "role": answer::role_name(role(side)) });
            told.push(api.ask("standing", STANDING, variables).await?);
        }
    }
    print::until_closed(if args.json {
        print::pretty(&json!(told))
    } else {
        told.iter().map(answer::in_words).try_for_each(|text| print::line(text?))
    })
}

/// `tally anomalies`.
///
/// # Errors
/// As [`tell`].
pub async fn anomalies(args: AnomaliesArgs) -> Result<()> {
    let flags = match &args.from {
        Some(file) => {
            json!(export::read(file)?.0.all(time(args.at)).odd()?.iter().map(answer::flag).collect::<Vec<Value>>())
        }
        None => connect(&args.access)?.ask("anomalies", ANOMALIES, json!({})).await?,
    };
    print::until_closed(if args.json { print::pretty(&flags) } else { print::line(answer::flags_in_words(&flags)?) })
}

fn time(at: Option<u64>) -> Timestamp {
    at.map_or_else(|| SystemClock.now(), Timestamp::from_secs)
}

fn role(side: Side) -> Role {
    match side {
        Side::Requester => Role::Requester,
        Side::Worker => Role::Worker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_on_unless_turned_off_and_nonsense_is_refused() {
        let section: StandingSection = toml::from_str("").unwrap();
        assert_eq!(section.enforced().unwrap(), Some(Limits::default()));
        let off: StandingSection = toml::from_str("enforce = false").unwrap();
        assert_eq!(off.enforced().unwrap(), None);
        let own: StandingSection =
            toml::from_str("open_sat = [1, 2, 3, 4]\nopen_tasks = [5, 5, 6, 7]\nfactor = 1").unwrap();
        let own = own.enforced().unwrap().unwrap();
        assert_eq!((own.open.map(Sat::get), own.tasks, own.factor), ([1, 2, 3, 4], [5, 5, 6, 7], 1));
        for bad in [
            "open_sat = [2, 1, 3, 4]",
            "open_tasks = [0, 1, 2, 3]",
            "factor = 0",
            "open_sat = [1, 2, 3, 9999999999999999]",
        ] {
            assert!(toml::from_str::<StandingSection>(bad).unwrap().limits().is_err(), "{bad}");
        }
        assert!(toml::from_str::<StandingSection>("open_sat = [1]").is_err());
        assert!(toml::from_str::<StandingSection>("limit = 1").is_err());
    }
}
