//! The wiring of each service: there, asked first, and with the right argument.

use super::{Check, Finding, Host};
use crate::wiring;
use crate::wiring::kind::Kind;
use crate::wiring::service_file;
use crate::wiring::{session_order, stack};
use std::fs;
use std::path::Path;

pub(super) fn checks(host: &Host) -> Vec<Check> {
    let config = host.config();
    let services: Vec<(String, Kind)> = wiring::services(&config).collect();
    let read = |service: &str| {
        service_file::service_file(service).map(|path| {
            (path.display().to_string(), String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned())
        })
    };
    let files: Vec<_> = services.iter().filter_map(|(service, kind)| Some((read(service)?, *kind))).collect();
    if !files.iter().any(|((_, text), _)| text.contains("pam_curfew.so")) {
        return vec![Check::warn("wiring", "Curfew is not wired: nobody is refused", "curfew enable")];
    }
    let mut checks: Vec<Check> = files
        .iter()
        .filter_map(|((path, text), kind)| Some((path, stack::check(text, *kind).err()?)))
        .map(wrong)
        .collect();
    let missing: Vec<&str> = services
        .iter()
        .filter(|(service, _)| service_file::service_file(service).is_none())
        .map(|(it, _)| it.as_str())
        .collect();
    if checks.iter().all(|check| check.result == Finding::Pass) {
        let mut detail = "our line is asked first in every service that is judged".to_owned();
        if !missing.is_empty() {
            detail += &format!("; not on this host: {}", missing.join(" "));
        }
        checks.push(Check::pass("wiring", detail));
    }
    checks.extend(late_denials(&files));
    checks.push(session_rules(&services));
    checks.extend(outdated(&services));
    checks.extend(stray(&services));
    checks.extend(without_a_file(&services));
    checks
}

/// Services that are wired, and that ask for a password before they ask us: as an agent before this one left them, or as somebody changed them.
fn late_denials(files: &[((String, String), Kind)]) -> Option<Check> {
    let wired = files.iter().filter(|((_, text), _)| stack::has_account_rule(text));
    let late: Vec<String> = wired
        .filter_map(|((path, text), kind)| Some(format!("{path}: {}", stack::asks_for_a_password_first(text, *kind)?)))
        .collect();
    (!late.is_empty()).then(|| {
        let detail = format!(
            "people whose sudo or su is denied are asked for a password first, and are not told why: {}",
            late.join("; ")
        );
        Check::warn("auth_rules", detail, "curfew enable puts our lines where they belong")
    })
}

/// Services in which PAM may not come to our session line. They are judged all the same; that a session began is told
/// there by the account alone.
fn session_rules(services: &[(String, Kind)]) -> Check {
    let read = |service: &str| {
        let vendors = Path::new(wiring::VENDOR_FOLDER).join(service);
        let text = fs::read(Path::new(wiring::PAM_FOLDER).join(service)).or_else(|_| fs::read(vendors));
        text.ok().map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let weak = |(service, kind): &(String, Kind)| {
        let weakness = session_order::weakness(&read(service)?, *kind);
        weakness.map(|weakness| format!("{}/{service}: {weakness}", wiring::PAM_FOLDER))
    };
    let kept = |(service, _): &(String, Kind)| {
        let hindrance = session_order::hindrance(service, &read)?;
        Some(format!("{}/{hindrance}", wiring::PAM_FOLDER))
    };
    let found: Vec<String> = services.iter().filter_map(weak).chain(services.iter().filter_map(kept)).collect();
    if found.is_empty() {
        return Check::pass("session_rules", "PAM comes to our session line in every service that is judged");
    }
    let detail = format!("PAM may not tell us that a session began: {}", found.join("; "));
    let mend = "make that rule optional or required instead of sufficient or requisite, or move our session block, \
                from `# curfew begin` to `# curfew end`, above it; where our own line was changed: curfew enable";
    Check::warn("session_rules", detail, mend)
}

/// Programs that ask PAM by a service which has no file: PAM takes `other` then, which does not ask us.
fn without_a_file(services: &[(String, Kind)]) -> Vec<Check> {
    let programs = [("sshd", "/usr/sbin/sshd"), ("login", "/bin/login"), ("sudo", "/usr/bin/sudo"), ("su", "/bin/su")];
    let judged = |name: &str| services.iter().any(|(service, _)| service == name);
    let lacking = programs.into_iter().filter(|(service, program)| {
        judged(service) && Path::new(program).exists() && service_file::service_file(service).is_none()
    });
    let check = |(service, program): (&str, &str)| {
        let detail = format!("{program} is there and {}/{service} is not: PAM asks others than us", wiring::PAM_FOLDER);
        Check::fail("wiring", detail, "install the distribution's file for PAM, then: curfew enable")
    };
    lacking.map(check).collect()
}

fn wrong((path, problem): (&String, String)) -> Check {
    let mend = "curfew enable puts our lines where they belong";
    Check::fail("wiring", format!("{path}: {problem}"), mend)
}

/// Copies of what the distribution has changed since.
fn outdated(services: &[(String, Kind)]) -> Option<Check> {
    let files = services.iter().filter_map(|(service, _)| service_file::service_file(service));
    let outdated: Vec<String> =
        files.filter(|path| service_file::is_outdated(path)).map(|path| path.display().to_string()).collect();
    (!outdated.is_empty()).then(|| {
        let detail =
            format!("{} is a copy, and the file in {} has changed since", outdated.join(" "), wiring::VENDOR_FOLDER);
        Check::warn("wiring", detail, "curfew enable copies it anew")
    })
}

/// Services that are wired, and that the configuration does not name: the agent refuses them.
fn stray(services: &[(String, Kind)]) -> Option<Check> {
    let files = service_file::service_files().ok()?;
    let named =
        |path: &Path| path.file_name().is_some_and(|name| services.iter().any(|(service, _)| name == service.as_str()));
    let stray: Vec<String> = files
        .into_iter()
        .filter(|path| !named(path) && fs::read_to_string(path).is_ok_and(|text| text.contains("pam_curfew.so")))
        .map(|path| path.display().to_string())
        .collect();
    (!stray.is_empty()).then(|| {
        let detail = format!("{} has our lines, and is none of the services in agent.toml", stray.join(" "));
        Check::warn("wiring", detail, "name the service in agent.toml, or take our lines out")
    })
}
