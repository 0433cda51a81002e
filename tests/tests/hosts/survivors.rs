//! "Survivors: 0" is true: whatever a run of sudo started ends with its grant, whatever became of it, and nothing else does.

use std::time::Duration;

use curfew_tests::{Grant, Host, Release, SOON, wait_for};
use serde_json::Value;

on_every_release! {
    rights_that_are_kept_aside_end_with_sudo_also_outside_of_its_group,
    rights_that_a_thread_keeps_end_with_sudo,
    threaded_groups_hide_nothing,
    what_sudo_left_ends_though_its_child_runs_sudo_by_another_grant,
    a_run_goes_on_by_a_grant_for_its_own_file_alone,
    a_run_is_watched_though_no_session_of_pams_opens,
    a_run_below_a_users_own_manager_can_not_be_moved_away_by_its_user,
    programs_of_the_persons_own_with_rights_of_the_hosts_own_live_on,
    what_root_left_on_disk_ends_in_the_persons_other_logins,
    what_moves_to_another_runs_group_ends_with_its_own_run,
    what_leaves_for_a_group_of_the_hosts_ends_in_each_of_the_persons_logins,
    a_namespace_of_the_persons_that_root_gave_everything_ends_with_sudo,
    a_namespace_that_root_gave_everything_ends_with_sudo_though_nothing_runs_in_it_any_more,
    a_connection_that_root_left_behind_is_root_no_more,
    many_runs_of_sudo_leave_nothing_to_remember,
    a_run_within_another_persons_ends_with_that_ones_grant,
    a_run_around_another_persons_outlives_that_one,
}

// sudo-rs 0.2.5 knows no such setting.
on_classic_sudo! {
    a_run_is_watched_though_sudo_opens_no_session,
}

fn runs(host: &Host, command: &str) -> bool {
    host.processes().iter().any(|process| process.command.ends_with(command))
}

fn wait_for_start(host: &Host, commands: &[&str]) {
    wait_for(&format!("{commands:?}"), SOON, || commands.iter().all(|it| runs(host, it)).then_some(()));
}

/// None of these runs once what the grant gave is proved to be dead, and nobody claims otherwise.
fn end_with(host: &Host, grant: &Grant, commands: &[&str]) -> Value {
    grant.wait_end();
    let ended = host.audited("sudo.terminated", |record| record["grant"] == grant.id.as_str());
    assert_eq!(ended["survivors"], "0", "{ended}");
    let living: Vec<_> = commands.iter().filter(|command| runs(host, command)).collect();
    assert!(living.is_empty(), "{living:?} after {ended}");
    ended
}

fn host(release: Release) -> Host {
    Host::builder(release).config("grace = \"0s\"\nresidue_report = false").boot()
}

fn rights_that_are_kept_aside_end_with_sudo_also_outside_of_its_group(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 12s --sudo --command ALL");
    host.drop_in();
    let kinds = [
        "perl -e '$> = 1001; sleep 801'",
        "perl -e 'use POSIX; POSIX::setuid(1001); sleep 802'",
        "setpriv --reuid=1001 --regid=1001 --clear-groups --inh-caps=+sys_admin --ambient-caps=+sys_admin sleep 803",
        "setpriv --reuid=1001 --regid=1001 --groups=42 sleep 804",
        "sleep 805",
    ];
    // In the group of the run; and in the session's scope, where root may move itself.
    let leave = "echo $$ > /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup | sed 's|/curfew-run.*||')/cgroup.procs;";
    for kind in kinds {
        let other = kind.replace("80", "81");
        for (before, kind) in [("", kind), (leave, other.as_str())] {
            host.write("/tmp/kind", format!("{before} exec setsid -f {kind} </dev/null >/dev/null 2>&1\n"));
            host.ssh("alice", "sudo -n sh /tmp/kind").expect_ok(kind);
        }
    }
    let all = ["sleep 801", "sleep 802", "sleep 803", "sleep 804", "sleep 805"];
    let left = ["sleep 811", "sleep 812", "sleep 813", "sleep 814", "sleep 815"];
    let all: Vec<&str> = all.into_iter().chain(left).collect();
    wait_for_start(&host, &all);
    end_with(&host, &sudo, &all);
    wait_for("all of them to be dead", SOON, || (!all.iter().any(|it| runs(&host, it))).then_some(()));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("her login"), "alice");
}

