//! Restores a backup in one transaction: the database is then as the backup has it, or as it was before.
//!
//! `pg_restore` writes SQL, this process hands it on to one `psql` between its own BEGIN and COMMIT. The COMMIT is sent
//! only after `pg_restore` has ended well, so that whoever is killed on the way, the server rolls back.
//!
//! The transaction begins by locking the lease. That waits until the open writes of every daemon have ended and holds
//! back those that come later; whether a daemon lives is looked at under that lock. At its end every fence is higher than
//! any that was ever handed out, so that a daemon which was merely asleep writes nothing into the restored tables. The
//! database has a new id, its former ones stay known, and its numbers go on far ahead: ids that were handed out after the
//! backup are never handed out again.

use std::path::Path;
use std::process::Stdio;

use diesel::sql_types::{BigInt, Bool, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::backup::client;
use super::cluster::{ClusterError, Programs};
use super::connect::{Connector, SessionUse};
use super::error::{Doing, StoreError};
use super::lease::LeaseHolder;
use super::target::DatabaseTarget;

/// What happens to a database that is not empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stays, and nothing is restored.
    Refuse,
    /// Everything in it is dropped in the transaction that restores.
    Replace,
}

/// Restores `file` (made by [`super::backup::backup`]) into the database of `target`, which must exist. Refuses while a
/// daemon holds a lease there, unless its process is surely dead. Leases come back expired, with fences higher than any
/// that were there.
pub async fn restore(
    target: &DatabaseTarget,
    programs: &Programs,
    file: &Path,
    existing: Existing,
) -> Result<(), ClusterError> {
    let mut conn = Connector::new(target)?.open(SessionUse::Maintenance).await?;
    let found = look(&mut conn).await?;
    if found.objects > 0 && existing == Existing::Refuse {
        return Err(ClusterError::NotEmpty { target: target.to_string(), tables: found.objects });
    }
    let mut dead = Vec::new();
    if found.has_lease {
        let leases = leases(&mut conn).await?;
        // Before anything is started, so that the refusal comes at once. What counts is the look under the lock.
        if let Some(live) = leases.iter().find(|lease| lease.is_live && !lease.holder().is_surely_dead()) {
            return Err(ClusterError::InUse { target: target.to_string(), site: live.site.clone() });
        }
        dead.extend(leases.into_iter().filter(|lease| lease.holder().is_surely_dead()));
    }
    drop(conn);
    let file = std::path::absolute(file).map_err(ClusterError::file("find", file))?;
    let restored = pump(target, programs, &file, &prelude(&found, &dead), &finale(&found)).await;
    match restored {
        Err(ClusterError::Program { message, .. }) if message.contains(LIVE) => {
            let site = message.split_once(LIVE).and_then(|(_, rest)| rest.split('|').next());
            let site = site.unwrap_or_default().trim().to_owned();
            Err(ClusterError::InUse { target: target.to_string(), site })
        }
        restored => restored,
    }
}

/// What the transaction says when it finds a daemon alive; the site follows.
const LIVE: &str = "a daemon of this database is alive, of site ";

/// Makes the identity where the backup is of before there was one; else it changes nothing.
const IDENTITY: &str = include_str!("migrations/2026-11-29-01000_identity/up.sql");

#[derive(diesel::QueryableByName)]
struct Found {
    /// Tables, views and enumerations that belong to no extension.
    #[diesel(sql_type = BigInt)]
    objects: i64,
    #[diesel(sql_type = Bool)]
    has_lease: bool,
    #[diesel(sql_type = Bool)]
    has_identity: bool,
    /// Where unqualified names lead, quoted.
    #[diesel(sql_type = Text)]
    schema: String,
}

async fn look(conn: &mut AsyncPgConnection) -> Result<Found, StoreError> {
    diesel::sql_query(
        "SELECT quote_ident(current_schema()) AS schema, to_regclass('lease') IS NOT NULL AS has_lease, \
           to_regclass('database_identity') IS NOT NULL AS has_identity, (\
           SELECT count(*) FROM pg_class c WHERE relnamespace = current_schema()::regnamespace \
             AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT FROM pg_depend d \
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) + (\
           SELECT count(*) FROM pg_type t WHERE typnamespace = current_schema()::regnamespace \
             AND typtype = 'e' AND NOT EXISTS (SELECT FROM pg_depend d \
             WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')) AS objects",
    )
    .get_result(conn)
    .await
    .doing("looking whether the database is empty")
}

/// A site's lease as it stands.
#[derive(diesel::QueryableByName)]
struct LeaseRow {
    #[diesel(sql_type = Text)]
    site: String,
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = Text)]
    hostname: String,
    #[diesel(sql_type = Text)]
    boot_id: String,
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = BigInt)]
    pid_started: i64,
    #[diesel(sql_type = Bool)]
    is_live: bool,
}

