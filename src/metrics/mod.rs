//! What happened, in numbers.
