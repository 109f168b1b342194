//! `tally witness status` and `tally witness evidence`: read only, also while the witness runs.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tallystick_witness::{Evidence, OsFolder, Record, TrustedLog};

use super::{WitnessConfig, evidence_dir, records_dir};
use crate::{ask::print, cli::WitnessDir};

/// Shows the key, and for each log what was last cosigned.
///
/// # Errors
/// If a record is missing or damaged: all others are shown first.
pub(super) fn status(args: &WitnessDir) -> Result<()> {
    let config = WitnessConfig::read(&args.data_dir)?;
    let records = OsFolder::at(&records_dir(&args.data_dir));
    let evidence = Evidence::all(&OsFolder::at(&evidence_dir(&args.data_dir)))?;
    let (mut logs, mut bad) = (Vec::new(), 0);
    for log in &config.logs {
        let pieces = evidence.iter().filter(|(_, piece)| piece.as_ref().is_ok_and(|piece| piece.proves(log))).count();
        let mut shown = match Record::read(&records, log, &config.vkey) {
            Ok(Record::Fresh) => json!({ "size": 0, "checkpoint": null, "cosigned_at": null }),
            Ok(Record::Cosigned { checkpoint, time_s }) => {
                let size = checkpoint.unverified().size();
                json!({ "size": size, "checkpoint": checkpoint.to_string(), "cosigned_at": time_s })
            }
            Err(error) => {
                bad += 1;
                json!({ "error": error.to_string() })
            }
        };
        if let Value::Object(fields) = &mut shown {
            fields.insert("origin".to_owned(), log.origin().into());
            fields.insert("two_histories".to_owned(), pieces.into());
        }
        logs.push(shown);
    }
    print::pretty(&json!({ "vkey": config.vkey.to_vkey(), "listen": config.listen, "logs": logs }))?;
    ensure!(bad == 0, "{bad} records are not in order");
    Ok(())
}

/// Shows all evidence, each piece with the word whether it proves what it says.
///
/// # Errors
/// If a piece cannot be read: all others are shown first.
pub(super) fn evidence(args: &WitnessDir) -> Result<()> {
    let config = WitnessConfig::read(&args.data_dir)?;
    let mut bad = 0;
    for (file, piece) in Evidence::all(&OsFolder::at(&evidence_dir(&args.data_dir)))? {
        match piece {
            Ok(piece) => print::pretty(&shown(&config.logs, &file, &piece)?)?,
            Err(error) => {
                bad += 1;
                print::pretty(&json!({ "file": file, "error": error.to_string() }))?;
            }
        }
    }
    ensure!(bad == 0, "{bad} pieces of evidence cannot be read");
    Ok(())
}

fn shown(logs: &[TrustedLog], file: &str, piece: &Evidence) -> Result<Value> {
    let log = logs.iter().find(|log| log.origin() == piece.origin);
    let verdict = match log {
        Some(log) if piece.proves(log) => "the log signed two trees of one size",
        Some(_) => "it proves nothing: a signature is missing, or the trees are the same",
        None => "the log is not configured any more: its signatures were not checked",
    };
    let mut shown = serde_json::to_value(piece)?;
    if let Value::Object(fields) = &mut shown {
        fields.insert("file".to_owned(), file.into());
        fields.insert("verdict".to_owned(), verdict.into());
    }
    Ok(shown)
}
