//! LDK's log lines, as `tracing` events.

use lightning::util::logger::{Level, Logger, Record};

/// Digits of a preimage in hexadecimal.
const PREIMAGE_DIGITS: usize = 64;

/// Hands LDK's log on, without preimages.
///
/// Below debug nothing passes: at trace LDK prints whole messages, and `update_fulfill_htlc` holds a preimage. From debug
/// up it names preimages as such (when it claims an HTLC, or claims it anew after a start): they are cut out.
#[derive(Debug)]
pub(crate) struct LdkLogger;

impl Logger for LdkLogger {
    fn log(&self, record: Record<'_>) {
        let Record { args, module_path, channel_id, .. } = record;
        let channel = channel_id.map(tracing::field::display);
        if matches!(record.level, Level::Gossip | Level::Trace) {
            return;
        }
        let text = without_preimages(args.to_string());
        match record.level {
            Level::Gossip | Level::Trace => {}
            Level::Debug => tracing::debug!(target: "ldk", module_path, channel, "{text}"),
            Level::Info => tracing::info!(target: "ldk", module_path, channel, "{text}"),
            Level::Warn => tracing::warn!(target: "ldk", module_path, channel, "{text}"),
            Level::Error => tracing::error!(target: "ldk", module_path, channel, "{text}"),
        }
    }
}

/// Cuts every run of hexadecimal digits as long as a preimage that follows the word.
fn without_preimages(text: String) -> String {
    let Some(word) = text.to_ascii_lowercase().find("preimage") else { return text };
    let (clean, suspect) = text.split_at(word);
    let mut result = clean.to_owned();
    let mut run = String::new();
    for character in suspect.chars().chain(['\0']) {
        if character.is_ascii_hexdigit() {
            run.push(character);
            continue;
        }
        result.push_str(if run.len() >= PREIMAGE_DIGITS { "[cut]" } else { &run });
        run.clear();
        result.push(character);
    }
    result.pop();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preimages_are_cut_and_hashes_stay() {
        let (hash, preimage) = ("ab".repeat(32), "CD".repeat(32));
        let line = format!("Claiming inbound HTLC id 0 with payment hash {hash} with preimage {preimage}");
        let expected = format!("Claiming inbound HTLC id 0 with payment hash {hash} with preimage [cut]");
        assert_eq!(without_preimages(line), expected);
        assert_eq!(without_preimages(format!("(preimage {preimage}) but")), "(preimage [cut]) but");
        assert_eq!(without_preimages(format!("PaymentPreimage({preimage})")), "PaymentPreimage([cut])");
        assert_eq!(without_preimages(format!("hash {hash}")), format!("hash {hash}"));
        assert_eq!(without_preimages("no preimage for dead beef é".into()), "no preimage for dead beef é");
    }
}
