//! Doors for the benches to what is private otherwise: one call each, nothing decided here.
//!
//! A bench is a crate of its own and sees only what is `pub`; these wrappers keep everything
//! behind them private for everyone else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::config::Base;
use crate::metrics::SeriesCells;
use crate::model::{Dice, Overrides, Split, Weight, Weights};
use crate::routing::{Router, Scratch, View};

/// A split and its dice, as one worker has them.
#[derive(Debug)]
pub struct Picker {
    split: Split<()>,
    dice: Dice,
}

impl Picker {
    /// # Panics
    /// When a weight is out of range.
    pub fn new(weights: &[u64], phase: u64) -> Self {
        let weight = |&share: &u64| Weight::new(share).expect("a weight of a bench is in range");
        Self {
            split: Split::new(weights.iter().map(|share| ((), weight(share)))),
            dice: Dice::shared(phase, 0, 1),
        }
    }

    /// One roll and the entry it chooses.
    pub fn pick(&mut self) -> Option<usize> {
        self.split.pick(self.dice.roll())
    }
}

/// A config that compiled.
pub struct Config(Base);

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Config {
    /// # Errors
    /// All problems of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        Base::parse("bench.yaml", text)
            .map(Self)
            .map_err(|problems| problems.to_string())
    }

    /// What one live change of weights compiles: the whole world, with the last rule overridden.
    pub fn reweigh(&self) -> impl Sized + use<> {
        let rule = self.0.blueprint(&Overrides::new()).rules.pop();
        let overrides = rule.map(|rule| {
            let names = rule.split.entries().iter().map(|(one, _)| &one.backend);
            let weights: Weights = names.map(|name| (name.clone(), Weight::ONE)).collect();
            (rule.id.clone(), weights)
        });
        self.0.blueprint(&overrides.into_iter().collect())
    }

    pub fn routes(&self) -> Routes {
        Routes {
            router: self.0.blueprint(&Overrides::new()).router,
            scratch: Scratch::default(),
        }
    }
}

/// A router and the room it needs, as one worker has them.
#[derive(Debug)]
pub struct Routes {
    router: Arc<Router>,
    scratch: Scratch,
}

impl Routes {
    /// Position of the rule that answers a GET.
    pub fn find(&mut self, authority: &str, path: &str, headers: &HeaderMap) -> Option<usize> {
        let view = View {
            method: &Method::GET,
            authority,
            path,
            query: None,
            headers,
        };
        self.router
            .find(view, &mut self.scratch)
            .map(|found| found.rule)
    }
}

/// What one worker counts of a rule and backend: answers by status, and the latency histogram.
#[derive(Debug, Default)]
pub struct Stopwatch(SeriesCells);

impl Stopwatch {
    pub fn record(&self, duration: Duration) {
        self.0.answered(StatusCode::OK, duration);
    }
}
