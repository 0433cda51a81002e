//! One user holds up nobody, and many do not either: whatever stands on the public socket, logins, sudo and revocations go on as if it stood
//! elsewhere on the host.

use std::time::{Duration, Instant};

use curfew_tests::load::{AGENT_SOCKET, ECHO_SOCKET};
use curfew_tests::ssh::quoted;
use curfew_tests::{Host, Release, Running, SOON, report, wait_for};

measures! {
    a_flood_of_one_cheap_call_holds_up_nobody: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs;
    a_flood_of_every_shape_at_once_holds_up_nobody: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs;
    a_flood_of_calls_that_want_no_answer_holds_up_nobody: trixie Trixie;
    a_flood_of_calls_holds_up_nobody: trixie Trixie;
    a_flood_of_calls_by_those_who_read_no_answer_holds_up_nobody: trixie Trixie;
    a_flood_of_garbage_holds_up_nobody: trixie Trixie;
    a_flood_of_connections_holds_up_nobody: trixie Trixie;
    a_flood_of_half_calls_holds_up_nobody: trixie Trixie;
}

on_one_release! {
    those_who_ask_in_good_order_are_all_answered_amid_a_flood,
    only_root_calls_without_an_answer,
    many_users_whose_names_cannot_be_looked_up_hold_up_nobody_else,
}

/// How much slower it may get than under the same load on another service of the host.
const MOST: f64 = 1.2;
/// After so many rounds the medians have to be near enough; on a busy machine it may take more until they are.
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=12;
/// What each of two people opens: more than they are let.
const CONNECTIONS: u32 = 80;

/// A hundred users whom no file knows ask what is granted to them, over and over, and print the answers.
const CROWD: &str = r#"use IO::Socket::UNIX;
$| = 1;
for my $uid (70001 .. 70100) {
    next if fork;
    ($(, $)) = (65534, '65534 65534');
    ($<, $>) = ($uid, $uid);
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$uid: $!\n";
    while (syswrite $socket, qq({"method":"io.curfew.Agent.Status"}\0)) {
        sysread($socket, my $answer, 65536) or last;
        print "$uid: $answer\n";
        sleep 1;
    }
    exit;
}
1 while wait > 0;
"#;

/// Milliseconds that logins with sudo took, and revocations until the session was dead.
#[derive(Default)]
struct Took {
    logins: Vec<f64>,
    revocations: Vec<f64>,
}

impl Took {
    fn measure(&mut self, host: &Host) {
        for _ in 0..4 {
            let login = host.ssh("alice", "sudo -n id -un");
            self.logins.push(login.took.as_secs_f64() * 1000.0);
            assert_eq!(login.expect_ok("a login and sudo meanwhile"), "root");
        }
        for _ in 0..2 {
            self.revocations.push(revocation(host));
        }
    }
}

/// Milliseconds from the command to the session's end.
fn revocation(host: &Host) -> f64 {
    let grant = host.grant("carol --for 300s --login");
    let session = host.ssh_stay_and_run("carol", "exec sleep 700");
    wait_for("a session", SOON, || host.session_processes("carol").iter().any(is_sleep).then_some(()));
    let begun = Instant::now();
    host.ok(&format!("curfew revoke {}", grant.id));
    wait_for("the end of a revoked session", Duration::from_secs(10), || {
        (!host.session_processes("carol").iter().any(is_sleep)).then_some(())
    });
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    assert!(!session.finish(SOON).success());
    took
}

fn is_sleep(process: &curfew_tests::Process) -> bool {
    process.command == "sleep 700"
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn floods(host: &Host, shape: &str, socket: &str) -> [Running; 2] {
    ["bob", "dave"].map(|user| host.flood(user, shape, socket, CONNECTIONS))
}

/// Floods the agent and another service by turns, and compares logins with sudo and revocations.
fn nothing_is_held_up_by(release: Release, shape: &str) {
    let host = &flooded(release);
    let (mut here, mut elsewhere) = (Took::default(), Took::default());
    let (mut login, mut revocation) = (f64::MAX, f64::MAX);
    let _echo = host.echo();
    for round in 1..=*ROUNDS.end() {
        for (took, socket) in [(&mut here, AGENT_SOCKET), (&mut elsewhere, ECHO_SOCKET)] {
            let _floods = floods(host, shape, socket);
            took.measure(host);
        }
        login = median(&here.logins) / median(&elsewhere.logins);
        revocation = median(&here.revocations) / median(&elsewhere.revocations);
        if round >= *ROUNDS.start() && login <= MOST && revocation <= MOST {
            break;
        }
    }
    report(&format!(
        "{}, {shape}: a login with sudo took {:.0} ms amid a flood of the agent, {:.0} ms amid one elsewhere; a revocation {:.0} and {:.0} ms",
        host.release(),
        median(&here.logins),
        median(&elsewhere.logins),
        median(&here.revocations),
        median(&elsewhere.revocations)
    ));
    assert!(login <= MOST, "{shape}: logins take {login:.2} times as long: {:?}, {:?}", here.logins, elsewhere.logins);
    assert!(
        revocation <= MOST,
        "{shape}: revocations take {revocation:.2} times as long: {:?}, {:?}",
        here.revocations,
        elsewhere.revocations
    );
    is_unharmed(host);
}

fn flooded(release: Release) -> Host {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let _grant = host.grant("alice --for 3000s --login --sudo --command ALL");
    host.drop_in();
    host
}

fn is_unharmed(host: &Host) {
    assert!(host.audit("--event login.denied").is_empty() && host.audit("--event sudo.denied").is_empty());
    assert_eq!(host.agent_restarts(), 0);
    let memory = host.agent_memory_peak();
    assert!(memory < 64, "{memory} MiB");
    host.audit_is_whole();
}

fn a_flood_of_one_cheap_call_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "described");
}

