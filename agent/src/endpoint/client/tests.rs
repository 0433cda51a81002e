#![allow(clippy::unwrap_used, clippy::panic)]

use super::test_server::{Authority, Stream, say, serve};
use super::*;
use crate::endpoint::identity::Coming;
use curfew_protocol::jws::PublicKey;
use rustls::version::{TLS12, TLS13};
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A host that is enrolled there.
fn link(url: &str, ca: &str) -> (Link, PublicKey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key = Coming::Enrolment.load_or_make(folder.path()).unwrap().public();
    let place = Place::parse(url, Some(ca.to_owned())).unwrap();
    let identity = Identity::new(&place, "web-1".parse().unwrap(), Some(&key), vec![key.clone()]);
    (Link::open(folder.path(), Rc::new(identity)).unwrap(), key, folder)
}

/// Fetches a set from a server that answers like this.
fn fetch(answer: impl Fn(&str, &mut Stream) + Send + 'static) -> Result<Fetched, Failure> {
    let authority = Authority::new();
    let url = serve(authority.serves("localhost", 2100, &TLS13), answer);
    let (link, ..) = link(&url, &authority.pem);
    run(link.fetch(&Validators::default(), None))
}

#[test]
fn a_set_is_asked_for_by_a_token_and_the_next_question_waits_for_a_change() {
    let authority = Authority::new();
    let (sender, heads) = mpsc::channel();
    let url = serve(authority.serves("localhost", 2100, &TLS13), move |head, stream| {
        sender.send(head.to_owned()).unwrap();
        let headers = "content-type: application/jose\r\netag: \"1-7\"\r\npreference-applied: wait=50\r\n";
        say(stream, "200 OK", headers, "a.b.c");
    });
    let (link, key, _folder) = link(&url, &authority.pem);
    run(async {
        let first = link.fetch(&Validators::default(), Some(Duration::from_secs(50))).await.unwrap();
        assert_eq!((first.text.as_deref(), first.waits), (Some("a.b.c"), true));
        link.fetch(&first.validators, Some(Duration::from_secs(50))).await.unwrap();
    });
    let [first, second] = [heads.recv().unwrap(), heads.recv().unwrap()];
    assert!(first.starts_with("GET /v1/hosts/web-1/grants HTTP/1.1\r\n"), "{first}");
    assert!(!first.contains("prefer:") && second.contains("prefer: wait=50\r\n"), "{second}");
    assert!(second.contains("if-none-match: \"1-7\"\r\n"), "{second}");
    assert!(first.contains(concat!("user-agent: curfewd/", env!("CARGO_PKG_VERSION"))), "{first}");
    let token =
        |head: &str| head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap().to_owned();
    let verify =
        |head: &str| HostToken::verify(&token(head), &key, std::slice::from_ref(&url), clock::now(), b"").unwrap();
    assert_ne!(verify(&first).jti, verify(&second).jti);
}

/// What a host that asks for its set says to an endpoint whose clock is `ahead` of its own: its tokens, and the key that they are verified by.
fn tokens_where_the_clock_is(ahead: SignedDuration) -> (Vec<String>, PublicKey, String) {
    let authority = Authority::new();
    let (sender, tokens) = mpsc::channel();
    let url = serve(authority.serves("localhost", 2100, &TLS13), move |head, stream| {
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap().to_owned();
        sender.send(token).unwrap();
        let body = serde_json::to_string(&Problem::new(ProblemKind::Clock, "the clocks differ")).unwrap();
        let date = (clock::now() + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT");
        let headers = format!("content-type: application/problem+json\r\ndate: {date}\r\n");
        say(stream, "401 Unauthorized", &headers, &body);
    });
    let (link, key, _folder) = link(&url, &authority.pem);
    let failure = run(link.fetch(&Validators::default(), None)).unwrap_err();
    assert!(failure.to_string().contains("the clocks differ"), "{failure}");
    (tokens.try_iter().collect(), key, url)
}

#[test]
fn where_the_clocks_differ_tokens_go_by_the_endpoints() {
    let ahead = SignedDuration::from_mins(5);
    let (tokens, key, url) = tokens_where_the_clock_is(ahead);
    let good = |token: &str, now| HostToken::verify(token, &key, std::slice::from_ref(&url), now, b"").is_ok();
    // It is tried once more, not for ever.
    let [first, second] = tokens.as_slice() else { unreachable!("two tokens: {tokens:?}") };
    assert!(good(first, clock::now()) && !good(second, clock::now()));
    assert!(good(second, clock::now() + ahead));
}

#[test]
fn nobody_gets_a_token_for_next_year_by_an_answer_from_there() {
    let (tokens, key, url) = tokens_where_the_clock_is(SignedDuration::from_hours(365 * 24));
    let [only] = tokens.as_slice() else { unreachable!("one token: {tokens:?}") };
    assert!(HostToken::verify(only, &key, std::slice::from_ref(&url), clock::now(), b"").is_ok());
}

#[test]
fn whatever_else_comes_is_no_set() {
    type Says = (&'static str, &'static str, &'static str);
    let says: [(Says, &str, bool); 8] = [
        (("200 OK", "content-type: text/html\r\n", "<html>Log in"), "other_content", false),
        (("200 OK", "", "a.b.c"), "other_content", false),
        (("302 Found", "location: https://elsewhere.example/\r\n", ""), "redirected", false),
        (("404 Not Found", "", ""), "status 404", true),
        (("410 Gone", "content-type: text/html\r\n", "gone"), "status 410", true),
        (("500 Oh No", "", ""), "status 5xx", false),
        (("503 Oh No", "content-type: application/problem+json\r\n", "{"), "status 5xx", false),
        (("200 OK", "content-type: application/jose\r\n", "\u{fffd}"), "", false),
    ];
    for ((status, headers, body), kind, is_final) in says {
        match fetch(move |_, stream| say(stream, status, headers, body)) {
            Ok(fetched) => assert_eq!((kind, fetched.text.as_deref()), ("", Some(body))),
            Err(failure) => assert_eq!((failure.kind(), failure.is_final()), (kind, is_final), "{failure}"),
        }
    }
    let busy = fetch(|_, stream| say(stream, "429 Too Many Requests", "retry-after: 7\r\n", "")).unwrap_err();
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn a_body_without_an_end_is_cut_off() {
    let failure = fetch(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jose\r\ncontent-length: 1073741824\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
    });
    assert!(matches!(failure, Err(Failure::TooLong(LONGEST_SET))), "{failure:?}");
    let failure = fetch(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jose\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let chunk = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).is_ok() {}
    });
    assert!(matches!(failure, Err(Failure::TooLong(LONGEST_SET))), "{failure:?}");
}

