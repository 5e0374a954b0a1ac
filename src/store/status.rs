//! The counts of `qcbatch status`, and what the sweeper of the spool asks. Cheap at any size.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Double, Text};
use diesel_async::RunQueryDsl;

use super::connect::Store;
use super::count;
use super::error::{Doing, StoreError};
use super::types::raw;
use super::write::Writer;
use crate::model::ids::{PoolName, SubmissionId, Tag};
use crate::model::job::JobState;
use crate::model::record::RecordStatus;

/// Records and live jobs by how they stand.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct StoreStatus {
    /// Records of all sites by status; exact. A status without records is left out.
    pub records: BTreeMap<RecordStatus, i64>,
    /// Reports that the site keeps aside.
    pub reports_aside: i64,
    /// The site's live jobs by pool and state.
    pub jobs: BTreeMap<PoolName, BTreeMap<JobState, i64>>,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::job)]
struct JobsRow {
    pool: PoolName,
    state: JobState,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

#[derive(QueryableByName)]
struct AsideRow {
    #[diesel(sql_type = BigInt)]
    reports: i64,
}

/// A submission whose jobs all ended long ago.
#[derive(Clone, PartialEq, Eq, Debug, QueryableByName)]
#[diesel(table_name = super::schema::submission)]
pub struct EndedSubmission {
    /// The submission.
    pub id: SubmissionId,
    /// Its pool.
    pub pool: PoolName,
    /// Its tag.
    pub tag: Tag,
}

impl Store {
    /// Records by status, and the site's live jobs by pool and state.
    pub async fn status(&self, site: &str) -> Result<StoreStatus, StoreError> {
        let mut conn = self.conn().await?;
        let records = count::by_status(&mut conn).await?;
        let rows: Vec<JobsRow> = diesel::sql_query(
            "SELECT pool, state, count(*) AS jobs FROM job WHERE site = $1 AND state <> 'ended' GROUP BY pool, state",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("counting jobs")?;
        let mut jobs: BTreeMap<PoolName, BTreeMap<JobState, i64>> = BTreeMap::new();
        for row in rows {
            jobs.entry(row.pool).or_default().insert(row.state, row.jobs);
        }
        let aside: AsideRow =
            diesel::sql_query("SELECT count(*) AS reports FROM report_aside WHERE site = $1")
                .bind::<Text, _>(site)
                .get_result(&mut conn)
                .await
                .doing("counting reports that were kept aside")?;
        Ok(StoreStatus { records, reports_aside: aside.reports, jobs })
    }

    /// Submissions of the site that are over, whose last job ended at least `ago` ago, and that [`Writer::note_swept`]
    /// has not noted yet; oldest first.
    pub async fn ended_submissions(
        &self,
        site: &str,
        ago: Duration,
        limit: u32,
    ) -> Result<Vec<EndedSubmission>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT s.id, s.pool, s.tag FROM submission s
             WHERE s.site = $1 AND s.swept_on IS NULL AND s.state NOT IN ('planned', 'submitting', 'unknown')
                AND NOT EXISTS (SELECT FROM job j WHERE j.submission_id = s.id
                    AND (j.state <> 'ended' OR j.ended_on > now() - make_interval(secs => $2)))
             ORDER BY s.id LIMIT $3",
        )
        .bind::<Text, _>(site)
        .bind::<Double, _>(ago.as_secs_f64())
        .bind::<BigInt, _>(i64::from(limit))
        .load(&mut conn)
        .await
        .doing("looking for old submissions")
    }
}

impl Writer {
    /// Notes that the directories of these submissions are gone.
    pub async fn note_swept(&self, ids: &[SubmissionId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        diesel::sql_query("UPDATE submission SET swept_on = now() WHERE id = ANY($1) AND site = $2")
            .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
            .bind::<Text, _>(&self.site)
            .execute(transaction.conn())
            .await
            .doing("noting what was swept")?;
        transaction.commit().await
    }
}
