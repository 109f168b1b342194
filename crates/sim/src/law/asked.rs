//! Laws about what the app asks of the network.

use tallystick_core::BlockHeight;
use tallystick_escrow::TrancheState;

use super::{Evidence, short};
use crate::wire::Asked;

pub(super) fn asked(seen: &Evidence<'_>) -> Result<(), String> {
    seen.asked.iter().try_for_each(|asked| fits(seen, asked))
}

fn fits(seen: &Evidence<'_>, asked: &Asked) -> Result<(), String> {
    let part_of = |hash| {
        let (task, tranche) = seen.books.hashes.get(hash).copied()?;
        seen.books.tranches(task).get(tranche)
    };
    match asked {
        Asked::Invoice(request) => {
            let hash = short(&request.hash);
            let part = part_of(&request.hash).ok_or_else(|| format!("a hold invoice for {hash}, which is nobody's"))?;
            let should = part.hold().map_err(|error| error.to_string())?;
            if request.amount != should {
                return Err(format!("a hold invoice for {hash} of {}, and it must be {should}", request.amount));
            }
        }
        Asked::Pay(request) => {
            let begun = seen.books.begun.get(&request.id);
            let begun = begun.ok_or("a payout was asked for that no fact began".to_owned())?;
            let hash = short(&begun.hash);
            if request.bolt11 != begun.bolt11 {
                return Err(format!("the payout on {hash} goes to another invoice"));
            }
            if request.fee_limit.get() > begun.fee_max {
                return Err(format!("the payout on {hash} may cost {}, more than its fee", request.fee_limit));
            }
            let is_known = seen.paid_before.contains(&request.id);
            if !is_known && seen.lost_before.contains(&begun.hash) && request.begin_by != BlockHeight(0) {
                return Err(format!("a payout on {hash} may begin, though its hold is known to be lost"));
            }
        }
        Asked::Claim(hash) => {
            if !seen.books.paid.contains(hash) {
                return Err(format!("a claim on {}, and no fact says that its payee was paid", short(hash)));
            }
        }
        Asked::Cancel(hash) => {
            let current = part_of(hash).filter(|part| part.hash == *hash);
            if let Some(part) = current.filter(|part| {
                matches!(part.state, TrancheState::Held { .. } | TrancheState::Paying { covered: true, .. })
            }) {
                return Err(format!("the hold on {} is let go, and its tranche is {:?}", short(hash), part.state));
            }
        }
    }
    Ok(())
}

pub(super) fn violations(seen: &Evidence<'_>) -> Result<(), String> {
    // The hold may go in the very moment in which its payout is asked for, which is refused then. Whether the app knew of
    // it, `asked` looks at.
    let lost: Vec<String> =
        seen.rail.lost_holds().iter().map(|hash| format!("a payout on {hash} without a hold")).collect();
    match seen.rail.violations().into_iter().find(|violation| !lost.contains(violation)) {
        Some(violation) => Err(violation),
        None => Ok(()),
    }
}