#[test]
fn a_connection_that_breaks_off_in_the_middle_brings_nothing() {
    let failure = fetch(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jose\r\ncontent-length: 100\r\n\r\na.b";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.flush();
        let _ = stream.sock.shutdown(std::net::Shutdown::Both);
    });
    assert!(matches!(failure, Err(Failure::Broken(_))), "{failure:?}");
}

#[test]
fn an_endpoint_that_hangs_costs_its_patience_and_no_more() {
    let authority = Authority::new();
    // It takes the connection, and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let place = Place::parse(&url, Some(authority.pem)).unwrap();
    let client = Client::new(&place).unwrap();
    let ask = Ask { patience: Duration::from_millis(200), ..Ask::post("/v1/enroll", MEDIA_TYPE, b"x".to_vec()) };
    assert!(matches!(run(client.exchange(&ask, None)), Err(Failure::TimedOut(_))));
}

#[test]
fn nobody_but_the_endpoint_is_believed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let says = |tls, ca: &str| {
        let url = serve(tls, |_, stream| say(stream, "200 OK", "content-type: application/jose\r\n", "a.b.c"));
        let (link, ..) = link(&url, ca);
        run(link.fetch(&Validators::default(), None))
            .map(|_| ())
            .map_err(|failure| (failure.kind(), failure.to_string()))
    };
    let good = || authority.serves("localhost", 2100, &TLS13);
    assert_eq!(says(good(), &authority.pem), Ok(()));
    for (tls, ca, kind, next_step) in [
        (good(), &stranger.pem, "certificate", "--ca"),
        (authority.serves("localhost", 2001, &TLS13), &authority.pem, "certificate", "check this host's clock"),
        (authority.serves("other.example", 2100, &TLS13), &authority.pem, "certificate", "use the name"),
        (authority.serves("localhost", 2100, &TLS12), &authority.pem, "tls", "check the port"),
    ] {
        let (found, text) = says(tls, ca).unwrap_err();
        assert_eq!(found, kind, "{text}");
        assert!(text.contains(next_step), "{text}");
    }
}

#[test]
fn plain_http_and_nobody_at_all_are_named_for_what_they_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let pem = Authority::new().pem;
    let (plain, ..) = link(&url, &pem);
    let failure = run(plain.fetch(&Validators::default(), None)).unwrap_err();
    assert_eq!(failure.kind(), "tls", "{failure}");
    let (nobody, ..) = link("https://localhost:1", &pem);
    let failure = run(nobody.fetch(&Validators::default(), None)).unwrap_err();
    assert_eq!(failure.kind(), "unreachable", "{failure}");
}

#[test]
fn a_web_server_is_sent_no_token_and_may_not_know_what_a_set_is() {
    let authority = Authority::new();
    let (sender, heads) = mpsc::channel();
    let url = serve(authority.serves("localhost", 2100, &TLS13), move |head, stream| {
        sender.send(head.to_owned()).unwrap();
        if head.contains("if-modified-since") {
            let _ = stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n");
        } else {
            let headers = "content-type: application/octet-stream\r\nlast-modified: Fri, 01 Jan 2021 00:00:00 GMT\r\n";
            say(stream, "200 OK", headers, "a.b.c");
        }
    });
    let place = Place::parse(&format!("{url}/sets"), Some(authority.pem)).unwrap();
    let identity = Identity::new(&place, "web-1".parse().unwrap(), None, Vec::new());
    let link = Link::open(Path::new("/nonexistent"), Rc::new(identity)).unwrap();
    run(async {
        let first = link.fetch(&Validators::default(), Some(Duration::from_secs(50))).await.unwrap();
        assert_eq!(first.text.as_deref(), Some("a.b.c"));
        let second = link.fetch(&first.validators, Some(Duration::from_secs(50))).await.unwrap();
        assert!(second.text.is_none() && second.validators.are_known());
    });
    let first = heads.recv().unwrap();
    assert!(first.starts_with("GET /sets/web-1.jws HTTP/1.1\r\n") && !first.contains("authorization"), "{first}");
    assert!(!heads.recv().unwrap().contains("prefer"));
}
