//! A file of people and hosts, for authors: what policies are checked and tried against.
//!
//! ```toml
//! [people]
//! alice = ["dev"]
//! bob = { groups = ["sre", "approvers"], accounts = ["bob", "deploy"] }
//!
//! [hosts]
//! web-1 = "env=prod,role=web"
//! ```

use super::facts::{Host, Person};
use super::names::{GroupName, PersonName};
use super::problem::{Place, Problem};
use super::source::Source;
use curfew_protocol::grant::LoginName;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// People and hosts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// The people.
    #[serde(default)]
    people: BTreeMap<PersonName, Member>,
    /// The hosts with their labels.
    #[serde(default)]
    hosts: BTreeMap<String, Labels>,
    /// Cases, which a file may have besides.
    #[serde(default, rename = "case")]
    _cases: IgnoredAny,
}

/// A person, as the file has them: their groups, or more.
#[derive(Clone, Debug, Default)]
pub(super) struct Member(Details);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    #[serde(default)]
    groups: BTreeSet<GroupName>,
    /// Their login names; their own name alone, if left out.
    accounts: Option<BTreeSet<LoginName>>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    unknown: bool,
}

/// Labels as people write them: `env=prod,role=web`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Labels(pub BTreeMap<String, String>);

impl Roster {
    /// Reads a file, and leaves its cases alone.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(source: &Source) -> Result<Self, Problem> {
        parsed(source)
    }

    /// From parts that are read already.
    pub(super) fn new(people: BTreeMap<PersonName, Member>, hosts: BTreeMap<String, Labels>) -> Self {
        Self { people, hosts, _cases: IgnoredAny }
    }

    /// A person with these groups, unless there is one of this name.
    pub fn add_person(&mut self, name: &PersonName, groups: impl IntoIterator<Item = GroupName>) {
        let member = || Member(Details { groups: groups.into_iter().collect(), ..Details::default() });
        self.people.entry(name.clone()).or_insert_with(member);
    }

    /// A host with these labels, unless there is one of this name.
    pub fn add_host(&mut self, name: &str, labels: &BTreeMap<String, String>) {
        self.hosts.entry(name.to_owned()).or_insert_with(|| Labels(labels.clone()));
    }

    /// All people.
    pub fn people(&self) -> Vec<Person> {
        self.people.iter().map(|(name, member)| member.person(name)).collect()
    }

    /// The person of this name.
    pub fn person(&self, name: &PersonName) -> Option<Person> {
        self.people.get(name).map(|member| member.person(name))
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<Host> {
        self.hosts.get(name).map(|labels| Host { name: name.into(), labels: labels.0.clone() })
    }

    /// All hosts that have all of these labels.
    pub fn labelled(&self, labels: &BTreeMap<String, String>) -> Vec<Host> {
        let has = |host: &Host| labels.iter().all(|(name, value)| host.labels.get(name) == Some(value));
        self.hosts.keys().filter_map(|name| self.host(name)).filter(has).collect()
    }

    /// Everybody to whom a login name belongs.
    pub fn owners(&self, account: &LoginName) -> BTreeSet<PersonName> {
        let owns = |(name, member): &(&PersonName, &Member)| match &member.0.accounts {
            Some(accounts) => accounts.contains(account),
            None => name.as_str() == account.as_str(),
        };
        self.people.iter().filter(owns).map(|(name, _)| name.clone()).collect()
    }
}

impl Member {
    fn person(&self, name: &PersonName) -> Person {
        let Details { groups, disabled, unknown, .. } = &self.0;
        Person { name: name.clone(), groups: groups.clone(), disabled: *disabled, known: !unknown }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of groups, such as [\"dev\"], or a table with groups")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Member, A::Error> {
                let groups = Deserialize::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(Member(Details { groups, ..Details::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Member, A::Error> {
                Details::deserialize(MapAccessDeserializer::new(map)).map(Member)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl TryFrom<String> for Labels {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut labels = BTreeMap::new();
        for term in text.split(',').map(str::trim).filter(|term| !term.is_empty()) {
            let label = term.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
            let (name, value) = label.ok_or_else(|| format!("{term:?} is no label; write it like env=prod"))?;
            if labels.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(format!("label {name:?} is there twice"));
            }
        }
        Ok(Self(labels))
    }
}

/// Reads a file in TOML, or in JSON where its name says so.
pub(super) fn parsed<T: DeserializeOwned>(source: &Source) -> Result<T, Problem> {
    let problem = |place: Place, text: &str| {
        Problem::error(&source.name, place, text).next("See curfew-server-policy-test(1) for what goes in it")
    };
    if source.name.ends_with(".json") {
        return serde_json::from_str(&source.text).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            problem(Place { line: error.line().max(1), column: error.column().max(1) }, text)
        });
    }
    toml::from_str(&source.text)
        .map_err(|error| problem(source.place(error.span().map_or(0, |span| span.start)), error.message()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Roster, String> {
        Roster::read(&Source::new(name, text)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn people_are_their_groups_or_more_in_toml_and_json() {
        let toml = "[people]\nalice = [\"dev\"]\nbob = { groups = [\"sre\"], accounts = [\"deploy\"], disabled = true }\n\n[hosts]\nweb-1 = \"env=prod,role=web\"\n";
        let json = r#"{"people": {"alice": ["dev"], "bob": {"groups": ["sre"], "accounts": ["deploy"], "disabled": true}},
                       "hosts": {"web-1": "env=prod,role=web"}}"#;
        for (name, text) in [("a.toml", toml), ("a.json", json)] {
            let roster = read(name, text).unwrap();
            let bob = roster.person(&"bob".parse().unwrap()).unwrap();
            assert!(bob.disabled && bob.known && bob.groups.contains(&"sre".parse().unwrap()));
            assert_eq!(roster.people().len(), 2);
            assert_eq!(roster.owners(&"deploy".parse().unwrap()), BTreeSet::from(["bob".parse().unwrap()]));
            assert_eq!(roster.owners(&"alice".parse().unwrap()), BTreeSet::from(["alice".parse().unwrap()]));
            assert!(roster.owners(&"bob".parse().unwrap()).is_empty());
            let prod = BTreeMap::from([("env".into(), "prod".into())]);
            assert_eq!(roster.labelled(&prod), [roster.host("web-1").unwrap()]);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (name, text, says) in [
            (
                "a.toml",
                "[people]\nalice = \"dev\"\n",
                "a.toml, line 2, column 9: invalid type: string \"dev\", expected a list of groups",
            ),
            ("a.toml", "[people]\nalice = { group = [] }\n", "line 2, column 11: unknown field `group`"),
            ("a.toml", "[hosts]\nweb = \"env\"\n", "line 2, column 7: \"env\" is no label"),
            ("a.toml", "[host]\n", "unknown field `host`"),
            ("a.json", "{\"people\": {\n\"alice\": 1}}", "a.json, line 2, column 10: invalid type: integer `1`"),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
