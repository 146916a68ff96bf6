//! Names of routes, rules and backends.
//!
//! A name is short, lower-case and safe in a URL, a metric label and a file name, so that nothing
//! downstream ever has to escape one. The three kinds are three types: a backend cannot be passed
//! where a route is meant.

use std::fmt;
use std::sync::Arc;

/// Longest name in bytes: the limit of a DNS label, which Kubernetes objects obey too.
pub(crate) const NAME_LENGTH_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    Empty,
    TooLong(usize),
    Character(char),
    Edge(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a name must not be empty"),
            Self::TooLong(length) => {
                write!(
                    f,
                    "a name has at most {NAME_LENGTH_MAX} characters, this one has {length}"
                )
            }
            Self::Character(c) => write!(
                f,
                "a name consists of lower-case letters, digits, `-` and `.`; {c:?} is none of them"
            ),
            Self::Edge(c) => {
                write!(
                    f,
                    "a name starts and ends with a lower-case letter or digit, not {c:?}"
                )
            }
        }
    }
}

impl std::error::Error for NameError {}

fn check(text: &str) -> Result<(), NameError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
        return Err(NameError::Empty);
    };
    if text.len() > NAME_LENGTH_MAX {
        return Err(NameError::TooLong(text.chars().count()));
    }
    if let Some(odd) = text.chars().find(|&c| !plain(c) && c != '-' && c != '.') {
        return Err(NameError::Character(odd));
    }
    match [first, last].into_iter().find(|&c| !plain(c)) {
        Some(edge) => Err(NameError::Edge(edge)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $type(Arc<str>);

        impl $type {
            /// Takes `text` if it is a name.
            ///
            /// # Errors
            /// Says which law of names the text breaks.
            pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(Arc::from(text)))
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($type), &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The unit users name: hosts and rules.
    RouteName
);
name!(
    /// One rule inside a route: matches, filters and a split.
    RuleName
);
name!(
    /// A named destination, usually a version of a service.
    BackendName
);

/// A rule's address: unique in the whole config, stable across reloads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuleId {
    pub(crate) route: RouteName,
    pub(crate) rule: RuleName,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.route, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels_with_dots() {
        for good in ["a", "podinfo", "podinfo-canary", "v6.1.8", "9"] {
            assert_eq!(
                RouteName::parse(good).map(|n| n.as_str().len()),
                Ok(good.len())
            );
        }
        assert_eq!(RouteName::parse(""), Err(NameError::Empty));
        assert_eq!(RouteName::parse("Podinfo"), Err(NameError::Character('P')));
        assert_eq!(RouteName::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(RouteName::parse("-a"), Err(NameError::Edge('-')));
        assert_eq!(RouteName::parse("a."), Err(NameError::Edge('.')));
        assert_eq!(
            RouteName::parse(&"a".repeat(64)),
            Err(NameError::TooLong(64))
        );
    }
}
