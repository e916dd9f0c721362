//! Formats of the bearers.
