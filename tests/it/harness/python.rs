//! The two Python environments with QCEngine, one per generation of QCSchema.

use std::path::PathBuf;

/// A generation of QCEngine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Generation {
    /// QCEngine 0.29: QCSchema v1, drives Debian's Psi4 1.3.2.
    V1,
    /// The newest: QCSchema v1 and v2.
    V2,
}

impl Generation {
    /// The interpreter of its virtual environment: `QCBATCH_TEST_PYTHON_V1` or `_V2`, which `make test` sets, or the place where
    /// `make test-setup` puts it.
    pub fn python(self) -> PathBuf {
        let (variable, environment) = match self {
            Generation::V1 => ("QCBATCH_TEST_PYTHON_V1", ".venv-v1"),
            Generation::V2 => ("QCBATCH_TEST_PYTHON_V2", ".venv-v2"),
        };
        let python = std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(environment).join("bin/python")
        });
        assert!(python.exists(), "{} is missing: run make test-setup", python.display());
        python
    }
}
