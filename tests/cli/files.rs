//! What needs no running Pointsman: `validate`, `schema`, `explain -c`; and `explain` of one.
