//! The built program as its operator meets it: started, steered, signalled, killed, started again.
//!
//! Every test runs the real binary over loopback, on ports of the kernel's choice, with origins and
//! clients of `pointsman::testing`. Nothing here waits without a limit, and no test sleeps to let
//! something happen: it looks until it has happened, or says what it saw instead.

mod api;
mod changes;
mod demo;
mod durability;
mod fixture;
mod leaving;
mod refusals;
mod reloads;
mod starts;
