//! Layers of settings: what one file, the environment or the flags say, each value with its origin, and how they combine.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::machine::Machine;
use super::schema::{KEYS, Key, POOL, Preset, keys_of};
use super::source::{Place, Source, SourceKind};
use super::value::{Value, read_raw};

/// Values by the path of their key.
pub(super) type Values = BTreeMap<&'static str, Setting>;

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub value: Value,
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A file, a variable or a flag.
    Given(Place),
    /// The schema's default, as the place shows it.
    Default(Place),
    /// Another key's value, which came from there.
    SameAs(&'static str, Place),
    /// What this machine has.
    Machine(Place),
}

/// One `[[pool]]`.
#[derive(Clone, Debug)]
pub(super) struct PoolLayer {
    /// Its name, or what stands for it until a name is there.
    pub name: String,
    /// Header or first mention.
    pub place: Place,
    /// Its values, the name among them.
    pub values: Values,
}

/// What one source, or all of them, say.
#[derive(Clone, Default, Debug)]
pub(super) struct Layer {
    pub values: Values,
    pub pools: Vec<PoolLayer>,
    /// Keys that had a problem: checks across keys leave them alone.
    pub refused: BTreeSet<&'static str>,
}

impl Origin {
    /// The piece of text that decides the value.
    pub fn place(&self) -> &Place {
        match self {
            Origin::Given(place)
            | Origin::Default(place)
            | Origin::SameAs(_, place)
            | Origin::Machine(place) => place,
        }
    }

    /// Whether somebody wrote it down.
    pub fn is_given(&self) -> bool {
        matches!(self, Origin::Given(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Given(place) => place.fmt(f),
            Origin::Default(_) => f.write_str("default"),
            Origin::SameAs(path, _) => write!(f, "as {path}"),
            Origin::Machine(_) => f.write_str("this machine"),
        }
    }
}

impl Layer {
    /// Lays `later` over `self`, key by key; pools of the same name too.
    pub fn combine(&mut self, later: Layer) {
        self.values.extend(later.values);
        self.refused.extend(later.refused);
        for pool in later.pools {
            match self.pools.iter_mut().find(|known| known.name == pool.name) {
                Some(known) => known.values.extend(pool.values),
                None => self.pools.push(pool),
            }
        }
    }

    /// Gives every key its value: what no layer gave is the default, and without pools there is one, `local`.
    pub fn fill(&mut self, machine: &Machine) {
        if self.pools.is_empty() {
            let place = default_place("pool.name", "local");
            self.pools.push(PoolLayer { name: "local".into(), place, values: Values::new() });
        }
        for key in KEYS.iter().filter(|key| key.section() != POOL) {
            fill_key(key, &mut self.values, None, machine);
        }
        for pool in &mut self.pools {
            pool.values.entry("pool.name").or_insert_with(|| Setting {
                value: Value::Text(pool.name.clone()),
                origin: Origin::Default(pool.place.clone()),
            });
            for key in keys_of(POOL) {
                fill_key(key, &mut pool.values, Some(&self.values), machine);
            }
        }
    }
}

/// Gives `key` its default in `values` unless it is there; `outside` are the values beyond a pool's own.
fn fill_key(key: &'static Key, values: &mut Values, outside: Option<&Values>, machine: &Machine) {
    if values.contains_key(key.path) {
        return;
    }
    let is_local =
        values.get("pool.adapter").is_none_or(|setting| setting.value == Value::Text("local".into()));
    let default_of = |value: Value| {
        let place = default_place(key.path, &value.to_toml());
        Some(Setting { value, origin: Origin::Default(place) })
    };
    let written = |raw| read_raw(&key.kind, raw).expect("a test reads every default of the schema");
    let setting = match key.default {
        Preset::Absent(_) | Preset::Required => None,
        Preset::Value(raw) => default_of(written(raw)),
        Preset::AtMostQuarterOf(raw, path) => {
            default_of(bounded(written(raw), values.get(path), |own, other| own.min(other / 4)))
        }
        Preset::AtLeastTwice(raw, path) => {
            default_of(bounded(written(raw), values.get(path), |own, other| own.max(other * 2)))
        }
        Preset::SameAs(path) => outside.and_then(|outside| outside.get(path)).map(|setting| Setting {
            value: setting.value.clone(),
            origin: Origin::SameAs(path, setting.origin.place().clone()),
        }),
        Preset::MachineCores(_) if is_local => {
            Some(machine_setting(key, Value::Integer(u64::from(machine.cores))))
        }
        Preset::MachineCores(raw) => default_of(written(raw)),
        Preset::LocalElse(local, other) => default_of(written(if is_local { local } else { other })),
    };
    if let Some(setting) = setting {
        values.insert(key.path, setting);
    }
}

/// The duration `own` as `bound` changes it by the duration of `other`.
fn bounded(own: Value, other: Option<&Setting>, bound: impl Fn(Duration, Duration) -> Duration) -> Value {
    match (own, other.map(|setting| &setting.value)) {
        (Value::Duration(own), Some(Value::Duration(other))) => Value::Duration(bound(own, *other)),
        (own, _) => own,
    }
}

fn machine_setting(key: &Key, value: Value) -> Setting {
    let place = default_place(key.path, &value.to_toml());
    Setting { value, origin: Origin::Machine(place) }
}

fn default_place(path: &str, raw: &str) -> Place {
    let text = format!("{path} = {raw}");
    let span = text.len() - raw.len()..text.len();
    Place { source: Source::line(SourceKind::Schema, &text, None), span }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::find;

    #[test]
    fn every_default_of_the_schema_can_be_read() {
        for key in KEYS {
            if let Preset::Value(raw) | Preset::AtMostQuarterOf(raw, _) | Preset::AtLeastTwice(raw, _) =
                key.default
            {
                assert!(read_raw(&key.kind, raw).is_ok(), "{} = {raw}", key.path);
            }
        }
    }

    #[test]
    fn a_later_layer_wins_key_by_key() {
        let set = |path: &'static str, number: u64| {
            let key = find(path).unwrap();
            let value = Value::Integer(number);
            (key.path, Setting { origin: Origin::Given(default_place(key.path, &number.to_string())), value })
        };
        let pool = |name: &str, values: Values| PoolLayer {
            name: name.into(),
            place: default_place("pool.name", name),
            values,
        };
        let mut all = Layer {
            values: Values::from([set("retry.tries", 1), set("retry.losses", 1)]),
            ..Layer::default()
        };
        all.pools.push(pool("a", Values::from([set("pool.cores", 1), set("pool.gpus", 1)])));
        let mut later = Layer { values: Values::from([set("retry.losses", 2)]), ..Layer::default() };
        later.pools.push(pool("b", Values::new()));
        later.pools.push(pool("a", Values::from([set("pool.gpus", 2)])));
        all.combine(later);
        let number = |values: &Values, path: &str| values[path].value.clone();
        assert_eq!(number(&all.values, "retry.tries"), Value::Integer(1));
        assert_eq!(number(&all.values, "retry.losses"), Value::Integer(2));
        assert_eq!(all.pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(number(&all.pools[0].values, "pool.cores"), Value::Integer(1));
        assert_eq!(number(&all.pools[0].values, "pool.gpus"), Value::Integer(2));
    }
}
