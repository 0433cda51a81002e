//! On hosts whose kernel confines programs: SELinux in enforcing mode with the distribution's policy and our module, and AppArmor with the
//! profiles that the distribution has. In virtual machines, whose kernels are their own.

use std::time::Duration;

use curfew_tests::command::Output;
use curfew_tests::vm::{Guard, Script};
use curfew_tests::{Grant, Release, Vm, assert_refused, wait_for};
use jiff::SignedDuration;
use serde_json::Value;

in_virtual_machines! {
    under_selinux_people_get_in_by_grants_alone_and_are_gone_at_their_end: bookworm Bookworm, trixie Trixie;
    without_our_selinux_module_the_doctor_says_how_to_load_it_and_nothing_is_wired_before: trixie Trixie;
    the_rpm_loads_our_selinux_module_and_takes_it_away: bookworm Bookworm;
    under_selinux_a_confined_user_reaches_neither_pams_socket_nor_the_state_whatever_their_modes: bookworm Bookworm, trixie Trixie;
    under_apparmor_nothing_of_ours_is_denied: trixie Trixie;
}

const PATIENCE: Duration = Duration::from_secs(120);
/// How long an emulated machine may take to load a policy.
const LOADING: Duration = Duration::from_secs(400);
/// Outlives everything but SIGKILL.
const STUBBORN: &str = "trap '' TERM HUP; while :; do sleep 1; done";

fn machine(release: Release, guard: Guard) -> Vm {
    let mut vm = Vm::builder(release).guard(guard).boot();
    vm.reconfigure("grace = \"0s\"");
    vm
}

/// The security context of a process, by the name of its program.
fn context(vm: &mut Vm, program: &str) -> String {
    vm.ok(&format!("tr -d '\\0' </proc/$(pgrep --oldest --exact {program})/attr/current"))
}

/// As root in a login of theirs: what the machine runs for a test may read no journal under some policies.
fn as_root(vm: &mut Vm, script: &str) -> Output {
    vm.ssh("root", script)
}

/// What the kernel, PID 1 and the message bus denied to or about anything of ours.
fn denials(vm: &mut Vm) -> Vec<String> {
    let journal = as_root(vm, "journalctl --no-pager --output=cat --boot").expect_ok("the journal");
    assert!(journal.contains("audit:") || journal.contains("apparmor"), "nothing of the kernel's in it");
    let denied = journal.lines().filter(|line| line.contains("avc:  denied") || line.contains("apparmor=\"DENIED\""));
    let ours = denied.filter(|line| line.contains("curfew"));
    ours.map(str::to_owned).collect()
}

fn nothing_was_denied(vm: &mut Vm) {
    let denials = denials(vm);
    assert!(denials.is_empty(), "denied:\n{}", denials.join("\n"));
}

/// Somebody in a session of theirs, with a root shell beside it.
struct Session {
    user: &'static str,
    grant: Grant,
    _clients: [Script; 2],
}

impl Session {
    /// Gives `user` login and sudo for a while, and opens both.
    fn open(vm: &mut Vm, user: &'static str) -> Self {
        let grant = vm.grant(&format!("{user} --for 1h --login --sudo --command ALL"));
        let stays = vm.ssh_stay_and_run(user, &format!("touch /tmp/{user}; {STUBBORN}"));
        let root = vm.ssh_stay_and_run(
            user,
            &format!("exec sudo -n bash -c \"touch /etc/cron.d/{user}; touch /tmp/root-{user}; {STUBBORN}\""),
        );
        wait_for("the session and the root shell", PATIENCE, || {
            vm.run(&format!("test -e /tmp/{user} && test -e /tmp/root-{user}")).success().then_some(())
        });
        assert!(!vm.ok("ls /run/curfew/sudoers.d").is_empty(), "no rules for sudo");
        Self { user, grant, _clients: [stays, root] }
    }

    /// Sets the clock to right before its end, and waits for that; everything is closed then.
    fn ends(self, vm: &mut Vm) {
        let left = self.grant.not_after.duration_since(vm.clocks().realtime);
        vm.step_clock(left - SignedDuration::from_secs(10));
        vm.wait_clock(self.grant.not_after);
        let user = self.user;
        wait_for("the session and the root shell to be dead", PATIENCE, || {
            vm.run(&format!("! pgrep --euid {user} && ! pgrep --full [r]oot-{user}")).success().then_some(())
        });
        assert_eq!(vm.ok("ls -A --ignore='curfew+*' /run/curfew/sudoers.d"), "", "rules for sudo are left");
    }
}

