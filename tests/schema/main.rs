//! QCSchema documents, molecule and specification hashes, and intake from files, against recorded answers of
//! QCElemental and QCFractal. Needs no network, no Python and no programs.

#![allow(clippy::unwrap_used)]

mod documents;
mod formats;
mod hashes;
mod intake;
mod properties;
mod refusals;
mod xyz;
