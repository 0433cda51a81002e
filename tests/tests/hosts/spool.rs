//! The audit's spool: where one of its files is full and the disk fails just then, where somebody makes noise, and where it
//! is as large as it may be.

use curfew_tests::central::Central;
use curfew_tests::{Host, Release, SOON, report, until, wait_for};
use serde_json::Value;
use std::time::Duration;

on_every_release! {
    a_spool_whose_next_file_can_not_be_begun_has_no_gap_and_no_double,
    a_grantees_noise_is_counted_and_pushes_out_nobodys_records,
}

on_two_releases! {
    what_was_counted_survives_the_death_of_the_agent,
    what_goes_of_a_full_spool_is_said_and_what_is_rare_or_anothers_stays,
}

on_one_release! {
    what_the_endpoint_never_had_is_kept_longest_and_it_hears_what_is_gone,
}

takes_long! {
    made_up_names_and_sessions_that_come_and_go_are_counted: bookworm Bookworm, trixie Trixie;
}

/// How long the whole of a count may take to be told: a minute, and a little more.
const TOLD: Duration = Duration::from_secs(75);

/// Fills the spool's file to its end with copies of its last record; all of them are in the journal.
const FILL: &str = r#"my ($path) = glob "/var/lib/curfew/audit/*.jsonl";
open my $spool, "+<", $path or die;
my @lines = <$spool>;
my ($count, $length, $line) = (scalar @lines, -s $path, $lines[-1]);
while ($length < 8 << 20) {
    $count++;
    (my $copy = $line) =~ s/"seq":\d+/"seq":$count/;
    print $spool $copy;
    $length += length $copy;
}
close $spool;
open my $mark, ">", "/var/lib/curfew/audit/journald.mark" or die;
print $mark "$count\n";
print $count;
"#;

fn a_spool_whose_next_file_can_not_be_begun_has_no_gap_and_no_double(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.make_mortal();
    let _grant = host.grant("bob --for 600s --login");
    host.write("/root/fill", FILL);
    host.ok("systemctl stop curfewd.socket curfewd");
    let filled: u64 = host.ok("perl /root/fill").parse().expect("a count");
    host.ok("systemctl start curfewd.socket");
    // A new file begins when the old one is synced.
    host.restart_with_fault("fdatasync:error=EIO:when=1+");
    host.ask_pam("bob", 8);
    host.ok("systemctl restart curfewd");
    host.ask_pam("bob", 8);

    let spool = host.audit("");
    let numbers: Vec<_> = spool.iter().filter_map(|record| record["seq"].as_u64()).collect();
    let odd: Vec<_> = numbers.iter().zip(1..).filter(|(number, place)| *number != place).take(3).collect();
    let files = host.ok("cd /var/lib/curfew/audit && wc -l *.jsonl");
    assert!(odd.is_empty(), "a gap or a double, (number, place): {odd:?}\n{files}");
    assert!(numbers.len() as u64 > filled + 16, "records are lost: {filled} and then {}\n{files}", numbers.len());
    assert!(files.lines().count() > 2, "the file was never full: {files}");
    let last = *numbers.last().expect("records");
    wait_for("every number behind the mark in the journal", SOON, || {
        let entries = host.journal(&format!("_SYSTEMD_UNIT=curfewd.service CURFEW_SEQ={last}"));
        (!entries.is_empty()).then_some(())
    });
    let journal = host.journal("_SYSTEMD_UNIT=curfewd.service");
    let copied: Vec<u64> = journal.iter().filter_map(|entry| entry["CURFEW_SEQ"].as_str()?.parse().ok()).collect();
    let missing: Vec<_> = (filled + 1..=last).filter(|number| !copied.contains(number)).collect();
    assert!(missing.is_empty(), "not in the journal: {missing:?}\n{files}");
}

/// How many bytes the spool has.
fn spool_length(host: &Host) -> u64 {
    let lengths = host.ok("cd /var/lib/curfew/audit && stat --format %s *.jsonl *.kept 2>/dev/null || true");
    lengths.lines().map(|length| length.parse::<u64>().expect("a length")).sum()
}

/// For how many events these records stand.
fn events(records: &[Value]) -> u64 {
    records.iter().map(|record| record["count"].as_u64().unwrap_or(1)).sum()
}

/// The spool's lines of a user, as they are, to the byte.
fn lines_of(host: &Host, user: &str) -> Vec<String> {
    let lines =
        host.ok(&format!("cd /var/lib/curfew/audit && cat *.kept *.jsonl 2>/dev/null | grep '\"user\":\"{user}\"'"));
    lines.lines().map(str::to_owned).collect()
}

