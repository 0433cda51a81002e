//! Labels: what administrators say of hosts, and the selectors that choose hosts by them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The most labels of a host, and the most terms of a selector.
pub(crate) const MOST: usize = 32;

/// The longest name and the longest value, in bytes.
const LONGEST: usize = 63;

/// A host's labels, or the ones that a host must all have: `env=prod,role=web`.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Each name and value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a host with `others` has all of these.
    pub(crate) fn are_all_in(&self, others: &Self) -> bool {
        self.0.iter().all(|(name, value)| others.0.get(name) == Some(value))
    }

    /// These with others set and some unset, each of which has to be there.
    pub(crate) fn changed(&self, set: &Self, unset: &[String]) -> Result<Self, String> {
        if let Some(name) = unset.iter().find(|name| !self.0.contains_key(*name)) {
            let (there, value) = match self.is_empty() {
                true => ("it has none".into(), None),
                false => {
                    (format!("it has {self}"), name.split_once('=').filter(|(name, _)| self.0.contains_key(*name)))
                }
            };
            let next = value.map_or(String::new(), |(name, _)| format!("; a label is unset by its name alone: {name}"));
            return Err(format!("nothing was changed: there is no label {name:?} on the host, {there}{next}"));
        }
        let mut all = self.0.clone();
        all.extend(set.0.clone());
        all.retain(|name, _| !unset.contains(name));
        Self::try_from(all)
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = String;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, String> {
        if labels.len() > MOST {
            return Err(format!("{} labels, and {MOST} is the most", labels.len()));
        }
        match labels.iter().find(|(name, value)| !is_word(name) || !is_word(value)) {
            Some((name, value)) => Err(format!(
                "{name:?}={value:?} is no label: 1 to {LONGEST} of A-Z a-z 0-9 . _ / - each, beginning with a letter or a digit"
            )),
            None => Ok(Self(labels)),
        }
    }
}

fn is_word(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    first && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut labels = BTreeMap::new();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let (name, value) =
                term.split_once('=').ok_or_else(|| format!("{term:?} is no label; write it like env=prod"))?;
            if labels.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(format!("label {name:?} is there twice"));
            }
        }
        Self::try_from(labels)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_as_they_were_written() {
        let labels: Labels = "role=web,env=prod".parse().unwrap();
        assert_eq!(labels.to_string(), "env=prod,role=web");
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(json, r#"{"env":"prod","role":"web"}"#);
        assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        let changed = labels.changed(&"env=test".parse().unwrap(), &["role".into()]).unwrap();
        assert_eq!(changed.to_string(), "env=test");
        for (unset, says) in [
            ("role=web", "it has env=prod,role=web; a label is unset by its name alone: role"),
            ("Role", "no label \"Role\" on the host, it has env=prod,role=web"),
        ] {
            let error = labels.changed(&Labels::default(), &[unset.into()]).unwrap_err();
            assert!(error.ends_with(says), "{error}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_label() {
        for text in ["env", "=x", "env=", "a=b,a=c", "a b=c", "a=\u{1b}[2J", "a='; --", "-a=b"] {
            assert!(text.parse::<Labels>().is_err(), "{text}");
        }
        let many: Vec<_> = (0..33).map(|n| format!("l{n}=x")).collect();
        assert!(many.join(",").parse::<Labels>().unwrap_err().contains("33"));
    }
}
