//! Pure decisions: snapshot in, decisions out. No I/O, no clocks.
