//! What still can't be stopped: full root can outwit any program on its own host. Each sentence here is in the threat model.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, wait_for};

on_every_release! {
    a_service_that_root_started_outlives_sudo_and_is_reported,
    root_that_sheds_its_audit_session_and_its_scope_outlives_the_end,
    root_that_takes_the_wiring_out_is_reported,
    a_file_that_root_opened_for_the_persons_own_process_stays_open,
}

fn runs(host: &Host, command: &str) -> bool {
    host.processes().iter().any(|process| process.command.ends_with(command))
}

fn a_service_that_root_started_outlives_sudo_and_is_reported(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    host.drop_in();
    host.ssh("alice", "sudo -n systemd-run --quiet --unit=hers sleep 900").expect_ok("a service of root's");
    grant.wait_end();
    let found = host.audited("residue.found", |record| record["grant"] == grant.id.as_str());
    assert!(found["residue"].to_string().contains("transient unit /run/systemd/transient/hers.service"), "{found}");
    assert!(runs(&host, "sleep 900"));
}

fn root_that_sheds_its_audit_session_and_its_scope_outlives_the_end(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    host.drop_in();
    let shed = "mkdir -p /sys/fs/cgroup/system.slice/hidden.service && echo $$ > /sys/fs/cgroup/system.slice/hidden.service/cgroup.procs \
                && echo 4294967295 > /proc/self/loginuid; setsid sleep 901 </dev/null >/dev/null 2>&1 &";
    host.ssh("alice", &format!("sudo -n bash -c '{shed}'")).expect_ok("shedding");
    wait_for("what is hidden", SOON, || runs(&host, "sleep 901").then_some(()));
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(&host, "sleep 901"));
    // What root did not hide is dead, and she is out.
    assert!(host.session_processes("alice").is_empty());
    assert!(!host.ssh("alice", "id").success());
}

fn root_that_takes_the_wiring_out_is_reported(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 20s --login --sudo --command ALL");
    host.drop_in();
    host.ssh("alice", "sudo -n curfew disable").expect_ok("root takes the wiring out");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("everybody gets in"), "bob");
    let found = host.audited("residue.found", |record| record["grant"] == grant.id.as_str());
    assert!(found["residue"].to_string().contains("access file /etc/pam.d/sshd"), "{found}");
}

fn a_file_that_root_opened_for_the_persons_own_process_stays_open(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 5m --sudo --command ALL");
    host.drop_in();
    host.ok("touch /etc/roots && chmod 600 /etc/roots");
    // It leaves the run and all of root's rights, but for what is open.
    host.write(
        "/tmp/kept.pl",
        "use POSIX; open my $kept, '>>', '/etc/roots' or die; open my $c, '<', '/proc/self/cgroup'; my ($own) = map { m{^0::(.*?)(?:/curfew-run.*)?$} } <$c>;\n\
         open my $g, '>', \"/sys/fs/cgroup$own/cgroup.procs\" or die;\n\
         print $g $$; close $g; exit if fork; setsid; $) = '1001 1001'; POSIX::setgid(1001); POSIX::setuid(1001);\n\
         open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null'; open STDIN, '<', '/dev/null';\n\
         for (1 .. 600) { select undef, undef, undef, 0.1; last if -e '/tmp/now' } syswrite $kept, 'hers';\n",
    );
    let mut login = host.ssh_stay("alice", "-T");
    login.send("sudo -n perl /tmp/kept.pl; echo through\n");
    wait_for("the run to be over", SOON, || login.stdout().contains("through").then_some(()));
    host.ok(&format!("curfew revoke {}; touch /tmp/now", sudo.id));
    wait_for("the file to be written", SOON, || (host.ok("cat /etc/roots") == "hers").then_some(()));
    // It ends with her login.
    login.kill();
}
