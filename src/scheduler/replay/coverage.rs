//! What of an adapter no recording shows. Pure.

use crate::scheduler::Scheduler;
use crate::scheduler::adapter::Call;
use crate::scheduler::adapter::messages::Verb;

impl Scheduler {
    /// What the adapter has commands for beside those that are asked with `recorded`, each once; one command may serve for two.
    pub fn not_recorded(&self, recorded: &[&str]) -> Vec<&'static str> {
        let written = |call: &Call| {
            call.argv.iter().flat_map(|piece| &piece.templates).map(ToString::to_string).collect::<Vec<_>>()
        };
        let commands = self.inner.adapter.commands();
        let is_recorded = |verb: &Verb| recorded.contains(&verb.as_str());
        let seen: Vec<Vec<String>> = commands
            .iter()
            .filter(|(verb, _)| is_recorded(verb))
            .flat_map(|(_, variants)| variants.0.iter().map(written))
            .collect();
        let mut verbs: Vec<&str> = commands
            .iter()
            .filter(|(verb, variants)| {
                !is_recorded(verb) && !variants.0.iter().any(|call| seen.contains(&written(call)))
            })
            .map(|(verb, _)| verb.as_str())
            .collect();
        verbs.dedup();
        verbs
    }
}
