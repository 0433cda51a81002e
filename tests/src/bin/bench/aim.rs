//! What a figure should be, and whether it is.

use std::fmt::{self, Display};

use serde_json::{Value, json};

use crate::report::rounded;

/// On which side of it a figure should be.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure and what it should be.
pub struct Aim {
    name: String,
    value: f64,
    bound: Bound,
    unit: &'static str,
    /// What the figure is bounded by, where that is not plain from its name.
    bounded_by: Option<&'static str>,
}

impl Aim {
    /// `value` should be within `bound`.
    pub fn new(name: impl Into<String>, value: f64, bound: Bound, unit: &'static str) -> Self {
        Self { name: name.into(), value, bound, unit, bounded_by: None }
    }

    /// With what bounds the figure.
    pub fn bounded_by(self, what: &'static str) -> Self {
        Self { bounded_by: Some(what), ..self }
    }

    /// Whether it is so.
    pub fn met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= least,
        }
    }

    /// As an object; a figure that could not be taken is null.
    pub fn to_json(&self) -> Value {
        let (key, bound) = match self.bound {
            Bound::AtMost(most) => ("at_most", most),
            Bound::AtLeast(least) => ("at_least", least),
        };
        let mut aim = json!({"name": self.name, "value": rounded(self.value), "unit": self.unit, "met": self.met()});
        aim[key] = json!(bound);
        if let Some(what) = self.bounded_by {
            aim["bounded_by"] = json!(what);
        }
        aim
    }
}

impl Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met() { "met   " } else { "MISSED" };
        let (word, bound) = match self.bound {
            Bound::AtMost(most) => ("at most", most),
            Bound::AtLeast(least) => ("at least", least),
        };
        let figure = match self.value {
            value if value.is_infinite() => "none".to_owned(),
            value if bound < 20.0 => format!("{value:.2}"),
            value => format!("{value:.0}"),
        };
        write!(f, "  {verdict}  {:<64} {figure:>9}, {word} {bound} {}", self.name, self.unit)?;
        match self.bounded_by {
            Some(what) => write!(f, "\n            bounded by {what}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_on_its_own_side_and_for_its_own_value() {
        for (value, bound, met) in [
            (1.0, Bound::AtMost(1.0), true),
            (1.1, Bound::AtMost(1.0), false),
            (f64::INFINITY, Bound::AtMost(1.0), false),
            (0.5, Bound::AtLeast(0.5), true),
            (0.4, Bound::AtLeast(0.5), false),
        ] {
            assert_eq!(Aim::new("a figure", value, bound, "").met(), met, "{value}");
        }
    }
}
