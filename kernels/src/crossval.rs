//! Leave-one-out.