fn rights_that_a_thread_keeps_end_with_sudo(release: Release) {
    let host = host(release);
    host.compile("threads.c", "/usr/local/bin/threads", &["-pthread"]);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 12s --sudo --command ALL");
    host.drop_in();
    // Which thread stays root's: none, as alice herself may have it, another, and the first.
    for kind in ["none", "other", "first"] {
        let run = format!("sudo -n threads {kind} </dev/null >/dev/null 2>&1");
        host.ssh("alice", &run).expect_ok(kind);
    }
    let (kept, own) = (["threads other", "threads first"], "threads none");
    wait_for_start(&host, &kept);
    wait_for_start(&host, &[own]);
    let first = host.processes().into_iter().find(|process| process.command.ends_with("threads other"));
    let first = first.expect("it runs");
    assert!(!first.cgroup.contains("/curfew-run-"), "{first:?}");
    end_with(&host, &sudo, &kept);
    host.audited("sudo.terminated", |record| {
        record["survivors"] == "0" && record["killed"].to_string().contains("threads(/usr/local/bin/threads):2")
    });
    wait_for("both of them to be dead", SOON, || (!kept.iter().any(|it| runs(&host, it))).then_some(()));
    assert!(runs(&host, own), "no thread of it has any right that is not alice's");
}

fn threaded_groups_hide_nothing(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 12s --sudo --command ALL");
    host.drop_in();
    // What runs in a threaded group below the run's own, and what left both.
    host.write(
        "/tmp/threaded",
        "own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)\n\
         mkdir $own/threaded && echo threaded > $own/threaded/cgroup.type || exit 1\n\
         setsid sleep 817 </dev/null >/dev/null 2>&1 &\n\
         echo $! > $own/threaded/cgroup.threads || exit 1\n\
         echo $$ > ${own%/curfew-run*}/cgroup.procs; exec setsid -f sleep 818 </dev/null >/dev/null 2>&1\n",
    );
    host.ssh("alice", "sudo -n sh /tmp/threaded").expect_ok("a threaded group");
    let all = ["sleep 817", "sleep 818"];
    wait_for_start(&host, &all);
    end_with(&host, &sudo, &all);
    wait_for("both of them to be dead", SOON, || (!all.iter().any(|it| runs(&host, it))).then_some(()));
}

