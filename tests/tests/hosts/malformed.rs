//! Bad configuration, bad messages, a bad store: a clear error with the place and the value, nothing lost, nothing
//! allowed.

use std::time::Duration;

use curfew_tests::ssh::quoted;
use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_every_release! {
    a_mistake_in_the_configuration_is_named_with_file_and_line,
    malformed_messages_get_an_error_and_do_no_harm,
    others_than_root_reach_only_what_is_theirs,
    somebody_who_holds_every_connection_open_keeps_nobody_out,
    a_corrupt_store_is_set_aside_audited_and_shown,
    a_stored_grant_with_an_unknown_field_is_refused_alone,
}

const AGENT: &str = "/run/curfew/io.curfew.Agent";
const PAM: &str = "/run/curfew/io.curfew.Pam";

/// Sends `messages` to a socket, each with its closing NUL, and gives what comes back.
fn call(host: &Host, user: &str, socket: &str, messages: &str) -> String {
    host.run_as(user, &format!("printf {} | varlink-raw {socket}", quoted(&messages.replace('%', "%%")))).stdout
}

fn a_mistake_in_the_configuration_is_named_with_file_and_line(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 60s --login");
    let good = host.ok("cat /etc/curfew/agent.toml; echo end");
    let mistakes = [
        ("mode = \"enforce\"\ncolour = \"red\"\n", "line 2", "colour"),
        ("\n\ngrace = \"soon\"\n", "line 3", "soon"),
        ("mode = \n", "line 1", ""),
    ];
    for (text, line, value) in mistakes {
        host.write("/etc/curfew/agent.toml", text);
        for how in ["reload", "restart"] {
            let since = host.ok("date +%s.%N");
            let _ = host.run(&format!("systemctl {how} curfewd"));
            wait_for(&format!("an error that names {line} of {text:?} after a {how}"), SOON, || {
                let said = host.ok(&format!("journalctl -o cat --since @{since} _SYSTEMD_UNIT=curfewd.service"));
                (said.contains("/etc/curfew/agent.toml") && said.contains(line) && said.contains(value)).then_some(())
            });
            // Nothing is lost, nothing allowed.
            wait_for("a login", SOON, || host.ssh("alice", "id").success().then_some(()));
            assert_refused(&host.ssh("bob", "id"));
        }
    }
    host.write("/etc/curfew/agent.toml", good.trim_end_matches("end"));
    host.ok("systemctl restart curfewd && systemctl is-active curfewd");
    assert_eq!(host.status()["mode"], "enforce");
}

