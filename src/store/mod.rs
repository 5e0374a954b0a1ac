//! PostgreSQL through diesel, one file per aggregate. No business rules.
