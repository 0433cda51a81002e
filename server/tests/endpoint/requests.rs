//! Requests from hosts, and what administrators make of them.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(an_approved_request_is_a_grant_on_its_host, a_request_is_decided_once, what_is_no_request_is_refused);

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
    ] {
        let mut bad = order();
        bad[field] = value;
        assert_eq!(host.send(&server, &path, &bad).await.problem().kind, ProblemKind::BadRequest, "{field}");
    }
    for _ in 0..100 {
        assert_eq!(host.send(&server, &path, &order()).await.status, 201);
    }
    let answer = host.send(&server, &path, &order()).await;
    assert_eq!(answer.problem().kind, ProblemKind::TooMany);
    assert!(answer.headers.contains_key("retry-after"));
}
