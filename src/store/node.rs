//! Nodes that were found to be at fault, and tasks that were charged with their fault. Touches `node`, `task`, `record`,
//! `event`.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, BigInt, Text};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::event::{self, NewEvent};
use super::schema::node;
use super::types::{integer, raw, sql, storable};
use super::write::Writer;
use crate::model::ids::{RecordId, TaskId};
use crate::model::record::RecordChange;

/// A node that is or was avoided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredNode {
    /// The scheduler that it belongs to, by its adapter's name.
    pub cluster: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
    /// How many times it has been avoided.
    pub times: u32,
}

#[derive(diesel::QueryableByName)]
struct ForgivenRow {
    #[diesel(sql_type = sql::RecordId)]
    record_id: RecordId,
}

type NodeRow = (String, String, String, jiff_diesel::Timestamp, jiff_diesel::Timestamp, i32);

impl Store {
    /// The site's nodes that are or were avoided, by name.
    pub async fn nodes(&self, site: &str) -> Result<BTreeMap<String, StoredNode>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<NodeRow> = node::table
            .filter(node::site.eq(site))
            .select((node::hostname, node::cluster, node::reason, node::since, node::until, node::times))
            .load(&mut conn)
            .await
            .doing("reading nodes")?;
        let nodes = rows.into_iter().map(|(hostname, cluster, reason, since, until, times)| {
            let times = u32::try_from(times).unwrap_or(0);
            let (since, until) = (since.to_jiff(), until.to_jiff());
            (hostname, StoredNode { cluster, reason, since, until, times })
        });
        Ok(nodes.collect())
    }
}

const FORGIVE: &str = "
    WITH locked AS (
        SELECT id FROM task WHERE id = ANY($1) AND tries > 0 ORDER BY id FOR UPDATE
    ), changed AS (
        UPDATE task SET tries = task.tries - 1, losses = task.losses + 1, last_failure = 'node',
            available = task.available OR r.status = ANY($3),
            waiting_reason = CASE WHEN r.status = ANY($3) THEN $2 ELSE task.waiting_reason END
        FROM locked, record r
        WHERE task.id = locked.id AND r.id = task.record_id AND (r.status = ANY($3) OR r.status IN ('waiting', 'running'))
        RETURNING task.record_id
    ), revived AS (
        UPDATE record SET status = $4, modified_on = now() FROM changed
        WHERE record.id = changed.record_id AND record.status = ANY($3))
    SELECT record_id FROM changed";

impl Writer {
    /// Replaces what is stored of the site's nodes.
    pub async fn store_nodes(&self, nodes: &BTreeMap<String, StoredNode>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        diesel::delete(node::table.filter(node::site.eq(&self.site)))
            .execute(conn)
            .await
            .doing("forgetting nodes")?;
        let rows: Vec<_> = nodes
            .iter()
            .map(|(hostname, stored)| {
                (
                    node::site.eq(&self.site),
                    node::hostname.eq(storable(hostname)),
                    node::cluster.eq(storable(&stored.cluster)),
                    node::reason.eq(storable(&stored.reason)),
                    node::since.eq(stored.since.to_diesel()),
                    node::until.eq(stored.until.to_diesel()),
                    node::times.eq(integer(stored.times)),
                )
            })
            .collect();
        diesel::insert_into(node::table).values(rows).execute(conn).await.doing("storing nodes")?;
        transaction.commit().await
    }

    /// Gives tasks back the try that a node's fault cost them; those that had none left wait again.
    pub async fn forgive(&self, tasks: &[TaskId], hostname: &str) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let message = format!("an attempt costs no try: node {hostname} was to blame");
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let rows: Vec<ForgivenRow> = diesel::sql_query(FORGIVE)
            .bind::<Array<BigInt>, _>(raw(tasks.iter().copied()))
            .bind::<Text, _>(storable(&message))
            .bind::<Array<sql::RecordStatus>, _>(RecordChange::Forgive.from())
            .bind::<sql::RecordStatus, _>(RecordChange::Forgive.to())
            .load(conn)
            .await
            .doing("forgiving a node's fault")?;
        let events: Vec<NewEvent> = rows
            .iter()
            .map(|row| NewEvent {
                kind: "forgiven",
                record_id: Some(row.record_id),
                message: message.clone(),
                ..NewEvent::default()
            })
            .collect();
        event::write(conn, &events).await?;
        super::count::fold(conn).await?;
        transaction.commit().await
    }
}
