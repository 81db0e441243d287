//! The linear system.
