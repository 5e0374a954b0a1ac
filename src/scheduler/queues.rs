//! Asks a scheduler for the limits of its queues, qualities of service and accounts, and keeps what it told.

use std::sync::{Arc, PoisonError};

use regex::Regex;

use super::adapter::messages::{MessageClass, Verb};
use super::adapter::reading::Row;
use super::adapter::{LimitField, LimitTable};
use super::{Scheduler, SchedulerError, times};
use crate::model::limits::{Allowed, Limit};

impl Scheduler {
    /// The limits that the scheduler told last; none before it was asked.
    pub fn known_limits(&self) -> Arc<Vec<Limit>> {
        Arc::clone(&self.inner.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for all limits, one call for each of the adapter's tables. What does not answer is told; of it nothing is known
    /// then, and refusals teach.
    pub async fn learn_limits(&self) -> Vec<SchedulerError> {
        let (mut limits, mut errors) = (Vec::new(), Vec::new());
        for table in &self.inner.adapter.queues {
            match self.ask_for_limits(table).await {
                Ok(more) => limits.extend(more),
                Err(SchedulerError::Failed { class: Some(MessageClass::Unavailable), .. }) => {}
                Err(error) => errors.push(error),
            }
        }
        *self.inner.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        errors
    }

    async fn ask_for_limits(&self, table: &LimitTable) -> Result<Vec<Limit>, SchedulerError> {
        let Some(call) = table.call.choose(&self.capabilities()) else { return Ok(Vec::new()) };
        let values = self.values();
        let output = self.query(Verb::Queues, call, &values).await?;
        let Some(reading) = &call.read else { return Ok(Vec::new()) };
        let rows = reading.rows(&output.stdout, &output.stderr, &call.columns).map_err(|error| {
            SchedulerError::Failed {
                verb: Verb::Queues.as_str(),
                argv: self.argv(call, &values),
                message: error.to_string(),
                class: None,
            }
        })?;
        Ok(limits_of(table, &rows, &self.inner.settings.user))
    }
}

/// What the rows of a table tell; one without the name that it is about tells of nothing.
pub(super) fn limits_of(table: &LimitTable, rows: &[Row], user: &str) -> Vec<Limit> {
    rows.iter().filter_map(|row| limit_of(table, row, user)).collect()
}

fn limit_of(table: &LimitTable, row: &Row, user: &str) -> Option<Limit> {
    let named = |field: &Option<String>| match field {
        None => Some(None),
        Some(field) => row.get(field).map(|name| Some(name.to_owned())),
    };
    let count = |fields| least(row, fields, user, leading_number);
    let length = |fields| least(row, fields, user, times::length);
    let closed = table
        .closed
        .as_ref()
        .and_then(|(field, open)| row.get(field).filter(|word| !open.is_match(word)).map(str::to_owned));
    let allowed = Allowed {
        array_size: count(&table.array_size),
        submitted: count(&table.submitted),
        running: count(&table.running),
        walltime: length(&table.walltime),
        kill_wait: length(&table.kill_wait),
        closed,
    };
    let limit = Limit {
        queue: named(&table.queue)?,
        qos: named(&table.qos)?,
        account: named(&table.account)?,
        allowed,
    };
    (!limit.allowed.is_all()).then_some(limit)
}

fn least<T: Ord>(row: &Row, fields: &[LimitField], user: &str, read: fn(&str) -> Option<T>) -> Option<T> {
    fields.iter().filter_map(|field| read(text_of(row, field, user)?)).min()
}

/// The text of a limit: the whole field, or what the first pattern finds.
fn text_of<'r>(row: &'r Row, field: &LimitField, user: &str) -> Option<&'r str> {
    let text = row.get(&field.field)?;
    if field.first.is_empty() {
        return Some(text);
    }
    field.first.iter().find_map(|pattern| {
        // It compiled with another name when the adapter was checked.
        let pattern = Regex::new(&pattern.replace("{user}", &regex::escape(user))).ok()?;
        pattern.captures(text)?.name("most").map(|found| found.as_str())
    })
}

/// A count; words such as `UNLIMITED`, `INFINITY` and `-` are none.
fn leading_number(text: &str) -> Option<u32> {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, first: &[&str]) -> LimitField {
        LimitField { field: name.to_owned(), first: first.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn the_users_own_limit_comes_before_everybodys() {
        let own = field("max_queued", &[r"\[u:{user}=(?<most>\d+)\]", r"\[u:PBS_GENERIC=(?<most>\d+)\]"]);
        let all = field("max_queued", &[r"\[o:PBS_ALL=(?<most>\d+)\]"]);
        let most = |text: &str| {
            let mut row = Row::default();
            row.set("max_queued", text);
            least(&row, &[own.clone(), all.clone()], "al.ice", leading_number)
        };
        assert_eq!(most("[u:PBS_GENERIC=5],[u:al.ice=7]"), Some(7));
        assert_eq!(most("[u:PBS_GENERIC=5],[u:alxice=7]"), Some(5));
        assert_eq!(most("[o:PBS_ALL=3],[u:al.ice=7]"), Some(3));
        assert_eq!(most("[g:chem=1]"), None);
    }
}
