//! The audit: who, what, when, why, by whose leave; complete, in order, in the journal and in the spool.

use std::collections::HashMap;

use curfew_tests::{Host, Release, assert_refused};

on_every_release! {
    the_journal_and_the_spool_tell_the_same_story_without_a_gap,
    curfew_audit_prints_a_table_json_and_csv_and_filters,
    what_root_does_within_a_run_of_sudo_is_its_persons_whatever_the_login_uid_says,
}

/// A host on which a bit of everything happened, the agent's restart included.
fn eventful(release: curfew_tests::Release) -> (Host, curfew_tests::Grant) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 4s --login --sudo --command /usr/bin/id");
    host.drop_in();
    assert_eq!(host.ssh("alice", "sudo -n /usr/bin/id -u").expect_ok("sudo over ssh"), "0");
    let mut shell = host.login("alice");
    shell.run("true");
    assert_refused(&host.ssh("bob", "id"));
    let _ = host.ssh("ops", "id");
    host.ok("systemctl restart curfewd");
    let revoked = host.grant("carol --for 60s --login");
    host.ok(&format!("curfew revoke {} --reason 'no longer needed'", revoked.id));
    grant.wait_end();
    host.audited("session.terminated", |record| record["user"] == "alice");
    host.audited("sudoers.removed", |record| record["grant"] == grant.id.as_str());
    (host, grant)
}

fn the_journal_and_the_spool_tell_the_same_story_without_a_gap(release: Release) {
    let (host, grant) = eventful(release);
    let spool = host.audit("");
    let numbers: Vec<_> = spool.iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=spool.len() as u64).collect::<Vec<_>>());

    let journal = host.journal("_SYSTEMD_UNIT=curfewd.service SYSLOG_IDENTIFIER=curfewd");
    let by_number: HashMap<_, _> =
        journal.iter().filter_map(|entry| Some((entry["CURFEW_SEQ"].as_str()?, entry))).collect();
    assert!(by_number.len() >= spool.len(), "{} in the journal, {} in the spool", by_number.len(), spool.len());
    for record in &spool {
        let entry =
            by_number.get(record["seq"].to_string().as_str()).unwrap_or_else(|| panic!("not in the journal: {record}"));
        assert_eq!(entry["CURFEW_EVENT"], record["event"]);
        assert!(entry["MESSAGE_ID"].as_str().is_some_and(|id| id.len() == 32), "{entry}");
        assert!(entry["MESSAGE"].as_str().is_some_and(|text| text.ends_with('.')), "{entry}");
        for (key, value) in record.as_object().expect("a record is an object") {
            if let (Some(text), false) = (value.as_str(), ["time", "event", "message"].contains(&key.as_str())) {
                assert_eq!(entry[format!("CURFEW_{}", key.to_uppercase())], text, "{key} of {record}");
            }
        }
    }

    let events: Vec<_> = spool.iter().filter_map(|record| record["event"].as_str()).collect();
    for event in [
        "agent.started",
        "agent.stopped",
        "local.granted",
        "grant.started",
        "grant.ended",
        "sudoers.written",
        "sudoers.removed",
        "login.permitted",
        "login.denied",
        "session.opened",
        "session.closed",
        "session.terminated",
        "sudo.permitted",
        "exempt.used",
        "local.revoked",
    ] {
        assert!(events.contains(&event), "no {event} in {events:?}");
    }
    let revoked = spool.iter().find(|record| record["event"] == "local.revoked").expect("a revocation");
    assert_eq!((&revoked["actor"], &revoked["reason"]), (&"root".into(), &"no longer needed".into()), "{revoked}");
    let message = revoked["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("root revoked grant ") && message.ends_with(": no longer needed."), "{message}");
    let granted = spool.iter().find(|it| it["event"] == "local.granted" && it["grant"] == revoked["grant"]);
    let granted = granted.expect("the grant that was revoked");
    assert_eq!((&granted["login_services"][0], &granted["sudo_commands"]), (&"any".into(), &serde_json::Value::Null));
    assert!(
        granted["message"].as_str().is_some_and(|it| it.starts_with("root granted carol login until")),
        "{granted}"
    );
    let ended = spool.iter().find(|it| it["event"] == "session.terminated" && it["service"] == "sshd");
    let message = ended.and_then(|ended| ended["message"].as_str()).unwrap_or_default();
    assert!(message.starts_with("A session of alice over sshd from "), "{message}");
    // What had HUP and TERM in the grace may obey before the end.
    let ends =
        [" was ended, since the grant expired, killing ", " was ended in the grace before its grant's end, killing "];
    assert!(ends.iter().any(|end| message.contains(end)), "{message}");
    let story: Vec<_> = spool.iter().filter(|record| record["grant"] == grant.id.as_str()).collect();
    assert!(story.len() >= 6, "{story:#?}");

    let explained = host.ok("journalctl --no-pager -x -b _SYSTEMD_UNIT=curfewd.service");
    assert!(explained.contains("Defined-By: Curfew"), "{explained}");
    assert!(explained.contains("Subject: A session of alice") || explained.contains("alice"), "{explained}");
}

