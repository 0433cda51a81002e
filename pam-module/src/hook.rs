//! One hook's work: who acts, is the person exempt, what does the agent say, what does PAM and the person hear.

use crate::invoker;
use crate::syslog::{Severity, log};
use curfew_protocol::display::printable_lines;
use curfew_protocol::exempt::{self, ELEVATION_SERVICES};
use curfew_protocol::ipc::{Hook, OBSERVE_MARK, PAM_SOCKET, PamAnswer, PamQuestion, Verdict};
use curfew_protocol::varlink::{self, CallError};
use pam::constants::{PAM_ERROR_MSG, PAM_SILENT, PAM_TEXT_INFO, PamFlag, PamMessageStyle, PamResultCode};
use pam::conv::Conv;
use pam::items::{RHost, RUser, Service, Tty, User};
use pam::module::PamHandle;
use std::ffi::CStr;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long a person waits for the agent. sshd's whole login is refused within two seconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long an exempt user waits for the agent to take the note.
const PATIENCE_FOR_A_NOTE: Duration = Duration::from_millis(250);

const UNAVAILABLE: &str = "Curfew: access can't be checked now, since the agent on this host does not answer.\n\
    Users on this host's exempt list can log in and start it: systemctl start curfewd";

/// Answers `hook` for the transaction behind `pamh`.
pub fn run(hook: Hook, pamh: &PamHandle, arguments: &[&CStr], flags: PamFlag) -> PamResultCode {
    // A panic becomes PAM_ABORT in the entry point, without a message on sshd's stderr.
    std::panic::set_hook(Box::new(|_| {}));
    let Some(mut question) = question(pamh, arguments) else {
        log(Severity::Error, "a PAM item is missing or is not UTF-8: refused");
        return PamResultCode::PAM_PERM_DENIED;
    };
    if actor(&question, arguments).as_deref().is_some_and(|who| is_exempt(&question, who)) {
        question.exempt = true;
        note_exempt(hook, &question);
        return PamResultCode::PAM_SUCCESS;
    }
    match varlink::ask(Path::new(PAM_SOCKET), hook.method(), &question, PATIENCE) {
        Ok(answer) => obey(hook, pamh, &question, flags, answer),
        Err(error) if observes(Path::new(OBSERVE_MARK)) => {
            log(
                Severity::Notice,
                &format!("agent_unavailable, permitted in mode observe {}: {error}", named(&question)),
            );
            PamResultCode::PAM_SUCCESS
        }
        Err(error) => unavailable(pamh, &question, &error),
    }
}

/// Denies an elevation that the account phase would deny, before anybody is asked for a password. Whatever else comes of it, the module has no say
/// here: the account phase is the one that permits, and what this can't tell, that judges.
pub fn run_before_password(pamh: &PamHandle, arguments: &[&CStr], flags: PamFlag) -> PamResultCode {
    std::panic::set_hook(Box::new(|_| {}));
    let Some(question) = question(pamh, arguments).filter(|question| elevates(&question.service, arguments)) else {
        return PamResultCode::PAM_IGNORE;
    };
    // Exempt users pass without the agent, and the account phase takes the note. Who is not known yet may be one.
    if question.ruser.as_deref().is_none_or(|who| is_exempt(&question, who)) {
        return PamResultCode::PAM_IGNORE;
    }
    let hook = Hook::Authenticate;
    let code = match varlink::ask(Path::new(PAM_SOCKET), hook.method(), &question, PATIENCE) {
        Ok(answer) => obey(hook, pamh, &question, flags, answer),
        // An agent of another version does not know the question.
        Err(CallError::Refused { .. }) => PamResultCode::PAM_IGNORE,
        Err(_) if observes(Path::new(OBSERVE_MARK)) => PamResultCode::PAM_IGNORE,
        Err(error) => unavailable(pamh, &question, &error),
    };
    match code {
        PamResultCode::PAM_SUCCESS | PamResultCode::PAM_IGNORE => PamResultCode::PAM_IGNORE,
        _ => denial_before_password(&question.service),
    }
}

/// The code that ends it at once, measured with sudo 1.9.13 and 1.9.16, sudo-rs 0.2.5 and su of util-linux 2.38 and 2.41. sudo asks again after every
/// other one; su ends with any, and this is the one whose words are right.
fn denial_before_password(service: &str) -> PamResultCode {
    match service {
        "su" | "su-l" => PamResultCode::PAM_PERM_DENIED,
        _ => PamResultCode::PAM_CRED_INSUFFICIENT,
    }
}

