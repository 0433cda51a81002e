//! The audit of hosts, shipped in order and stored once; and what was done here, beside it.

use crate::harness::Server;
use curfew_protocol::host_api::ProblemKind;
use reqwest::Method;
use serde_json::{Value, json};

on_each_database!(
    records_are_stored_once_and_in_order,
    what_a_host_lost_is_kept_as_a_gap,
    a_record_is_never_overwritten_and_the_other_one_is_seen,
    what_is_no_batch_is_refused,
    another_hosts_audit_can_not_be_written,
    who_what_where_and_when_is_answered_page_by_page,
    what_administrators_did_is_in_the_audit,
);

fn record(seq: u64, user: &str) -> Value {
    json!({"seq": seq, "time": format!("2026-11-21T20:00:{:02}Z", seq % 60), "event": "login.permitted", "user": user, "grant": "g1",
           "message": format!("record {seq}")})
}

fn records(from: u64, to: u64) -> Vec<Value> {
    (from..=to).map(|seq| record(seq, "alice")).collect()
}

async fn audit(server: &Server, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/admin/audit?{query}")).await["records"].as_array().unwrap().clone()
}

async fn stored(server: &Server) -> Vec<i64> {
    audit(server, "event=login.permitted&limit=1000").await.iter().map(|row| row["seq"].as_i64().unwrap()).collect()
}

async fn records_are_stored_once_and_in_order(server: Server) {
    let host = server.host("web-1", json!({})).await;
    assert_eq!(host.ship(&server, "s", 1, &[]).await, 0);
    assert_eq!(host.ship(&server, "s", 1, &records(1, 3)).await, 3);
    assert_eq!(host.ship(&server, "s", 1, &records(1, 3)).await, 3);
    assert_eq!(host.ship(&server, "s", 1, &records(2, 5)).await, 5);
    // Behind a gap: nothing is stored, and the host goes back.
    assert_eq!(host.ship(&server, "s", 1, &records(7, 8)).await, 5);
    assert_eq!(host.ship(&server, "s", 1, &records(1, 2)).await, 5);
    assert_eq!(stored(&server).await, [1, 2, 3, 4, 5]);
    // As many as a batch holds.
    assert_eq!(host.ship(&server, "t", 1, &records(1, 500)).await, 500);
    let series = audit(&server, "event=audit.series_began").await;
    assert_eq!(series[0]["record"], json!({"series": "t"}));
}

async fn what_a_host_lost_is_kept_as_a_gap(server: Server) {
    let host = server.host("web-1", json!({})).await;
    assert_eq!(host.ship(&server, "s", 5, &records(6, 7)).await, 0);
    assert_eq!(host.ship(&server, "s", 5, &records(5, 7)).await, 7);
    assert_eq!(host.ship(&server, "s", 10, &records(10, 10)).await, 10);
    assert_eq!(stored(&server).await, [5, 6, 7, 10]);
    let lost = audit(&server, "event=audit.lost").await;
    let lost: Vec<_> = lost.iter().map(|row| row["record"].clone()).collect();
    assert_eq!(lost, [json!({"series": "s", "from": 1, "to": 4}), json!({"series": "s", "from": 8, "to": 9})]);
}

async fn a_record_is_never_overwritten_and_the_other_one_is_seen(server: Server) {
    let host = server.host("web-1", json!({})).await;
    assert_eq!(host.ship(&server, "s", 1, &records(1, 3)).await, 3);
    for _ in 0..2 {
        assert_eq!(host.ship(&server, "s", 1, &[record(1, "alice"), record(2, "mallory")]).await, 3);
    }
    assert_eq!(audit(&server, "user=mallory").await, [Value::Null; 0]);
    let differs = audit(&server, "event=audit.differs").await;
    assert_eq!(differs.len(), 1);
    assert_eq!(differs[0]["record"]["came"]["user"], "mallory");
    assert_eq!(differs[0]["record"]["kept"]["user"], "alice");
    assert_eq!(differs[0]["host_name"], "web-1");
}