fn under_selinux_people_get_in_by_grants_alone_and_are_gone_at_their_end(release: Release) {
    let mut vm = machine(release, Guard::Selinux);
    assert_eq!(vm.ok("getenforce"), "Enforcing");
    assert_eq!(context(&mut vm, "curfewd"), "system_u:system_r:curfewd_t:s0");
    let sshd = context(&mut vm, "sshd");
    assert!(sshd.contains(":sshd_t:"), "{sshd}");

    assert_refused(&vm.ssh("alice", "id"));
    for user in ["root", "ops"] {
        assert_eq!(vm.ssh(user, "id -un").expect_ok("an exempt login"), user);
    }
    // She is unconfined, as is usual, and he is not: his sudo has a domain of its own.
    let alice = Session::open(&mut vm, "alice");
    let why = vm.ssh("alice", "id -Z; curfew status --json; sudo -n id -u");
    assert!(why.stdout.starts_with("unconfined_u:") && why.stdout.ends_with("\n0\n"), "{why:#?}");
    assert!(why.stdout.contains(&alice.grant.id), "{why:#?}");
    alice.ends(&mut vm);
    vm.audited("session.terminated", |record| record["user"] == "alice" && record["survivors"] == "0");
    vm.audited("residue.found", |record| record["residue"].to_string().contains("/etc/cron.d/alice"));
    assert_refused(&vm.ssh("alice", "id"));

    // With the agent dead, PID 1 has the sweep end it, in the agent's domain.
    let bob = Session::open(&mut vm, "bob");
    assert!(vm.ssh("bob", "id -Z").stdout.starts_with("staff_u:staff_r:staff_t:"));
    vm.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
    assert_refused(&vm.ssh("carol", "id"));
    assert_eq!(vm.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    bob.ends(&mut vm);
    vm.ok("systemctl unmask --runtime curfewd.service && systemctl start curfewd.service");
    vm.audited("session.terminated", |record| record["user"] == "bob" && record["survivors"] == "0");

    let of_the_agent = "_SELINUX_CONTEXT=system_u:system_r:curfewd_t:s0 SYSLOG_IDENTIFIER=curfewd";
    let told = as_root(&mut vm, &format!("journalctl --no-pager --output=cat {of_the_agent}")).expect_ok("the journal");
    for user in ["alice", "bob"] {
        assert!(told.lines().any(|line| line.contains(user)), "the journal has nothing of {user}:\n{told}");
    }

    // PID 1 takes the way back, too.
    vm.ok("curfew disable && curfew enable --confirm 100s");
    assert_refused(&vm.ssh("carol", "id"));
    wait_for("an undone change", PATIENCE * 2, || (!vm.run("grep -r pam_curfew /etc/pam.d").success()).then_some(()));
    assert_eq!(vm.ssh("carol", "id -un").expect_ok("undone"), "carol");
    wait_for("no change that waits", PATIENCE, || {
        vm.run("! test -e /var/lib/curfew/unconfirmed").success().then_some(())
    });
    nothing_was_denied(&mut vm);
}

fn without_our_selinux_module_the_doctor_says_how_to_load_it_and_nothing_is_wired_before(release: Release) {
    let mut vm = Vm::builder(release).guard(Guard::SelinuxAlone).boot();
    // Wired by somebody who did not look: sshd may not ask the agent. Who is exempt gets in, and nobody else.
    let _grant = vm.grant("alice --for 1h --login");
    let refused = vm.ssh("alice", "id");
    assert!(!refused.success() && refused.stderr.contains("does not answer"), "{refused:#?}");
    for user in ["root", "ops"] {
        assert_eq!(vm.ssh(user, "id -un").expect_ok("an exempt login"), user);
    }
    let denied = finding(&mut vm, "denials");
    assert!(denied["result"] == "warn" && denied["detail"].to_string().contains("name us since the boot"), "{denied}");
    assert!(denials(&mut vm).iter().any(|denial| denial.contains("io.curfew.Pam")), "{denied}");

    vm.ok("curfew disable");
    assert_eq!(vm.ssh("alice", "id -un").expect_ok("not wired"), "alice");
    let not_now = vm.run("curfew enable");
    let says = ["nothing was changed", "our module is not loaded", "semodule -i"];
    assert!(!not_now.success() && says.iter().all(|said| not_now.stderr.contains(said)), "{not_now:#?}");
    assert!(!vm.run("grep -r pam_curfew /etc/pam.d").success());

    // As it says.
    let selinux = finding(&mut vm, "selinux");
    assert_eq!(selinux["result"], "fail", "{selinux}");
    let mend = selinux["mend"].as_str().expect("a mend").to_owned();
    vm.spawn(&mend).finish(LOADING).expect_ok(&mend);
    assert_eq!(finding(&mut vm, "selinux")["result"], "pass");
    vm.ok("curfew enable");
    assert_eq!(vm.ssh("alice", "id -un").expect_ok("granted"), "alice");
    assert_refused(&vm.ssh("carol", "id"));
}

fn the_rpm_loads_our_selinux_module_and_takes_it_away(release: Release) {
    let mut vm = Vm::builder(release).guard(Guard::SelinuxAlone).boot();
    let slowly = |vm: &mut Vm, script: &str| vm.ssh_stay_and_run("root", script).finish(LOADING).expect_ok(script);
    slowly(
        &mut vm,
        "dpkg --purge curfew && ln -s /usr/lib64/security/pam_curfew.so /usr/lib/$(uname -m)-linux-gnu/security/",
    );
    slowly(&mut vm, "rpm --install --nodeps /root/curfew.rpm");
    assert_eq!(context(&mut vm, "curfewd"), "system_u:system_r:curfewd_t:s0");
    assert_eq!(finding(&mut vm, "selinux")["result"], "pass");
    vm.ok("echo ops >>/etc/curfew/exempt && curfew enable");
    let _grant = vm.grant("alice --for 1h --login");
    assert_eq!(vm.ssh("alice", "id -un").expect_ok("granted"), "alice");
    assert_refused(&vm.ssh("carol", "id"));

    slowly(&mut vm, "rpm --erase curfew");
    assert!(!as_root(&mut vm, "semodule --list-modules").expect_ok("the modules").lines().any(|it| it == "curfew"));
    assert_eq!(vm.ssh("carol", "id -un").expect_ok("erased"), "carol");
}

/// What the doctor found of one thing.
fn finding(vm: &mut Vm, name: &str) -> Value {
    let report: Value = serde_json::from_str(&as_root(vm, "curfew doctor --json").stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}")).clone()
}

fn under_selinux_a_confined_user_reaches_neither_pams_socket_nor_the_state_whatever_their_modes(release: Release) {
    let mut vm = machine(release, Guard::Selinux);
    let grant = vm.grant("carol --for 1h --login");
    let _unconfined = vm.grant("alice --for 1h --login");
    vm.ok("chmod 666 /run/curfew/io.curfew.Pam && chmod -R a+rwX /var/lib/curfew");
    assert!(vm.ssh("carol", "id -Z").stdout.starts_with("user_u:user_r:user_t:"));
    let status = vm.ssh("carol", "curfew status").expect_ok("the public socket");
    assert!(status.contains(&grant.id), "{status}");
    assert_eq!(denials(&mut vm), [""; 0]);

    for forbidden in [
        "varlink-raw /run/curfew/io.curfew.Pam </dev/null",
        "cat /var/lib/curfew/local.json",
        "echo '{}' >/var/lib/curfew/local.json",
        "ls /run/curfew/sudoers.d",
        "echo carol >>/etc/curfew/exempt",
        "kill -0 $(pgrep -x curfewd)",
    ] {
        let answer = vm.ssh("carol", forbidden);
        assert!(!answer.success(), "{forbidden}: {answer:#?}");
    }
    let denials = denials(&mut vm).join("\n");
    assert!(denials.contains("curfewd_pam_socket_t"), "PAM's socket was not denied:\n{denials}");
    // The policy keeps silent about searches. The modes would have let her, as they let somebody who is not confined.
    assert!(vm.ssh("alice", "cat /var/lib/curfew/local.json").expect_ok("by the modes").contains(&grant.id));
    assert_eq!(vm.status()["grants"].as_array().map(Vec::len), Some(2));
}

fn under_apparmor_nothing_of_ours_is_denied(release: Release) {
    let mut vm = machine(release, Guard::AppArmor);
    let status = vm.ok("aa-status --json");
    for program in ["curfewd", "sshd"] {
        assert_eq!(context(&mut vm, program), "unconfined", "{program}");
    }
    assert!(status.contains("enforce"), "no profile is in force: {status}");
    assert_refused(&vm.ssh("alice", "id"));
    let alice = Session::open(&mut vm, "alice");
    alice.ends(&mut vm);
    vm.audited("session.terminated", |record| record["user"] == "alice" && record["survivors"] == "0");
    nothing_was_denied(&mut vm);
}
