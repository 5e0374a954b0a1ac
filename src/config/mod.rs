//! Configuration: layered TOML, each problem with file and line.
