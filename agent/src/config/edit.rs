//! One key of a configuration, changed as a person would: its line alone, and every other byte stays.

use super::{Config, ConfigError, Mode};
use std::path::Path;

/// The text with `mode` set. The line where the key is, or stands commented out, is replaced; else there is a new first line.
///
/// # Errors
///
/// That the text can't be used, before or afterwards.
pub fn with_mode(path: &Path, text: &str, mode: Mode) -> Result<String, ConfigError> {
    let new = format!("mode = \"{}\"\n", mode.name());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_key = |line: &str| line.strip_prefix("mode").is_some_and(|rest| rest.trim_start().starts_with('='));
    let set = lines.iter().position(|line| is_key(line.trim_start()));
    let commented = || lines.iter().position(|line| line.strip_prefix('#').is_some_and(is_key));
    let changed: String = match set.or_else(commented) {
        Some(at) => lines.iter().enumerate().map(|(n, line)| if n == at { new.as_str() } else { line }).collect(),
        None => new + text,
    };
    let config = Config::parse(path, &changed)?;
    if config.mode == mode {
        Ok(changed)
    } else {
        let problem = format!("mode can't be set to {:?} there; set it by hand", mode.name());
        Err(ConfigError::Value { path: path.into(), problem })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes() {
        for (before, after) in [
            ("", "mode = \"observe\"\n"),
            ("# words\n#mode = \"enforce\"\n\n#grace = \"5s\"\n", "# words\nmode = \"observe\"\n\n#grace = \"5s\"\n"),
            ("#mode = \"observe\"\nmode = \"enforce\" # theirs", "#mode = \"observe\"\nmode = \"observe\"\n"),
            ("grace = \"1s\"\n  mode=\"enforce\"\n", "grace = \"1s\"\nmode = \"observe\"\n"),
            ("grace = \"1s\"", "mode = \"observe\"\ngrace = \"1s\""),
        ] {
            assert_eq!(with_mode(Path::new("agent.toml"), before, Mode::Observe).unwrap(), after, "{before:?}");
        }
    }

    #[test]
    fn the_shipped_file_takes_both_modes() {
        let shipped = include_str!("../../../packaging/agent.toml");
        let observes = with_mode(Path::new("agent.toml"), shipped, Mode::Observe).unwrap();
        assert_eq!(observes.lines().count(), shipped.lines().count());
        let enforces = with_mode(Path::new("agent.toml"), &observes, Mode::Enforce).unwrap();
        assert_eq!(Config::parse(Path::new("agent.toml"), &enforces).unwrap(), Config::default());
    }

    #[test]
    fn a_file_that_is_no_configuration_is_left_alone() {
        assert!(with_mode(Path::new("agent.toml"), "colour = 1\n", Mode::Observe).is_err());
    }
}
