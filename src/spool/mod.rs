//! Layout on the shared filesystem, framed result files, atomic writes. No SQL.
