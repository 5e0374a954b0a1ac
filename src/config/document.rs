//! Reads one TOML file against the schema and collects every problem in it, since `serde` would stop at the first.
//! Pure.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Origin, PoolLayer, Setting, Values};
use super::problem::Problem;
use super::schema::{KEYS, Key, POOL, find, is_section, words_below};
use super::source::{Place, Source};
use super::suggest::nearest;
use super::value::{Refusal, Value, Wrong, read};

/// What `text`, shown as `source`, says and what is wrong with it.
pub(super) fn read_document(source: &Arc<Source>, text: &str) -> (Layer, Vec<Problem>) {
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { source, layer: Layer::default(), problems: Vec::new() };
    reader.read_section("", table.get_ref());
    let mut problems: Vec<Problem> = Vec::new();
    for error in syntax_errors {
        let place = reader.place(error.span().unwrap_or(text.len()..text.len()));
        problems.push(Problem::error("not TOML", place, error.message().replace('\n', ", ")));
    }
    let mut broken_lines: Vec<usize> = problems
        .iter()
        .filter_map(|problem| problem.place.as_ref().map(|place| line(source, place.span.start)))
        .collect();
    broken_lines.dedup();
    // What the parser made of a broken line is its guess: problems there would only confuse.
    reader.problems.retain(|problem| {
        problem.place.as_ref().is_none_or(|place| !broken_lines.contains(&line(source, place.span.start)))
    });
    problems.extend(reader.problems);
    (reader.layer, problems)
}

fn line(source: &Source, offset: usize) -> usize {
    source.line_of(offset)
}

/// The problem that a refused value of `key` makes; `shift` is where its text begins in the source.
pub(super) fn refusal_problem(key: &Key, refusal: Refusal, source: &Arc<Source>, shift: usize) -> Problem {
    let span = refusal.span.start + shift..refusal.span.end + shift;
    let title = match refusal.wrong {
        Wrong::Type(found) => format!("wrong type for `{}`: {found}", key.path),
        Wrong::Content(Some(why)) => format!("impossible value for `{}`: {why}", key.path),
        Wrong::Content(None) => format!("impossible value for `{}`", key.path),
    };
    Problem::error(title, Place { source: source.clone(), span }, format!("expected {}", refusal.allowed))
}

struct Reader<'s> {
    source: &'s Arc<Source>,
    layer: Layer,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.source.clone(), span }
    }

    fn read_section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            if path == POOL {
                self.read_pools(value);
            } else if is_section(&path) {
                match value.get_ref().as_table() {
                    Some(table) => self.read_section(&path, table),
                    None => self.wrong_section(&path, value),
                }
            } else if let Some(key) = find(&path) {
                if let Some(setting) = self.read_key(key, value) {
                    self.layer.values.insert(key.path, setting);
                }
            } else {
                self.unknown(section, name.get_ref(), name.span());
            }
        }
    }

    fn wrong_section(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        let title = format!("wrong type for section `{path}`: {}", value.get_ref().type_str());
        let keys = words_below(path).join(", ");
        self.problems.push(Problem::error(
            title,
            self.place(value.span()),
            format!("expected [{path}] with keys {keys}"),
        ));
    }

    fn read_key(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>) -> Option<Setting> {
        match read(&key.kind, value) {
            Ok(read) => Some(Setting { value: read, origin: Origin::Given(self.place(value.span())) }),
            Err(refusals) => {
                self.layer.refused.insert(key.path);
                self.problems.extend(
                    refusals.into_iter().map(|refusal| refusal_problem(key, refusal, self.source, 0)),
                );
                None
            }
        }
    }

    fn read_pools(&mut self, value: &Spanned<DeValue<'_>>) {
        let tables: Option<Vec<_>> = value.get_ref().as_array().map(|items| {
            items.iter().filter_map(|item| Some((item.get_ref().as_table()?, item.span()))).collect()
        });
        match (tables, value.get_ref().as_array()) {
            (Some(tables), Some(items)) if tables.len() == items.len() => {
                tables.into_iter().for_each(|(table, span)| self.read_pool(table, span));
            }
            _ => {
                self.layer.refused.insert("pool.name");
                let title = format!("wrong type for `pool`: {}", value.get_ref().type_str());
                let label = "expected one `[[pool]]` for each pool, in double brackets";
                self.problems.push(Problem::error(title, self.place(value.span()), label));
            }
        }
    }

    fn read_pool(&mut self, table: &DeTable<'_>, span: Range<usize>) {
        let mut values = Values::new();
        for (name, value) in table {
            match find(&format!("{POOL}.{}", name.get_ref())) {
                Some(key) => {
                    if let Some(setting) = self.read_key(key, value) {
                        values.insert(key.path, setting);
                    }
                }
                None => self.unknown(POOL, name.get_ref(), name.span()),
            }
        }
        let Some(Setting { value: Value::Text(name), origin }) = values.get("pool.name") else {
            if !self.layer.refused.contains("pool.name") || !table.contains_key("name") {
                let problem =
                    Problem::error("a pool without a name", self.place(span), "expected a key `name` in it");
                self.problems.push(problem);
            }
            self.layer.refused.insert("pool.name");
            return;
        };
        let (name, place) = (name.clone(), origin.place().clone());
        if let Some(first) = self.layer.pools.iter().find(|pool| pool.name == name) {
            let problem = Problem::error(format!("two pools named `{name}`"), place, "expected another name")
                .with_context(first.place.clone(), "the first one");
            self.problems.push(problem);
        } else {
            self.layer.pools.push(PoolLayer { name, place, values });
        }
    }

    fn unknown(&mut self, section: &str, name: &str, span: Range<usize>) {
        let words = words_below(section);
        let (title, allowed) = if section.is_empty() {
            (format!("unknown section or key `{name}`"), format!("sections: {}", words.join(", ")))
        } else {
            (format!("unknown key `{section}.{name}`"), format!("keys of `{section}`: {}", words.join(", ")))
        };
        let elsewhere: Vec<&str> = KEYS.iter().filter(|key| key.name() == name).map(Key::section).collect();
        let label = match nearest(name, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None if !elsewhere.is_empty() => format!("`{name}` belongs in `{}`", elsewhere.join("` or `")),
            None => "not known here".into(),
        };
        self.problems.push(Problem::error(title, self.place(span), label).with_help(allowed));
    }
}
