//! What the keeper takes, refuses and says.
