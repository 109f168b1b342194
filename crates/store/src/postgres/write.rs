//! A plan as a few statements over whole sets.

use tallystick_app::port::journal::Erasure;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::columns::{self, BodyColumns};
use crate::postgres::batch::some;
use crate::postgres::error::signed;
use crate::postgres::plan::{Effect, Plan};
use crate::postgres::session::Connected;

/// A value that is bound.
type Value<'a> = &'a (dyn ToSql + Sync);

/// Writes everything in the transaction under way, without committing it: a COMMIT that was sent along would also
/// commit what is left when one statement could not even be sent.
pub(crate) async fn write(connected: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    // The driver sends them in this order, all at once: authorities go before the facts that name them.
    tokio::try_join!(
        biased;
        authorities(connected, plan),
        facts(connected, plan),
        reservations(connected, plan),
        new_effects(connected, plan),
        changed_effects(connected, plan),
        requests(connected, plan),
        read_models(connected, plan),
        erasure(connected, plan),
    )?;
    Ok(())
}

/// After all else: what is erased has no row any more.
async fn erasure(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let Some(Erasure { stream, task, .. }) = plan.erases else { return Ok(()) };
    let task = Uuid::from_bytes(*task.as_bytes());
    let (stream, task): (&[Value<'_>], &[Value<'_>]) = (&[stream], &[&task]);
    tokio::try_join!(
        biased;
        client.execute(&statements.erase_authorities, stream),
        client.execute(&statements.erase_bodies, stream),
        client.execute(&statements.erase_effects, stream),
        client.execute(&statements.hide, task),
    )?;
    Ok(())
}

async fn authorities(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    if plan.authorities.is_empty() {
        return Ok(());
    }
    let (digests, bytes): (Vec<&[u8]>, Vec<&[u8]>) =
        plan.authorities.iter().map(|(digest, bytes)| (digest.0.as_slice(), *bytes)).unzip();
    client.execute(&statements.add_authorities, &[&digests, &bytes]).await?;
    Ok(())
}

async fn facts(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let facts = &plan.facts;
    if facts.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = facts.iter().map(|fact| signed(fact.seq)).collect();
    let streams: Vec<&str> = facts.iter().map(|fact| fact.stream.as_str()).collect();
    let versions: Vec<i64> = facts.iter().map(|fact| signed(fact.version)).collect();
    let kinds: Vec<&str> = facts.iter().map(|fact| fact.kind.as_str()).collect();
    let bodies: Vec<BodyColumns<'_>> = facts.iter().map(|fact| columns::of_body(&fact.body)).collect();
    let contents: Vec<Option<&[u8]>> = bodies.iter().map(|body| body.0).collect();
    let commitments: Vec<Option<&[u8]>> = bodies.iter().map(|body| body.1).collect();
    let salts: Vec<Option<&[u8]>> = bodies.iter().map(|body| body.2).collect();
    let authorities: Vec<&[u8]> = facts.iter().map(|fact| fact.authority.0.as_slice()).collect();
    let times: Vec<i64> = facts.iter().map(|fact| signed(fact.recorded_at.as_millis())).collect();
    let heights: Vec<i64> = facts.iter().map(|fact| i64::from(fact.height.0)).collect();
    let prevs: Vec<&[u8]> = facts.iter().map(|fact| fact.prev.0.as_slice()).collect();
    let hashes: Vec<&[u8]> = facts.iter().map(|fact| fact.hash.0.as_slice()).collect();
    let (seq, hash) = (signed(plan.head.seq), plan.head.hash.0.as_slice());
    let text = seq.to_string();
    let columns: &[Value<'_>] = &[
        &seqs,
        &streams,
        &versions,
        &kinds,
        &contents,
        &commitments,
        &salts,
        &authorities,
        &times,
        &heights,
        &prevs,
        &hashes,
    ];
    let (head, told): (&[Value<'_>], &[Value<'_>]) = (&[&seq, &hash], &[&text]);
    tokio::try_join!(
        biased;
        client.execute(&statements.add_facts, columns),
        client.execute(&statements.set_head, head),
        client.query(&statements.notify, told),
    )?;
    Ok(())
}

