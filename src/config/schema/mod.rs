//! The declarative schema of the configuration: every section and key with its kind, default and meaning.
//! Pure. Reading, checking, `config show`, the reference in docs and the environment variables all come from it.

mod keys;
mod kind;

pub(super) use keys::{KEYS, SECTIONS};
pub(super) use kind::{Kind, MPI_PLACEHOLDERS, PATH_PLACEHOLDERS};

/// One section of the file.
pub(super) struct Section {
    /// Its header, such as `database.tls`. `pool` is the one that is an array of tables.
    pub name: &'static str,
    /// What it is about: a sentence of the reference.
    pub doc: &'static str,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Section and name, such as `daemon.tick`.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its value when no layer gives one.
    pub default: Preset,
    /// What it means: a sentence of the reference.
    pub doc: &'static str,
}

/// What a key is when no layer gives it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    /// Absent; the text says what that means.
    Absent(&'static str),
    /// This value, written as an environment variable would give it.
    Value(&'static str),
    /// The value of another key.
    SameAs(&'static str),
    /// This machine's cores with adapter `local`, else this value.
    MachineCores(&'static str),
    /// The first value with adapter `local`, else the second.
    LocalElse(&'static str, &'static str),
    /// This value, but at most a quarter of the duration at that path, which stands before it in the table.
    AtMostQuarterOf(&'static str, &'static str),
    /// This value, but at least twice the duration at that path, which stands before it in the table.
    AtLeastTwice(&'static str, &'static str),
    /// Must be given.
    Required,
}

/// The section that is an array of tables.
pub(super) const POOL: &str = "pool";

impl Key {
    /// `daemon` of `daemon.tick`.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// `tick` of `daemon.tick`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// `QCBATCH_DAEMON__TICK`; keys of pools have none, since the environment cannot say which pool.
    pub fn environment_variable(&self) -> Option<String> {
        (self.section() != POOL).then(|| format!("QCBATCH_{}", self.path.replace('.', "__").to_uppercase()))
    }
}

/// The key at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys of one section, in the order people read them.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section() == section)
}

/// Whether `path` is a section.
pub(super) fn is_section(path: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == path)
}

/// What may stand directly below `section` (`""` for the top of the file): keys, then sub-sections.
pub(super) fn words_below(section: &str) -> Vec<&'static str> {
    let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
    let mut words: Vec<&'static str> = keys_of(section).map(Key::name).collect();
    let sections = SECTIONS.iter().filter_map(|other| other.name.strip_prefix(prefix.as_str()));
    words.extend(sections.filter(|word| !word.is_empty() && !word.contains('.')));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_section_and_one_place() {
        for (position, key) in KEYS.iter().enumerate() {
            assert!(is_section(key.section()), "{}", key.path);
            assert!(KEYS[..position].iter().all(|earlier| earlier.path != key.path), "{} twice", key.path);
            match key.default {
                Preset::SameAs(other) => assert!(find(other).is_some(), "{other}"),
                Preset::AtMostQuarterOf(_, other) | Preset::AtLeastTwice(_, other) => {
                    assert!(KEYS[..position].iter().any(|earlier| earlier.path == other), "{other}");
                }
                _ => {}
            }
        }
        assert_eq!(words_below("database").last(), Some(&"tls"));
        assert!(words_below("").contains(&"daemon"));
    }
}
