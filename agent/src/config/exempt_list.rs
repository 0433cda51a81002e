//! The exempt list, where it is void: with the file gone, or writable by others, the PAM module lets nobody in by it, and only the agent can tell.

use curfew_protocol::exempt::{self, EXEMPT_LIST};
use std::cell::RefCell;
use std::io;
use std::path::Path;

/// Why nobody is exempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Void {
    /// What is wrong with the list.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

/// The names on the list at `path`.
///
/// # Errors
///
/// That it is void.
pub fn names(path: &Path) -> Result<Vec<String>, Void> {
    exempt::names(path).map_err(|error| {
        let list = path.display();
        // What is not there can't be given to root.
        let fix = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("name in it those who must always get in, whom you can log in as: echo NAME >> {list}")
            }
            _ => format!("chown root:root {list} && chmod 644 {list}, and see what it has"),
        };
        Void { problem: format!("{list}: {error}; nobody is exempt"), fix }
    })
}

/// What an operator must know of the list, in one sentence, where it is void.
pub fn problem() -> Option<String> {
    names(Path::new(EXEMPT_LIST)).err().as_ref().map(told)
}

fn told(void: &Void) -> String {
    format!("the exempt list is void: {}, and whoever was is refused without a grant; fix: {}", void.problem, void.fix)
}

/// What the log was last told of the list.
#[derive(Debug, Default)]
pub struct ExemptList {
    told: RefCell<Option<String>>,
}

impl ExemptList {
    /// Looks, and tells the log what is wrong, once.
    pub fn look(&self) {
        self.note(problem()).iter().for_each(|problem| tracing::error!("{problem}"));
    }

    /// Takes note of what is wrong now. Returns what is new of it.
    fn note(&self, problem: Option<String>) -> Option<String> {
        let before = self.told.replace(problem.clone());
        problem.filter(|it| before.as_ref() != Some(it))
    }
}

/// Whether the exempt list, as the PAM module reads it, has the user.
pub fn is_exempt(user: &str) -> bool {
    exempt::lists(Path::new(EXEMPT_LIST), user).unwrap_or_else(|error| {
        // Nobody is ended by a list that can't be believed.
        tracing::error!("{EXEMPT_LIST}: {error}");
        true
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_list_that_is_not_there_is_written_and_another_is_given_back_to_root() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("exempt");
        let missing = names(&list).unwrap_err();
        assert!(missing.fix.contains(&format!("echo NAME >> {}", list.display())), "{missing:?}");
        assert!(!missing.fix.contains("chown"), "{missing:?}");
        fs::write(&list, "root\n").unwrap();
        fs::set_permissions(&list, Permissions::from_mode(0o666)).unwrap();
        let writable = names(&list).unwrap_err();
        assert!(writable.fix.contains("chmod 644") && writable.problem.contains("nobody is exempt"), "{writable:?}");
        assert!(told(&writable).contains("void"));
    }

    #[test]
    fn what_is_wrong_is_told_once_and_again_when_it_comes_back() {
        let list = ExemptList::default();
        assert_eq!(list.note(None), None);
        assert_eq!(list.note(Some("x".into())).as_deref(), Some("x"));
        assert_eq!(list.note(Some("x".into())), None);
        assert_eq!(list.note(Some("y".into())).as_deref(), Some("y"));
        assert_eq!(list.note(None), None);
        assert_eq!(list.note(Some("y".into())).as_deref(), Some("y"));
    }
}
