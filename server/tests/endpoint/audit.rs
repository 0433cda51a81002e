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
    only_what_can_be_read_back_is_taken,
    one_bad_row_fails_no_page,
    a_message_of_any_length_is_printed,
    a_series_that_once_jumped_ahead_is_not_silenced,
    a_host_writes_so_much_a_day_and_is_told_of_first,
    a_host_begins_so_many_series_a_day,
    a_host_does_not_bury_what_administrators_did,
    who_says_it_is_in_every_row,
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

async fn only_what_can_be_read_back_is_taken(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/audit", host.id);
    let at = |time: &str| json!({"seq": 1, "time": time, "event": "login.permitted", "message": "m"});
    for time in ["9999-12-30T22:00:00.000001Z", "9999-12-30T22:00:00.999999999Z", "+10000-01-01T00:00:00Z"] {
        let body = json!({"series": "s", "oldest": 1, "records": [at(time)]});
        let answer = host.send(&server, &path, &body).await;
        let taken = answer.status == 200;
        // Whatever is taken is shown.
        assert_eq!(stored(&server).await.len(), usize::from(taken), "{time}");
        assert!(taken || answer.problem().kind == ProblemKind::BadRequest);
    }
    let last = json!({"seq": 1, "time": "9999-12-30T22:00:00Z", "event": "login.permitted", "message": "m"});
    assert_eq!(host.ship(&server, "t", 1, &[last]).await, 1);
    assert!(!stored(&server).await.is_empty());
}

async fn one_bad_row_fails_no_page(server: Server) {
    let host = server.host("web-1", json!({})).await;
    host.ship(&server, "s", 1, &records(1, 5)).await;
    let sql = "UPDATE audit SET time = 253402207200000001 WHERE seq = 2";
    crate::postgres::change(&server.database, sql).await;
    crate::postgres::change(&server.database, "UPDATE audit SET time = -9223372036854775808 WHERE seq = 3").await;
    crate::postgres::change(&server.database, "UPDATE audit SET record = 'no JSON' WHERE seq = 4").await;
    let mut seqs = stored(&server).await;
    seqs.sort();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
}

async fn a_message_of_any_length_is_printed(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let long = json!({"seq": 1, "time": "2026-11-21T20:00:00Z", "event": "e".repeat(256), "user": "u".repeat(70_000), "message": "m".repeat(70_000)});
    host.ship(&server, "s", 1, &[long]).await;
    assert!(server.says(&["audit"]).contains(&"m".repeat(70_000)));
    assert!(server.says(&["audit", "--format", "csv"]).contains(&"m".repeat(70_000)));
}

async fn a_series_that_once_jumped_ahead_is_not_silenced(server: Server) {
    let host = server.host("web-1", json!({})).await;
    host.ship(&server, "s", 1, &records(1, 3)).await;
    // For a minute somebody else has the host's key.
    let far = (1_i64 << 62) - 2;
    let path = format!("/v1/hosts/{}/audit", host.id);
    let jump = json!({"series": "s", "oldest": far, "records": [record(u64::try_from(far).unwrap(), "mallory")]});
    assert_eq!(host.send(&server, &path, &jump).await.problem().kind, ProblemKind::BadRequest);
    assert_eq!(host.ship(&server, "s", 900_000_000, &[record(900_000_000, "mallory")]).await, 900_000_000);
    // The host asks, is told where to go on, and everything that it ships is stored.
    assert_eq!(host.ship(&server, "s", 1, &[]).await, 3);
    assert_eq!(host.ship(&server, "s", 1, &records(4, 6)).await, 6);
    assert_eq!(host.ship(&server, "s", 1, &records(7, 7)).await, 7);
    assert_eq!(stored(&server).await.iter().filter(|seq| **seq < 100).count(), 7);
    let log = audit(&server, "event=audit.lost").await;
    assert_eq!(log[0]["record"], json!({"series": "s", "from": 4, "to": 899_999_999}));
    let log = audit(&server, "event=audit.found").await;
    assert_eq!(log[0]["record"], json!({"series": "s", "from": 4, "to": 6}));
}

