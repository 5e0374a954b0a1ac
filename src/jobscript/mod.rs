//! Job scripts from templates. No scheduler logic.
