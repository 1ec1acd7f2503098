//! The action server.
