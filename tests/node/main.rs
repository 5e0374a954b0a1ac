//! The real node runner with real workers and real programs. Needs what `make test-setup` installs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod any_encoding;
mod calculations;
mod cgroups;
mod crashes;
mod fixture;
mod limits;
mod mounts;
mod native;
mod native_mopac;
mod native_slots;
mod native_xtb;
mod notices;
mod pilots;
mod progress;
mod reasons;
mod representation;
mod single_atoms;
mod stopping;
mod versions;
mod workers;
