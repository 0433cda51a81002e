//! What is wrong with policies or cases: where, in which policy, and what to do next.

use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policies can't be used.
    Error,
    /// They can, and probably do not do what was meant.
    Warning,
}

/// A place in a file, counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The place of a byte of a text.
    pub fn of(text: &str, offset: usize) -> Self {
        let offset = (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count());
        Self { line: before.matches('\n').count() + 1, column: column + 1 }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: Box<str>,
    /// Where in it.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// The policy, where it has a name.
    pub policy: Option<Box<str>>,
    /// What is wrong.
    pub problem: Box<str>,
    /// What to do next.
    pub next: Option<Box<str>>,
}

impl Problem {
    /// An error of a file.
    pub(super) fn error(file: &str, place: impl Into<Option<Place>>, problem: impl Into<Box<str>>) -> Self {
        let (file, place) = (file.into(), place.into());
        Self { severity: Severity::Error, file, place, policy: None, problem: problem.into(), next: None }
    }

    /// The same as a warning.
    pub(super) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same of a policy.
    pub(super) fn of(self, policy: impl Into<Box<str>>) -> Self {
        Self { policy: Some(policy.into()), ..self }
    }

    /// The same with what to do next.
    pub(super) fn next(self, next: impl Into<Box<str>>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        f.write_str(if self.severity == Severity::Warning { ": warning: " } else { ": " })?;
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy}: ")?;
        }
        f.write_str(&self.problem)?;
        match &self.next {
            Some(next) => write!(f, ". {next}"),
            None => Ok(()),
        }
    }
}

/// Of `known`, the word that is nearest to one that is not known.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let ranked = known.into_iter().map(|other| (strsim::jaro_winkler(word, other), other));
    ranked.filter(|(alike, _)| *alike > 0.75).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "ab\nłü c\n";
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (7, 2, 3), (8, 2, 4), (99, 3, 1)] {
            assert_eq!(Place::of(text, offset), Place { line, column }, "{offset}");
        }
        // Within a character, it is that one's place.
        assert_eq!(Place::of(text, 4), Place { line: 2, column: 1 });
    }

    #[test]
    fn a_problem_is_one_line_with_the_next_step() {
        let problem = Problem::error("a.cedar", Place { line: 3, column: 7 }, "@need is unknown");
        let problem = problem.of("dev-asks").next("Did you mean @needs?");
        let text = "a.cedar, line 3, column 7: policy dev-asks: @need is unknown. Did you mean @needs?";
        assert_eq!(problem.to_string(), text);
        assert!(problem.warning().to_string().contains(": warning: policy dev-asks"));
        assert_eq!(nearest("need", ["id", "needs", "zone"]), Some("needs"));
        assert_eq!(nearest("colour", ["id", "needs", "zone"]), None);
    }
}
