//! Who tried to be an administrator, and what was done outside of any call.

use crate::harness::{Answer, Server};
use curfew_protocol::jws::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_each_database!(
    sign_ins_that_failed_are_in_the_audit_and_counted,
    enrolments_and_hosts_that_failed_are_in_the_audit_and_counted,
    a_raised_epoch_is_in_the_audit,
);

async fn log(server: &Server, event: &str) -> Vec<Value> {
    server.get(&format!("/v1/admin/audit?event={event}&source=endpoint")).await["records"].as_array().unwrap().clone()
}

async fn sign_ins_that_failed_are_in_the_audit_and_counted(server: Server) {
    let token = server.says(&["admin-token", "create", "bob"]).trim().to_owned();
    server.says(&["admin-token", "revoke", "bob"]);
    let call =
        async |token: &str| Answer::of(server.request(Method::GET, "/v1/admin/hosts").bearer_auth(token)).await.status;
    for _ in 0..50 {
        assert_eq!(call("curfew_admin_guess").await, 401);
    }
    assert_eq!(call(&token).await, 401);
    assert_eq!(Answer::of(server.request(Method::GET, "/v1/admin/hosts")).await.status, 401);
    let begun = Instant::now();
    let records = loop {
        let records = log(&server, "admin.denied").await;
        let kinds: Vec<_> = records.iter().map(|it| it["record"]["token"].as_str().unwrap().to_owned()).collect();
        if ["none", "unknown", "revoked"].iter().all(|kind| kinds.contains(&(*kind).to_owned())) {
            break records;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{records:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // A record a minute, however many there were.
    assert!(records.len() <= 6, "{records:?}");
    let revoked = records.iter().find(|it| it["record"]["token"] == "revoked").unwrap();
    assert_eq!((&revoked["record"]["name"], &revoked["record"]["from"]), (&"bob".into(), &"127.0.0.1".into()));
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(&token) && !text.contains("guess"), "{text}");
}

async fn enrolments_and_hosts_that_failed_are_in_the_audit_and_counted(server: Server) {
    let mut host = server.host("web-1", json!({})).await;
    host.key = SigningKey::generate().unwrap();
    for _ in 0..30 {
        assert_eq!(server.enrol("curfew_enroll_made_up", "web-2", &host.key).await.status, 403);
        assert_eq!(host.poll(&server, None, None).await.status, 401);
    }
    for (event, about) in [("enrolment.denied", Value::Null), ("host.denied", json!(host.id))] {
        let begun = Instant::now();
        let records = loop {
            let records = log(&server, event).await;
            if !records.is_empty() {
                break records;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{event}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        // A record a minute, however many there were.
        assert!(records.len() <= 2, "{records:?}");
        assert_eq!((&records[0]["host"], &records[0]["record"]["from"]), (&about, &json!("127.0.0.1")));
        assert!(!serde_json::to_string(&records).unwrap().contains("made_up"), "{records:?}");
    }
}

async fn a_raised_epoch_is_in_the_audit(server: Server) {
    server.says(&["epoch", "bump"]);
    let records = log(&server, "epoch.raised").await;
    assert_eq!(records[0]["record"]["epoch"], 2);
    assert!(records[0]["admin"].as_str().unwrap().ends_with(" on the server"), "{records:?}");
}
