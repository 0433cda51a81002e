//! Several servers on one PostgreSQL, and a PostgreSQL that goes away.

use crate::harness::{Host, Server, ids};
use crate::postgres::{Cluster, execute, shared};
use serde_json::json;
use std::time::{Duration, Instant};

mod postgres {
    macro_rules! scenarios {
        ($($scenario:ident),* $(,)?) => {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    super::$scenario().await;
                }
            )*
        };
    }
    scenarios!(
        a_change_at_one_server_wakes_a_poll_that_is_parked_at_another,
        a_server_that_is_killed_leaves_the_other_one_serving,
        a_change_that_a_server_could_not_hear_of_reaches_its_parked_polls,
        a_database_that_goes_away_and_comes_back_is_waited_for,
    );
}

const SOON: Duration = Duration::from_secs(1);

/// Two servers on one database, and a host that either knows. Their connections bear the names `one` and `two`.
async fn two_servers() -> (Server, Server, Host, String) {
    let database = shared().database().await;
    let named = |name: &str| format!("{database}&application_name={name}");
    let one = Server::with(Some(&named("one")), "").await;
    let two = one.beside(&named("two"));
    let host = one.host("web-1", json!({})).await;
    (one, two, host, database)
}

async fn a_change_at_one_server_wakes_a_poll_that_is_parked_at_another() {
    let (one, two, host, _) = two_servers().await;
    let mut tag = host.poll(&one, None, None).await.tag().to_owned();
    for round in 0..5 {
        let (here, there) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let parked = host.poll(here, Some(&tag), Some(20));
        let changed = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let begun = Instant::now();
            (there.grant("alice", json!({"host": "web-1"})).await, begun)
        };
        let (answer, (id, begun)) = tokio::join!(parked, changed);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        assert!(ids(&host.verify(&answer)).contains(&id));
        tag = answer.tag().to_owned();
    }
    // Both say the same.
    assert_eq!(host.grants(&one).await, host.grants(&two).await);
}

async fn a_server_that_is_killed_leaves_the_other_one_serving() {
    let (mut one, two, host, _) = two_servers().await;
    let tag = host.poll(&two, None, None).await.tag().to_owned();
    let parked = host.poll(&two, Some(&tag), Some(20));
    let killed = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        one.kill();
        let begun = Instant::now();
        (two.grant("alice", json!({"host": "web-1"})).await, begun)
    };
    let (answer, (id, begun)) = tokio::join!(parked, killed);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(ids(&host.verify(&answer)), std::slice::from_ref(&id));
    // The one that is back takes up where the other one is.
    one.start();
    two.revoke(&id).await;
    assert!(host.grants(&one).await.is_empty());
}

async fn a_change_that_a_server_could_not_hear_of_reaches_its_parked_polls() {
    let (one, two, host, database) = two_servers().await;
    let name = database.rsplit('/').find_map(|part| part.split_once('?')).unwrap().0;
    let tag = host.poll(&one, None, None).await.tag().to_owned();
    // The other server has its connection.
    host.poll(&two, None, None).await;
    let begun = Instant::now();
    let parked = host.poll(&one, Some(&tag), Some(20));
    let unheard = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The first server's connections are cut, and it gets no new one until the change is over.
        let outside = shared().outside();
        execute(&outside, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'one'";
        execute(&outside, &format!("{cut} AND datname = '{name}'")).await;
        let id = two.grant("alice", json!({"host": "web-1"})).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        execute(&outside, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
        (id, Instant::now())
    };
    let (answer, (id, back)) = tokio::join!(parked, unheard);
    assert_eq!(ids(&host.verify(&answer)), [id]);
    assert!(begun.elapsed() > Duration::from_secs(2), "it was not cut off: {:?}", begun.elapsed());
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    // Cut and back in no time, again and again, with changes in between.
    let mut tag = answer.tag().to_owned();
    for _ in 0..5 {
        let parked = host.poll(&one, Some(&tag), Some(20));
        let unheard = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
            execute(&database, &format!("{cut} AND datname = '{name}'")).await;
            (two.grant("alice", json!({"host": "web-1"})).await, Instant::now())
        };
        let (answer, (id, made)) = tokio::join!(parked, unheard);
        assert!(made.elapsed() < Duration::from_secs(3), "{:?}", made.elapsed());
        assert!(ids(&host.verify(&answer)).contains(&id));
        tag = answer.tag().to_owned();
    }
}

async fn a_database_that_goes_away_and_comes_back_is_waited_for() {
    let cluster = Cluster::start();
    let server = Server::with(Some(&cluster.database().await), "").await;
    let host = server.host("web-1", json!({})).await;
    let tag = host.poll(&server, None, None).await.tag().to_owned();
    let parked = host.poll(&server, Some(&tag), Some(30));
    let outage = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.go_away();
        let begun = Instant::now();
        let (admin, poll) =
            tokio::join!(server.admin(reqwest::Method::GET, "/v1/admin/hosts", None), host.poll(&server, None, None));
        for answer in [admin, poll] {
            assert_eq!(answer.status, 503, "{answer:?}");
            let seconds: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=10).contains(&seconds));
            assert_eq!(answer.problem().kind, curfew_protocol::host_api::ProblemKind::Unavailable);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        cluster.come_back();
        let back = Instant::now();
        while server.admin(reqwest::Method::GET, "/v1/admin/hosts", None).await.status != 200 {
            assert!(back.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It listens again, too: a change wakes as ever.
        tokio::time::sleep(Duration::from_secs(3)).await;
        (server.grant("alice", json!({"host": "web-1"})).await, Instant::now())
    };
    let (answer, (id, made)) = tokio::join!(parked, outage);
    assert_eq!(ids(&host.verify(&answer)), [id]);
    assert!(made.elapsed() < SOON, "{:?}", made.elapsed());
}