fn a_grantees_noise_is_counted_and_pushes_out_nobodys_records(release: Release) {
    const RUNS: u64 = 1000;
    let host = Host::builder(release).exempt(&["ops"]).config("audit_keep_mib = 1\ngrace = \"0s\"").boot();
    let alices = host.grant("alice --for 900s --login --sudo --command /usr/bin/true --command /usr/bin/id");
    let _bobs = host.grant("bob --for 900s --login --sudo --command /usr/bin/id");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    assert_eq!(host.ssh("bob", "sudo -n /usr/bin/id -u").expect_ok("bob's sudo"), "0");
    assert!(!host.ssh("carol", "id").success());
    let (bobs, carols) = (lines_of(&host, "bob"), lines_of(&host, "carol"));
    assert!(bobs.len() >= 6 && !carols.is_empty(), "{bobs:#?} {carols:#?}");

    let before = spool_length(&host);
    let long = "a".repeat(990);
    // The same each time, and with other options and arguments each time.
    let noise = |options: &str| format!("for n in $(seq {RUNS}); do sudo -n {options} /usr/bin/true {long}; done");
    let both = [noise(""), noise("-p \"$n another /bin/one\"")].map(|noise| host.ssh_stay_and_run("alice", &noise));
    both.into_iter().for_each(|noise| drop(noise.finish(Duration::from_secs(400)).expect_ok("the noise")));
    // What is new does not drown in it.
    assert_eq!(host.ssh("alice", "sudo -n /usr/bin/id -u").expect_ok("her other command"), "0");
    let noise = spool_length(&host) - before;
    host.ok(&format!("curfew revoke {}", alices.id));
    let ended = host.audited("grant.ended", |record| record["grant"] == alices.id.as_str());

    report(&format!("{release}: {} runs of sudo took {} KiB of the spool", 2 * RUNS, noise / 1024));
    assert!(noise < 640 * 1024, "{noise} bytes");
    let permitted = host.audit("--event sudo.permitted --user alice");
    assert_eq!(events(&permitted), 2 * RUNS + 1, "runs are neither written nor counted");
    assert!(permitted.iter().all(|it| it["seq"].as_u64() < ended["seq"].as_u64()), "told after the grant's end");
    assert!(permitted.iter().all(|it| it["message"].as_str().is_some_and(|text| text.len() < 500)), "{permitted:#?}");
    let same =
        permitted.iter().find(|it| it["count"].is_u64() && it["command"].is_string()).expect("a count of the same");
    assert!(same["first"].as_str() < same["last"].as_str() && same["grant"] == alices.id.as_str(), "{same}");
    let her_other = |it: &&Value| it["command"].as_str().is_some_and(|command| command.contains("/usr/bin/id -u"));
    assert_eq!(permitted.iter().filter(her_other).count(), 1, "one run of another command drowns");
    assert_eq!((lines_of(&host, "bob"), lines_of(&host, "carol")), (bobs, carols));
    for event in ["local.granted", "grant.started", "sudoers.written", "grant.ended"] {
        host.audited(event, |record| record["grant"] == alices.id.as_str());
    }
    host.audit_is_whole();
}

/// Asks PAM's socket as the module does, with what `made` says of the question's number.
const QUESTIONS: &str = r#"use IO::Socket::UNIX;
my ($count, $hook, $made) = @ARGV;
for (1 .. $count) {
    (my $question = $made) =~ s/NUMBER/$_/g;
    my $socket = IO::Socket::UNIX->new(Peer => '/run/curfew/io.curfew.Pam') or die "no agent: $!";
    syswrite $socket, qq({"method":"io.curfew.Pam.$hook","parameters":{$question}}\0);
    my $answer = '';
    while ($answer !~ /\0\z/) { sysread($socket, $answer, 65536, length $answer) or die "broken off: $answer" }
}
"#;

