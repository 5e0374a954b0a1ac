//! Which submissions are over for good, so that their files may go. Reads only.

use std::collections::HashSet;
use std::time::Duration;

use diesel::sql_types::{Array, Double, Text};
use diesel_async::RunQueryDsl;

use super::connect::Store;
use super::error::{Doing, StoreError};
use crate::model::ids::Tag;

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::submission)]
struct TagRow {
    tag: Tag,
}

impl Store {
    /// Those of `tags` whose submission is settled and whose jobs all ended at least `ago` before now.
    pub async fn over_since(&self, tags: &[Tag], ago: Duration) -> Result<HashSet<Tag>, StoreError> {
        let mut conn = self.conn().await?;
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let rows: Vec<TagRow> = diesel::sql_query(
            "SELECT tag FROM submission s
             WHERE tag = ANY($1) AND state IN ('accepted', 'rejected', 'withdrawn')
                 AND modified_on < now() - make_interval(secs => $2)
                 AND NOT EXISTS (
                     SELECT FROM job
                     WHERE submission_id = s.id
                         AND (state <> 'ended' OR ended_on >= now() - make_interval(secs => $2)))",
        )
        .bind::<Array<Text>, _>(tags)
        .bind::<Double, _>(ago.as_secs_f64())
        .load(&mut conn)
        .await
        .doing("looking for submissions that are over")?;
        Ok(rows.into_iter().map(|row| row.tag).collect())
    }
}
