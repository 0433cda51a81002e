//! How the audit is asked: the last ones, those of a while, and those that come.

use crate::harness::{Host, Server};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

on_each_database!(
    the_last_ones_and_those_since_a_while_are_asked_for_as_people_write_it,
    what_comes_is_followed_whatever_its_clock_says,
    a_clock_that_is_ahead_puts_nothing_behind_everybody_elses,
    what_no_index_answers_comes_page_by_page_in_both_directions,
);

fn record(seq: u64, time: jiff::Timestamp, event: &str) -> Value {
    json!({"seq": seq, "time": time, "event": event, "user": "alice", "grant": "g1", "message": format!("record {seq}")})
}

fn seqs(text: &str) -> Vec<i64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()).collect()
}

async fn the_last_ones_and_those_since_a_while_are_asked_for_as_people_write_it(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let now = crate::harness::now();
    let ago = |hours: i64| now - jiff::SignedDuration::from_hours(hours);
    let records: Vec<_> = (1..=6).map(|n| record(n, ago(7 - i64::try_from(n).unwrap()), "login.permitted")).collect();
    host.ship(&server, "s", 1, &records).await;
    let mine = ["audit", "--json", "--event", "login.permitted"];
    let asked = |more: &[&str]| seqs(&server.says(&[&mine[..], more].concat()));
    assert_eq!(asked(&[]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(asked(&["--last", "2"]), [5, 6]);
    assert_eq!(asked(&["--limit", "2"]), [1, 2]);
    assert_eq!(asked(&["--since", "150m"]), [5, 6]);
    assert_eq!(asked(&["--until", "1d"]), [0; 0]);
    let day = ago(48).to_string();
    assert_eq!(asked(&["--since", day.split_once('T').unwrap().0]).len(), 6);
    assert_eq!(asked(&["--since", &ago(2).to_string()]), [5, 6]);
    let bad = server.cli(&["audit", "--since", "soon"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("2026-11-21T20:30:00Z or 2h"));
}

async fn what_comes_is_followed_whatever_its_clock_says(mut server: Server) {
    let host = server.host("web-1", json!({})).await;
    let now = crate::harness::now();
    let years = |years: i64| now + jiff::SignedDuration::from_hours(24 * 365 * years);
    host.ship(&server, "s", 1, &[record(1, years(1), "login.permitted"), record(2, now, "login.permitted")]).await;
    let mut following = server.command();
    following.args(["audit", "--follow", "--json", "--last", "1", "--event", "login.permitted"]).stdout(Stdio::piped());
    let mut following = following.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || seqs(&lines.next().unwrap().unwrap())[0];
    let seen = tokio::task::block_in_place(&mut next);
    assert_eq!(seen, 1, "the last by time, of which the first is as when it came");
    ship(&server, &host, 3, years(-2)).await;
    assert_eq!(tokio::task::block_in_place(&mut next), 3);
    ship(&server, &host, 4, years(2)).await;
    assert_eq!(tokio::task::block_in_place(&mut next), 4);
    ship(&server, &host, 5, now).await;
    assert_eq!(tokio::task::block_in_place(&mut next), 5);
    // Also when the server is away for a while.
    server.kill();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    server.start();
    ship(&server, &host, 6, now).await;
    assert_eq!(tokio::task::block_in_place(&mut next), 6);
    following.kill().unwrap();
    following.wait().unwrap();
}

async fn a_clock_that_is_ahead_puts_nothing_behind_everybody_elses(server: Server) {
    let (bad, good) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let far = "9998-12-31T00:00:00Z".parse().unwrap();
    let minutes = |minutes: i64| crate::harness::now() + jiff::SignedDuration::from_mins(minutes);
    bad.ship(&server, "s", 1, &[record(1, far, "e"), record(2, minutes(6), "e")]).await;
    ship(&server, &good, 1, minutes(0)).await;
    bad.ship(&server, "s", 1, &[record(3, minutes(4), "e")]).await;
    let asked = |more: &[&str]| server.says(&[&["audit", "--json", "--event", "e"][..], more].concat());
    let others = ["audit", "--json", "--event", "login.permitted", "--last", "1"];
    assert_eq!(seqs(&server.says(&others)), [1]);
    assert_eq!(seqs(&server.says(&["audit", "--json", "--last", "2", "--user", "alice"])), [1, 3]);
    // By when it came: since a while ago, and not from tomorrow on. What a clock may be ahead is believed.
    assert_eq!(seqs(&asked(&["--since", "1h"])), [1, 2, 3]);
    assert_eq!(seqs(&asked(&["--since", &minutes(1).to_string()])), [3]);
    // The host's own word is shown as it is.
    let first: Value = serde_json::from_str(asked(&[]).lines().next().unwrap()).unwrap();
    assert_eq!(
        (first["time"].as_str(), first["record"]["time"].as_str()),
        (Some("9998-12-31T00:00:00Z"), Some("9998-12-31T00:00:00Z"))
    );
    assert!(first["received_at"].as_str().unwrap().starts_with("20"));
}

async fn ship(server: &Server, host: &Host, seq: u64, time: jiff::Timestamp) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    host.ship(server, "s", 1, &[record(seq, time, "login.permitted"), record(seq, time, "login.permitted")][..1]).await;
}

async fn what_no_index_answers_comes_page_by_page_in_both_directions(server: Server) {
    let (one, two) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let at = |n: u64| {
        crate::harness::now() - jiff::SignedDuration::from_hours(24)
            + jiff::SignedDuration::from_secs(i64::try_from(n / 7).unwrap())
    };
    // More than a page looks at, and what is asked for is among the last.
    for host in [&one, &two] {
        for batch in 0..10_u64 {
            let records: Vec<_> = (1..=500)
                .map(|n| batch * 500 + n)
                .map(|seq| record(seq, at(seq), if seq % 1000 == 999 { "rare" } else { "common" }))
                .collect();
            host.ship(&server, "s", 1, &records).await;
        }
    }
    for order in ["time", "newest", "arrival", "latest"] {
        for (query, expected) in [
            ("event=rare", 10),
            ("event=rare&host=web-1", 5),
            ("grant=g1&event=rare&host=web-2", 5),
            ("user=alice", 10_000),
        ] {
            let (mut all, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page =
                    server.get(&format!("/v1/admin/audit?{query}&order={order}&limit=1000&source=host{after}")).await;
                all.extend(page["records"].as_array().unwrap().clone());
                pages += 1;
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(all.len(), expected, "{query} by {order} in {pages} pages");
            let key = if matches!(order, "time" | "newest") { "time" } else { "received_at" };
            let mut times: Vec<_> =
                all.iter().map(|it| it[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()).collect();
            if matches!(order, "newest" | "latest") {
                times.reverse();
            }
            assert!(times.is_sorted(), "{query} by {order}");
        }
    }
}
