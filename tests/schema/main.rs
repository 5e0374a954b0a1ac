//! QCSchema documents, molecule and specification hashes, and intake from files, against recorded answers of
//! QCElemental and QCFractal. Needs no network, no Python and no programs.

mod hashes;