fn made_up_names_and_sessions_that_come_and_go_are_counted(release: Release) {
    const TRIES: u64 = 5000;
    const SESSIONS: u64 = 60;
    let host = Host::builder(release).exempt(&["ops"]).boot();
    let _bobs = host.grant("bob --for 900s --login --sudo --command /usr/bin/id");
    host.drop_in();
    host.write("/root/questions", QUESTIONS);
    let before = spool_length(&host);
    // Another name each time, from another address.
    host.ok(&format!(
        r#"perl /root/questions {TRIES} Account '"service":"sshd","user":"made-up-NUMBER","rhost":"10.9.NUMBER.1"'"#
    ));
    let of_names = spool_length(&host) - before;
    // A list of what sudo gives, and sessions, again and again.
    let list = format!("for n in $(seq {SESSIONS}); do sudo -n -l; done >/dev/null");
    host.ssh("bob", &list).expect_ok("lists");
    (0..SESSIONS).for_each(|_| drop(host.ssh("bob", "true").expect_ok("a session")));
    // A refusal that somebody is told of now is written now.
    assert!(!host.ssh("carol", "id").success());
    host.audited("login.denied", |record| record["user"] == "carol" && record["count"].is_null());

    let noise = spool_length(&host) - before;
    report(&format!("{release}: {TRIES} made-up names took {} KiB, all noise {} KiB", of_names / 1024, noise / 1024));
    assert!(noise < 512 * 1024, "{noise} bytes");
    let all = |event: &str, wanted: &dyn Fn(&Value) -> bool| {
        let mut records = host.audit(&format!("--event {event}"));
        records.retain(wanted);
        records
    };
    let is_bobs = |record: &Value| record["user"] == "bob";
    wait_for("every count", TOLD, || {
        let told = [
            events(&all("login.denied", &|record| record["user"] != "carol")) >= TRIES,
            events(&all("login.permitted", &is_bobs)) > SESSIONS,
            events(&all("session.opened", &is_bobs)) > SESSIONS,
            events(&all("session.closed", &is_bobs)) > SESSIONS,
        ];
        told.iter().all(|told| *told).then_some(())
    });
    let denied = all("login.denied", &|record| record["user"] != "carol");
    assert_eq!(events(&denied), TRIES);
    assert!(denied.len() < 1000, "{} records", denied.len());
    for event in ["login.permitted", "session.opened", "session.closed"] {
        let records = all(event, &is_bobs);
        assert_eq!(events(&records), SESSIONS + 1, "{event}: {records:#?}");
        assert!(records.len() < 30, "{event}: {} records", records.len());
    }
    host.audit_is_whole();
}

fn what_was_counted_survives_the_death_of_the_agent(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.make_mortal();
    let _grant = host.grant("bob --for 900s --login");
    host.ask_pam("bob", 300);
    let counted = || events(&host.audit("--event login.permitted --user bob"));
    assert!(counted() < 300, "nothing is counted");
    // What is counted is noted within a second.
    wait_for("the note", SOON, || {
        let note = host.run("cat /var/lib/curfew/audit/counted.json").stdout;
        note.contains("\"count\":280").then_some(())
    });
    host.ok("kill -KILL $(pidof curfewd)");
    wait_for("what the dead agent counted", SOON, || (counted() >= 300).then_some(()));
    host.ok("systemctl restart curfewd");
    assert_eq!(counted(), 300);
    assert!(!host.has("/var/lib/curfew/audit/counted.json"));
    host.audit_is_whole();
}

/// Fills the spool with records like one of alice's runs of sudo, as if somebody had got past every count: so many bytes.
const FLOOD: &str = r#"my $folder = "/var/lib/curfew/audit";
my ($bytes) = @ARGV;
my @files = sort glob "$folder/*.jsonl";
local @ARGV = @files;
my @lines = <>;
my ($like) = grep { /"event":"sudo.permitted","user":"alice"/ } @lines;
$like or die "no record of hers";
my ($seq) = $lines[-1] =~ /"seq":(\d+)/;
my ($file, $length, $total) = (undef, 0, 0);
while ($total < $bytes) {
    $seq++;
    if (!$file || $length > 128 << 10) {
        $length = 0;
        open $file, ">", sprintf("%s/%020d.jsonl", $folder, $seq) or die;
    }
    (my $line = $like) =~ s/"seq":\d+/"seq":$seq/;
    print $file $line;
    $length += length $line;
    $total += length $line;
}
close $file;
open my $mark, ">", "$folder/journald.mark" or die;
print $mark "$seq\n";
"#;

/// A host with some of everything in its spool, of alice and of bob.
fn with_a_story(host: &Host) {
    let alices = host.grant("alice --for 900s --login --sudo --command /usr/bin/id");
    let _bobs = host.grant("bob --for 900s --login --sudo --command /usr/bin/id");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    for user in ["alice", "bob"] {
        assert_eq!(host.ssh(user, "sudo -n /usr/bin/id -u").expect_ok("sudo"), "0");
    }
    host.audited("session.closed", |record| record["user"] == "bob");
    host.ok(&format!("curfew revoke {}", alices.id));
    host.audited("sudoers.removed", |record| record["grant"] == alices.id.as_str());
    host.write("/root/flood", FLOOD);
}

/// Floods the spool while nobody writes it, and has the agent go on.
fn flood(host: &Host, mib: u32) {
    host.ok("systemctl stop curfewd.socket curfewd");
    host.ok(&format!("perl /root/flood {}", u64::from(mib) << 20));
    host.ok("systemctl start curfewd.socket curfewd");
}