impl LeaseRow {
    fn holder(&self) -> LeaseHolder {
        LeaseHolder {
            hostname: self.hostname.clone(),
            boot_id: self.boot_id.clone(),
            pid: self.pid,
            pid_started: self.pid_started,
        }
    }
}

async fn leases(conn: &mut AsyncPgConnection) -> Result<Vec<LeaseRow>, StoreError> {
    diesel::sql_query(
        "SELECT site, fence, hostname, boot_id, pid, pid_started, expires_on > clock_timestamp() AS is_live
         FROM lease ORDER BY site",
    )
    .load(conn)
    .await
    .doing("looking for running daemons")
}

/// Locks the lease, refuses if a daemon is alive, keeps in mind what must outlast, and drops what is there. A fence names
/// one acquisition: whose process is dead cannot come back under it.
fn prelude(found: &Found, dead: &[LeaseRow]) -> String {
    let schema = &found.schema;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut sql =
        "BEGIN;\nSET LOCAL lock_timeout = '30s';\nSET LOCAL client_min_messages = warning;\n".to_owned();
    if found.has_lease {
        let dead: Vec<String> =
            dead.iter().map(|lease| format!("({}, {})", quoted(&lease.site), lease.fence)).collect();
        let unless_dead = match dead.is_empty() {
            true => String::new(),
            false => format!(" AND (site, fence) NOT IN (VALUES {})", dead.join(", ")),
        };
        sql.push_str(&format!(
            "LOCK TABLE {schema}.lease IN ACCESS EXCLUSIVE MODE;\n\
             DO $live$ DECLARE live text; BEGIN\n\
             SELECT site INTO live FROM {schema}.lease WHERE expires_on > clock_timestamp(){unless_dead} \
               ORDER BY site LIMIT 1;\n\
             IF FOUND THEN RAISE EXCEPTION '{LIVE}%', live; END IF;\n\
             END $live$;\n\
             CREATE TEMPORARY TABLE former_lease ON COMMIT DROP AS SELECT site, fence FROM {schema}.lease;\n"
        ));
    }
    if found.has_identity {
        sql.push_str(&format!(
            "CREATE TEMPORARY TABLE former_identity ON COMMIT DROP AS SELECT * FROM {schema}.database_identity;\n"
        ));
    }
    sql.push_str(
        "CREATE TEMPORARY TABLE former_sequence ON COMMIT DROP AS \
           SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema();\n",
    );
    if found.objects > 0 {
        sql.push_str(&format!(
            "DO $drop$ DECLARE item record; BEGIN\n\
             FOR item IN SELECT c.oid::regclass AS name, CASE relkind WHEN 'v' THEN 'VIEW' \
               WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind \
               FROM pg_class c WHERE relnamespace = '{0}'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') \
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
               AND d.objid = c.oid AND d.deptype = 'e')\n\
             LOOP IF to_regclass(item.name::text) IS NOT NULL THEN \
               EXECUTE format('DROP %s IF EXISTS %s CASCADE', item.kind, item.name); END IF; END LOOP;\n\
             FOR item IN SELECT t.oid::regtype AS name FROM pg_type t \
               WHERE typnamespace = '{0}'::regnamespace AND typtype = 'e' \
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass \
               AND d.objid = t.oid AND d.deptype = 'e')\n\
             LOOP EXECUTE format('DROP TYPE %s CASCADE', item.name); END LOOP;\n\
             FOR item IN SELECT p.oid::regprocedure AS name FROM pg_proc p \
               WHERE pronamespace = '{0}'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d \
               WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')\n\
             LOOP EXECUTE format('DROP ROUTINE %s CASCADE', item.name); END LOOP;\n\
             END $drop$;\n",
            schema.replace('\'', "''")
        ));
    }
    sql
}