fn a_flood_of_every_shape_at_once_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "mix");
}

fn a_flood_of_calls_that_want_no_answer_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "oneway");
}

fn a_flood_of_calls_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "calls");
}

fn a_flood_of_calls_by_those_who_read_no_answer_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "deaf");
}

fn a_flood_of_garbage_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "garbage");
}

fn a_flood_of_connections_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "churn");
}

fn a_flood_of_half_calls_holds_up_nobody(release: Release) {
    nothing_is_held_up_by(release, "half");
}

fn those_who_ask_in_good_order_are_all_answered_amid_a_flood(release: Release) {
    let host = flooded(release);
    let _floods = floods(&host, "mix", AGENT_SOCKET);
    for _ in 0..5 {
        let status = host.run_as("alice", "curfew status");
        assert!(status.success() && status.stdout.contains("alice"), "{status:#?}");
        assert!(status.took < Duration::from_secs(3), "{:?}", status.took);
    }
    host.run_as("alice", &format!("varlinkctl info {AGENT_SOCKET}")).expect_ok("varlinkctl");
    // More than are answered at once, in one piece: the rest comes late, and none is missing.
    let calls = (0..100).map(|number| format!(r#"{{"method":"io.curfew.Agent.Nothing{number}"}}\0"#));
    let asked =
        host.run_as("alice", &format!("printf {} | varlink-raw {AGENT_SOCKET}", quoted(&calls.collect::<String>())));
    let answers: Vec<&str> = asked.stdout.lines().filter(|line| line.contains("MethodNotFound")).collect();
    assert_eq!(answers.len(), 100, "{asked:#?}");
    assert!(
        answers.iter().enumerate().all(|(number, line)| line.contains(&format!("Nothing{number}\""))),
        "{asked:#?}"
    );
    assert!(asked.took > Duration::from_secs(2), "a hundred calls were answered in {:?}", asked.took);
    // The thread that answers them is no more urgent than they are; the one that enforces is.
    let threads = host.ok("ps -L -o ni=,comm= -p $(pidof curfewd)");
    let nice = |name: &str| threads.lines().find_map(|line| line.trim().strip_suffix(name)?.trim().parse::<i32>().ok());
    assert_eq!((nice("curfewd"), nice("public")), (Some(-10), Some(0)), "{threads}");
    // Root has no such bounds, on the public socket neither.
    let calls = r#"{"method":"io.curfew.Agent.Clock"}\0"#.repeat(300);
    let asked = host.run(&format!("printf {} | varlink-raw {AGENT_SOCKET}", quoted(&calls)));
    assert_eq!(asked.stdout.matches("\"proven\"").count(), 300, "{asked:#?}");
}

fn only_root_calls_without_an_answer(release: Release) {
    let host = flooded(release);
    let calls = r#"{"method":"io.curfew.Agent.Clock","oneway":true}\0{"method":"org.varlink.service.GetInfo"}\0"#;
    let ask = format!("printf {} | varlink-raw {AGENT_SOCKET}", quoted(calls));
    let roots = host.run(&ask).stdout;
    assert!(roots.contains("curfewd") && !roots.contains("proven") && !roots.contains("error"), "{roots}");
    let others = host.run_as("alice", &ask).stdout;
    assert!(others.contains("io.curfew.Agent.NotPermitted") && others.contains("(closed)"), "{others}");
    assert!(!others.contains("curfewd"), "what was behind it was answered, too: {others}");
}

fn many_users_whose_names_cannot_be_looked_up_hold_up_nobody_else(release: Release) {
    let host = flooded(release);
    // A user database that is away: whoever is in no file is asked for there in vain.
    host.compile("nss_away.c", "/usr/lib/x86_64-linux-gnu/libnss_away.so.2", &["-shared", "-fPIC"]);
    host.ok("sed -i '/^passwd:/s/$/ away/' /etc/nsswitch.conf && systemctl restart curfewd");
    assert_eq!(host.run("timeout 3 getent passwd 70001").status, 124, "the user database does not hang");
    host.write("/tmp/crowd.pl", CROWD);
    let crowd = host.spawn(&format!("exec perl /tmp/crowd.pl {AGENT_SOCKET}"));
    wait_for("the crowd", SOON, || {
        (crowd.stdout().matches("user database did not answer").count() >= 100).then_some(())
    });
    let grant = host.grant("carol --for 300s --login");
    assert_eq!(host.ssh("carol", "id -un").expect_ok("a login meanwhile"), "carol");
    assert_eq!(host.ssh("alice", "sudo -n id -un").expect_ok("sudo meanwhile"), "root");
    let revoked = host.run(&format!("curfew revoke {}", grant.id));
    assert!(revoked.success() && revoked.took < Duration::from_secs(2), "{revoked:#?}");
    let status = host.run("curfew status");
    assert!(status.success() && status.took < Duration::from_secs(2), "{status:#?}");
    let threads: u32 = host.ok("ls /proc/$(pidof curfewd)/task | wc -l").parse().expect("a count");
    assert!(threads < 40, "{threads} threads");
}
