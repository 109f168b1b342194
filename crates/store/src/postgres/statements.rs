//! What the writer's connection has prepared.

use tokio_postgres::{Client, Error, Statement};

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        /// The writer's statements, each prepared once for a connection.
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: Statement,)*
        }

        impl Statements {
            /// Prepares all of them.
            pub(crate) async fn prepare(client: &Client) -> Result<Self, Error> {
                $(let $name = client.prepare($sql).await?;)*
                Ok(Self { $($name,)* })
            }
        }
    };
}

statements! {
    /// Takes the head: whoever has it is the only one to write, until the transaction ends.
    lock = "SELECT seq, hash FROM head WHERE one = 1 FOR UPDATE";
    /// One fact by its number, then the last of all.
    ends = "(SELECT 1, seq, hash FROM facts WHERE seq = $1)
        UNION ALL (SELECT 2, seq, hash FROM facts ORDER BY seq DESC LIMIT 1)";
    /// Of streams that are there: their versions, and whether they were erased.
    versions = "SELECT s, last.version, last.erased FROM unnest($1::text[]) AS s CROSS JOIN LATERAL
        (SELECT version, body IS NULL AS erased FROM facts WHERE stream = s ORDER BY version DESC LIMIT 1) AS last";
    holders = "SELECT r.space, r.name, r.stream FROM unnest($1::text[], $2::bytea[]) AS a (space, name)
        JOIN reservations r ON r.space = a.space AND r.name = a.name";
    effects = "SELECT key, due, attempts, finished FROM outbox WHERE key = ANY ($1::text[])";
    under_way = "SELECT 1 FROM outbox WHERE stream = $1 AND NOT finished LIMIT 1";
    seen = "SELECT id, forget_after FROM seen_requests WHERE id = ANY ($1::bytea[])";

    add_authorities = "INSERT INTO authorities (digest, bytes) SELECT * FROM unnest($1::bytea[], $2::bytea[])
        ON CONFLICT DO NOTHING";
    add_facts = "INSERT INTO facts (seq, stream, version, kind, body, commitment, salt, authority, recorded_at, height,
            prev, hash)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[],
            $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[], $12::bytea[])";
    set_head = "UPDATE head SET seq = $1, hash = $2 WHERE one = 1";
    reserve = "INSERT INTO reservations (space, name, stream)
        SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[])";
    add_effects = "INSERT INTO outbox (key, stream, body, due, attempts, finished)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::boolean[])";
    change_effects = "UPDATE outbox SET due = c.due, attempts = c.attempts, finished = c.finished,
        claimed_until = 0
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[]) AS c (key, due, attempts, finished)
        WHERE outbox.key = c.key";
    see = "INSERT INTO seen_requests (id, forget_after) SELECT * FROM unnest($1::bytea[], $2::bigint[])
        ON CONFLICT (id) DO UPDATE SET forget_after = excluded.forget_after";
    /// Each admission adds one row at most and takes two old ones away: the table shrinks back without ever being
    /// scanned.
    purge = "DELETE FROM seen_requests WHERE id IN
        (SELECT id FROM seen_requests WHERE forget_after < $1 ORDER BY forget_after LIMIT $2)";
    show = "INSERT INTO tasks (id, version, state, requester, worker, wake_at, wake_height, view)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[],
            $7::bigint[], $8::text[])
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state,
            requester = excluded.requester, worker = excluded.worker, wake_at = excluded.wake_at,
            wake_height = excluded.wake_height, view = excluded.view
        WHERE excluded.version > tasks.version";
    clear = "DELETE FROM tasks";
    set_format = "INSERT INTO read_models (name, format) VALUES ('tasks', $1)
        ON CONFLICT (name) DO UPDATE SET format = excluded.format";
    erase_authorities = "UPDATE authorities SET bytes = NULL
        WHERE digest IN (SELECT authority FROM facts WHERE stream = $1 AND commitment IS NOT NULL)";
    erase_bodies = "UPDATE facts SET body = NULL, salt = NULL WHERE stream = $1 AND commitment IS NOT NULL";
    erase_effects = "UPDATE outbox SET body = '' WHERE stream = $1";
    hide = "DELETE FROM tasks WHERE id = $1";
    /// Heard by whoever listens, once the transaction is committed.
    notify = "SELECT pg_notify('tallystick_head', $1)";
}
