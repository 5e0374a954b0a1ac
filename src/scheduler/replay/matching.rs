//! Which of an adapter's commands a recorded one is. Pure.

use crate::scheduler::adapter::messages::Verb;
use crate::scheduler::adapter::template::Template;
use crate::scheduler::adapter::{Adapter, Call, placeholders};

/// The command of an adapter that is nearest to a recorded one.
pub(super) struct Found<'a> {
    pub verb: Verb,
    pub call: &'a Call,
    /// Columns that the recorded command asked for, where it did.
    pub columns: Option<Vec<String>>,
    /// Words that the adapter's command has and the recorded one has not.
    pub lacking: Vec<String>,
    /// Words that only the recorded one has.
    pub beside: Vec<String>,
    matched: usize,
    literals: usize,
}

impl Found<'_> {
    pub fn is_exact(&self) -> bool {
        self.lacking.is_empty() && self.beside.is_empty()
    }

    fn differences(&self) -> usize {
        self.lacking.len() + self.beside.len()
    }
}

/// The nearest command that has at least as much in common with the recorded one as it lacks.
pub(super) fn nearest<'a>(
    adapter: &'a Adapter,
    program: impl Fn(&Call) -> String,
    words: &[String],
) -> Option<Found<'a>> {
    let (first, rest) = words.split_first()?;
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let calls = adapter.commands().into_iter();
    let calls = calls.flat_map(|(verb, variants)| variants.0.iter().map(move |call| (verb, call)));
    calls
        .filter(|(_, call)| name(&program(call)) == name(first))
        .map(|(verb, call)| compare(verb, call, rest))
        .filter(|found| found.is_exact() || found.matched > found.differences())
        .min_by_key(|found| (found.differences(), std::cmp::Reverse(found.literals)))
}

fn compare<'a>(verb: Verb, call: &'a Call, words: &[String]) -> Found<'a> {
    let known = placeholders::of_verb(verb);
    let always = |name: &str| known.iter().any(|one| one.name == name && one.always);
    let mut templates: Vec<(&Template, bool)> = Vec::new();
    for piece in &call.argv {
        let unconditional = piece.only_if.is_none()
            && piece.unless.is_none()
            && piece.versions.is_all()
            && piece.probed.is_empty();
        templates.extend(
            piece.templates.iter().map(|template| (template, unconditional && template.names().all(always))),
        );
    }
    // The program itself was compared before; what is most particular finds its word first.
    let mut templates: Vec<(&Template, bool)> = templates.split_off(1.min(templates.len()));
    templates.sort_by_key(|(template, _)| {
        (template.names().count() > 0, std::cmp::Reverse(template.literal_length()))
    });
    let mut free: Vec<&String> = words.iter().collect();
    let mut found =
        Found { verb, call, columns: None, lacking: Vec::new(), beside: Vec::new(), matched: 0, literals: 0 };
    let mut several_ids = false;
    for (template, required) in templates {
        let at = free.iter().position(|word| {
            let plausible = !template.is_value_alone() || !word.starts_with('-');
            plausible && template.unfill(word).is_some()
        });
        match at {
            Some(at) => {
                let word = free.remove(at);
                found.matched += 1;
                found.literals += template.literal_length();
                let values = template.unfill(word).unwrap_or_default();
                let columns = values.into_iter().find(|(name, _)| *name == "columns");
                found.columns =
                    found.columns.or(columns.map(|(_, text)| text.split(',').map(str::to_owned).collect()));
                several_ids |= template.is_value_alone() && template.names().any(|name| name == "ids");
            }
            None if required => found.lacking.push(template.to_string()),
            None => {}
        }
    }
    // Ids that stand alone may be many.
    free.retain(|word| !several_ids || word.starts_with('-'));
    found.beside = free.into_iter().cloned().collect();
    found
}
