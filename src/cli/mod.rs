//! What talks to a person.
