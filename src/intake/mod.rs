//! Files and streams into documents, each with the place it came from. No SQL.
