//! The base: a config file, judged and compiled once, from which every snapshot is made.
//!
//! Pure: text in, [`Base`] or [`Problems`] out. A weight that changes later rebuilds the one rule
//! it belongs to; the router and everything else is shared.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::problem::{Problem, Problems, Report, Source};
use super::settings::Settings;
use super::{backends, routes, settings, shadow, yaml};
use crate::model::{BackendName, Overrides, RuleId, Split, Weight, Weights};
use crate::routing::{Router, Rule};
use crate::snapshot::Blueprint;
use crate::upstream::Backend;

/// A config without errors. Immutable.
pub(crate) struct Base {
    source: Arc<Source>,
    settings: Settings,
    warnings: Vec<Problem>,
    router: Arc<Router>,
    /// In config order: the router answers with positions in this list.
    rules: Vec<Arc<Rule>>,
    positions: HashMap<RuleId, usize>,
    backends: Arc<HashMap<BackendName, Arc<Backend>>>,
}

impl Base {
    /// Judges and compiles `text`; `source_name` is what problems call it.
    ///
    /// # Errors
    /// When anything is wrong; all problems at once, unless the text is not even well-formed.
    pub(crate) fn parse(source_name: &str, text: &str) -> Result<Self, Problems> {
        let mut report = Report::new(source_name, text);
        let Some(document) = yaml::read(text, &mut report) else {
            return Err(report.into_problems());
        };
        let settings = settings::compile(&document, &mut report);
        let mut backends = backends::compile(&document, &settings.listeners, &mut report);
        let rules = routes::compile(document.routes.as_ref(), &mut backends, &mut report);
        backends.warn_unused(&mut report);
        shadow::check(&rules, &mut report);
        if report.has_errors() {
            return Err(report.into_problems());
        }
        let router = Router::new(rules.iter().map(|one| (&*one.rule.hosts, &*one.matches)));
        let rules: Vec<_> = rules.into_iter().map(|one| Arc::new(one.rule)).collect();
        let ids = rules.iter().map(|rule| rule.id.clone());
        Ok(Self {
            source: report.source(),
            settings,
            warnings: report.into_list(),
            router: Arc::new(router),
            positions: ids.zip(0..).collect(),
            rules,
            backends: Arc::new(backends.found),
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is legal but hardly meant, in the order of the lines.
    pub(crate) fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What the base and `overrides` amount to. Backends of a split that its override does not
    /// name weigh nothing: they are newer than the decision. What an override names and the base
    /// does not have is left out; [`orphans`](Self::orphans) lists it.
    pub(crate) fn blueprint(&self, overrides: &Overrides) -> Blueprint {
        let mut rules = self.rules.clone();
        for (id, weights) in overrides {
            let position = self.positions.get(id);
            if let Some(rule) = position.and_then(|&at| rules.get_mut(at)) {
                *rule = Arc::new(overridden(rule, weights));
            }
        }
        Blueprint {
            router: Arc::clone(&self.router),
            rules,
            backends: Arc::clone(&self.backends),
        }
    }

    /// Everything `overrides` name that the base does not have.
    pub(crate) fn orphans(&self, overrides: &Overrides) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        for (id, weights) in overrides {
            let position = self.positions.get(id);
            let Some(rule) = position.and_then(|&at| self.rules.get(at)) else {
                orphans.push(Orphan {
                    rule: id.clone(),
                    backend: None,
                });
                continue;
            };
            let entries = rule.split.entries();
            let missing = weights
                .keys()
                .filter(|name| !entries.iter().any(|(choice, _)| choice.backend == **name));
            orphans.extend(missing.map(|name| Orphan {
                rule: id.clone(),
                backend: Some(name.clone()),
            }));
        }
        orphans
    }

    /// What was written, as JSON.
    pub(crate) fn document(&self) -> serde_json::Value {
        yaml::to_json(self.text())
    }

    /// What was written.
    pub(crate) fn text(&self) -> &str {
        self.source.text()
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base")
            .field("settings", &self.settings)
            .field("warnings", &self.warnings)
            .field("rules", &self.rules.len())
            .field("backends", &self.backends.len())
            .finish_non_exhaustive()
    }
}

fn overridden(rule: &Rule, weights: &Weights) -> Rule {
    let entries = rule.split.entries().iter().map(|(choice, _)| {
        let weight = weights.get(&choice.backend).copied();
        (choice.clone(), weight.unwrap_or(Weight::ZERO))
    });
    Rule {
        split: Split::new(entries),
        ..rule.clone()
    }
}

/// An override, or one weight of it, whose rule or backend the base does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) rule: RuleId,
    /// `None`: the rule itself is missing.
    pub(crate) backend: Option<BackendName>,
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            None => write!(
                f,
                "live weights are set for the rule {}, which is gone",
                self.rule
            ),
            Some(backend) => write!(
                f,
                "live weights of the rule {} name the backend {backend}, which is not in its split",
                self.rule
            ),
        }
    }
}