async fn a_host_writes_so_much_a_day_and_is_told_of_first(mut server: Server) {
    server.stop();
    server.configure("audit_daily_mib = 1\n");
    server.start();
    let (host, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let path = format!("/v1/hosts/{}/audit", host.id);
    let big = |seq: u64| {
        let mut record = record(seq, "alice");
        record["message"] = json!("x".repeat(95_000));
        record
    };
    let mut seq = 0;
    let refused = loop {
        seq += 1;
        let answer = host.send(&server, &path, &json!({"series": "s", "oldest": 1, "records": [big(seq)]})).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.problem().kind, ProblemKind::TooMany);
    assert!((9..=12).contains(&seq), "{seq}");
    for _ in 0..2 {
        host.send(&server, &path, &json!({"series": "s", "oldest": 1, "records": [big(seq)]})).await;
    }
    for event in ["audit.limit_near", "audit.limit_reached"] {
        let told = audit(&server, &format!("event={event}&source=endpoint")).await;
        assert_eq!(told.len(), 1, "{event}");
        assert_eq!(told[0]["host_name"], "web-1");
    }
    // What it sends again takes no room, and another host has its own.
    assert_eq!(host.send(&server, &path, &json!({"series": "s", "oldest": 1, "records": [big(1)]})).await.status, 200);
    assert_eq!(other.ship(&server, "s", 1, &[big(1)]).await, 1);
    assert_eq!(host.poll(&server, None, None).await.status, 200);
}

async fn a_host_begins_so_many_series_a_day(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let path = format!("/v1/hosts/{}/audit", host.id);
    for n in 0..=10 {
        assert_eq!(host.ship(&server, &format!("s{n}"), 1, &records(1, 1)).await, 1, "{n}");
    }
    for n in 11..15 {
        let body = json!({"series": format!("s{n}"), "oldest": 1, "records": records(1, 1)});
        let problem = host.send(&server, &path, &body).await.problem();
        assert_eq!(problem.kind, ProblemKind::TooMany);
        assert!(problem.detail.contains("10 new series"), "{problem:?}");
    }
    let began = audit(&server, "event=audit.series_began&source=endpoint").await;
    assert_eq!(began.len(), 10);
    assert_eq!(began[9]["record"], json!({"series": "s10", "most_a_day": 10}));
    // Those that there are go on, and another host has its own.
    assert_eq!(host.ship(&server, "s3", 1, &records(2, 3)).await, 3);
    let other = server.host("web-2", json!({})).await;
    other.ship(&server, "a", 1, &records(1, 1)).await;
    other.ship(&server, "b", 1, &records(1, 1)).await;
}

async fn a_host_does_not_bury_what_administrators_did(server: Server) {
    let host = server.host("web-1", json!({})).await;
    // Every other record is missing, comes after all, and then comes as another one.
    for seq in (2..=260).step_by(2) {
        assert_eq!(host.ship(&server, "s", seq, &records(seq, seq)).await, seq);
    }
    for seq in (1..=259).step_by(2) {
        host.ship(&server, "s", 1, &records(seq, seq)).await;
    }
    let others: Vec<_> = (1..=260).map(|seq| record(seq, "mallory")).collect();
    host.ship(&server, "s", 1, &others).await;
    for event in ["audit.lost", "audit.found", "audit.differs"] {
        let told = audit(&server, &format!("event={event}&source=endpoint&limit=1000")).await;
        assert_eq!(told.len(), 100, "{event}");
        assert_eq!(
            (&told[98]["record"]["most_a_day"], &told[99]["record"]["most_a_day"]),
            (&Value::Null, &json!(100)),
            "{event}"
        );
    }
    assert_eq!(stored(&server).await.len(), 260);
    // Another host is told of all the same.
    let other = server.host("web-2", json!({})).await;
    other.ship(&server, "s", 5, &records(5, 5)).await;
    assert_eq!(audit(&server, "event=audit.lost&source=endpoint&limit=1000").await.len(), 101);
}

async fn who_says_it_is_in_every_row(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"host": "web-1"})).await;
    server.revoke(&id).await;
    let forged = |seq: u64, event: &str| json!({"seq": seq, "time": "2026-11-21T20:00:00Z", "event": event, "grant": id, "user": "alice", "admin": "first", "message": "m"});
    host.ship(&server, "s", 1, &[forged(1, "grant.revoked"), forged(2, "host.key_changed")]).await;
    let rows = audit(&server, "event=grant.revoked").await;
    let sources: Vec<_> = rows.iter().map(|row| (row["source"].as_str().unwrap(), row["admin"].as_str())).collect();
    assert_eq!(sources, [("host", None), ("endpoint", Some("first"))]);
    assert_eq!(audit(&server, "event=grant.revoked&source=endpoint").await.len(), 1);
    assert_eq!(audit(&server, "event=host.key_changed&source=endpoint").await.len(), 0);
    assert_eq!(audit(&server, "event=host.key_changed&source=host").await.len(), 1);
    let said = server.says(&["audit", "--event", "host.key_changed"]);
    assert!(said.lines().nth(1).unwrap().contains("  host  "), "{said}");
}
