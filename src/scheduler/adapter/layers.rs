//! Finds an adapter's files, lays the user's over the built-in ones key by key, and reads the result. Reads files only.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::AdapterError;
use super::document::Document;
use super::problems::{Problem, Problems, Sources};

const BUILT_IN: [(&str, &str); 6] = [
    ("local", include_str!("../../../adapters/local.toml")),
    ("lsf", include_str!("../../../adapters/lsf.toml")),
    ("pbs", include_str!("../../../adapters/pbs.toml")),
    ("sge", include_str!("../../../adapters/sge.toml")),
    ("slurm", include_str!("../../../adapters/slurm.toml")),
    ("torque", include_str!("../../../adapters/torque.toml")),
];

/// Names of the built-in adapters.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The merged document, the sources its spans point into, and what serde found wrong.
pub(super) fn read(name: &str, user_dirs: &[PathBuf]) -> Result<(Document, Sources, Problems), AdapterError> {
    let mut files = Vec::new();
    collect(name, user_dirs, &mut Vec::new(), &mut files)?;
    if files.is_empty() {
        let known = built_in_names().collect::<Vec<_>>().join(", ");
        return Err(AdapterError::Unknown { name: name.to_owned(), directories: user_dirs.to_vec(), known });
    }
    let mut sources = Sources::default();
    let padded: Vec<String> = files.into_iter().map(|(path, text)| sources.add(path, text)).collect();
    let mut problems = Problems::default();
    let mut merged: Option<Spanned<DeTable<'_>>> = None;
    let mut broken = Vec::new();
    for text in &padded {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            broken.push(Problem {
                span,
                title: error.message().to_owned(),
                allowed: "not valid TOML".to_owned(),
            });
        }
        match &mut merged {
            None => merged = Some(table),
            Some(base) => lay_over(base.get_mut(), table.into_inner()),
        }
    }
    // What follows such a place may stand where nobody meant it to stand.
    if !broken.is_empty() {
        return Err(AdapterError::invalid(name, &sources, &broken));
    }
    let document = merged.map(|table| deserialize(table, &sources, &mut problems)).unwrap_or_default();
    Ok((document, sources, problems))
}

/// Appends the files of `name`, the most basic one first. `above` names the adapters that extend it.
fn collect(
    name: &str,
    user_dirs: &[PathBuf],
    above: &mut Vec<String>,
    files: &mut Vec<(PathBuf, String)>,
) -> Result<(), AdapterError> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
        return Err(AdapterError::Name { name: name.to_owned() });
    }
    let mut own = Vec::new();
    // The first directory has the last word.
    for directory in user_dirs.iter().rev() {
        let path = directory.join(format!("{name}.toml"));
        match std::fs::read_to_string(&path) {
            Ok(text) => own.push((path, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(AdapterError::Read { path, source }),
        }
    }
    let extending = own.iter().rev().find_map(|(path, text)| Some((path, text, extends(text)?)));
    let extending = extending.filter(|(_, _, base)| base.get_ref() != name);
    if let Some((path, text, base)) = extending {
        let refused = |title: String, allowed: String| {
            let mut sources = Sources::default();
            sources.add(path.clone(), text.clone());
            AdapterError::invalid(name, &sources, &[Problem { span: base.span(), title, allowed }])
        };
        let (base, before) = (base.get_ref(), files.len());
        above.push(name.to_owned());
        if above.contains(base) {
            let way = above.join("` extends `");
            return Err(refused(
                format!("`{way}` extends `{base}`"),
                "an adapter that does not extend this one".to_owned(),
            ));
        }
        collect(base, user_dirs, above, files)?;
        if files.len() == before {
            let known = built_in_names().collect::<Vec<_>>().join(", ");
            return Err(refused(
                format!("there is no adapter `{base}`"),
                format!("one of {known}, or another file's name"),
            ));
        }
    } else if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        let path = Path::new("<built-in>").join(format!("{name}.toml"));
        files.push((path, (*text).to_owned()));
    }
    files.append(&mut own);
    Ok(())
}

fn extends(text: &str) -> Option<Spanned<String>> {
    let (table, _) = DeTable::parse_recoverable(text);
    let value = table.get_ref().get("extends")?;
    Some(Spanned::new(value.span(), value.get_ref().as_str()?.to_owned()))
}

/// Tables are merged key by key, except `read`: half of one form and half of another make no reading.
fn lay_over<'i>(base: &mut DeTable<'i>, over: DeTable<'i>) {
    for (key, value) in over {
        let whole = key.get_ref().as_ref() == "read";
        let merged = match (base.get_mut(key.get_ref().as_ref()), value.get_ref()) {
            (Some(existing), DeValue::Table(_)) if !whole && existing.get_ref().is_table() => {
                if let (DeValue::Table(existing), DeValue::Table(new)) =
                    (existing.get_mut(), value.into_inner())
                {
                    lay_over(existing, new);
                }
                continue;
            }
            _ => value,
        };
        base.remove(key.get_ref().as_ref());
        base.insert(key, merged);
    }
}

/// Reads the document; what is refused is noted, taken out, and the rest read again, so that all problems show at once.
fn deserialize(mut table: Spanned<DeTable<'_>>, sources: &Sources, problems: &mut Problems) -> Document {
    loop {
        match Document::deserialize(Deserializer::from(table.clone())) {
            Ok(document) => return document,
            Err(error) => {
                let span = error.span().unwrap_or_else(|| sources.last_start()..sources.last_start());
                let (title, allowed) = split_message(error.message());
                problems.0.push(Problem { span: span.clone(), title, allowed });
                if !take_out(table.get_mut(), &span) {
                    return Document::default();
                }
            }
        }
    }
}

/// serde's messages end in `, expected …`.
fn split_message(message: &str) -> (String, String) {
    match message.split_once(", expected ") {
        Some((title, expected)) => (title.to_owned(), format!("expected {expected}")),
        None => (message.to_owned(), "not understood".to_owned()),
    }
}

/// Removes the innermost key whose name or value covers `span`.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let found = table
        .iter()
        .find(|(key, value)| covers(key.span()) || covers(value.span()) || inside(value.get_ref(), span))
        .map(|(key, _)| key.clone());
    let Some(key) = found else { return false };
    if let Some(DeValue::Table(inner)) = table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut)
        && take_out(inner, span)
    {
        return true;
    }
    table.remove(key.get_ref().as_ref()).is_some()
}

/// Whether `span` lies in a table that is written in several places (`[a.b]` after others).
fn inside(value: &DeValue<'_>, span: &Range<usize>) -> bool {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    value.as_table().is_some_and(|table| {
        table
            .iter()
            .any(|(key, value)| covers(key.span()) || covers(value.span()) || inside(value.get_ref(), span))
    })
}
