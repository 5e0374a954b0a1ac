//! Where we answer otherwise than QCElemental, and why. `differential.rs` holds this list to be complete and without idle entries.

use What::{OnlyWeRefuse, OnlyWeTake, Understood};
use Who::{Newer, Older};

/// Which QCElemental.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// 0.27 or 0.28, with QCSchema version 1.
    Older,
    /// 0.50 and later, with both versions.
    Newer,
}

/// How the answers differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It refuses.
    OnlyWeTake,
    /// It takes.
    OnlyWeRefuse,
    /// Both take it, as different things.
    Understood,
}

/// One kind of difference.
pub struct Difference {
    /// The newer or the older one; both where there is none.
    pub who: Option<Who>,
    pub what: What,
    /// Ends of paths; every one where there is none.
    pub paths: &'static [&'static str],
    /// Changes; every one where there is none.
    pub changes: &'static [&'static str],
    pub reason: &'static str,
}

impl Difference {
    pub fn explains(&self, who: Who, what: What, path: &str, change: &str) -> bool {
        self.who.is_none_or(|own| own == who)
            && self.what == what
            && (self.paths.is_empty() || self.paths.iter().any(|end| path.ends_with(end)))
            && (self.changes.is_empty() || self.changes.contains(&change))
    }
}

/// Of both, in the words of the list below.
const fn both(
    what: What,
    paths: &'static [&'static str],
    changes: &'static [&'static str],
    reason: &'static str,
) -> Difference {
    Difference { who: None, what, paths, changes, reason }
}

const fn of(
    who: Who,
    what: What,
    paths: &'static [&'static str],
    changes: &'static [&'static str],
    reason: &'static str,
) -> Difference {
    Difference { who: Some(who), what, paths, changes, reason }
}

/// Changes that put something else in the place of a text or a truth.
const OTHER: &[&str] = &["true", "-1", "3", "half", "null", "text"];

/// The first entry that fits explains a difference.
pub const DIFFERENCES: &[Difference] = &[
    both(OnlyWeTake, &[], &["null"], "null is as good as absent; QCElemental refuses it in some places"),
    both(OnlyWeRefuse, &["/geometry/*"], &["as text", "null", "true"], "QCElemental casts: null becomes NaN"),
    both(
        OnlyWeRefuse,
        &[
            "/atomic_numbers/*",
            "/fragment_charges/*",
            "/fragment_multiplicities/*",
            "/fragments/*/*",
            "/mass_numbers/*",
            "/masses/*",
            "/molecular_charge",
        ],
        &["as text", "true"],
        "texts and truths become numbers in QCElemental",
    ),
    both(OnlyWeRefuse, &["/real/*"], OTHER, "true and false, also as 1 and 0, are the two truths"),
    both(
        OnlyWeRefuse,
        &["/name", "/comment", "/atom_labels/*", "/identifiers/smiles", "/model/basis", "/model/method"],
        OTHER,
        "numbers become text in QCElemental",
    ),
    both(
        OnlyWeRefuse,
        &["/symbols", "/symbols/*"],
        &["null"],
        "QCElemental takes the element of the atomic number",
    ),
    both(OnlyWeRefuse, &["/symbols/*"], &["3"], "an atomic number is no symbol"),
    both(OnlyWeTake, &["/connectivity"], &["list"], "a list without a bond says nothing"),
    both(
        OnlyWeRefuse,
        &["/connectivity/*", "/connectivity/*/*"],
        &[],
        "bonds of a validated document are checked all the same",
    ),
    of(
        Older,
        OnlyWeTake,
        &["/fragment_multiplicities/*", "/molecular_multiplicity"],
        &["as float"],
        "the newer one takes 2.0 for 2",
    ),
    both(
        OnlyWeTake,
        &["/provenance", "/provenance/routine", "/provenance/version"],
        &[],
        "of a provenance only the creator must be a text",
    ),
    both(OnlyWeRefuse, &["/schema_name"], &["padded"], "a schema's name is that name"),
    of(Older, OnlyWeRefuse, &["/schema_version"], &[], "the older one takes any version"),
    of(Newer, OnlyWeRefuse, &["/schema_version"], &["true"], "a version is a number"),
    both(OnlyWeTake, &["/schema_version"], &["3", "next"], "molecules of every version are the same"),
    both(OnlyWeRefuse, &["/validated"], &["list", "object"], "a truth is true or false"),
    both(
        OnlyWeRefuse,
        &["/extras", "/keywords", "/protocols", "/identifiers"],
        &["list"],
        "a list is no object, even an empty one",
    ),
    of(
        Newer,
        OnlyWeRefuse,
        &["/specification/extras", "/specification/keywords"],
        &[],
        "extras and keywords are objects",
    ),
    of(Newer, Understood, &["/specification/keywords"], &["null"], "no keywords are no keywords"),
    both(OnlyWeTake, &["/id"], &["list", "object"], "a document's own id is not looked at"),
    both(OnlyWeRefuse, &["/model"], &["unknown key"], "QCElemental keeps it, and here it would be lost"),
    of(Newer, OnlyWeTake, &["/specification/driver"], &["removed"], "an optimizer asks for gradients"),
];
