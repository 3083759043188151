//! Tests of the turn reader.