fn curfew_audit_prints_a_table_json_and_csv_and_filters(release: Release) {
    let (host, grant) = eventful(release);
    let table = host.ok("curfew audit");
    assert!(table.contains("login.denied") && table.contains("alice") && table.contains("bob"), "{table}");
    assert!(!table.contains('\u{1b}'), "colours without a terminal");

    // A look for residue may come to its end between two commands.
    let until = format!("--until {}", jiff::Timestamp::now());
    let csv = host.ok(&format!("curfew audit --format csv {until}"));
    let mut lines = csv.lines();
    let header: Vec<_> = lines.next().expect("a header").split(',').collect();
    for column in ["seq", "time", "event", "user", "grant", "reason", "approved_by"] {
        assert!(header.contains(&column), "{header:?}");
    }
    assert_eq!(lines.count(), host.audit(&until).len());
    assert!(csv.contains("INC-1 disk full"));

    for (filter, key, value) in [("--user bob", "user", "bob"), ("--event grant.started", "event", "grant.started")] {
        let found = host.audit(filter);
        assert!(!found.is_empty() && found.iter().all(|record| record[key] == value), "{filter}: {found:#?}");
    }
    let of_grant = host.audit(&format!("--grant {}", grant.id));
    assert!(of_grant.len() >= 6 && of_grant.iter().all(|record| record["grant"] == grant.id.as_str()));
    assert!(host.audit(&format!("--since {}", jiff::Timestamp::now())).is_empty());
    assert!(host.audit(&format!("--until {}", jiff::Timestamp::now())).len() >= 10);
    assert_eq!(host.run("curfew audit --format xml").status, 2);

    // Whoever may read the journal may read the audit.
    assert!(!host.run_as("carol", "curfew audit").success());
    host.ok("usermod --append --groups adm carol");
    assert!(host.run_as("carol", "curfew audit --json").expect_ok("a member of adm").contains("login.denied"));
}

fn what_root_does_within_a_run_of_sudo_is_its_persons_whatever_the_login_uid_says(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let _grant = host.grant("alice --for 5m --login --sudo");
    host.drop_in();
    let uid = host.ok("id -u ops");
    let forged = |calls: &str| {
        host.write("/tmp/forged", format!("echo {uid} >/proc/self/loginuid\n{calls}\n"));
        host.ssh("alice", "sudo -n bash /tmp/forged").expect_ok(calls);
    };
    forged("curfew grant carol --for 1h --login --reason forged");
    let granted = host.audited("local.granted", |record| record["user"] == "carol");
    assert_eq!(granted["actor"], "alice", "{granted}");
    assert_eq!((&granted["requested_by"], &granted["approved_by"][0]), (&"alice".into(), &"alice".into()), "{granted}");

    let id = granted["grant"].as_str().expect("the grant's id");
    forged(&format!("(setsid curfew revoke {id} --reason forged &) && sleep 2"));
    let revoked = host.audited("local.revoked", |record| record["grant"] == id);
    assert_eq!(revoked["actor"], "alice", "{revoked}");

    // Whoever is root by a login of their own is named by that.
    host.ssh("root", &format!("echo {uid} >/proc/self/loginuid; curfew grant carol --for 1h --login --reason own"))
        .expect_ok("a grant of root's own");
    let own = host.audited("local.granted", |record| record["reason"] == "own");
    assert_eq!(own["actor"], "root", "{own}");

    forged("curfew disable --reason forged");
    let unwired = host.audited("wiring.changed", |record| record["outcome"] == "disabled");
    assert_eq!(unwired["actor"], "alice", "{unwired}");
}
