//! Which of an adapter's commands a recorded one is. Pure.

use super::words::Word;
use crate::scheduler::adapter::messages::Verb;
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
    /// The user whose jobs were asked for, where the command tells.
    pub user: Option<String>,
    /// Its program does nothing else, and acts.
    pub one_action: bool,
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

/// The nearest command that has at least as much in common with the recorded one as it lacks. The answer to an action does
/// not depend on its options: a program that does one thing only is known by its name.
pub(super) fn nearest<'a>(
    adapter: &'a Adapter,
    program: impl Fn(&Call) -> String,
    words: &[String],
) -> Option<Found<'a>> {
    let (first, rest) = words.split_first()?;
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let calls = adapter.commands().into_iter();
    let calls = calls.flat_map(|(verb, variants)| variants.0.iter().map(move |call| (verb, call)));
    let calls: Vec<_> = calls.filter(|(_, call)| name(&program(call)) == name(first)).collect();
    let one_action = calls
        .first()
        .is_some_and(|(verb, _)| is_action(*verb) && calls.iter().all(|(other, _)| other == verb));
    calls
        .into_iter()
        .map(|(verb, call)| Found { one_action, ..compare(verb, call, rest) })
        .filter(|found| one_action || found.is_exact() || found.matched > found.differences())
        .min_by_key(|found| (found.differences(), std::cmp::Reverse(found.literals)))
}

const fn is_action(verb: Verb) -> bool {
    matches!(verb, Verb::Submit | Verb::Cancel | Verb::Hold | Verb::Release)
}

fn compare<'a>(verb: Verb, call: &'a Call, words: &[String]) -> Found<'a> {
    let known = placeholders::of_verb(verb);
    let always = |name: &&str| known.iter().any(|one| one.name == *name && one.always);
    let mut own: Vec<(Word<'a>, bool)> = Vec::new();
    // The program itself was compared before.
    for piece in call.argv.iter().skip(1) {
        let unconditional = piece.only_if.is_none()
            && piece.unless.is_none()
            && piece.versions.is_all()
            && piece.probed.is_empty();
        // Its words come or go together.
        let required = unconditional && piece.names().iter().all(always);
        let plain = piece.templates.iter().map(Word::Plain);
        own.extend(plain.chain(piece.joined.iter().map(Word::Joined)).map(|word| (word, required)));
    }
    // What is most particular finds its word first.
    own.sort_by_key(|(word, _)| (!word.names().is_empty(), std::cmp::Reverse(word.literal_length())));
    let mut free: Vec<&String> = words.iter().collect();
    let mut found = Found {
        verb,
        call,
        columns: None,
        lacking: Vec::new(),
        beside: Vec::new(),
        user: None,
        one_action: false,
        matched: 0,
        literals: 0,
    };
    let mut several_ids = false;
    for (own_word, required) in own {
        let alone = own_word.is_value_alone();
        let at = free
            .iter()
            .position(|word| (!alone || !word.starts_with('-')) && own_word.unfill(word).is_some());
        let Some(at) = at else {
            if required {
                found.lacking.push(own_word.to_string());
            }
            continue;
        };
        let word = free.remove(at);
        found.matched += 1;
        found.literals += own_word.literal_length();
        for (name, text) in own_word.unfill(word).unwrap_or_default() {
            match name {
                "columns" => found.columns = Some(text.split(',').map(str::to_owned).collect()),
                "user" => found.user = Some(text),
                _ => {}
            }
        }
        several_ids |= alone && own_word.names().contains(&"ids");
    }
    // Ids that stand alone may be many.
    free.retain(|word| !several_ids || word.starts_with('-'));
    found.beside = free.into_iter().cloned().collect();
    found
}