fn malformed_messages_get_an_error_and_do_no_harm(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 120s --login");
    let question =
        r#"{"method":"io.curfew.Pam.Account","parameters":{"service":"sshd","user":"alice","rhost":"127.0.0.1"}}\0"#;
    assert!(call(&host, "root", PAM, question).contains("\"permit\""));
    let bad = [
        (PAM, r#"not json\0"#),
        (PAM, r#"{}\0"#),
        (PAM, r#"[]\0"#),
        (PAM, r#"{"method":"io.curfew.Pam.Permit"}\0"#),
        (PAM, r#"{"method":"io.curfew.Pam.Account"}\0"#),
        (PAM, r#"{"method":"io.curfew.Pam.Account","parameters":{"service":"sshd"}}\0"#),
        (PAM, r#"{"method":"io.curfew.Pam.Account","parameters":{"service":"sshd","user":7}}\0"#),
        (PAM, r#"{"method":"io.curfew.Pam.Account","parameters":{"service":"sshd","user":"alice","colour":"red"}}\0"#),
        (AGENT, r#"{"method":"io.curfew.Agent.Open"}\0"#),
        (AGENT, r#"{"method":"io.curfew.Pam.Account","parameters":{"service":"sshd","user":"alice"}}\0"#),
        (AGENT, r#"{"method":"io.curfew.Agent.Grant","parameters":{"user":"root"}}\0"#),
        (AGENT, r#"{"method":"io.curfew.Agent.Status","parameters":{"colour":"red"}}\0"#),
        (AGENT, r#"\0\0\0"#),
    ];
    for (socket, message) in bad {
        let answer = call(&host, "root", socket, message);
        assert!(!answer.contains("\"permit\""), "{message}: {answer}");
        assert!(answer.contains("\"error\"") || answer.contains("(closed)"), "{message}: {answer}");
        if message.contains("method") {
            assert!(answer.contains("\"error\""), "no clear error for {message}: {answer}");
        }
    }
    // Half a message holds up nobody.
    assert!(!call(&host, "root", PAM, r#"{"method":"io.curfew.Pam.Acc"#).contains("permit"));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("afterwards"), "alice");
    assert_refused(&host.ssh("bob", "id"));
    let grants = host.status()["grants"].clone();
    assert_eq!(grants.as_array().map(Vec::len), Some(1), "{grants}");
    assert_eq!(grants[0]["id"], grant.id.as_str());
}

fn others_than_root_reach_only_what_is_theirs(release: Release) {
    let host = Host::boot(release);
    let pam = host.run_as("alice", &format!("varlink-raw {PAM} </dev/null"));
    assert!(pam.stderr.contains("Permission denied"), "{pam:#?}");
    let before = host.status();
    for call_text in ["Grant", "Revoke", "Reload"] {
        let answer = call(
            &host,
            "alice",
            AGENT,
            &format!("{{\"method\":\"io.curfew.Agent.{call_text}\",\"parameters\":{{}}}}\\0"),
        );
        assert!(answer.contains("\"error\""), "{call_text}: {answer}");
    }
    assert_eq!(host.status()["grants"], before["grants"]);
    assert!(!host.run_as("alice", "curfew audit --json").success());
    assert!(host.run_as("alice", "ls /var/lib/curfew /run/curfew/sudoers.d").stdout.is_empty());
}

fn somebody_who_holds_every_connection_open_keeps_nobody_out(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("bob --for 120s --login");
    let hog = "perl -MIO::Socket::UNIX -e '$SIG{PIPE} = q(IGNORE); my @s; for (1..1500) { my $s = IO::Socket::UNIX->new(Peer => \"/run/curfew/io.curfew.Agent\", Timeout => 1) or last; \
               syswrite $s, q({\"method\":) . (q( ) x 50000); push @s, $s } print scalar(@s), qq(\\n); $| = 1; print qq(held\\n); sleep 60'";
    let hog = host.spawn(&format!("ulimit -n 4096; exec runuser -u alice -- {hog}"));
    wait_for("the connections", Duration::from_secs(30), || hog.stdout().contains("held").then_some(()));
    assert_eq!(host.ssh("bob", "id -un").expect_ok("a login meanwhile"), "bob");
    let memory: u64 = host.ok("systemctl show --value --property=MemoryCurrent curfewd").parse().unwrap_or(0);
    assert!(memory < 64 << 20, "{memory} bytes");
    assert!(host.run("curfew status").success());
}

fn a_corrupt_store_is_set_aside_audited_and_shown(release: Release) {
    let host = Host::boot(release);
    let _lost = host.grant("alice --for 120s --login");
    host.stop_agent();
    host.write("/var/lib/curfew/local.json", "{\"grants\": [ garbage");
    host.start_agent();
    wait_for("the agent", SOON, || host.run("curfew status").success().then_some(()));
    assert_eq!(host.ok("systemctl is-active curfewd"), "active");
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.ok("grep -l garbage /var/lib/curfew/local.json.*").contains("local.json"));
    host.audited("set.refused", |record| record["reason"].as_str().is_some_and(|reason| reason.contains("local.json")));
    assert!(host.ok("curfew status").contains("local.json"), "status does not show it");
    assert!(host.ok("curfew status --json").contains("local.json"));

    // And the store serves again.
    let _new = host.grant("alice --for 120s --login");
    host.ok("systemctl restart curfewd");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("a new grant"), "alice");
}

fn a_stored_grant_with_an_unknown_field_is_refused_alone(release: Release) {
    let host = Host::boot(release);
    let good = host.grant("alice --for 120s --login");
    let bad = host.grant("bob --for 120s --login");
    host.stop_agent();
    host.ok(&format!("sed -i 's/\"id\": *\"{}\"/&,\"colour\":\"red\"/' /var/lib/curfew/local.json && grep colour /var/lib/curfew/local.json", bad.id));
    host.start_agent();
    let refused = host
        .audited("grant.refused", |record| record["reason"].as_str().is_some_and(|reason| reason.contains("colour")));
    assert!(refused.to_string().contains(&bad.id), "{refused}");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the other grant"), "alice");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.status()["grants"][0]["id"], good.id.as_str());
}
