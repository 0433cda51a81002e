//! The audit's spool where one of its files is full and the disk fails just then.

use curfew_tests::{Host, Release, SOON};

on_every_release! {
    a_spool_whose_next_file_can_not_be_begun_has_no_gap_and_no_double,
}

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
    curfew_tests::wait_for("every number behind the mark in the journal", SOON, || {
        let entries = host.journal(&format!("_SYSTEMD_UNIT=curfewd.service CURFEW_SEQ={last}"));
        (!entries.is_empty()).then_some(())
    });
    let journal = host.journal("_SYSTEMD_UNIT=curfewd.service");
    let copied: Vec<u64> = journal.iter().filter_map(|entry| entry["CURFEW_SEQ"].as_str()?.parse().ok()).collect();
    let missing: Vec<_> = (filled + 1..=last).filter(|number| !copied.contains(number)).collect();
    assert!(missing.is_empty(), "not in the journal: {missing:?}\n{files}");
}
