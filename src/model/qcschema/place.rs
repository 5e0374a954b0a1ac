//! Where in a document's text a path leads, so that what is wrong with a value is told with the value's own line. Pure.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A key that may have escapes in it.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Lines of `text` before the value at `path` (such as `$.molecule.geometry[5]`), or before the deepest value on the way to
/// it that is there.
pub(super) fn lines_before(text: &str, path: &str) -> u64 {
    let mut value = text;
    for step in steps(path) {
        let Some(inner) = step.inside(value) else { break };
        value = inner;
    }
    // the value is a part of `text`, so the difference of their addresses is its place there
    let offset = (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    text.get(..offset).map_or(0, |before| before.matches('\n').count() as u64)
}

enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl Step<'_> {
    fn inside<'t>(&self, value: &'t str) -> Option<&'t str> {
        let inner: &'t RawValue = match self {
            Step::Member(key) => {
                let members: HashMap<Key<'t>, &'t RawValue> = serde_json::from_str(value).ok()?;
                members.get(&Key(Cow::Borrowed(key))).copied()?
            }
            Step::Item(index) => {
                let items: Vec<&'t RawValue> = serde_json::from_str(value).ok()?;
                items.get(*index).copied()?
            }
        };
        Some(inner.get())
    }
}

/// The steps of a path; a key that is written in brackets ends them.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.trim_start_matches('$').split('.').filter(|part| !part.is_empty()) {
        let mut words = part.split('[');
        steps.extend(words.next().filter(|key| !key.is_empty()).map(Step::Member));
        for index in words {
            let Ok(index) = index.trim_end_matches(']').parse() else { return steps };
            steps.push(Step::Item(index));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::lines_before;

    #[test]
    fn a_path_leads_to_the_line_of_its_value() {
        let text = "{\n \"a\": {\"b\":\n [1,\n 2,\n {\"c\": 3}]},\n \"d\": null\n}";
        for (path, line) in [
            ("$", 0),
            ("$.a", 1),
            ("$.a.b", 2),
            ("$.a.b[1]", 3),
            ("$.a.b[2].c", 4),
            ("$.a.b[7]", 2),
            ("$.a.missing", 1),
            ("$.d", 5),
            ("$[\"odd key\"].x", 0),
            ("$.a[1]", 1),
        ] {
            assert_eq!(lines_before(text, path), line, "{path}");
        }
        assert_eq!(lines_before("not JSON", "$.a"), 0);
    }
}
