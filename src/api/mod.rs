//! HTTP for every client: over the Unix socket for the CLI. No business rules.
