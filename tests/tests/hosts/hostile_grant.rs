//! A grant is hostile input to sudoers: it permits exactly what it says, or it is refused.

use serde_json::Value;

use curfew_tests::ssh::quoted;
use curfew_tests::{Host, Release, SOON, wait_for};

on_each_release! {
    odd_commands_permit_exactly_themselves,
    a_bad_rule_of_the_hosts_own_breaks_no_grant_and_no_sudo,
}

on_every_release! {
    tricks_are_refused_with_the_value_and_change_nothing,
    a_command_that_others_than_root_could_exchange_is_refused_unless_unchecked,
    what_a_terminal_would_obey_or_hide_is_shown_as_a_question_mark_or_by_its_number,
}

/// What could mean more to sudo than one command.
const TRICKS: &[&str] = &[
    "",
    " ",
    "id",
    "ALL, !/bin/sh",
    "ALL ALL",
    "all",
    "/bin/sh\nalice ALL=(ALL) NOPASSWD: ALL",
    "/bin/sh\\\nALL",
    "/usr/bin/*",
    "/usr/bin/i?",
    "/usr/bin/[a-z]d",
    "/usr/bin/",
    "!/usr/bin/id",
    "^/usr/bin/.*$",
    "/usr/bin/cat ^.*$",
    "/usr/bin/cat *",
    "/usr/bin/cat \"\"",
    "sha256:00 /bin/sh",
    "NOPASSWD: ALL",
    "/usr/bin/../bin/sh",
    "/usr/bin/id # and more",
    "sudoedit /etc/shadow",
    "%sudo",
    "@include /tmp/x",
    "/usr/bin/id\t-u",
    "/bin/\u{e9}",
];

/// Odd, but plain: each must permit itself and nothing else.
const ODD: &[&str] = &[
    "/usr/bin/echo a,b",
    "/usr/bin/echo a=b",
    "/usr/bin/echo a:b",
    "/usr/bin/echo a=b,c:d e",
    "/usr/bin/echo 100%",
    "/usr/bin/echo $HOME",
    "/usr/bin/echo {a,b}",
    "/usr/bin/echo a;id",
    "/usr/bin/echo (x)",
    "/usr/bin/echo 'x'",
    "/usr/bin/echo a\\b",
    "/usr/bin/echo ~root",
    "/usr/bin/echo @x",
    "/usr/bin/echo ALL",
    "/usr/bin/echo -n --x=y",
];

/// No names of users.
const NO_NAMES: &[&str] =
    &["", "ALL", "%sudo", "#0", "+netgroup", "root,bob", "bob !root", "a\nb", "-u", "root=ALL", "../x", "!root", "*"];

/// The rules of all drop-ins, as sudo's own parser reads them.
fn rules(host: &Host) -> Vec<Value> {
    let text = host
        .ok("cd /run/curfew/sudoers.d && cat $(ls --ignore='curfew+*') /dev/null | cvtsudoers -f json -i sudoers -");
    let parsed: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    parsed["User_Specs"].as_array().cloned().unwrap_or_default()
}

fn tricks_are_refused_with_the_value_and_change_nothing(release: Release) {
    let host = Host::boot(release);
    let before = host.ok("cat /etc/sudoers /etc/sudoers.d/* | cksum");
    for trick in TRICKS {
        let output = host.run(&format!("curfew grant alice --for 60s --sudo --command {} --reason x", quoted(trick)));
        assert!(!output.success(), "accepted the command {trick:?}: {output:#?}");
        assert!(output.stderr.contains("command"), "does not say what is wrong with {trick:?}: {output:#?}");
    }
    for name in NO_NAMES {
        for arguments in
            [format!("-- {}", quoted(name)), format!("--sudo --command /usr/bin/id --run-as={} alice", quoted(name))]
        {
            let output = host.run(&format!("curfew grant --for 60s --reason x {arguments}"));
            assert!(!output.success(), "accepted {arguments}: {output:#?}");
            assert!(!output.stderr.is_empty());
        }
    }
    for reason in ["", "a\nb", "\u{1b}[2J"] {
        let output = host.run(&format!("curfew grant alice --for 60s --login --reason {}", quoted(reason)));
        assert!(!output.success(), "accepted the reason {reason:?}");
    }
    for window in ["", "0s", "-5s", "soon", "5", "99999999999h"] {
        let output = host.run(&format!("curfew grant alice --for={} --login --reason x", quoted(window)));
        assert!(!output.success(), "accepted the window {window:?}");
    }
    assert_eq!(host.status()["grants"].as_array().map(Vec::len), Some(0));
    assert!(host.drop_ins().is_empty());
    assert_eq!(host.ok("cat /etc/sudoers /etc/sudoers.d/* | cksum"), before);
}

