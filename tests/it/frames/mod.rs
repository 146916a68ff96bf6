//! HTTP/2 spoken frame by frame, as a client and as a backend: what no library would send, and what
//! really comes back.
//!
//! `wire` is the language; `rules` walks RFC 9113 from section to section; `floods` are the attacks
//! that cost the attacker little; `translate` tries to smuggle something through to HTTP/1.1;
//! `endings` are resets and GOAWAY, from every side; `backend` is a backend that misbehaves.

mod backend;
mod endings;
mod floods;
mod recorder;
mod rules;
mod translate;
mod wire;
