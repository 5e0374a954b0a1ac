//! Whose a spool and a state directory are, and whether this daemon may use them. Pure.
//!
//! Both hold an owner file with the database and the site that they belong to. A restored database has a new id and may
//! take over what belonged to its former ones, but only from the state directory that their daemon used: a copy of a
//! living database knows the same former ids and must not take its jobs.

use serde::{Deserialize, Serialize};

use crate::model::identity::{DatabaseId, Lineage, SPOOL_FORMAT, first_format};

/// What an owner file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// The version of what lies beside it.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The database whose daemon uses the directory.
    pub database: DatabaseId,
    /// Its site.
    pub site: String,
}

impl Owner {
    /// What a daemon of this version writes.
    pub fn of(database: DatabaseId, site: &str) -> Owner {
        Owner { format: SPOOL_FORMAT, database, site: site.to_owned() }
    }
}

/// What becomes of owner files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// They say what they should.
    Ours,
    /// Nobody's until now: they are to be written.
    New,
    /// They were those of this database before it was restored: they are to be written anew.
    TakenOver,
}

/// Which directory a refusal is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The state directory.
    State,
    /// The spool.
    Spool,
}

/// Why a directory cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A later version wrote what is in it.
    Later(Place, u32),
    /// It belongs to another site or database.
    Foreign(Place, Owner),
    /// The spool belongs to a database of which this one is a restored copy, used from another state directory.
    Copy(Owner),
}

/// Whether the daemon of `site` on the database with `lineage` may use a state directory and a spool with these owners.
pub fn decide(
    lineage: &Lineage,
    site: &str,
    state: Option<&Owner>,
    spool: Option<&Owner>,
) -> Result<Ownership, Refusal> {
    for (place, owner) in [(Place::State, state), (Place::Spool, spool)] {
        let Some(owner) = owner else { continue };
        if owner.format > SPOOL_FORMAT {
            return Err(Refusal::Later(place, owner.format));
        }
        if owner.site != site || !lineage.has(owner.database) {
            return Err(Refusal::Foreign(place, owner.clone()));
        }
    }
    let is_former = |owner: &Owner| owner.database != lineage.current;
    match (state, spool) {
        (None, Some(spool)) if is_former(spool) => Err(Refusal::Copy(spool.clone())),
        (state, spool) if state.into_iter().chain(spool).any(is_former) => Ok(Ownership::TakenOver),
        (Some(_), Some(_)) => Ok(Ownership::Ours),
        _ => Ok(Ownership::New),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: DatabaseId = DatabaseId([1; 16]);
    const BEFORE: DatabaseId = DatabaseId([2; 16]);
    const ELSEWHERE: DatabaseId = DatabaseId([3; 16]);

    fn decided(state: Option<&Owner>, spool: Option<&Owner>) -> Result<Ownership, Refusal> {
        decide(&Lineage { current: HERE, former: vec![BEFORE] }, "site", state, spool)
    }

    #[test]
    fn what_belongs_to_others_is_refused_and_what_was_ours_is_taken_over() {
        let (here, before) = (Owner::of(HERE, "site"), Owner::of(BEFORE, "site"));
        let (elsewhere, other_site) = (Owner::of(ELSEWHERE, "site"), Owner::of(HERE, "other"));
        let later = Owner { format: SPOOL_FORMAT + 1, ..here.clone() };
        assert_eq!(decided(None, None), Ok(Ownership::New));
        assert_eq!(decided(Some(&here), None), Ok(Ownership::New), "another spool is configured");
        assert_eq!(decided(None, Some(&here)), Ok(Ownership::New), "the state directory is new");
        assert_eq!(decided(Some(&here), Some(&here)), Ok(Ownership::Ours));
        assert_eq!(decided(Some(&before), Some(&before)), Ok(Ownership::TakenOver));
        assert_eq!(decided(Some(&before), Some(&here)), Ok(Ownership::TakenOver), "it died half-way");
        assert_eq!(decided(Some(&before), None), Ok(Ownership::TakenOver));
        assert_eq!(decided(None, Some(&before)), Err(Refusal::Copy(before.clone())));
        for foreign in [elsewhere, other_site] {
            let state = Refusal::Foreign(Place::State, foreign.clone());
            let spool = Refusal::Foreign(Place::Spool, foreign.clone());
            assert_eq!(decided(Some(&foreign), None), Err(state));
            assert_eq!(decided(Some(&here), Some(&foreign)), Err(spool.clone()));
            assert_eq!(decided(None, Some(&foreign)), Err(spool));
        }
        assert_eq!(decided(Some(&here), Some(&later)), Err(Refusal::Later(Place::Spool, SPOOL_FORMAT + 1)));
    }
}