/// Expires the leases, raises their fences, gives the database a new id, moves its numbers far ahead, and commits. The
/// backup's SQL has emptied the search path by now.
fn finale(found: &Found) -> String {
    let schema = &found.schema;
    let mut sql = format!(
        "\nSET LOCAL search_path = {schema};\n\
         DO $lease$ BEGIN IF to_regclass('{0}.lease') IS NOT NULL THEN\n\
         UPDATE {schema}.lease SET expires_on = '-infinity';\n",
        schema.replace('\'', "''")
    );
    if found.has_lease {
        sql.push_str(&format!(
            "UPDATE {schema}.lease l SET fence = greatest(l.fence, f.fence) FROM pg_temp.former_lease f \
             WHERE l.site = f.site;\n\
             INSERT INTO {schema}.lease (site, fence, hostname, boot_id, pid, pid_started, expires_on) \
             SELECT f.site, f.fence, '', '', 0, 0, '-infinity' \
             FROM pg_temp.former_lease f ON CONFLICT (site) DO NOTHING;\n"
        ));
    }
    sql.push_str(&format!("UPDATE {schema}.lease SET fence = fence + 1;\nEND IF; END $lease$;\n"));
    sql.push_str(IDENTITY);
    sql.push_str("UPDATE database_identity SET retired_on = now() WHERE retired_on IS NULL;\n");
    if found.has_identity {
        sql.push_str(
            "INSERT INTO database_identity (id, since, retired_on) \
             SELECT id, since, coalesce(retired_on, now()) FROM pg_temp.former_identity ON CONFLICT (id) DO NOTHING;\n",
        );
    }
    sql.push_str("INSERT INTO database_identity (id) VALUES (replace(gen_random_uuid()::text, '-', ''));\n");
    sql.push_str(FAR_AHEAD);
    sql.push_str("COMMIT;\n");
    sql
}

/// Every number goes on at a whole milliard, at least half a one beyond the last that the backup or the replaced database
/// had: what was handed out between the backup and the restore is not known where the database itself was lost.
const FAR_AHEAD: &str = "
    DO $sequences$ DECLARE item record; BEGIN
    FOR item IN SELECT format('%I.%I', s.schemaname, s.sequencename) AS name, s.max_value,
        greatest(s.last_value, f.last_value, 0) AS last
        FROM pg_sequences s LEFT JOIN pg_temp.former_sequence f ON f.sequencename = s.sequencename
        WHERE s.schemaname = current_schema()
    LOOP PERFORM setval(item.name::regclass,
        least(item.max_value, (item.last + 1500000000) / 1000000000 * 1000000000)); END LOOP;
    END $sequences$;
";

async fn pump(
    target: &DatabaseTarget,
    programs: &Programs,
    file: &Path,
    prelude: &str,
    finale: &str,
) -> Result<(), ClusterError> {
    let mut reader = client(target, programs, "pg_restore");
    reader.args(["--no-owner", "--no-privileges", "--file=-"]).arg(file);
    let mut writer = client(target, programs, "psql");
    writer.args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]);
    writer.stdin(Stdio::piped()).stdout(Stdio::null());
    let spawned = |program: &str, child: std::io::Result<Child>| {
        child.map_err(|source| ClusterError::Spawn { program: programs.path(program), source })
    };
    let mut reader = spawned("pg_restore", reader.spawn())?;
    let mut writer = spawned("psql", writer.spawn())?;
    let reader_words = tokio::spawn(words(reader.stderr.take()));
    let writer_words = tokio::spawn(words(writer.stderr.take()));
    let failed =
        |argv: String, status: String, message: String| ClusterError::Program { argv, status, message };

    let mut sink = writer.stdin.take();
    let copied = copy(&mut reader, sink.as_mut(), prelude).await;
    if copied.is_err() {
        // psql has ended early; its own words say why, and pg_restore's would only say "broken pipe".
        reader.start_kill().ok();
    }
    let read = reader.wait().await.map_err(ClusterError::file("read", file))?;
    let reader_words = reader_words.await.unwrap_or_default();
    if copied.is_ok() && !read.success() {
        drop(sink);
        writer.wait().await.ok();
        let argv = format!("pg_restore {}", file.display());
        return Err(failed(argv, read.to_string(), reader_words));
    }
    if let (Ok(()), Some(mut sink)) = (copied, sink.take()) {
        // Should psql have gone in the meantime, its exit status below tells.
        sink.write_all(finale.as_bytes()).await.ok();
        sink.shutdown().await.ok();
    }
    let wrote = writer.wait().await.map_err(ClusterError::file("restore", file))?;
    let writer_words = writer_words.await.unwrap_or_default();
    if wrote.success() { Ok(()) } else { Err(failed("psql".to_owned(), wrote.to_string(), writer_words)) }
}

async fn copy(reader: &mut Child, sink: Option<&mut ChildStdin>, prelude: &str) -> std::io::Result<()> {
    let (Some(mut source), Some(sink)) = (reader.stdout.take(), sink) else { return Ok(()) };
    sink.write_all(prelude.as_bytes()).await?;
    tokio::io::copy(&mut source, sink).await?;
    sink.flush().await
}

/// The first lines that a program wrote to its standard error; the rest is read and dropped.
async fn words(stderr: Option<tokio::process::ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut kept = Vec::new();
    (&mut stderr).take(4096).read_to_end(&mut kept).await.ok();
    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.ok();
    String::from_utf8_lossy(&kept).lines().map(str::trim).collect::<Vec<_>>().join(" | ")
}
