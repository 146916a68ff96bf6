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
        let rules = routes::compile(&document, &mut backends, &mut report);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RouteName, RuleName};

    const CANARY: &str = include_str!("../../config/canary.yaml");

    fn base(text: &str) -> Base {
        Base::parse("test.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn id(route: &str, rule: &str) -> RuleId {
        RuleId {
            route: RouteName::parse(route).expect("name"),
            rule: RuleName::parse(rule).expect("name"),
        }
    }

    fn weights(pairs: &[(&str, u64)]) -> Weights {
        let pair = |(name, weight): &(&str, u64)| {
            let name = BackendName::parse(name).expect("name");
            (name, Weight::new(*weight).expect("weight"))
        };
        pairs.iter().map(pair).collect()
    }

    fn shares(rule: &Rule) -> Vec<u32> {
        let entries = rule.split.entries().iter();
        entries.map(|(_, weight)| weight.get()).collect()
    }

    #[test]
    fn an_override_rebuilds_its_rule_and_nothing_else() {
        let base = base(include_str!("../../config/blue-green.yaml"));
        let plain = base.blueprint(&Overrides::new());
        let everyone = id("podinfo", "everyone");
        let overrides = Overrides::from([(everyone, weights(&[("blue", 3), ("green", 7)]))]);
        let moved = base.blueprint(&overrides);
        assert!(Arc::ptr_eq(&plain.router, &moved.router));
        assert!(Arc::ptr_eq(&plain.backends, &moved.backends));
        assert!(Arc::ptr_eq(&plain.rules[0], &moved.rules[0]), "preview");
        assert_eq!(shares(&plain.rules[1]), [1, 0]);
        assert_eq!(shares(&moved.rules[1]), [3, 7]);
        assert_eq!(Rule::clone(&plain.rules[1]).filters, moved.rules[1].filters);
        assert!(base.orphans(&overrides).is_empty());
    }

    #[test]
    fn a_backend_that_the_override_does_not_name_gets_nothing() {
        let base = base(CANARY);
        let overrides = Overrides::from([(id("podinfo", "everyone"), weights(&[("primary", 1)]))]);
        assert_eq!(shares(&base.blueprint(&overrides).rules[0]), [1, 0]);
    }

    #[test]
    fn what_the_base_does_not_have_is_an_orphan_and_changes_nothing() {
        let base = base(CANARY);
        let overrides = Overrides::from([
            (
                id("podinfo", "everyone"),
                weights(&[("primary", 1), ("next", 1)]),
            ),
            (id("podinfo", "gone"), weights(&[("primary", 1)])),
        ]);
        assert_eq!(shares(&base.blueprint(&overrides).rules[0]), [1, 0]);
        let said: Vec<String> = base
            .orphans(&overrides)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "live weights of the rule podinfo/everyone name the backend next, which is not in \
                 its split",
                "live weights are set for the rule podinfo/gone, which is gone",
            ]
        );
    }

    #[test]
    fn the_document_is_what_was_written() {
        let text = CANARY.replace("routes:", "accessLog: off\nroutes:");
        let document = base(&text).document();
        assert_eq!(document["accessLog"], "off");
        assert_eq!(document["routes"][0]["rules"][0]["split"][1]["weight"], 5);
        assert_eq!(document["control"], serde_json::Value::Null);
    }

    #[test]
    fn a_file_may_be_json_and_may_share_parts_by_anchors() {
        let base = base(
            r#"{"apiVersion": "pointsman.dev/v1", "control": {"address": "none"},
               "listeners": [{"name": "web", "address": "127.0.0.1:0"}],
               "routes": [{"name": "a", "hosts": ["a.example"], "rules": &r [{"split": [{"backend": "b"}]}]},
                          {"name": "b", "hosts": ["b.example"], "rules": *r}],
               "backends": [{"name": "b", "endpoints": []}]}"#,
        );
        let blueprint = base.blueprint(&Overrides::new());
        let ids: Vec<String> = blueprint
            .rules
            .iter()
            .map(|rule| rule.id.to_string())
            .collect();
        assert_eq!(ids, ["a/default", "b/default"]);
        assert_eq!(base.settings().control, None);
    }
}
