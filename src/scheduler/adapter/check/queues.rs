//! Checks the tables that tell limits of queues, qualities of service and accounts. Pure.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Checker, Text};
use crate::scheduler::adapter::document::{AllowedDocument, ClosedDocument, QueuesDocument};
use crate::scheduler::adapter::messages::Verb;
use crate::scheduler::adapter::{LimitField, LimitTable};

impl Checker {
    /// The tables in order.
    pub(super) fn queues(&mut self, tables: BTreeMap<String, Spanned<QueuesDocument>>) -> Vec<LimitTable> {
        let mut ranked: Vec<_> = tables.into_values().collect();
        ranked.sort_by_key(|table| table.get_ref().rank);
        ranked.into_iter().map(|table| self.limit_table(table)).collect()
    }

    fn limit_table(&mut self, table: Spanned<QueuesDocument>) -> LimitTable {
        let span = table.span();
        let table = table.into_inner();
        let field = |text: Text| text.map(Spanned::into_inner);
        LimitTable {
            call: self.variants(Verb::Queues, table.call, &span),
            queue: field(table.queue),
            qos: field(table.qos),
            account: field(table.account),
            closed: table.closed.and_then(|closed| self.closed(closed.into_inner())),
            array_size: self.limit_fields(table.array_size),
            submitted: self.limit_fields(table.submitted),
            running: self.limit_fields(table.running),
            walltime: self.limit_fields(table.walltime),
            kill_wait: self.limit_fields(table.kill_wait),
        }
    }

    fn closed(&mut self, closed: ClosedDocument) -> Option<(String, regex::Regex)> {
        let field = self.required(closed.field, "field", "the field that tells whether the queue is open");
        let open = self.required(closed.open, "open", "a pattern of an open queue");
        Some((field?.into_inner(), self.regex(&open?, &[])?))
    }

    fn limit_fields(&mut self, fields: Vec<Spanned<AllowedDocument>>) -> Vec<LimitField> {
        let mut checked = Vec::new();
        for field in fields {
            let AllowedDocument { field, first } = field.into_inner();
            let field = self.required(field, "field", "the field that holds the limit");
            for pattern in &first {
                // Any name will do: what matters is that the rest is a pattern.
                let of_somebody = Spanned::new(pattern.span(), pattern.get_ref().replace("{user}", "alice"));
                self.regex(&of_somebody, &["most"]);
            }
            let first = first.into_iter().map(Spanned::into_inner).collect();
            checked.extend(field.map(|field| LimitField { field: field.into_inner(), first }));
        }
        checked
    }
}
