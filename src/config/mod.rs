//! From a config file to what runs: read, judge everything at once, compile.
//!
//! Two families of types with one conversion between them: `schema` is what was written, every
//! value with its place in the file; [`Base`] is what it means. Nothing in between runs, so a file
//! with one mistake changes nothing. A syntax or type error stops at the first, because what
//! follows it cannot be trusted; everything that can be judged on a well-formed file is reported
//! together, each with file, line, column and what to do.
//!
//! `file` alone touches the disk; the rest is pure: text in, [`Base`] or [`Problems`] out.

mod backends;
mod compile;
mod file;
mod filters;
mod matches;
mod names;
mod problem;
mod routes;
mod schema;
mod settings;
mod shadow;
mod trust;
mod units;
mod yaml;

#[cfg(test)]
mod golden;

pub(crate) use compile::Base;
pub(crate) use problem::{Problems, render};
pub(crate) use schema::schema_json;
pub(crate) use settings::{AccessLog, Control, Settings};
pub(crate) use units::parse_duration;
