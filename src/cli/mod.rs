//! One file per command: tables and JSON for what the API answers. No business rules.