fn question(pamh: &PamHandle, arguments: &[&CStr]) -> Option<PamQuestion> {
    let text = |item: &CStr| item.to_str().ok().map(str::to_owned);
    let name = |item: &CStr| text(item).filter(|name| !name.is_empty());
    let ruser = pamh.get_item::<RUser<'_>>().ok()?;
    let service = name(pamh.get_item::<Service<'_>>().ok()??.0)?;
    // An invoker's name that can't be read must not pass for a missing one.
    let ruser = match ruser {
        Some(ruser) => Some(text(ruser.0)?).filter(|name| !name.is_empty()),
        None => None,
    };
    Some(PamQuestion {
        user: name(pamh.get_item::<User<'_>>().ok()??.0)?,
        ruser: if elevates(&service, arguments) {
            invoker::of(&service, ruser, |who| exempt::passes(who, &service, true))
        } else {
            ruser
        },
        service,
        rhost: pamh.get_item::<RHost<'_>>().ok()?.and_then(|item| name(item.0)),
        tty: pamh.get_item::<Tty<'_>>().ok()?.and_then(|item| name(item.0)),
        exempt: false,
    })
}

/// Who acts: the user of a login, the invoker of an elevation.
fn actor(question: &PamQuestion, arguments: &[&CStr]) -> Option<String> {
    if elevates(&question.service, arguments) { question.ruser.clone() } else { Some(question.user.clone()) }
}

/// Whether it is an elevation that asks: our line says so, or the service's name.
fn elevates(service: &str, arguments: &[&CStr]) -> bool {
    if arguments.contains(&c"elevation") {
        true
    } else if arguments.contains(&c"login") {
        false
    } else {
        ELEVATION_SERVICES.contains(&service)
    }
}

/// Whether `who` is permitted whatever the agent says.
fn is_exempt(question: &PamQuestion, who: &str) -> bool {
    exempt::passes(who, &question.service, question.ruser.as_deref() == Some(who))
}

/// Tells the agent of an exempt user, for the audit and so that it leaves the session alone; or syslog, where the agent can't take it.
fn note_exempt(hook: Hook, question: &PamQuestion) {
    let noted: Result<PamAnswer, _> = varlink::ask(Path::new(PAM_SOCKET), hook.method(), question, PATIENCE_FOR_A_NOTE);
    if noted.is_err() && hook == Hook::Account {
        log(Severity::Notice, &format!("exempt.used {}: the agent does not answer", named(question)));
    }
}

fn obey(hook: Hook, pamh: &PamHandle, question: &PamQuestion, flags: PamFlag, answer: PamAnswer) -> PamResultCode {
    let message = answer.message.as_deref().unwrap_or_default();
    match answer.verdict {
        Verdict::Permit => {
            match hook {
                Hook::OpenSession if flags & PAM_SILENT == 0 => tell(pamh, question, PAM_TEXT_INFO, message),
                // sudo writes everything else to its standard output, where the command's own is expected.
                Hook::Authenticate => tell(pamh, question, PAM_ERROR_MSG, message),
                Hook::Account | Hook::OpenSession => {}
            }
            PamResultCode::PAM_SUCCESS
        }
        Verdict::Deny => {
            tell(pamh, question, PAM_ERROR_MSG, message);
            PamResultCode::PAM_PERM_DENIED
        }
    }
}

/// Whether the agent, when it was last there, only observed. Nobody but root can have made the file: the folder is root's.
fn observes(mark: &Path) -> bool {
    std::fs::symlink_metadata(mark).is_ok_and(|about| about.is_file() && about.uid() == 0)
}

fn unavailable(pamh: &PamHandle, question: &PamQuestion, error: &CallError) -> PamResultCode {
    log(Severity::Error, &format!("agent_unavailable {}: {error}", named(question)));
    tell(pamh, question, PAM_ERROR_MSG, UNAVAILABLE);
    PamResultCode::PAM_AUTHINFO_UNAVAIL
}

fn tell(pamh: &PamHandle, question: &PamQuestion, style: PamMessageStyle, message: &str) {
    if message.is_empty() {
        return;
    }
    let message = &printable_lines(message);
    let told = match pamh.get_item::<Conv<'_>>() {
        Ok(Some(conversation)) => conversation.send(style, message).is_ok(),
        _ => false,
    };
    // Without a terminal, sudo-rs passes on no message. Its standard error is the person's own, which sshd's is not.
    // A person who can't be told is answered all the same.
    if !told && style == PAM_ERROR_MSG && ELEVATION_SERVICES.contains(&question.service.as_str()) {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}

/// The question for a line of syslog; the values come from the network and are escaped.
fn named(question: &PamQuestion) -> String {
    let PamQuestion { service, user, ruser, rhost, .. } = question;
    let ruser = ruser.as_deref().unwrap_or_default();
    let rhost = rhost.as_deref().unwrap_or_default();
    format!("service={service:?} user={user:?} ruser={ruser:?} rhost={rhost:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(service: &str, user: &str, ruser: Option<&str>) -> PamQuestion {
        PamQuestion {
            service: service.into(),
            user: user.into(),
            ruser: ruser.map(Into::into),
            rhost: None,
            tty: None,
            exempt: false,
        }
    }

    #[test]
    fn the_invoker_acts_in_an_elevation_and_the_user_in_a_login() {
        // With targetpw, sudo names root as PAM_USER: root's exemption must not be alice's.
        assert_eq!(actor(&asked("sudo", "root", Some("alice")), &[]).as_deref(), Some("alice"));
        assert_eq!(actor(&asked("sudo", "root", None), &[]), None);
        assert_eq!(actor(&asked("sshd", "alice", Some("root")), &[]).as_deref(), Some("alice"));
        assert_eq!(actor(&asked("doas", "root", Some("alice")), &[c"elevation"]).as_deref(), Some("alice"));
        assert_eq!(actor(&asked("kiosk", "alice", None), &[c"login"]).as_deref(), Some("alice"));
    }

    #[test]
    fn a_denial_before_the_password_has_the_code_that_ends_each_program_at_once() {
        for (service, code) in [
            ("su", PamResultCode::PAM_PERM_DENIED),
            ("su-l", PamResultCode::PAM_PERM_DENIED),
            ("sudo", PamResultCode::PAM_CRED_INSUFFICIENT),
            ("sudo-i", PamResultCode::PAM_CRED_INSUFFICIENT),
            ("doas", PamResultCode::PAM_CRED_INSUFFICIENT),
        ] {
            assert!(denial_before_password(service) == code, "{service}");
        }
    }

    #[test]
    fn root_needs_no_list_to_run_sudo_and_no_login_passes_for_that() {
        assert!(is_exempt(&asked("sudo", "root", Some("root")), "root"));
        assert!(is_exempt(&asked("su-l", "postgres", Some("root")), "root"));
        assert!(!is_exempt(&asked("sudo", "root", Some("alice")), "alice"));
    }
}
