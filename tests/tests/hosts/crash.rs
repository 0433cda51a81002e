//! The agent is killed at every step of writing: what was confirmed is there, what was not is whole or not there at all.

use std::collections::HashSet;
use std::time::Instant;

use curfew_tests::ssh::quoted;
use curfew_tests::{Host, Release, SOON, report, until, wait_for};
use serde_json::Value;

on_every_release! {
    enabling_and_disabling_that_are_killed_leave_every_file_whole,
}

takes_long! {
    an_agent_that_is_killed_at_any_step_of_writing_keeps_its_word: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs;
}

/// What an operator was told in one sequence.
#[derive(Debug, Default)]
struct Told {
    /// Why the grant was made; each sequence has its own words.
    reason: String,
    /// The id that `curfew grant` confirmed.
    granted: Option<String>,
    /// Whether `curfew revoke` confirmed.
    revoked: bool,
}

fn an_agent_that_is_killed_at_any_step_of_writing_keeps_its_word(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.make_mortal();
    let _covered = host.grant("bob --for 600s --login");
    // What it looks at and tries has tests of its own: here it is what is written that counts.
    let mut bob = host.login("bob");
    let begin = Instant::now();
    host.watch_steps();
    let undisturbed = grant_and_revoke(&host, "undisturbed");
    assert!(undisturbed.revoked);
    host.ok("systemctl restart curfewd");
    let steps = host.steps();
    for call in ["write", "pwrite64", "rename", "fsync", "unlink", "fchmod"] {
        assert!(steps.iter().any(|step| step.call.starts_with(call)), "no {call} in {steps:#?}");
    }
    let (mut died, mut problems) = (0, Vec::new());
    for (number, step) in steps.iter().enumerate() {
        host.die_at(step);
        let told = grant_and_revoke(&host, &format!("{number}: {}", step.line));
        // The stop is part of the sequence, too; what starts then is undisturbed.
        host.ok("systemctl restart curfewd");
        died += usize::from(host.has_died());
        problems.extend(unsound(&host, &told).into_iter().map(|problem| format!("{told:?}: {problem}")));
    }
    report(&format!("{release}: the agent died at {died} of {} writes, in {:.0?}", steps.len(), begin.elapsed()));
    // How many records go to journald at once, and so the number of writes, is not always the same.
    assert!(died * 4 > steps.len() * 3, "it died at {died} of {} writes only", steps.len());
    assert!(bob.run("echo in").contains("in"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    assert!(host.audit("--event session.terminated").iter().all(|record| record["user"] == "alice"));
    host.audit_is_whole();
    assert!(problems.is_empty(), "{problems:#?}");
    let litter = || host.ok("find /run/curfew /var/lib/curfew -name '.*' -o -name '*.new' -o -name '*.set-aside*'");
    let tidy = until(SOON, || litter().is_empty().then_some(()));
    assert!(tidy.is_some(), "half files are left: {}", litter());
}

fn grant_and_revoke(host: &Host, reason: &str) -> Told {
    let mut told = Told { reason: reason.to_owned(), ..Told::default() };
    let output = host.run(&format!(
        "curfew grant alice --for 1h --login --sudo --command /usr/bin/id --reason {} --json",
        quoted(reason)
    ));
    if output.success() {
        let grant: Value = serde_json::from_str(&output.stdout).expect("the grant as JSON");
        let id = grant["id"].as_str().expect("an id").to_owned();
        wait_for("the drop-in", SOON, || host.has(&format!("/run/curfew/sudoers.d/{id}")).then_some(()));
        // A login that finds the agent just dying may be refused.
        let mut client = host.ssh_stay_and_run("alice", "echo in; trap '' HUP TERM; sleep 600");
        wait_for("an answer to a login", SOON, || (client.stdout().contains("in") || !client.is_alive()).then_some(()));
        told.revoked = host.run(&format!("curfew revoke {id}")).success();
        told.granted = Some(id);
    }
    told
}

fn enabling_and_disabling_that_are_killed_leave_every_file_whole(release: Release) {
    const FILES: &str =
        "cd /etc && find pam.d sudoers.d | sort && find pam.d sudoers.d -type f -exec sha256sum {} + | sort";
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    let _covered = host.grant("bob --for 600s --login");
    // What it looks at and tries has tests of its own: here it is what is written that counts.
    let plain = host.ok(FILES);
    host.ok("curfew enable --unchecked");
    let wired = host.ok(FILES);
    let known: HashSet<&str> = plain.lines().chain(wired.lines()).collect();
    let mut kills = 0;
    let mut problems = Vec::new();
    for call in ["write", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for number in 1.. {
            let mut killed = false;
            for command in ["disable", "enable --unchecked"] {
                host.ok(if command.starts_with("enable") { "curfew disable" } else { "curfew enable --unchecked" });
                let trace =
                    format!("strace -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number}");
                if host.run(&format!("{trace} curfew {command}")).success() {
                    continue;
                }
                (killed, kills) = (true, kills + 1);
                let at = format!("{command} killed before {call} {number}");
                let files = host.ok(FILES);
                let odd = files.lines().filter(|line| !known.contains(line) && !line.contains(".curfew-"));
                problems.extend(odd.map(|line| format!("{at}: {line}")));
                // Between two renames, some files are wired and others are not.
                if call.starts_with("rename") && !host.ssh("bob", "true").success() {
                    problems.push(format!("{at}: a covered login fails"));
                }
                if !host.run("visudo --check --quiet").success() {
                    problems.push(format!("{at}: visudo refuses the host's sudoers"));
                }
            }
            if !killed {
                break;
            }
        }
    }
    report(&format!("{release}: `curfew enable` and `curfew disable` were killed before {kills} of their writes"));
    assert!(kills > 20, "killed only {kills} times");
    assert!(problems.is_empty(), "{problems:#?}");
    for (command, before) in [("enable --unchecked", &wired), ("disable", &plain)] {
        host.ok(&format!("curfew {command}"));
        let after = host.ok(FILES);
        let other: Vec<_> = after.lines().filter(|line| !before.lines().any(|it| it == *line)).collect();
        assert!(other.is_empty(), "left over by what was killed: {other:#?}");
        assert_eq!(&after, before);
    }
}

/// What does not hold that has to, whatever happened before. Alice has nothing any more then.
fn unsound(host: &Host, told: &Told) -> Vec<String> {
    let mut problems = Vec::new();
    let status = host.status();
    let grants = status["grants"].as_array().expect("grants");
    let made: Vec<_> = grants.iter().filter(|grant| grant["reason"] == told.reason.as_str()).collect();
    let confirmed = |grant: &&Value| told.granted.as_ref().is_none_or(|id| grant["id"] == id.as_str());
    match (made.as_slice(), &told.granted) {
        ([], Some(_)) => problems.push("a confirmed grant is lost".to_owned()),
        ([], None) => {}
        ([grant], _) if confirmed(grant) && (grant["state"] == "ended" || !told.revoked) => {}
        _ => problems.push(format!("a confirmed revocation is lost, or there is too much: {made:?}")),
    }
    let known = || host.status()["problems"].clone();
    if until(SOON, || known().as_array().is_some_and(Vec::is_empty).then_some(())).is_none() {
        problems.push(format!("the agent itself knows of problems: {}", known()));
    }

    let live = grants.iter().filter(|it| it["state"] == "live" && it["sudo"].is_object());
    let live: Vec<_> = live.filter_map(|grant| grant["id"].as_str()).collect();
    if until(SOON, || (host.drop_ins() == live).then_some(())).is_none() {
        problems.push(format!("there are the drop-ins {:?}, there should be {live:?}", host.drop_ins()));
    }
    if !host
        .run("for it in /run/curfew/sudoers.d/*; do [ ! -e \"$it\" ] || visudo -cqf \"$it\" || exit; done")
        .success()
    {
        problems.push("visudo refuses a drop-in".to_owned());
    }

    let audit = host.audit("");
    let numbers = audit.iter().filter_map(|record| record["seq"].as_u64());
    if !numbers.eq(1..=audit.len() as u64) {
        problems.push(format!("the audit has a gap or a double: {audit:#?}"));
    }
    for grant in &made {
        let story: Vec<_> = audit.iter().filter(|it| it["grant"] == grant["id"]).map(|it| &it["event"]).collect();
        let told = |event: &str| story.iter().any(|it| **it == event);
        let came = told("local.granted") || told("grant.received");
        if !came || !told("grant.started") || (grant["state"] == "ended" && !told("grant.ended")) {
            problems.push(format!("the audit does not tell how the grant came, began and ended: {story:?}"));
        }
    }

    let login = host.ssh("alice", "sudo -n /usr/bin/id -u");
    if login.success() == live.is_empty() {
        problems.push(format!("with the grants {live:?}: {login:?}"));
    }
    if let Some(id) = live.first() {
        host.ok(&format!("curfew revoke {id}"));
    }
    if until(SOON, || host.session_processes("alice").is_empty().then_some(())).is_none() {
        problems.push(format!("a session lives on without a grant: {:?}", host.session_processes("alice")));
    }
    problems
}
