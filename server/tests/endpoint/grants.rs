//! Grants: for one host, for labels, and gone when they are revoked.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(
    a_grant_by_labels_holds_where_all_of_them_are_now_or_later,
    a_host_sees_its_own_grants_alone,
    a_bad_grant_is_refused_with_the_name_of_the_field,
    what_was_made_and_revoked_is_listed,
    a_grant_comes_out_of_the_set_as_it_was_made,
    nobody_approves_in_another_ones_name,
    a_label_that_no_host_has_is_told,
);

async fn a_grant_by_labels_holds_where_all_of_them_are_now_or_later(server: Server) {
    let both = server.host("a", json!({"env": "prod", "role": "web"})).await;
    let one = server.host("b", json!({"env": "prod"})).await;
    let id = server.grant("alice", json!({"labels": {"env": "prod", "role": "web"}})).await;
    assert_eq!(both.grants(&server).await, [id.as_str()]);
    assert!(one.grants(&server).await.is_empty());
    let later = server.host("c", json!({"env": "prod", "role": "web", "more": "x"})).await;
    assert_eq!(later.grants(&server).await, [id.as_str()]);
    let labels = |change: Value| server.done(Method::PATCH, "/v1/admin/hosts/b/labels", change);
    labels(json!({"set": {"role": "web"}})).await;
    assert_eq!(one.grants(&server).await, [id.as_str()]);
    labels(json!({"unset": ["role"]})).await;
    assert!(one.grants(&server).await.is_empty());
    server.revoke(&id).await;
    for host in [&both, &later] {
        assert!(host.grants(&server).await.is_empty());
    }
}

async fn a_host_sees_its_own_grants_alone(server: Server) {
    let (one, other) = (server.host("a", json!({})).await, server.host("b", json!({})).await);
    let id = server.grant("alice", json!({"host": one.id})).await;
    assert_eq!(one.grants(&server).await, [id]);
    assert!(other.grants(&server).await.is_empty());
}

