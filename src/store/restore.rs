//! Restores a backup in one transaction: the database is then as the backup has it, or as it was before.
//!
//! `pg_restore` writes SQL, this process hands it on to one `psql` between its own BEGIN and COMMIT. The COMMIT is sent
//! only after `pg_restore` has ended well, so that whoever is killed on the way, the server rolls back.

use std::path::Path;
use std::process::Stdio;

use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::backup::client;
use super::cluster::{ClusterError, Programs};
use super::connect::{Connector, SessionUse};
use super::error::{Doing, StoreError};
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
/// daemon holds a lease there. Leases come back expired, with fences no lower than those that were there.
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
    if found.has_lease
        && let Some(site) = live_site(&mut conn).await?
    {
        return Err(ClusterError::InUse { target: target.to_string(), site });
    }
    drop(conn);
    let file = std::path::absolute(file).map_err(ClusterError::file("find", file))?;
    pump(target, programs, &file, &prelude(&found), &finale(&found)).await
}

#[derive(diesel::QueryableByName)]
struct Found {
    /// Tables, views and enumerations that belong to no extension.
    #[diesel(sql_type = BigInt)]
    objects: i64,
    #[diesel(sql_type = Bool)]
    has_lease: bool,
    /// Where unqualified names lead, quoted.
    #[diesel(sql_type = Text)]
    schema: String,
}

async fn look(conn: &mut AsyncPgConnection) -> Result<Found, StoreError> {
    diesel::sql_query(
        "SELECT quote_ident(current_schema()) AS schema, to_regclass('lease') IS NOT NULL AS has_lease, (\
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

async fn live_site(conn: &mut AsyncPgConnection) -> Result<Option<String>, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Site {
        #[diesel(sql_type = Text)]
        site: String,
    }
    let sites: Vec<Site> =
        diesel::sql_query("SELECT site FROM lease WHERE expires_on > clock_timestamp() ORDER BY site")
            .load(conn)
            .await
            .doing("looking for running daemons")?;
    Ok(sites.into_iter().next().map(|row| row.site))
}

/// Drops what is there, keeping the fences in mind.
fn prelude(found: &Found) -> String {
    let schema = &found.schema;
    let mut sql = "BEGIN;\nSET LOCAL lock_timeout = '30s';\n".to_owned();
    if found.has_lease {
        sql.push_str(
            "CREATE TEMPORARY TABLE former_lease ON COMMIT DROP AS SELECT site, fence FROM lease;\n",
        );
    }
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

/// Expires the leases and commits. The backup's SQL has emptied the search path by now.
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
    sql.push_str("END IF; END $lease$;\nCOMMIT;\n");
    sql
}

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
