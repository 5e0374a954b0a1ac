//! Looks a tag up, and says "not known" only when every place that could know it answered.

use std::collections::HashMap;

use jiff::Timestamp;

use super::adapter::Call;
use super::adapter::messages::{MessageClass, Verb};
use super::adapter::values::Value;
use super::{FindAnswer, Scheduler, SchedulerError, times};
use crate::model::ids::{SchedulerJobId, Tag};

/// Submissions found and when the scheduler took them, as far as it tells.
type Found = HashMap<SchedulerJobId, Option<Timestamp>>;

impl Scheduler {
    /// Looks up which submissions carry `tag`. `since` is before the call whose answer was lost.
    pub async fn find_by_tag(&self, tag: &Tag, since: Timestamp) -> FindAnswer {
        let mut values = self.values();
        values.set("tag", Value::Text(tag.to_string()));
        values.set("since", Value::Moment(since));
        let mut found = Found::new();
        let mut unanswered = None;
        let mut answered = false;
        for variants in &self.inner.adapter.find_by_tag {
            let Some(call) = variants.choose(&self.capabilities()) else { continue };
            match self.query(Verb::FindByTag, call, &values).await {
                Ok(output) => match self.read_find(call, tag, &output.stdout, &output.stderr) {
                    Ok(one) => {
                        answered = true;
                        merge(&mut found, one);
                    }
                    Err(message) => unanswered = Some(message),
                },
                Err(SchedulerError::Failed { class: Some(MessageClass::NotFound), .. }) => answered = true,
                Err(SchedulerError::Failed { class: Some(MessageClass::Unavailable), .. }) => {}
                Err(error) => unanswered = Some(error.to_string()),
            }
        }
        match (found.is_empty(), unanswered, answered) {
            (false, _, _) => FindAnswer::Known(oldest_first(found)),
            (true, None, true) => FindAnswer::NotKnown,
            (true, None, false) => FindAnswer::Unanswered { message: "there is nobody to ask".to_owned() },
            (true, Some(message), _) => FindAnswer::Unanswered { message },
        }
    }

    fn read_find(&self, call: &Call, tag: &Tag, stdout: &str, stderr: &str) -> Result<Found, String> {
        let Some(reading) = &call.read else { return Ok(Found::new()) };
        let rows = reading.rows(stdout, stderr, &[]).map_err(|error| error.to_string())?;
        let mut found = Found::new();
        for row in rows.iter().filter(|row| row.get("tag").is_none_or(|name| name == tag.as_str())) {
            let id = row.get("id").filter(|id| self.inner.adapter.ids.is_submission(id));
            let id = id.ok_or_else(|| format!("a row without a job id: {row:?}"))?;
            let submitted = row.get("submitted").and_then(times::instant);
            merge(&mut found, Found::from([(SchedulerJobId(id.to_owned()), submitted)]));
        }
        Ok(found)
    }
}

/// Takes `more` in; of two times the earlier counts.
fn merge(found: &mut Found, more: Found) {
    for (id, submitted) in more {
        let known = found.entry(id).or_insert(submitted);
        *known = match (*known, submitted) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// By time where known, and by number otherwise: schedulers count upwards.
fn oldest_first(found: Found) -> Vec<SchedulerJobId> {
    let number = |id: &SchedulerJobId| -> u64 {
        let digits: String = id.0.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(u64::MAX)
    };
    let mut found: Vec<_> = found.into_iter().collect();
    let all_timed = found.iter().all(|(_, submitted)| submitted.is_some());
    found.sort_by(|(a, a_time), (b, b_time)| {
        let by_time = if all_timed { a_time.cmp(b_time) } else { std::cmp::Ordering::Equal };
        by_time.then_with(|| number(a).cmp(&number(b))).then_with(|| a.0.cmp(&b.0))
    });
    found.into_iter().map(|(id, _)| id).collect()
}