async fn reservations(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    if plan.reserved.is_empty() {
        return Ok(());
    }
    let spaces: Vec<&str> = plan.reserved.iter().map(|reserved| reserved.0).collect();
    let names: Vec<&[u8]> = plan.reserved.iter().map(|reserved| reserved.1).collect();
    let streams: Vec<&str> = plan.reserved.iter().map(|reserved| reserved.2).collect();
    client.execute(&statements.reserve, &[&spaces, &names, &streams]).await?;
    Ok(())
}

async fn new_effects(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let effects = plan.added.iter().filter_map(|key| plan.effect(key));
    let new: Vec<_> = effects.filter_map(|effect| Some((effect, effect.new?))).collect();
    if new.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = new.iter().map(|(_, (_, new))| new.key.as_str()).collect();
    let streams: Vec<&str> = new.iter().map(|(_, (stream, _))| *stream).collect();
    let bodies: Vec<&[u8]> = new.iter().map(|(_, (_, new))| new.body.as_slice()).collect();
    let (dues, attempts, ends) = columns(new.iter().map(|(effect, _)| *effect));
    client.execute(&statements.add_effects, &[&keys, &streams, &bodies, &dues, &attempts, &ends]).await?;
    Ok(())
}

async fn changed_effects(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let (keys, effects): (Vec<&str>, Vec<&Effect<'_>>) = plan.changed().unzip();
    if keys.is_empty() {
        return Ok(());
    }
    let (dues, attempts, ends) = columns(effects.into_iter());
    client.execute(&statements.change_effects, &[&keys, &dues, &attempts, &ends]).await?;
    Ok(())
}

fn columns<'a>(effects: impl Iterator<Item = &'a Effect<'a>>) -> (Vec<i64>, Vec<i64>, Vec<bool>) {
    let (mut dues, mut attempts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for effect in effects {
        dues.push(effect.due);
        attempts.push(effect.attempts);
        ends.push(effect.finished);
    }
    (dues, attempts, ends)
}

async fn requests(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let Some((before, count)) = plan.purge else { return Ok(()) };
    let (ids, untils): (Vec<&[u8]>, Vec<i64>) =
        plan.admitted.iter().map(|(id, until)| (id.0.as_slice(), *until)).unzip();
    let (seen, old): (&[Value<'_>], &[Value<'_>]) = (&[&ids, &untils], &[&before, &count]);
    tokio::try_join!(
        biased;
        some(!ids.is_empty(), client.execute(&statements.see, seen)),
        client.execute(&statements.purge, old),
    )?;
    Ok(())
}

async fn read_models(Connected { client, statements }: &Connected, plan: &Plan<'_>) -> Result<(), Error> {
    let rows: Vec<_> = plan.rows.values().collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| Uuid::from_bytes(*row.id.as_bytes())).collect();
    let versions: Vec<i64> = rows.iter().map(|row| signed(row.version)).collect();
    let states: Vec<&str> = rows.iter().map(|row| &*row.state).collect();
    let requesters: Vec<Vec<u8>> = rows.iter().map(|row| row.requester.to_bytes().to_vec()).collect();
    let workers: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.worker.map(|key| key.to_bytes().to_vec())).collect();
    let times: Vec<Option<i64>> = rows.iter().map(|row| row.wake_at.map(|time| signed(time.as_millis()))).collect();
    let heights: Vec<Option<i64>> = rows.iter().map(|row| row.wake_height.map(|height| i64::from(height.0))).collect();
    let views: Vec<&str> = rows.iter().map(|row| row.view.as_str()).collect();
    let format = i64::from(plan.format.unwrap_or_default());
    let columns: &[Value<'_>] = &[&ids, &versions, &states, &requesters, &workers, &times, &heights, &views];
    let shown: &[Value<'_>] = &[&format];
    tokio::try_join!(
        biased;
        some(plan.clear, client.execute(&statements.clear, &[])),
        some(!rows.is_empty(), client.execute(&statements.show, columns)),
        some(plan.format.is_some(), client.execute(&statements.set_format, shown)),
    )?;
    Ok(())
}
