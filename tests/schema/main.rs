//! QCSchema documents, molecule and specification hashes, and intake from files, against recorded answers of
//! QCElemental and QCFractal. Needs no network and no programs; one test asks the two
//! Pythons of `make test-setup`.

#![allow(clippy::unwrap_used)]

mod differences;
mod differential;
mod documents;
mod formats;
mod hashes;
mod intake;
mod properties;
mod refusals;
mod xyz;
