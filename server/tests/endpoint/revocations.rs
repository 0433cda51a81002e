//! A revocation arrives, and the server says where it has and where it has not.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(
    a_revocation_names_the_hosts_that_have_not_acknowledged_it,
    a_version_that_is_not_there_yet_acknowledges_nothing,
    a_grant_that_hosts_would_refuse_is_not_made,
    a_host_that_is_removed_acknowledges_by_its_last_set,
    nobody_waits_for_hosts_that_never_acknowledge,
);

async fn revocation(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/admin/grants/{id}/revocation")).await
}

async fn a_revocation_names_the_hosts_that_have_not_acknowledged_it(server: Server) {
    let web = json!({"role": "web"});
    let (one, two) = (server.host("web-1", web.clone()).await, server.host("web-2", web.clone()).await);
    let other = server.host("db-1", json!({"role": "db"})).await;
    server.says(&["host", "add", "files-1", "--label", "role=web"]);
    let id = server.grant("alice", json!({"labels": web})).await;
    let path = format!("/v1/admin/grants/{id}/revocation");
    assert_eq!(server.admin(Method::GET, &path, None).await.problem().kind, ProblemKind::Conflict);
    for host in [&one, &two, &other] {
        host.poll(&server, None, None).await;
    }
    let said = server.says(&["grant", "revoke", &id]);
    assert!(
        said.contains("0 of 3 hosts have acknowledged") && said.contains("web-1") && !said.contains("db-1"),
        "{said}"
    );
    // The set is there, and was not asked beyond: nobody knows whether it is applied.
    let tag = one.poll(&server, None, None).await.tag().to_owned();
    assert_eq!(revocation(&server, &id).await["acknowledged"], 0);
    one.poll(&server, Some(&tag), None).await;
    let state = revocation(&server, &id).await;
    assert_eq!((&state["hosts"], &state["acknowledged"]), (&json!(3), &json!(1)));
    let names: Vec<_> =
        state["waiting"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["files-1", "web-2"]);
    let waited = server.cli(&["grant", "revoke", &id, "--wait=1s"]);
    let said = String::from_utf8_lossy(&waited.stdout).into_owned();
    assert_eq!(waited.status.code(), Some(1), "{said}");
    assert!(said.contains("not yet: web-2") && said.contains("files") && !said.contains("web-1"), "{said}");
    // A change behind it is more than the revocation asks for.
    server.grant("bob", json!({"host": "web-2"})).await;
    let tag = two.poll(&server, None, None).await.tag().to_owned();
    let (_, _) = tokio::join!(two.poll(&server, Some(&tag), None), async {
        server.says(&["host", "remove", "files-1"]);
    });
    // One that is gone has no set any more, and nobody to fetch it. What a server heard is soon written down for the others.
    let state = revocation(&server, &id).await;
    assert_eq!(state["waiting"].as_array().unwrap().len(), 1, "{state}");
}

async fn a_version_that_is_not_there_yet_acknowledges_nothing(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    let current = host.poll(&server, None, None).await;
    let ver = host.verify(&current).mark.ver;
    host.poll(&server, Some(&format!("\"1-{}\"", ver + 100)), None).await;
    host.poll(&server, Some("\"9-1\""), None).await;
    server.revoke(&id).await;
    assert_eq!(revocation(&server, &id).await["acknowledged"], 0);
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    host.poll(&server, Some(&tag), None).await;
    let done = server.cli(&["grant", "revoke", &id, "--wait", "--json"]);
    assert!(done.status.success());
    let state: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(state, json!({"grant": id, "hosts": 1, "acknowledged": 1, "waiting": []}));
}

async fn a_grant_that_hosts_would_refuse_is_not_made(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let texts =
        |length: usize| -> Vec<String> { (0..64).map(|n| format!("/bin/{n:02}{}", "x".repeat(length))).collect() };
    let body = |length: usize| {
        json!({"host": "web-1", "user": "alice", "seconds": 60, "login": {"services": texts(length)},
               "sudo": {"commands": texts(length)}, "reason": "r"})
    };
    let answer = server.admin(Method::POST, "/v1/admin/grants", Some(body(900))).await;
    let problem = answer.problem();
    assert_eq!(problem.kind, ProblemKind::BadRequest);
    assert!(problem.detail.contains("65536"), "{}", problem.detail);
    // One of nearly that length is made, and each host takes it.
    let made = server.post("/v1/admin/grants", body(480)).await;
    let set = host.verify(&host.poll(&server, None, None).await);
    assert!(set.refused.is_empty());
    assert_eq!(set.grants[0].id.as_str(), made["grant"]["id"].as_str().unwrap());
    // So it is with what is asked for.
    let order = json!({"user": "bob", "seconds": 60, "login": {"services": texts(510)}, "sudo": {"commands": texts(510)}, "reason": "r"});
    let path = format!("/v1/hosts/{}/requests", host.id);
    let problem = host.send(&server, &path, &order).await.problem();
    assert_eq!(problem.kind, ProblemKind::BadRequest);
    assert!(problem.detail.contains("65536"), "{}", problem.detail);
    assert_eq!(host.grants(&server).await.len(), 1);
}

async fn a_host_that_is_removed_acknowledges_by_its_last_set(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    server.says(&["host", "remove", "web-1"]);
    assert_eq!(revocation(&server, &id).await["waiting"][0]["name"], "web-1");
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    assert_eq!(host.poll(&server, Some(&tag), None).await.status, 401);
    assert_eq!(revocation(&server, &id).await["acknowledged"], 1);
}

async fn nobody_waits_for_hosts_that_never_acknowledge(server: Server) {
    let web = json!({"role": "web"});
    server.says(&["host", "add", "files-1", "--label", "role=web"]);
    server.host("gone-1", web.clone()).await;
    let one = server.grant("alice", json!({"labels": web})).await;
    let begun = std::time::Instant::now();
    let output = server.cli(&["grant", "revoke", &one, "--wait=1s"]);
    assert!(begun.elapsed().as_secs() >= 1, "the host that calls is waited for");
    assert_eq!(output.status.code(), Some(1));
    server.says(&["host", "remove", "gone-1"]);
    let output = server.cli(&["grant", "revoke", &one, "--wait=10m"]);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(said.contains("gone-1, which was removed") && said.contains("files-1, which fetches files"), "{said}");
    assert!(error.contains("2 of 2 hosts fetch files or were removed") && error.contains("not waited for"), "{error}");
}
