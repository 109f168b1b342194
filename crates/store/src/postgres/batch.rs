//! Everything that a batch must know, read in one round trip after the head is locked.

use std::collections::BTreeSet;
use tallystick_app::port::journal::StoreError;
use tokio_postgres::Error;

use crate::chain::{self, Head};
use crate::postgres::error::{OrStore, Result, column, digest, unsigned};
use crate::postgres::plan::{Effect, Found, Work};
use crate::postgres::schema::BEGIN;
use crate::postgres::session::{Connected, Failure};

/// What the jobs of a batch ask for, each once.
#[derive(Default)]
struct Asked<'a> {
    streams: BTreeSet<&'a str>,
    names: BTreeSet<(&'a str, &'a [u8])>,
    keys: BTreeSet<&'a str>,
    requests: BTreeSet<&'a [u8]>,
    erased: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn by(works: impl IntoIterator<Item = &'a Work>) -> Self {
        let mut asked = Self::default();
        for work in works {
            match work {
                Work::Append(prepared) => {
                    let append = &prepared.append;
                    asked.streams.insert(&append.stream);
                    asked.erased = append.erases.as_ref().map(|erasure| erasure.stream.as_str());
                    asked.streams.extend(asked.erased);
                    asked.names.extend(append.reservations.iter().map(|name| (name.space, name.name.as_slice())));
                    asked.keys.extend(append.effects.iter().map(|effect| effect.key.as_str()));
                    asked.keys.extend(append.finishes.iter().map(String::as_str));
                }
                Work::Defer { key, .. } | Work::Finish { key } => {
                    asked.keys.insert(key);
                }
                Work::Admit { request, .. } => {
                    asked.requests.insert(&request.0);
                }
                Work::Clear | Work::Show(_) | Work::SetFormat(_) => {}
            }
        }
        asked
    }
}

/// Begins a transaction, locks the head and reads what the batch asks for. `known` is the last fact that this process
/// has seen committed.
pub(crate) async fn begin<'a>(
    connected: &Connected,
    works: impl IntoIterator<Item = &'a Work>,
    known: Head,
) -> Result<(Head, Found<'a>), Failure> {
    let asked = Asked::by(works);
    let streams: Vec<&str> = asked.streams.into_iter().collect();
    let (spaces, names): (Vec<&str>, Vec<&[u8]>) = asked.names.into_iter().unzip();
    let keys: Vec<&str> = asked.keys.into_iter().collect();
    let requests: Vec<&[u8]> = asked.requests.into_iter().collect();
    let erased = asked.erased;
    let known_seq = crate::postgres::error::signed(known.seq);

    let (client, prepared) = (&connected.client, &connected.statements);
    // Sent in this order, all at once. Each sees what was committed before it ran: so all after `lock` see what the
    // last writer left.
    let read = tokio::try_join!(
        biased;
        client.batch_execute(BEGIN),
        client.query_opt(&prepared.lock, &[]),
        async { client.query(&prepared.ends, &[&known_seq]).await },
        some(!streams.is_empty(), async { client.query(&prepared.versions, &[&streams]).await }),
        some(!names.is_empty(), async { client.query(&prepared.holders, &[&spaces, &names]).await }),
        some(!keys.is_empty(), async { client.query(&prepared.effects, &[&keys]).await }),
        some(!requests.is_empty(), async { client.query(&prepared.seen, &[&requests]).await }),
        some(erased.is_some(), async { client.query(&prepared.under_way, &[&erased]).await }),
    );
    let ((), head, ends, versions, holders, effects, seen, under_way) = read.map_err(|error| Failure::of(&error))?;
    let head = head.ok_or_else(chain::no_head).and_then(|row| head_of(&row, 0)).map_err(Failure::Fatal)?;
    check_ends(&ends, head, known).map_err(Failure::Fatal)?;

    let mut found = Found { under_way: !under_way.is_empty(), ..Found::default() };
    let mut fill = || {
        for row in &versions {
            let stream: String = column(row, 0)?;
            if column(row, 2)? {
                found.erased.insert(stream.clone());
            }
            found.versions.insert(stream, unsigned(row, 1)?);
        }
        for row in &holders {
            found.holders.insert((column(row, 0)?, column(row, 1)?), column(row, 2)?);
        }
        for row in &effects {
            let (due, attempts, finished) = (column(row, 1)?, column(row, 2)?, column(row, 3)?);
            found.effects.insert(column(row, 0)?, Effect { due, attempts, finished, ..Effect::default() });
        }
        for row in &seen {
            found.seen.insert(digest(row, 0)?, column(row, 1)?);
        }
        Ok(())
    };
    fill().map_err(Failure::Fatal)?;
    Ok((head, found))
}

/// Runs a query, or answers no rows without sending anything.
pub(crate) async fn some<T: Default>(wanted: bool, query: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if wanted { query.await } else { Ok(T::default()) }
}

fn head_of(row: &tokio_postgres::Row, first: usize) -> Result<Head> {
    Ok(Head { seq: unsigned(row, first)?, hash: digest(row, first + 1)? })
}

/// The chain must end where the head says, and still hold the last fact that this process knows of. One that does not
/// is another history: a copy that was behind has taken over, or an old backup was put back.
fn check_ends(ends: &[tokio_postgres::Row], written: Head, known: Head) -> Result<()> {
    let (mut end, mut same) = (Head::START, Head::START);
    for row in ends {
        let found = head_of(row, 1)?;
        if column::<i32>(row, 0)? == 1 { same = found } else { end = found }
    }
    chain::check_end(end, written)?;
    if same == known {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "fact {} ({}) was acknowledged and is not there any more: the database was put back to an older state, or a \
         standby that was behind has taken over",
        known.seq, known.hash
    )))
}

/// Whether a fact is in the journal, asked when nobody who was writing it can be under way any more: the head is
/// locked first. It may have been committed without its synchronous standby, as when the server stopped in between; so a
/// write is committed after it, which waits for the standby to have both.
pub(crate) async fn is_kept(connected: &Connected, fact: Head) -> Result<bool> {
    let (client, prepared) = (&connected.client, &connected.statements);
    client.batch_execute(BEGIN).await.or_store()?;
    client.query_opt(&prepared.lock, &[]).await.or_store()?;
    let rows = client.query(&prepared.ends, &[&crate::postgres::error::signed(fact.seq)]).await.or_store()?;
    for row in &rows {
        if column::<i32>(row, 0)? == 1 && head_of(row, 1)? == fact {
            client.batch_execute("UPDATE head SET seq = seq").await.or_store()?;
            return client.commit().await.map(|()| true);
        }
    }
    client.batch_execute("ROLLBACK").await.or_store()?;
    Ok(false)
}
