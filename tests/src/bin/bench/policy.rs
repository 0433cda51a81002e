//! One decision about a request, by so many policies, in this process: what it takes beside a decision by one policy. No disk and no network has a part in it.
//!
//! Most policies of a large set are about other teams and other hosts. Beside that stands the worst: policies that name nobody and nothing in their heads, so that
//! each has to be evaluated.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::hint::black_box;
use std::time::{Duration, Instant};

use curfew_protocol::grant::{LoginAccess, LoginName};
use curfew_server::policy::{Asked, Asking, Channel, Host, Moment, Person, Policies, Source, Target};
use serde_json::{Value, json};

use crate::aim::{Aim, Bound};
use crate::report::rounded;
use crate::statistics::quantile;

/// At most this long for a decision, in microseconds, at the 99th percentile.
const MOST: f64 = 200.0;
/// How many policies a team has.
const A_TEAM: usize = 10;
/// How many decisions of one kind follow each other.
const IN_A_ROW: usize = 50;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The larger number of policies; a tenth of it is the smaller.
    pub policies: usize,
    /// Decisions of each kind.
    pub decisions: usize,
}

/// What it came to.
pub struct Decisions {
    series: Vec<Series>,
}

/// Policies of one kind, and how long each decision by them took, in microseconds.
struct Series {
    name: String,
    policies: Policies,
    /// What it should take at most, at the 99th percentile.
    most: Option<f64>,
    times: Vec<f64>,
    /// How long reading and checking them took, in milliseconds.
    read_ms: f64,
}

impl Decisions {
    /// Measures them in turn.
    pub fn measure(plan: Plan) -> Self {
        let [few, many] = [plan.policies / 10, plan.policies];
        let mut series = vec![
            Series::new("one policy: the floor".into(), &of_teams(1), None),
            Series::new(format!("{few} policies"), &of_teams(few), Some(MOST)),
            Series::new(format!("{many} policies"), &of_teams(many), Some(MOST)),
            Series::new(format!("{many} policies, none of which says whom or where"), &of_nobody(many), None),
        ];
        let facts = Facts::new();
        while series.iter().any(|series| series.times.len() < plan.decisions) {
            for series in &mut series {
                for _ in 0..IN_A_ROW {
                    series.decide(&facts);
                }
            }
        }
        Self { series }
    }

    /// What a decision should take.
    pub fn aims(&self) -> Vec<Aim> {
        let aims =
            self.series.iter().filter_map(|series| {
                let name = format!("one decision with {}, p99", series.name);
                let aim = Aim::new(name, series.quantile(0.99), Bound::AtMost(series.most?), "us");
                Some(aim.bounded_by(
                    "the facts as Cedar takes them, twice, and the policies that name the person or the host",
                ))
            });
        aims.collect()
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        self.series.iter().map(Series::to_json).collect()
    }
}

impl Series {
    fn new(name: String, text: &str, most: Option<f64>) -> Self {
        let begun = Instant::now();
        let policies = match Policies::read(&[Source::new("bench.cedar", text)]) {
            Ok(policies) => policies,
            Err(problems) => panic!("{}", problems[0]),
        };
        Self { name, policies, most, times: Vec::new(), read_ms: begun.elapsed().as_secs_f64() * 1e3 }
    }

    fn decide(&mut self, facts: &Facts) {
        let begun = Instant::now();
        let verdict = black_box(self.policies.ask(black_box(&facts.asking())));
        let took = begun.elapsed();
        assert!(verdict.permitted().is_some(), "{verdict:?}");
        self.times.push(took.as_secs_f64() * 1e6);
    }

    fn quantile(&self, share: f64) -> f64 {
        quantile(&self.times, share).unwrap_or(f64::INFINITY)
    }

    fn to_json(&self) -> Value {
        json!({
            "policies": self.policies.rules().len(), "kind": self.name, "decisions": self.times.len(),
            "p50_us": rounded(self.quantile(0.5)), "p99_us": rounded(self.quantile(0.99)), "read_ms": rounded(self.read_ms),
        })
    }
}

impl Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<60} {:>9} {:>9} {:>9}", "", "p50, us", "p99, us", "read, ms")?;
        self.series.iter().try_for_each(|series| {
            let [p50, p99] = [0.5, 0.99].map(|share| series.quantile(share));
            writeln!(f, "  {:<60} {p50:>9.1} {p99:>9.1} {:>9.1}", series.name, series.read_ms)
        })
    }
}

/// Policies of teams, each about the team's own kind of host; every tenth forbids. The first is about the person and the host that are asked about.
fn of_teams(count: usize) -> String {
    (0..count).map(|number| one_of_teams(number) + "\n").collect()
}

fn one_of_teams(number: usize) -> String {
    let (team, kind) = (number / A_TEAM, number % A_TEAM);
    let head = |action: &str| {
        format!(
            "(principal in Group::\"team-{team}\", action == Action::\"{action}\", resource in Label::\"kind={kind}\")"
        )
    };
    let body = "{ context.seconds <= 28800 && context.commands.contains(\"ALL\") == context.anyCommand }";
    match number % 10 {
        9 => format!("@id(\"p{number}\") forbid{} when {{ context.root }};", head("ask")),
        8 => format!("@id(\"p{number}\") permit{} when {body};", head("autoApprove")),
        _ => format!("@id(\"p{number}\") @needs(\"{}:team-{team}\") permit{} when {body};", kind % 3 + 1, head("ask")),
    }
}

/// Policies that say in their bodies alone whom and what they are about.
fn of_nobody(count: usize) -> String {
    let one = |number: usize| {
        let body = format!(
            "{{ principal in Group::\"team-{}\" && resource in Label::\"kind={}\" }}",
            number / A_TEAM,
            number % A_TEAM
        );
        format!(
            "@id(\"p{number}\") @needs(\"1:team-0\") permit(principal, action == Action::\"ask\", resource) when {body};\n"
        )
    };
    (0..count).map(one).collect()
}

/// Who asks for what.
struct Facts {
    person: Person,
    hosts: [Host; 1],
    asked: Asked,
}

impl Facts {
    /// Somebody in five groups, and a host with five labels.
    fn new() -> Self {
        let groups: BTreeSet<_> =
            [0, 3, 7, 11, 42].map(|team| format!("team-{team}").parse().expect("a group")).into_iter().collect();
        let labels = ["kind=0", "env=prod", "region=eu", "role=web", "os=debian"];
        let labels = labels.map(|label| label.split_once('=').expect("a label"));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        Self {
            person: Person { name: "alice".parse().expect("a name"), groups, disabled: false, known: true },
            hosts: [Host { name: "web-1".into(), labels }],
            asked: Asked {
                account: "alice".parse::<LoginName>().expect("a login name"),
                login: Some(LoginAccess::default()),
                sudo: None,
                length: Duration::from_secs(3600),
                starts_in: Duration::ZERO,
                extends: false,
                template: None,
                ticket: None,
            },
        }
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            person: &self.person,
            filer: &self.person,
            target: Target::Hosts(&self.hosts),
            asked: &self.asked,
            overdue_reviews: 0,
            moment: Moment { now: jiff::Timestamp::UNIX_EPOCH, mfa_age: None, channel: Channel::Cli },
        }
    }
}