async fn a_bad_grant_is_refused_with_the_name_of_the_field(server: Server) {
    server.host("a", json!({})).await;
    let good = json!({"host": "a", "user": "alice", "seconds": 60, "login": {}, "reason": "r"});
    for (field, value, says) in [
        ("user", json!("alice\n"), "`user`"),
        ("user", json!("ALL"), "`user`"),
        ("reason", json!("\u{1b}[2J"), "`reason`"),
        ("login", json!({"from": ["10.0.0.0/33"]}), "`login.from[0]`"),
        ("login", json!({"colour": "red"}), "`login.colour`"),
        ("sudo", json!({"commands": ["bash"]}), "`sudo.commands[0]`"),
        ("sudo", json!({"commands": []}), "sudo.commands"),
        ("login", Value::Null, "neither"),
        ("seconds", json!(0), "seconds is 0"),
        ("seconds", json!(-1), "`seconds`"),
        ("seconds", Value::Null, "`not_after` or `seconds`"),
        ("not_after", json!("2026-11-21T20:00:00Z"), "`not_after` or `seconds`"),
        ("not_before", json!("soon"), "`not_before`"),
        ("labels", json!({"env": "prod"}), "name one of them"),
        ("labels", json!({"env'; DROP TABLE hosts; --": "x"}), "no label"),
        ("id", json!("../x"), "`id`"),
        ("colour", json!("red"), "colour"),
        ("approved_by", json!(["\u{202e}bob"]), "`approved_by[0]`"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let problem = server.admin(Method::POST, "/v1/admin/grants", Some(bad)).await.problem();
        assert_eq!(problem.kind, ProblemKind::BadRequest, "{field}: {problem:?}");
        assert!(problem.detail.contains(says), "{field}: {problem:?}");
    }
    let mut elsewhere = good.clone();
    elsewhere["host"] = json!("nobody");
    let answer = server.admin(Method::POST, "/v1/admin/grants", Some(elsewhere)).await;
    assert_eq!(answer.problem().kind, ProblemKind::NotFound);
    let mut twice = good.clone();
    twice["id"] = json!("g1");
    server.post("/v1/admin/grants", twice.clone()).await;
    let answer = server.admin(Method::POST, "/v1/admin/grants", Some(twice)).await;
    assert_eq!(answer.problem().kind, ProblemKind::Conflict);
}

async fn what_was_made_and_revoked_is_listed(server: Server) {
    server.host("a", json!({"env": "prod"})).await;
    server.host("b", json!({})).await;
    let live = server.grant("alice", json!({"host": "a"})).await;
    let by_label = server.grant("bob", json!({"labels": {"env": "prod"}})).await;
    let coming = server.grant("alice", json!({"host": "b", "not_before": "2126-11-21T20:00:00Z"})).await;
    let gone = server.grant("alice", json!({"host": "b"})).await;
    server.revoke(&gone).await;
    server.revoke(&gone).await;
    let list = async |query: &str| {
        let list = server.get(&format!("/v1/admin/grants?{query}")).await;
        let ids = list["grants"].as_array().unwrap().iter().map(|it| it["grant"]["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [&gone, &coming, &by_label, &live].map(Clone::clone));
    assert_eq!(list("host=a").await, [by_label.clone(), live.clone()]);
    assert_eq!(list("user=alice&state=live").await, [live.as_str()]);
    assert_eq!(list("state=coming").await, [coming]);
    assert_eq!(list("state=revoked").await, [gone.as_str()]);
    assert_eq!(list("state=ended").await, [""; 0]);
    let page = server.get("/v1/admin/grants?limit=2").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(list(&format!("limit=2&after={next}")).await, [by_label, live]);
    let revoked = server.get(&format!("/v1/admin/grants/{gone}")).await;
    assert_eq!((&revoked["revoked_by"], &revoked["revoke_reason"]), (&json!("first"), &json!("a test")));
}

async fn a_grant_comes_out_of_the_set_as_it_was_made(server: Server) {
    let host = server.host("a", json!({})).await;
    let body = json!({
        "host": "a", "id": "G-1", "user": "alice", "not_before": "2026-01-01T00:00:00Z", "not_after": "2126-01-01T00:00:00Z",
        "login": {"services": ["sshd"], "from": ["10.0.0.0/8"]}, "sudo": {"run_as": ["root"], "commands": ["/usr/bin/systemctl restart nginx"]},
        "reason": "INC-4711 disk full", "ticket": "INC-4711", "requested_by": "alice", "approved_by": ["first"]
    });
    let made = server.post("/v1/admin/grants", body.clone()).await;
    assert_eq!(made["created_by"], "first");
    let set = host.verify(&host.poll(&server, None, None).await);
    let mut expected = body;
    expected.as_object_mut().unwrap().remove("host");
    assert_eq!(serde_json::to_value(&set.grants[0]).unwrap(), expected);
    assert_eq!(made["grant"], expected);
}

async fn nobody_approves_in_another_ones_name(server: Server) {
    let host = server.host("a", json!({})).await;
    let claims = |names: Value| json!({"host": "a", "user": "alice", "seconds": 60, "login": {}, "reason": "r", "approved_by": names});
    for names in [json!(["bob"]), json!(["first", "bob"]), json!(["first "]), json!(["root on the server"])] {
        let problem = server.admin(Method::POST, "/v1/admin/grants", Some(claims(names.clone()))).await.problem();
        assert_eq!(problem.kind, ProblemKind::BadRequest, "{names}");
        assert!(problem.detail.contains("approved_by") && problem.detail.contains("first"), "{problem:?}");
    }
    let mut policy = claims(json!([]));
    policy["policy"] = json!("p");
    assert_eq!(server.admin(Method::POST, "/v1/admin/grants", Some(policy)).await.status, 400);
    assert!(host.grants(&server).await.is_empty());
    let made = server.post("/v1/admin/grants", claims(json!(["first"]))).await;
    assert_eq!(made["grant"]["approved_by"], json!(["first"]));
    // Who works on the server itself approves as that.
    let local = server
        .command()
        .env_remove("CURFEW_SERVER_TOKEN")
        .args(["grant", "create", "alice", "--host", "a", "--for", "1m", "--reason", "r", "--json"])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&local.stdout).unwrap();
    assert!(made["grant"]["approved_by"][0].as_str().unwrap().ends_with(" on the server"), "{made}");
}

async fn a_label_that_no_host_has_is_told(server: Server) {
    server.host("a", json!({"env": "prod"})).await;
    server.host("b", json!({"env": "prod", "role": "web"})).await;
    let create = |label: &[&str]| {
        let mut arguments = vec!["grant", "create", "alice", "--for", "1h", "--reason", "r"];
        arguments.extend(label);
        let output = server.cli(&arguments);
        assert!(output.status.success());
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (label, says) in [
        (&["--label", "env=prod"][..], "on 2 hosts with env=prod"),
        (&["--label", "env=prod", "--label", "role=web"], "on 1 host with env=prod,role=web"),
        (&["--labels", "env=prod,role=web"], "on 1 host with"),
        (&["--label", "env=prd"], "warning: no host has env=prd"),
        (&["--host", "a"], "on a, until"),
    ] {
        let (id, said) = create(label);
        assert!(said.contains(says), "{label:?}: {said}");
        assert_eq!(id.lines().count(), 1, "the id alone is the output: {id}");
    }
    let made = server
        .post(
            "/v1/admin/grants",
            json!({"labels": {"env": "prd"}, "user": "alice", "seconds": 60, "login": {}, "reason": "r"}),
        )
        .await;
    assert_eq!(made["hosts"], 0);
    let id = made["grant"]["id"].as_str().unwrap().to_owned();
    server.host("c", json!({"env": "prd"})).await;
    assert_eq!(server.get(&format!("/v1/admin/grants/{id}")).await["hosts"], 1);
    let listed = server.cli(&["host", "list", "--label", "env=nowhere"]);
    assert!(String::from_utf8_lossy(&listed.stderr).contains("0 hosts with env=nowhere"));
}