/// What the audit says is gone, once it is what is missing: it is said before it is done.
fn gone(host: &Host) -> Vec<Value> {
    let mut sums = (0, 0);
    let whole = until(SOON, || {
        let records = host.audit("");
        let last = records.last().and_then(|record| record["seq"].as_u64()).expect("records");
        let gone: Vec<_> = records.iter().filter(|record| record["event"] == "audit.dropped").cloned().collect();
        sums = (records.len() as u64 + gone.iter().filter_map(|it| it["count"].as_u64()).sum::<u64>(), last);
        let odd = records.windows(2).find(|two| two[0]["seq"].as_u64() >= two[1]["seq"].as_u64());
        assert!(odd.is_none(), "{odd:?}");
        (sums.0 == sums.1).then_some(gone)
    });
    whole.unwrap_or_else(|| panic!("{} records are there or said to be gone, of {}", sums.0, sums.1))
}

fn what_goes_of_a_full_spool_is_said_and_what_is_rare_or_anothers_stays(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("audit_keep_mib = 1\ngrace = \"0s\"").boot();
    with_a_story(&host);
    let bobs = lines_of(&host, "bob");
    let story = |host: &Host| {
        let mut records = host.audit("");
        let at_will = ["login.", "session.o", "session.c", "sudo.p", "sudo.d"];
        let stays = |event: &str| !at_will.iter().any(|kind| event.starts_with(kind));
        records.retain(|record| record["event"].as_str().is_some_and(stays) && record["event"] != "audit.dropped");
        records
    };
    let before = story(&host);
    flood(&host, 3);
    wait_for("a spool that fits", SOON, || (spool_length(&host) < 1400 << 10).then_some(()));
    let said = gone(&host);
    assert!(said.len() > 5, "{said:#?}");
    assert!(said.iter().all(|it| it["shipped"].is_null() && it["from"].as_u64() <= it["to"].as_u64()), "{said:#?}");
    assert!(said[0]["message"].as_str().is_some_and(|text| text.starts_with("Audit records were dropped: ")));
    assert_eq!(story(&host)[..before.len()], before, "what is rare went");
    assert_eq!(lines_of(&host, "bob"), bobs, "what is another's went, or was changed");
    assert!(host.ok("curfew audit --user bob").contains("sudo.permitted"));
    // The copy in the journal goes on, and explains it.
    let last = said.last().map(|record| record["seq"].to_string()).expect("a record");
    let entry = wait_for("it in the journal", SOON, || {
        host.journal(&format!("_SYSTEMD_UNIT=curfewd.service CURFEW_SEQ={last}")).pop()
    });
    assert_eq!(entry["CURFEW_EVENT"], "audit.dropped");
    let explained = host.ok(&format!("journalctl --no-pager -x CURFEW_SEQ={last}"));
    assert!(explained.contains("audit_keep_mib"), "{explained}");
    // An agent that starts on it goes on with the next number.
    host.ok("systemctl restart curfewd");
    host.ask_pam("bob", 8);
    let _as_before = gone(&host);
}

fn what_the_endpoint_never_had_is_kept_longest_and_it_hears_what_is_gone(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("audit_keep_mib = 1\ngrace = \"0s\"").boot();
    let central = Central::start(&host);
    central.enroll();
    with_a_story(&host);
    let stored = || host.status()["set"]["audit_stored_to"].as_u64();
    wait_for("the story at the endpoint", SOON, || (stored()? >= host.audit("").len() as u64).then_some(()));
    host.ok("kill -STOP $(pidof curfew-server)");
    // Less than four times what is kept: all of it stays, and what the endpoint has does not matter yet.
    flood(&host, 3);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(gone(&host), [] as [Value; 0], "what the endpoint does not have went");
    flood(&host, 3);
    wait_for("a spool that fits", SOON, || (spool_length(&host) < 4600 << 10).then_some(()));
    let said = gone(&host);
    assert!(!said.is_empty() && said.iter().all(|it| it["shipped"] == "unknown" || it["shipped"] == "no"), "{said:#?}");
    host.ok("kill -CONT $(pidof curfew-server) && systemctl restart curfewd");
    wait_for("what there is at the endpoint, and the room that it makes", Duration::from_secs(180), || {
        let gone = host.audit("--event audit.dropped");
        (gone.iter().any(|it| it["shipped"] == "yes") && spool_length(&host) < 1400 << 10).then_some(())
    });
    let _all_is_said = gone(&host);
    wait_for("what was dropped, told at the endpoint", SOON, || {
        let there = central.audit("--event audit.dropped");
        let told = |it: &Value| it.to_string().contains("does not have") || it.to_string().contains("unknown");
        there.iter().any(told).then_some(())
    });
    wait_for("what is missing there", SOON, || (!central.audit("--event audit.lost").is_empty()).then_some(()));
}
