//! Parked polls: woken by what changes, answered at the wait's end, and never by what is another host's.

use crate::harness::{Server, ids};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_each_database!(
    a_parked_poll_is_woken_by_a_grant_and_by_its_end,
    at_the_waits_end_the_same_version_comes_freshly_signed,
    without_a_wait_a_set_that_did_not_change_is_a_304,
    another_hosts_grant_wakes_nobody,
    a_label_wakes_the_host_that_gets_a_grant_by_it,
    when_the_server_stops_parked_polls_are_answered,
    the_fifth_poll_of_a_host_sends_the_first_one_home,
    a_removed_hosts_parked_poll_ends_with_an_empty_set,
);

async fn a_parked_poll_is_woken_by_a_grant_and_by_its_end(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let first = host.poll(&server, None, None).await;
    assert!(ids(&host.verify(&first)).is_empty());
    let mut tag = first.tag().to_owned();
    let mut grant = String::new();
    for there in [true, false] {
        let parked = host.poll(&server, Some(&tag), Some(20));
        let changed = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if there {
                grant = server.grant("alice", json!({"host": "web-1"})).await;
            } else {
                server.revoke(&grant).await;
            }
            Instant::now()
        };
        let (answer, since) = tokio::join!(async { (parked.await, Instant::now()) }, changed);
        let (answer, at) = answer;
        let took = at.saturating_duration_since(since);
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert_eq!(answer.headers["preference-applied"], "wait");
        let expected = if there { vec![grant.clone()] } else { vec![] };
        assert_eq!(ids(&host.verify(&answer)), expected);
        assert_ne!(answer.tag(), tag);
        tag = answer.tag().into();
    }
}

async fn at_the_waits_end_the_same_version_comes_freshly_signed(server: Server) {
    let host = server.host("web-1", json!({})).await;
    server.grant("alice", json!({"host": "web-1"})).await;
    let first = host.poll(&server, None, None).await;
    let begun = Instant::now();
    let second = host.poll(&server, Some(first.tag()), Some(2)).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let (one, two) = (host.verify(&first), host.verify(&second));
    assert_eq!(first.tag(), second.tag());
    assert_eq!((one.mark.epoch, one.mark.ver), (two.mark.epoch, two.mark.ver));
    assert!(two.mark.iat >= one.mark.iat + 2, "{:?} {:?}", one.mark, two.mark);
    assert_eq!(two.fresh_until.as_second(), two.mark.iat + 300);
    assert_eq!(ids(&one), ids(&two));
}

async fn without_a_wait_a_set_that_did_not_change_is_a_304(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let first = host.poll(&server, None, None).await;
    let same = host.poll(&server, Some(first.tag()), None).await;
    assert_eq!((same.status, same.tag(), same.body.as_str()), (304, first.tag(), ""));
    // A tag that is not this one's, or no tag: a set at once, wait or not.
    for tag in [Some("\"0-0\""), Some("*"), None] {
        let begun = Instant::now();
        assert_eq!(host.poll(&server, tag, Some(20)).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

async fn another_hosts_grant_wakes_nobody(server: Server) {
    let (one, other) = (server.host("web-1", json!({})).await, server.host("web-2", json!({})).await);
    let tag = one.poll(&server, None, None).await.tag().to_owned();
    let parked = one.poll(&server, Some(&tag), Some(2));
    let (answer, id) = tokio::join!(parked, server.grant("alice", json!({"host": "web-2"})));
    assert_eq!(answer.tag(), tag);
    assert!(ids(&one.verify(&answer)).is_empty());
    assert_eq!(other.grants(&server).await, [id]);
}

async fn a_label_wakes_the_host_that_gets_a_grant_by_it(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let id = server.grant("alice", json!({"labels": {"role": "web"}})).await;
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    let parked = host.poll(&server, Some(&tag), Some(20));
    let labelled = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let set = json!({"set": {"role": "web"}});
        server.done(reqwest::Method::PATCH, "/v1/admin/hosts/web-1/labels", set).await
    };
    let begun = Instant::now();
    let (answer, _) = tokio::join!(parked, labelled);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(ids(&host.verify(&answer)), [id]);
}

async fn when_the_server_stops_parked_polls_are_answered(mut server: Server) {
    let host = server.host("web-1", json!({})).await;
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    let pid = server.pid();
    let parked = host.poll(&server, Some(&tag), Some(20));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(parked, stop);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(answer.tag(), tag);
    host.verify(&answer);
    assert!(server.stop().success());
    // What was there is there again, and the version goes on.
    server.start();
    server.grant("alice", json!({"host": "web-1"})).await;
    let after = host.verify(&host.poll(&server, Some(&tag), Some(20)).await);
    assert_eq!(after.grants.len(), 1);
    assert!(after.mark > host.verify(&answer).mark);
}

async fn the_fifth_poll_of_a_host_sends_the_first_one_home(server: Server) {
    let host = server.host("web-1", json!({})).await;
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    let begun = Instant::now();
    let parked = |n: u64| {
        let (host, server, tag) = (&host, &server, &tag);
        async move {
            tokio::time::sleep(Duration::from_millis(100 * n)).await;
            host.poll(server, Some(tag), Some(3)).await;
            begun.elapsed()
        }
    };
    let (first, second, third, fourth, fifth) = tokio::join!(parked(0), parked(1), parked(2), parked(3), parked(4));
    assert!(first < Duration::from_secs(2), "{first:?}");
    assert!([second, third, fourth, fifth].iter().all(|it| *it >= Duration::from_secs(3)));
}

async fn a_removed_hosts_parked_poll_ends_with_an_empty_set(server: Server) {
    let host = server.host("web-1", json!({"role": "web"})).await;
    server.grant("alice", json!({"labels": {"role": "web"}})).await;
    server.grant("bob", json!({"host": "web-1"})).await;
    let first = host.poll(&server, None, None).await;
    assert_eq!(host.verify(&first).grants.len(), 2);
    let parked = host.poll(&server, Some(first.tag()), Some(20));
    let removed = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.done(reqwest::Method::DELETE, "/v1/admin/hosts/web-1", Value::Null).await
    };
    let (answer, _) = tokio::join!(parked, removed);
    assert!(host.verify(&answer).grants.is_empty());
    let next = host.poll(&server, Some(answer.tag()), Some(20)).await;
    assert_eq!(next.problem().kind, curfew_protocol::host_api::ProblemKind::NoSuchHost);
}