fn odd_commands_permit_exactly_themselves(release: Release) {
    let host = Host::boot(release);
    for command in ODD {
        let output =
            host.run(&format!("curfew grant alice --for 120s --sudo --command {} --reason x --json", quoted(command)));
        if !output.success() {
            assert!(output.stderr.contains("command"), "refused {command:?} without saying why: {output:#?}");
            continue;
        }
        let grant: Value = serde_json::from_str(&output.stdout).expect("a grant");
        wait_for("its drop-in", SOON, || (host.drop_ins().len() == 1).then_some(()));
        host.ok("visudo --check --quiet");

        let rules = rules(&host);
        assert_eq!(rules.len(), 1, "{command:?}: {rules:#?}");
        let specs = rules[0]["Cmnd_Specs"].as_array().expect("a list");
        assert_eq!(specs.len(), 1, "{command:?}: {specs:#?}");
        let commands = specs[0]["Commands"].as_array().expect("a list");
        assert_eq!(commands.len(), 1, "{command:?}: {specs:#?}");
        // sudo reads arguments as a pattern in turn, so a backslash that means itself is doubled there.
        assert_eq!(commands[0]["command"], command.replace('\\', r"\\"), "{command:?}");
        assert_eq!(specs[0]["runasusers"].to_string(), r#"[{"username":"root"}]"#, "{command:?}");

        let words: Vec<_> = command.split(' ').map(quoted).collect();
        let words = words.join(" ");
        let ran = host.run_as("alice", &format!("sudo -n {words}"));
        assert!(ran.success(), "{command:?} did not permit itself: {ran:#?}\n{}", host.drop_in());
        let mut others =
            vec![format!("{words} more"), "/usr/bin/echo".into(), "/usr/bin/echo other".into(), "/usr/bin/id".into()];
        if command.contains('\\') {
            others.push(words.replace('\\', ""));
        }
        for other in others {
            let ran = host.run_as("alice", &format!("sudo -n {other}"));
            assert!(!ran.success(), "{command:?} permitted {other}: {}", host.drop_in());
        }
        host.ok(&format!("curfew revoke {}", grant["id"].as_str().expect("an id")));
        assert!(host.drop_ins().is_empty());
    }
}

fn a_bad_rule_of_the_hosts_own_breaks_no_grant_and_no_sudo(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 60s --sudo --command /usr/bin/id");
    host.drop_in();
    host.write("/etc/sudoers.d/broken", "this is no rule\n");
    let _more = host.grant("alice --for 60s --sudo --command /usr/bin/whoami");
    wait_for("sudo", SOON, || (host.run_as("alice", "sudo -n /usr/bin/whoami").stdout.trim() == "root").then_some(()));
}

fn a_command_that_others_than_root_could_exchange_is_refused_unless_unchecked(release: Release) {
    let host = Host::boot(release);
    host.ok("mkdir -p /opt/ours /opt/bobs && cp /bin/true /opt/ours/run && cp /bin/true /opt/bobs/run && chown bob /opt/bobs && \
             ln -s /opt/bobs/run /usr/local/bin/linked && cp /bin/true /opt/ours/shared && \
             chmod g+w /opt/ours/shared && install -o alice -m 755 /bin/true /home/alice/x.sh && cp /bin/true /opt/ours/plain && \
             chmod 644 /opt/ours/plain && printf '#!/home/alice/x.sh\\n' > /opt/ours/script && chmod 755 /opt/ours/script && \
             printf '#!/usr/bin/env sh\\n' > /opt/ours/named && chmod 755 /opt/ours/named");
    for command in [
        "/usr/bin/systemctll",
        "/tmp/t",
        "/home/alice/x.sh",
        "/opt/bobs/run",
        "/usr/local/bin/linked",
        "/opt/ours/shared",
        "/opt/ours/plain",
        "/opt/ours/script",
        "/opt/ours",
    ] {
        let granted = host.run(&format!("curfew grant alice --for 60s --sudo --command {command} --reason x"));
        assert_eq!(granted.status, 1, "{command}: {granted:#?}");
        assert!(granted.stderr.contains(command) && granted.stderr.contains("--unchecked"), "{granted:#?}");
    }
    assert!(host.drop_ins().is_empty() && host.audit("--event local.granted").is_empty());

    let taken = host.grant("alice --for 60s --sudo --command /tmp/t --unchecked");
    let record = host.audited("local.granted", |record| record["grant"] == taken.id.as_str());
    assert!(record["unchecked"][0].as_str().is_some_and(|it| it.contains("/tmp")), "{record}");
    assert!(record["message"].as_str().is_some_and(|it| it.contains("unchecked")), "{record}");

    for (command, warned) in [
        ("/opt/ours/run", false),
        ("/opt/ours/named", false),
        ("/usr/bin/systemctl restart nginx", false),
        ("/usr/bin/curfew", true),
        ("/bin/sh", true),
    ] {
        let granted = host.run(&format!("curfew grant alice --for 60s --sudo --command '{command}' --reason x --json"));
        assert!(granted.success() && granted.stdout.contains("\"warnings\"") == warned, "{command}: {granted:#?}");
        let record = host.audit("--event local.granted").pop().expect("a record");
        assert!(record.get("unchecked").is_none(), "{record}");
    }
}

fn what_a_terminal_would_obey_or_hide_is_shown_as_a_question_mark_or_by_its_number(release: Release) {
    let host = Host::boot(release);
    let hidden = ['\u{202e}', '\u{200b}', '\u{feff}', '\u{9b}', '\u{3164}'];
    let typed: String = hidden.iter().collect();
    let _grant = host.grant("alice --for 120s --login --sudo --command ALL");
    host.drop_in();
    let command = format!("/usr/bin/echo hid{typed}den");
    host.ok(&format!("runuser -u alice -- sudo -n {command}"));
    let _denied = host.run(&format!("runuser -u bob -- sudo -n {command} </dev/null"));
    host.audited("sudo.permitted", |record| record["user"] == "alice");
    // A name that is nobody's, from the network.
    let _denied = host.run(&format!(
        "runuser -u bob -- curfew why 'ali{typed}ce' sshd; curfew why 'ali{typed}ce' sshd > /run/shown 2>&1"
    ));
    let views = host
        .ok("curfew audit; curfew audit --json; curfew audit --format csv; curfew status; cat /run/shown; \
                         journalctl -u curfewd -o cat; journalctl -x -u curfewd -o short-full");
    assert!(views.contains(r"hid\u{202e}\u{200b}\u{feff}\u{9b}\u{3164}den") && views.contains("ali?????ce"), "{views}");
    assert!(!views.contains(hidden), "{}", views.escape_unicode());
}
