//! Structured answers: how Claude is told to give data, and the reading of what it gave.
