//! QCSchema documents (v1 and v2) into calculations and back. Pure.
