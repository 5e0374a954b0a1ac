//! Claims the spool and the state directory for this daemon's database and site, or says whose they are.

use std::path::{Path, PathBuf};

use super::error::DaemonError;
use crate::config::{Config, StateLayout};
use crate::model::identity::{Lineage, SPOOL_FORMAT};
use crate::permit::Permit;
use crate::plan::owner::{self as plan, Owner, Ownership, Place, Refusal};
use crate::spool::SpoolError;
use crate::spool::layout::owner_in;
use crate::spool::owner::{self, Made};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// The owner file cannot be read or written.
    #[error("failed to learn whose the directory is")]
    Spool(#[from] SpoolError),
    /// A later version wrote what is in it.
    #[error(
        "`{}` was written by a later version of qcbatch (format {format}; this one knows up to {SPOOL_FORMAT}); run that version",
        path.display()
    )]
    Later {
        /// The owner file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It is somebody else's.
    #[error(
        "`{directory}` belongs to site `{}` of database {}; this daemon is site `{}` of database {}. Give each \
         site a state directory and a spool of its own (`[site] state`, `[spool] path`). Only if the other one is gone for \
         good: remove `{file}`, and the daemon takes the directory over",
        found.site, found.database, us.site, us.database, directory = directory.display(),
        file = owner_in(directory).display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// Who owns it.
        found: Box<Owner>,
        /// This daemon.
        us: Box<Owner>,
    },
    /// It belongs to the database that this one is a copy of.
    #[error(
        "`{directory}` belongs to database {}, of which this one is a restored copy, and this state directory is a new one. \
         If the original still runs, give the copy a spool of its own (`[spool] path`). If it is gone for good: remove \
         `{file}`, and the daemon takes the directory over",
        found.database, directory = directory.display(), file = owner_in(directory).display()
    )]
    Copy {
        /// The directory.
        directory: PathBuf,
        /// Who owns it.
        found: Box<Owner>,
    },
}

/// Claims both directories, or refuses.
pub fn claim(config: &Config, lineage: &Lineage, permit: &Permit) -> Result<Ownership, DaemonError> {
    let layout = StateLayout::of(config);
    let claimed = claim_in((&layout.root, &layout.spool), lineage, &config.site.name, permit)?;
    if claimed == Ownership::TakenOver {
        tracing::warn!(
            spool = %layout.spool.display(),
            "takes over the spool of the database that was here before the restore"
        );
    }
    Ok(claimed)
}

fn claim_in(
    (state, spool): (&Path, &Path),
    lineage: &Lineage,
    site: &str,
    permit: &Permit,
) -> Result<Ownership, OwnershipError> {
    let (of_state, of_spool) = (owner_in(state), owner_in(spool));
    let us = Owner::of(lineage.current, site);
    loop {
        let found = (owner::read::<Owner>(&of_state)?, owner::read::<Owner>(&of_spool)?);
        let decided = plan::decide(lineage, site, found.0.as_ref(), found.1.as_ref());
        let ownership = decided.map_err(|refusal| refused(refusal, (state, spool), &us))?;
        // The spool first: the state directory says from where a restored database may take the other over.
        for (path, found) in [(&of_spool, found.1), (&of_state, found.0)] {
            match found {
                Some(found) if found == us => {}
                Some(_) => owner::replace(path, &us, permit)?,
                None if owner::make(path, &us, permit)? == Made::No => continue,
                None => {}
            }
        }
        let agree =
            |path| -> Result<bool, SpoolError> { Ok(owner::read::<Owner>(path)?.as_ref() == Some(&us)) };
        if agree(&of_spool)? && agree(&of_state)? {
            return Ok(ownership);
        }
    }
}

fn refused(refusal: Refusal, (state, spool): (&Path, &Path), us: &Owner) -> OwnershipError {
    let directory = |place| match place {
        Place::State => state.to_owned(),
        Place::Spool => spool.to_owned(),
    };
    match refusal {
        Refusal::Later(place, format) => OwnershipError::Later { path: owner_in(&directory(place)), format },
        Refusal::Foreign(place, found) => OwnershipError::Foreign {
            directory: directory(place),
            found: Box::new(found),
            us: Box::new(us.clone()),
        },
        Refusal::Copy(found) => OwnershipError::Copy { directory: spool.to_owned(), found: Box::new(found) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::DatabaseId;

    const FIRST: DatabaseId = DatabaseId([1; 16]);
    const SECOND: DatabaseId = DatabaseId([2; 16]);

    #[test]
    fn one_of_two_databases_has_a_spool_and_a_restored_one_takes_its_own_over() {
        let root = tempfile::tempdir().unwrap();
        let directory = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (state, other_state, spool) = (directory("a"), directory("b"), directory("spool"));
        let claim_in = |state: &Path, spool: &Path, lineage: &Lineage, site: &str| {
            claim_in((state, spool), lineage, site, &Permit::without_lease())
        };
        let of = |current, former: &[DatabaseId]| Lineage { current, former: former.to_vec() };
        assert_eq!(claim_in(&state, &spool, &of(FIRST, &[]), "site").unwrap(), Ownership::New);
        assert_eq!(claim_in(&state, &spool, &of(FIRST, &[]), "site").unwrap(), Ownership::Ours);
        let refused = claim_in(&other_state, &spool, &of(SECOND, &[]), "site").unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(&FIRST.to_string()) && told.contains("owner.json"), "{told}");
        assert!(claim_in(&state, &spool, &of(FIRST, &[]), "another").is_err());
        let copy = claim_in(&other_state, &spool, &of(SECOND, &[FIRST]), "site").unwrap_err();
        assert!(matches!(copy, OwnershipError::Copy { .. }), "{copy}");
        assert_eq!(claim_in(&state, &spool, &of(SECOND, &[FIRST]), "site").unwrap(), Ownership::TakenOver);
        assert_eq!(claim_in(&state, &spool, &of(SECOND, &[FIRST]), "site").unwrap(), Ownership::Ours);
        // A person's decision.
        std::fs::remove_file(owner_in(&spool)).unwrap();
        assert_eq!(claim_in(&other_state, &spool, &of(FIRST, &[]), "site").unwrap(), Ownership::New);
    }
}