fn what_sudo_left_ends_though_its_child_runs_sudo_by_another_grant(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let _longer = host.grant("alice --for 5m --sudo --command '/usr/bin/sleep 821'");
    let sudo = host.grant("alice --for 8s --sudo --command /usr/bin/perl");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    host.write(
        "/tmp/nested.pl",
        "use POSIX; exit if fork; setsid; if (fork) { exec 'sleep', '822' }\n\
         $( = $) = 1001; POSIX::setuid(1001); exec 'sudo', '-n', '/usr/bin/sleep', '821';\n",
    );
    let mut login = host.ssh_stay("alice", "-T");
    login.send("sudo -n /usr/bin/perl /tmp/nested.pl </dev/null >/dev/null 2>&1 &\n");
    wait_for_start(&host, &["/usr/bin/sleep 821", "sleep 822"]);
    end_with(&host, &sudo, &["sleep 822"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(&host, "/usr/bin/sleep 821"), "what another grant covers goes on");
    login.kill();
}

fn a_run_goes_on_by_a_grant_for_its_own_file_alone(release: Release) {
    let host = host(release);
    for (folder, length) in [("a", 831), ("b", 832)] {
        host.ok(&format!("mkdir /opt/{folder} && printf '#!/bin/sh\\nexec sleep {length}\\n' > /opt/{folder}/run"));
        host.ok(&format!("chmod 755 /opt/{folder}/run"));
    }
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 10s --sudo --command /opt/a/run");
    let longer = host.grant("alice --for 5m --sudo --command /opt/b/run");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    let mut login = host.ssh_stay("alice", "-T");
    login
        .send("cd /opt/a\nfor run in /opt/a/run ./run /opt/b/run; do sudo -n $run </dev/null >/dev/null 2>&1 & done\n");
    wait_for("three runs", SOON, || {
        (host.elevated_processes("alice").iter().filter(|it| it.command.starts_with("sleep 83")).count() == 3)
            .then_some(())
    });
    let run_of = |path: &str| host.audited("sudo.permitted", |record| record["command"] == format!("sudo -n {path}"));
    assert_eq!(run_of("/opt/a/run")["grant"], sudo.id.as_str());
    assert_eq!(run_of("./run")["grant"], sudo.id.as_str());
    assert_eq!(run_of("/opt/b/run")["grant"], longer.id.as_str());
    end_with(&host, &sudo, &["sleep 831"]);
    wait_for("the end of both", SOON, || (!runs(&host, "sleep 831")).then_some(()));
    assert!(runs(&host, "sleep 832"));
    login.kill();
}

fn is_watched_without_a_session(host: &Host) {
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 8s --sudo --command ALL");
    host.drop_in();
    host.ssh("alice", "sudo -n setsid -f sleep 841 </dev/null >/dev/null 2>&1").expect_ok("sudo");
    wait_for_start(host, &["sleep 841"]);
    end_with(host, &sudo, &["sleep 841"]);
}

fn a_run_is_watched_though_sudo_opens_no_session(release: Release) {
    let host = host(release);
    host.ok("echo 'Defaults !pam_session' > /etc/sudoers.d/no-session && chmod 440 /etc/sudoers.d/no-session");
    is_watched_without_a_session(&host);
}

fn a_run_is_watched_though_no_session_of_pams_opens(release: Release) {
    let host = host(release);
    host.ok("sed -i '1i session sufficient pam_permit.so' /etc/pam.d/sudo");
    is_watched_without_a_session(&host);
}

fn a_run_below_a_users_own_manager_can_not_be_moved_away_by_its_user(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 12s --sudo --command /usr/bin/sleep");
    host.drop_in();
    let mut login = host.ssh_stay("alice", "-T");
    login.send("export XDG_RUNTIME_DIR=/run/user/1001\nsystemd-run --user --scope --quiet sudo -n /usr/bin/sleep 851 </dev/null &\n");
    wait_for_start(&host, &["/usr/bin/sleep 851"]);
    let run =
        wait_for("what it runs", SOON, || host.processes().into_iter().find(|it| it.command == "/usr/bin/sleep 851"));
    assert!(run.cgroup.contains("/user-1001.slice/curfew-run-"), "{run:?}");
    // Her own manager's groups are hers, and she can move hers from one to the other.
    let manager = "/sys/fs/cgroup/user.slice/user-1001.slice/user@1001.service";
    let hers = format!("mkdir {manager}/hers && echo $$ > {manager}/hers/cgroup.procs && echo moved");
    login.send(&format!("{hers}\necho {} > {manager}/hers/cgroup.procs; echo tried\n", run.inner_pid));
    wait_for("her try", SOON, || login.stdout().contains("tried").then_some(()));
    assert!(login.stderr().contains("ermission denied"), "{} {}", login.stdout(), login.stderr());
    end_with(&host, &sudo, &["/usr/bin/sleep 851"]);
    login.kill();
}

fn programs_of_the_persons_own_with_rights_of_the_hosts_own_live_on(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 14s --sudo --command ALL");
    host.drop_in();
    // A program that the host gave rights before anybody had sudo, and one that root gives them now.
    host.ok("cp /usr/bin/sleep /usr/local/bin/napper && chgrp shadow /usr/local/bin/napper && chmod 2755 /usr/local/bin/napper");
    std::thread::sleep(Duration::from_millis(1100));
    let mut login = host.ssh_stay("alice", "-T");
    login.send("sudo -n sh -c 'cp /usr/bin/sleep /usr/local/bin/planted && chmod 4755 /usr/local/bin/planted; exec sleep 861' </dev/null &\n");
    wait_for("what root runs", SOON, || {
        host.elevated_processes("alice").iter().any(|it| it.command == "sleep 861").then_some(())
    });
    login.send("/usr/local/bin/napper 862 & /usr/local/bin/planted 863 & unshare --user --map-root-user sleep 864 &\n");
    let started = ["/usr/local/bin/napper 862", "/usr/local/bin/planted 863", "sleep 864"];
    for program in started {
        wait_for(&format!("{program}: {}", login.stderr()), SOON, || runs(&host, program).then_some(()));
    }
    // What goes to the background leaves nobody to tell whose it is, and nothing of hers becomes its work. sudo-rs 0.2.5 has no such option.
    let background = if release == Release::TrixieSudoRs { "sudo -n setsid -f" } else { "sudo -n -b" };
    login.send(&format!(
        "{background} sleep 865 </dev/null; sleep 1; setsid -f sleep 866 </dev/null >/dev/null 2>&1; sleep 867 &\n",
    ));
    wait_for_start(&host, &["sleep 865", "sleep 866", "sleep 867"]);
    end_with(&host, &sudo, &["sleep 861", "sleep 865"]);
    wait_for("the end of what root gave rights", SOON, || (!runs(&host, "planted 863")).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    for own in ["napper 862", "sleep 864", "sleep 866", "sleep 867"] {
        assert!(runs(&host, own), "a bystander: {own}");
    }
    login.kill();
}

fn what_root_left_on_disk_ends_in_the_persons_other_logins(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 16s --sudo --command ALL");
    host.drop_in();
    let mut before = host.ssh_stay("alice", "-T");
    let plant = "cp /usr/bin/sleep /usr/local/bin/planted && chmod 4755 /usr/local/bin/planted";
    host.ssh("alice", &format!("sudo -n sh -c '{plant}'")).expect_ok("a run of sudo that is over");
    // A login that is there already, one that comes later, and what her own manager starts.
    let mut later = host.ssh_stay("alice", "-T");
    before.send("planted 871 & setsid -f planted 872 </dev/null >/dev/null 2>&1; sleep 875 &\n");
    later.send("export XDG_RUNTIME_DIR=/run/user/1001\nplanted 873 & sleep 876 &\n");
    later.send("for run in 'planted 874' 'sleep 877'; do systemd-run --user --quiet $run; done\n");
    let planted = ["planted 871", "planted 872", "planted 873", "planted 874"];
    let own = ["sleep 875", "sleep 876", "sleep 877"];
    wait_for_start(&host, &planted);
    wait_for_start(&host, &own);
    end_with(&host, &sudo, &planted);
    std::thread::sleep(Duration::from_secs(1));
    wait_for_start(&host, &own);
    for login in [&mut before, &mut later] {
        login.send("echo still here\n");
        wait_for("both logins to go on", SOON, || login.stdout().contains("still here").then_some(()));
    }
    host.ok("pgrep -u alice -f sd-pam");
    before.kill();
    later.kill();
}

fn what_moves_to_another_runs_group_ends_with_its_own_run(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let _longer = host.grant("alice --for 5m --sudo --command '/usr/bin/sleep 881'");
    let sudo = host.grant("alice --for 14s --sudo --command /usr/bin/sh");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    let mut login = host.ssh_stay("alice", "-T");
    login.send("sudo -n /usr/bin/sleep 881 </dev/null >/dev/null 2>&1 &\n");
    let run =
        wait_for("the longer run", SOON, || host.processes().into_iter().find(|it| it.command == "/usr/bin/sleep 881"));
    assert!(run.cgroup.contains("/curfew-run-"), "{run:?}");
    // As the host sees it.
    let group = run.cgroup.split_once("/user.slice").map(|(_, below)| format!("/user.slice{below}"));
    let moved =
        format!("echo $$ > /sys/fs/cgroup{}/cgroup.procs && exec", group.expect("it is below the users' slice"));
    host.write("/tmp/beside", format!("sleep 882 & {moved} sleep 883\n"));
    host.write("/tmp/elsewhere", format!("{moved} setsid -f sleep 884 </dev/null >/dev/null 2>&1\n"));
    login.send("sudo -n /usr/bin/sh /tmp/beside </dev/null >/dev/null 2>&1 &\n");
    host.ssh("alice", "sudo -n /usr/bin/sh /tmp/elsewhere").expect_ok("in another login");
    let moved = ["sleep 882", "sleep 883", "sleep 884"];
    wait_for_start(&host, &moved);
    let inside = host.processes().into_iter().filter(|it| it.cgroup == run.cgroup).count();
    assert!(inside >= 4, "sudo, what it runs, and two that moved there: {inside}");
    end_with(&host, &sudo, &moved);
    assert!(runs(&host, "/usr/bin/sleep 881"), "what another grant covers goes on");
    login.kill();
}

fn what_leaves_for_a_group_of_the_hosts_ends_in_each_of_the_persons_logins(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 16s --sudo --command ALL");
    host.drop_in();
    let away = "setsid -f";
    let moved = "echo $$ > /sys/fs/cgroup/elsewhere/cgroup.procs; exec setsid -f";
    host.ok("mkdir /sys/fs/cgroup/elsewhere");
    host.write(
        "/tmp/scope",
        format!("exec systemd-run --quiet --scope sh -c '{away} sleep 891 </dev/null >/dev/null 2>&1'\n"),
    );
    host.write("/tmp/group", format!("{moved} sleep 892 </dev/null >/dev/null 2>&1\n"));
    let keep = "cp /usr/bin/perl /usr/local/bin/planted && chmod 4755 /usr/local/bin/planted";
    host.write(
        "/tmp/later.pl",
        format!("$< = $> = 0; exec 'sh', '-c', '{moved} sleep 893 </dev/null >/dev/null 2>&1';\n"),
    );
    let mut first = host.ssh_stay("alice", "-T");
    first.send("sudo -n true; sleep 1000\n");
    host.ssh("alice", "sudo -n sh /tmp/scope").expect_ok("in a second login");
    host.ssh("alice", "sudo -n sh /tmp/group").expect_ok("in a third one");
    host.ssh("alice", &format!("sudo -n sh -c '{keep}'")).expect_ok("in a fourth one");
    // In a login that ran no sudo.
    let mut later = host.ssh_stay("alice", "-T");
    later.send("planted -U /tmp/later.pl; echo left; sleep 1000\n");
    wait_for("a login that used what was left", SOON, || later.stdout().contains("left").then_some(()));
    let left = ["sleep 891", "sleep 892", "sleep 893"];
    wait_for_start(&host, &left);
    assert!(host.processes().iter().filter(|it| it.cgroup.ends_with("/elsewhere")).count() >= 2);
    end_with(&host, &sudo, &left);
    first.kill();
    later.kill();
}

fn a_namespace_of_the_persons_that_root_gave_everything_ends_with_sudo(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 14s --sudo --command ALL");
    host.drop_in();
    // unshare(CLONE_NEWUSER), before anything runs as root.
    host.write(
        "/tmp/namespace.pl",
        "syscall(272, 0x10000000) == 0 or die $!; open my $file, '>', \"/tmp/ns-$ARGV[0]\" or die; print $file $$; close $file;\n\
         select undef, undef, undef, 0.1 until -e '/tmp/mapped'; $< = $> = 0 if $ARGV[1]; exec 'sleep', $ARGV[0];\n",
    );
    let mut login = host.ssh_stay("alice", "-T");
    login.send(
        "perl /tmp/namespace.pl 841 root & perl /tmp/namespace.pl 842 & unshare --user --map-root-user sleep 843 &\n",
    );
    wait_for("the namespaces", SOON, || (host.has("/tmp/ns-841") && host.has("/tmp/ns-842")).then_some(()));
    let all = "for p in $(cat /tmp/ns-841) $(cat /tmp/ns-842); do for m in uid gid; do echo 0 0 4294967295 >/proc/$p/${m}_map; done; done; \
               touch /tmp/mapped";
    host.write("/tmp/map", format!("{all}\n"));
    host.ssh("alice", "sudo -n sh /tmp/map").expect_ok("root writes their maps");
    wait_for_start(&host, &["sleep 841", "sleep 842", "sleep 843"]);
    end_with(&host, &sudo, &["sleep 841", "sleep 842"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(&host, "sleep 843"), "a namespace of her own");
    login.kill();
}

fn a_namespace_that_root_gave_everything_ends_with_sudo_though_nothing_runs_in_it_any_more(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 14s --sudo --command ALL");
    host.drop_in();
    // unshare(CLONE_NEWUSER): what was in the namespace ends, and its child goes on in one within it (851), or it is never reaped (852).
    host.write(
        "/tmp/within.pl",
        "if (my $child = fork) { exec 'sleep', 852 if $ARGV[0] == 852; waitpid $child, 0; exit }\n\
         syscall(272, 0x10000000) == 0 or die $!; open my $file, '>', \"/tmp/ns-$ARGV[0]\" or die; print $file $$; close $file;\n\
         select undef, undef, undef, 0.1 until -e '/tmp/mapped'; exit if $ARGV[0] == 852 or fork;\n\
         syscall(272, 0x10000000) == 0 or die $!; exec 'sleep', $ARGV[0];\n",
    );
    let mut login = host.ssh_stay("alice", "-T");
    login.send(
        "perl /tmp/within.pl 851 & perl /tmp/within.pl 852 &\n\
         unshare --user --map-root-user sh -c 'unshare --user --map-root-user sleep 853 & exec sleep 854' &\n",
    );
    wait_for("the namespaces", SOON, || (host.has("/tmp/ns-851") && host.has("/tmp/ns-852")).then_some(()));
    host.write(
        "/tmp/map",
        "for p in $(cat /tmp/ns-851) $(cat /tmp/ns-852); do for m in uid gid; do echo 0 0 4294967295 >/proc/$p/${m}_map; done; done\n\
         touch /tmp/mapped\n",
    );
    host.ssh("alice", "sudo -n sh /tmp/map").expect_ok("root writes their maps");
    wait_for_start(&host, &["sleep 851", "sleep 852", "sleep 853", "sleep 854"]);
    end_with(&host, &sudo, &["sleep 851", "sleep 852"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(&host, "sleep 853") && runs(&host, "sleep 854"), "a namespace of her own within another");
    login.send("echo still here\n");
    wait_for("her shell", SOON, || login.stdout().contains("still here").then_some(()));
    login.kill();
}

fn a_connection_that_root_left_behind_is_root_no_more(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 5m --sudo --command ALL");
    host.drop_in();
    // It leaves the run and all of root's rights, and keeps a connection that root made.
    host.write(
        "/tmp/kept.pl",
        "use IO::Socket::UNIX; use POSIX;\n\
         my $s = IO::Socket::UNIX->new(Peer => '/run/curfew/io.curfew.Agent') or die;\n\
         open my $c, '<', '/proc/self/cgroup'; my ($own) = map { m{^0::(.*?)(?:/curfew-run.*)?$} } <$c>;\n\
         open my $g, '>', \"/sys/fs/cgroup$own/cgroup.procs\" or die; print $g $$; close $g;\n\
         exit if fork; setsid; $) = '1001 1001'; POSIX::setgid(1001); POSIX::setuid(1001);\n\
         open STDOUT, '>', '/tmp/answer'; $| = 1; open STDERR, '>&', STDOUT; open STDIN, '<', '/dev/null';\n\
         for (1 .. 600) { select undef, undef, undef, 0.1; last if -e '/tmp/now' }\n\
         syswrite $s, qq({\"method\":\"io.curfew.Agent.Grant\",\"parameters\":{\"user\":\"alice\",\"seconds\":600,\"login\":{},\"sudo\":{\"commands\":[\"ALL\"],\"run_as\":[\"root\"]},\"reason\":\"kept\"}}\\0);\n\
         sysread $s, my $answer, 65536; print $answer, \"\\n\"; print \"over\\n\";\n",
    );
    let mut login = host.ssh_stay("alice", "-T");
    login.send("sudo -n perl /tmp/kept.pl; echo through\n");
    wait_for("the run to be over", SOON, || login.stdout().contains("through").then_some(()));
    host.ok(&format!("curfew revoke {}", sudo.id));
    host.ok("touch /tmp/now");
    let answer = wait_for("an answer", SOON, || {
        let answer = host.run("cat /tmp/answer").stdout;
        answer.contains("over").then_some(answer)
    });
    assert!(!answer.contains("not_after") && (answer.contains("NotPermitted") || answer.trim() == "over"), "{answer}");
    assert!(!host.ok("curfew status").contains("kept") && host.drop_ins().is_empty());
    login.kill();
}

fn many_runs_of_sudo_leave_nothing_to_remember(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 5m --sudo --command ALL");
    host.drop_in();
    let mut login = host.ssh_stay("alice", "-T");
    login.send("for i in $(seq 60); do sudo -n sh -c \"exit $i\" </dev/null; done; echo through\n");
    wait_for("sixty runs", SOON, || login.stdout().contains("through").then_some(()));
    wait_for("all but one trace to go", SOON, || {
        (host.ok("ls /run/curfew/open | grep -c ^run-").trim() == "1").then_some(())
    });
    assert_eq!(host.run("find /sys/fs/cgroup -name 'curfew-run-*' | wc -l").stdout.trim(), "0");
    login.close_input();
    // What they left may run in her next login. One trace tells to look for it, however many logins there are.
    for _ in 0..3 {
        host.ssh("alice", "sudo -n true").expect_ok("another login");
    }
    wait_for("the traces of logins that are over to go", SOON, || {
        (host.run("ls /run/curfew/open | wc -l").stdout.trim() == "1").then_some(())
    });
    host.ok(&format!("curfew revoke {}", sudo.id));
    wait_for("the last trace to go", SOON, || host.run("ls /run/curfew/open").stdout.is_empty().then_some(()));
}

/// The very program, and not the sudo that runs it.
fn runs_itself(host: &Host, command: &str) -> bool {
    host.processes().iter().any(|process| process.command == command)
}

fn wait_for_themselves(host: &Host, commands: &[&str]) {
    wait_for(&format!("{commands:?}"), SOON, || commands.iter().all(|it| runs_itself(host, it)).then_some(()));
}

fn a_run_within_another_persons_ends_with_that_ones_grant(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let bobs = host.grant("bob --for 5m --login --sudo --command ALL");
    let alices = host.grant("alice --for 20s --sudo --command ALL --run-as root --run-as bob");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    let mut login = host.ssh_stay("alice", "-T");
    let mut of_bob = host.ssh_stay("bob", "-T");
    // Below the run around it, left alone by that, and behind root's su.
    host.write("/tmp/left", "setsid -f sudo -n sleep 922 </dev/null >/dev/null 2>&1\n");
    login.send("sudo -n -u bob sudo -n sleep 921 </dev/null >/dev/null 2>&1 &\n");
    login.send("sudo -n -u bob sh /tmp/left </dev/null\n");
    login.send("sudo -n su bob -c 'sudo -n sleep 923' </dev/null >/dev/null 2>&1 &\n");
    of_bob.send("sudo -n sleep 924 </dev/null >/dev/null 2>&1 &\n");
    let within = ["sleep 921", "sleep 922", "sleep 923"];
    wait_for_themselves(&host, &within);
    wait_for_themselves(&host, &["sleep 924"]);
    let permitted = |command: &str| {
        host.audited("sudo.permitted", |record| record["command"] == format!("sudo -n {command}").as_str())
    };
    for command in within {
        let record = permitted(command);
        assert!(record["user"] == "bob" && record["grant"] == bobs.id.as_str(), "{record}");
        assert_eq!(record["actor"], "alice", "{record}");
        let until = record["not_after"].as_str().and_then(|end| end.parse().ok());
        assert_eq!(until, Some(alices.not_after), "{record}");
    }
    assert!(permitted("sleep 924")["actor"].is_null());
    host.ok("systemctl restart curfewd");
    end_with(&host, &alices, &within);
    for command in within {
        let ended =
            host.audited("sudo.terminated", |record| record["command"] == format!("sudo -n {command}").as_str());
        assert!(ended["user"] == "bob" && ended["actor"] == "alice" && ended["survivors"] == "0", "{ended}");
        assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains(alices.id.as_str())), "{ended}");
    }
    wait_for("all of them to be dead", SOON, || (!within.iter().any(|it| runs(&host, it))).then_some(()));
    assert!(runs_itself(&host, "sleep 924"), "bob's own, in a login of his own");
    login.send("echo still here\n");
    wait_for("alice's login to go on", SOON, || login.stdout().contains("still here").then_some(()));
    login.kill();
    of_bob.kill();
}

fn a_run_around_another_persons_outlives_that_one(release: Release) {
    let host = host(release);
    let _login = host.grant("alice --for 5m --login");
    let alices = host.grant("alice --for 5m --sudo --command ALL --run-as bob");
    let bobs = host.grant("bob --for 12s --sudo --command ALL");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    let mut login = host.ssh_stay("alice", "-T");
    host.write("/tmp/around", "sudo -n sleep 931 &\nsleep 932\n");
    login.send("sudo -n -u bob sh /tmp/around </dev/null >/dev/null 2>&1 &\n");
    wait_for_themselves(&host, &["sleep 931", "sleep 932"]);
    let ended = end_with(&host, &bobs, &["sleep 931"]);
    assert!(ended["user"] == "bob" && ended["actor"] == "alice", "{ended}");
    assert!(!ended["reason"].to_string().contains(alices.id.as_str()), "{ended}");
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs_itself(&host, "sleep 932"), "alice's own run goes on");
    host.ok(&format!("curfew revoke {}", alices.id));
    wait_for("the end of alice's run", SOON, || (!runs(&host, "sleep 932")).then_some(()));
    login.kill();
}
