//! Requests from hosts, and what administrators make of them.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(
    an_approved_request_is_a_grant_on_its_host,
    a_request_is_decided_once,
    what_is_no_request_is_refused,
    whoever_decides_sees_all_that_is_asked_for,
    no_number_of_newer_requests_hides_an_older_one,
    a_request_is_in_the_audit_as_soon_as_it_is_made,
);

fn order() -> Value {
    json!({"user": "alice", "seconds": 600, "login": {}, "reason": "INC-1", "ticket": "T-1"})
}

async fn an_approved_request_is_a_grant_on_its_host(server: Server) {
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let path = format!("/v1/hosts/{}/requests", host.id);
    let answer = host.send(&server, &path, &order()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.json()["request"].as_str().unwrap().to_owned();
    let waiting = server.get("/v1/admin/requests?state=pending").await;
    assert_eq!(waiting["requests"][0]["request"], order());
    assert_eq!(waiting["requests"][0]["host_name"], "web-1");
    let entry = server.post(&format!("/v1/admin/requests/{id}/approve"), json!({"seconds": 60})).await;
    assert_eq!((&entry["grant"]["request"], &entry["grant"]["approved_by"]), (&json!(id), &json!(["first"])));
    assert_eq!(entry["grant"]["requested_by"], "alice");
    let grant = entry["grant"]["id"].as_str().unwrap();
    assert_eq!(host.grants(&server).await, [grant]);
    assert!(other.grants(&server).await.is_empty());
    let request = server.get(&format!("/v1/admin/requests/{id}")).await;
    assert_eq!((&request["state"], &request["grant"]), (&json!("approved"), &json!(grant)));
}

async fn a_request_is_decided_once(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/requests", host.id);
    let made = host.send(&server, &path, &order()).await.json();
    let path = format!("/v1/admin/requests/{}", made["request"].as_str().unwrap());
    let denied = server.post(&format!("{path}/deny"), json!({"reason": "not today"})).await;
    assert_eq!((&denied["state"], &denied["decision_reason"]), (&json!("denied"), &json!("not today")));
    for (what, body) in [("approve", json!({})), ("deny", json!({"reason": "again"}))] {
        let answer = server.admin(Method::POST, &format!("{path}/{what}"), Some(body)).await;
        assert_eq!(answer.problem().kind, ProblemKind::Conflict);
    }
    assert!(host.grants(&server).await.is_empty());
    let answer = server.admin(Method::POST, "/v1/admin/requests/none/approve", Some(json!({}))).await;
    assert_eq!(answer.problem().kind, ProblemKind::NotFound);
}

async fn what_is_no_request_is_refused(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/requests", host.id);
    for (field, value) in [
        ("user", json!("-x")),
        ("seconds", json!(0)),
        ("login", Value::Null),
        ("reason", json!("")),
        ("reason", json!("\u{1b}c")),
        ("colour", json!(1)),
        ("seconds", json!(1_000_000_000)),
        ("seconds", json!(1_u64 << 62)),
        ("sudo", json!({"run_as": ["root"], "commands": vec!["/bin/true"; 65]})),
    ] {
        let mut bad = order();
        bad[field] = value;
        let problem = host.send(&server, &path, &bad).await.problem();
        assert_eq!(problem.kind, ProblemKind::BadRequest, "{field}");
        assert!(problem.detail.contains(field) && !problem.detail.contains("grant "), "{problem:?}");
    }
    for _ in 0..100 {
        assert_eq!(host.send(&server, &path, &order()).await.status, 201);
    }
    let answer = host.send(&server, &path, &order()).await;
    assert_eq!(answer.problem().kind, ProblemKind::TooMany);
    assert!(answer.headers.contains_key("retry-after"));
}

async fn whoever_decides_sees_all_that_is_asked_for(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/requests", host.id);
    let mut wide = order();
    wide["login"] = json!({"from": ["10.0.0.0/8"]});
    wide["sudo"] = json!({"run_as": ["postgres"], "commands": ["/usr/bin/psql", "/bin/bash -c id"]});
    let id = host.send(&server, &path, &wide).await.json()["request"].as_str().unwrap().to_owned();
    let listed = server.says(&["request", "list"]);
    for part in ["10m", "login from 10.0.0.0/8; sudo as postgres: /usr/bin/psql, /bin/bash -c", "INC-1"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let shown = server.says(&["request", "show", &id]);
    for line in [
        "sudo as     postgres",
        "command     /usr/bin/psql",
        "command     /bin/bash -c",
        "ticket      T-1",
        "for         10m",
    ] {
        assert!(shown.lines().any(|it| it.starts_with(line)), "{line}: {shown}");
    }
    let json: Value = serde_json::from_str(&server.says(&["request", "show", &id, "--json"])).unwrap();
    assert_eq!(json["request"], wide);
    server.says(&["request", "approve", &id, "--for", "5m"]);
    assert!(server.says(&["request", "show", &id]).contains("decided by  first"));
    let log = server.get("/v1/admin/audit?event=request.approved").await;
    let record = &log["records"][0]["record"];
    assert_eq!((&record["asked_seconds"], &record["approved_seconds"]), (&json!(600), &json!(300)));
}

async fn no_number_of_newer_requests_hides_an_older_one(server: Server) {
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let ask = async |host: &crate::harness::Host, user: &str| {
        let mut order = order();
        order["user"] = json!(user);
        let answer = host.send(&server, &format!("/v1/hosts/{}/requests", host.id), &order).await;
        answer.json()["request"].as_str().unwrap().to_owned()
    };
    let oldest = ask(&host, "alice").await;
    let mut decided = Vec::new();
    for _ in 0..12 {
        let id = ask(&other, "mallory").await;
        server.post(&format!("/v1/admin/requests/{id}/deny"), json!({"reason": "no"})).await;
        decided.push(id);
    }
    let newest = ask(&other, "bob").await;
    // Those that wait come first, and pages come together to the whole, also while one is decided.
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/admin/requests?limit=3{after}")).await;
        all.extend(page["requests"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        if all.len() == 3 {
            server.post(&format!("/v1/admin/requests/{newest}/deny"), json!({"reason": "no"})).await;
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let seen_twice = all.iter().filter(|id| **id == newest).count();
    all.dedup();
    assert_eq!(all[..2], [newest.clone(), oldest.clone()]);
    assert!(seen_twice <= 2 && decided.iter().all(|id| all.contains(id)));
    let listed = server.says(&["request", "list"]);
    assert!(listed.contains(&oldest) && !listed.contains(&newest), "{listed}");
    let of_one = server.says(&["request", "list", "--all", "--user", "bob", "--host", "web-2"]);
    assert_eq!(of_one.lines().count(), 2, "{of_one}");
    for query in ["after=x", "after=0.1", "limit=0", "host=nobody"] {
        let answer = server.admin(Method::GET, &format!("/v1/admin/requests?{query}"), None).await;
        assert!(matches!(answer.status, 400 | 404), "{query}");
    }
}

async fn a_request_is_in_the_audit_as_soon_as_it_is_made(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/requests", host.id);
    let id = host.send(&server, &path, &order()).await.json()["request"].as_str().unwrap().to_owned();
    let log = server.get("/v1/admin/audit?event=request.created&user=alice&host=web-1").await;
    let entry = &log["records"][0];
    assert_eq!((&entry["source"], &entry["admin"]), (&json!("endpoint"), &Value::Null));
    assert_eq!((&entry["host"], &entry["host_name"]), (&json!(host.id), &json!("web-1")));
    let expected =
        json!({"request": id, "user": "alice", "seconds": 600, "login": {}, "reason": "INC-1", "ticket": "T-1"});
    assert_eq!(entry["record"], expected);
    let shown = server.says(&["audit", "--event", "request.created"]);
    for part in ["endpoint", "web-1", "request.created", "alice", "INC-1", &id] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // What is refused is no request.
    let mut bad = order();
    bad["seconds"] = json!(0);
    host.send(&server, &path, &bad).await.problem();
    let log = server.get("/v1/admin/audit?event=request.created").await;
    assert_eq!(log["records"].as_array().unwrap().len(), 1);
}
