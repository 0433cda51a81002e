//! Everything that a person, a host or some labels have, revoked at once.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(what_a_person_has_is_revoked_everywhere_at_once, nothing_is_revoked_without_a_yes_and_a_name);

async fn what_a_person_has_is_revoked_everywhere_at_once(server: Server) {
    let web = server.host("web-1", json!({"env": "prod"})).await;
    let db = server.host("db-1", json!({"env": "test"})).await;
    let own = server.grant("alice", json!({"host": "db-1"})).await;
    let wide = server.grant("alice", json!({"labels": {"env": "prod"}})).await;
    let coming = server.grant("alice", json!({"host": "web-1", "not_before": "2126-11-21T20:00:00Z"})).await;
    let other = server.grant("bob", json!({"host": "web-1"})).await;
    let tags =
        [web.poll(&server, None, None).await.tag().to_owned(), db.poll(&server, None, None).await.tag().to_owned()];
    let parked =
        async { tokio::join!(web.poll(&server, Some(&tags[0]), Some(20)), db.poll(&server, Some(&tags[1]), Some(20))) };
    let revoking = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let done: Value =
            serde_json::from_str(&server.says(&["revoke", "--user", "alice", "--reason", "INC-9", "--yes", "--json"]))
                .unwrap();
        assert_eq!((&done["revoked"], &done["hosts"], &done["users"]), (&json!(true), &json!(2), &json!(["alice"])));
        assert_eq!(done["grants"], json!([own, wide, coming]));
    };
    let ((one, two), ()) = tokio::join!(parked, revoking);
    assert_eq!(crate::harness::ids(&web.verify(&one)), [other.as_str()]);
    assert!(web.verify(&one).grants.len() == 1 && db.verify(&two).grants.is_empty());
    // Each is in the log, and the whole once.
    let log = server.get("/v1/admin/audit?user=alice&event=grant.revoked").await;
    assert_eq!(log["records"].as_array().unwrap().len(), 3);
    let log = server.get("/v1/admin/audit?event=grants.revoked").await;
    assert_eq!(log["records"][0]["admin"], "first");
    assert_eq!(
        log["records"][0]["record"],
        json!({"user": "alice", "host": null, "labels": {}, "reason": "INC-9", "grants": 3, "hosts": 2})
    );
    assert_eq!(server.get(&format!("/v1/admin/grants/{wide}/revocation")).await["hosts"], 1);
    assert_eq!(server.get(&format!("/v1/admin/grants/{own}")).await["revoke_reason"], "INC-9");
}

async fn nothing_is_revoked_without_a_yes_and_a_name(server: Server) {
    let host = server.host("web-1", json!({"env": "prod"})).await;
    server.host("db-1", json!({"env": "test"})).await;
    let id = server.grant("alice", json!({"labels": {"env": "prod"}})).await;
    for arguments in [&["revoke", "--label", "env=prod"][..], &["revoke", "--host", "web-1"]] {
        let output = server.cli(arguments);
        let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("1 grant of alice on 1 host would be revoked; nothing is yet"), "{said}");
        // Who decides sees what it is about, not only its id.
        let line = said.lines().find(|line| line.contains(&id)).unwrap();
        for part in ["alice", "env=prod", "login", "a test"] {
            assert!(line.contains(part), "{part}: {said}");
        }
        assert!(error.contains("nothing is revoked yet") && error.contains("--yes"), "{error}");
    }
    assert_eq!(server.cli(&["revoke", "--yes"]).status.code(), Some(2));
    let answer = server.admin(Method::POST, "/v1/admin/revocations", Some(json!({}))).await;
    assert_eq!(answer.problem().kind, ProblemKind::BadRequest);
    assert_eq!(host.grants(&server).await, [id]);
    assert_eq!(server.get("/v1/admin/audit?event=grants.revoked").await["records"], json!([]));
    // A name that was mistyped in an emergency is no success.
    for (arguments, says) in [
        (&["--user", "nosuch"][..], "no live grant is for user nosuch; nothing is revoked"),
        (&["--user", "nosuch", "--yes"], "curfew-server grant list --user nosuch"),
        (&["--host", "db-1", "--yes"], "no live grant is on host db-1; nothing is revoked"),
        (&["--label", "env=rpod", "--yes"], "no live grant is for hosts with env=rpod; nothing is revoked"),
        (&["--user", "nosuch", "--yes", "--json"], "nothing is revoked"),
    ] {
        let output = server.cli(&[&["revoke"], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
    let done = server.says(&["revoke", "--label", "env=prod", "--yes"]);
    assert!(done.starts_with("1 grant of alice on 1 host revoked\n"), "{done}");
    assert!(host.grants(&server).await.is_empty());
}