async fn what_is_no_batch_is_refused(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/audit", host.id);
    let batch = |records: Vec<Value>| json!({"series": "s", "oldest": 1, "records": records});
    for (body, kind) in [
        (json!([]), ProblemKind::BadRequest),
        (json!({"records": []}), ProblemKind::BadRequest),
        (json!({"series": "../s", "oldest": 1, "records": []}), ProblemKind::BadRequest),
        (batch(vec![json!(7)]), ProblemKind::BadRequest),
        (batch(vec![record(1, "a"), record(3, "a")]), ProblemKind::BadRequest),
        (batch(vec![json!({"seq": 1, "time": "soon", "event": "e", "message": "m"})]), ProblemKind::BadRequest),
        (batch(records(1, 501)), ProblemKind::TooLarge),
        (batch(vec![json!({"seq": 1, "message": "x".repeat(1024 * 1024)})]), ProblemKind::TooLarge),
    ] {
        assert_eq!(host.send(&server, &path, &body).await.problem().kind, kind);
    }
    assert_eq!(stored(&server).await, [0; 0]);
    // Whatever is in the texts, both databases take it.
    let odd = json!({"seq": 1, "time": "2026-11-21T20:00:00Z", "event": "new.event", "user": "a\u{0}\u{1b}", "message": "\u{0}", "more": [1]});
    assert_eq!(host.ship(&server, "s", 1, std::slice::from_ref(&odd)).await, 1);
    assert_eq!(audit(&server, "event=new.event").await[0]["record"], odd);
}

async fn another_hosts_audit_can_not_be_written(server: Server) {
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let body = json!({"series": "s", "oldest": 1, "records": records(1, 1)});
    let answer = host.send(&server, &format!("/v1/hosts/{}/audit", other.id), &body).await;
    assert_eq!(answer.problem().kind, ProblemKind::Forbidden);
    assert_eq!(stored(&server).await, [0; 0]);
}

async fn who_what_where_and_when_is_answered_page_by_page(server: Server) {
    let (one, two) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    one.ship(&server, "s", 1, &records(1, 30)).await;
    two.ship(&server, "s", 1, &records(1, 30)).await;
    two.ship(&server, "s", 1, &[record(31, "bob")]).await;
    assert_eq!(audit(&server, "host=web-2&user=alice").await.len(), 30);
    assert_eq!(audit(&server, "user=bob").await[0]["host_name"], "web-2");
    assert_eq!(audit(&server, "grant=g1&limit=1000").await.len(), 61);
    let query = "since=2026-11-21T20:00:10Z&until=2026-11-21T20:00:12Z";
    assert_eq!(audit(&server, query).await.len(), 4);
    // Pages come together to the whole, in the order of time.
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/admin/audit?event=login.permitted&limit=7{after}")).await;
        all.extend(page["records"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(all.len(), 61);
    assert!(all.iter().map(|row| row["time"].as_str().unwrap()).is_sorted());
    for query in ["after=x", "after=1.2.a/b.c", "since=yesterday", "limit=0", "limit=1001", "colour=red", "user=%00"] {
        let answer = server.admin(Method::GET, &format!("/v1/admin/audit?{query}"), None).await;
        assert_eq!(answer.problem().kind, ProblemKind::BadRequest, "{query}");
    }
}

async fn what_administrators_did_is_in_the_audit(server: Server) {
    server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    server.revoke(&id).await;
    let rows = audit(&server, &format!("grant={id}")).await;
    let events: Vec<_> = rows.iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["grant.created", "grant.revoked"]);
    assert!(rows.iter().all(|row| row["admin"] == "first" && row["user"] == "alice" && row["host_name"] == "web-1"));
    assert_eq!(rows[1]["record"], json!({"reason": "a test"}));
    let enrolled = audit(&server, "event=host.enrolled&host=web-1").await;
    assert_eq!(enrolled.len(), 1);
}
