//! Whatever happens in any order: the model of `tests/src/bin/model`, in a host whose own agent is away.

use std::fs;
use std::time::Duration;

use curfew_tests::{Host, Release, report};

on_every_release! {
    whatever_happens_in_any_order_what_is_promised_holds,
}

const FOLDER: &str = "/opt/curfew-model";
const GROUP: &str = "/sys/fs/cgroup/system.slice/curfew-model.service";

/// A sequence takes a third of a second; one that fails is made shorter for a minute.
const LONGEST: Duration = Duration::from_secs(300);

/// In seconds: for the kernel, which counts the starts of processes, the host is up for longer than the model's clocks ever say. What starts is
/// younger than what they were read for before, as it is where clocks run.
const UP_FOR: u32 = 60 * 24 * 3600;

fn whatever_happens_in_any_order_what_is_promised_holds(release: Release) {
    let host = Host::boot(release);
    host.stop_agent();
    host.ok("systemctl mask --quiet curfewd.socket curfewd.service curfew-sweep.service");
    host.ok(&format!("mkdir {FOLDER} && truncate --size=24 {FOLDER}/clock"));
    host.compile("wall_clock.c", &format!("{FOLDER}/wall_clock.so"), &["-shared", "-fPIC"]);
    host.compile("stand_in.c", &format!("{FOLDER}/sshd"), &[]);
    host.ok(&format!("cp {FOLDER}/sshd {FOLDER}/run && cp {FOLDER}/sshd {FOLDER}/sudo && chmod 4755 {FOLDER}/sudo"));
    fs::copy(env!("CARGO_BIN_EXE_model"), host.path(&format!("{FOLDER}/model"))).expect("the model can be copied");

    let passed: String = std::env::vars()
        .filter(|(name, _)| name.starts_with("PROPTEST_"))
        .fold(String::new(), |passed, (name, value)| format!("{passed} {name}='{value}'"));
    let longer = if std::env::var_os("PROPTEST_CASES").is_none() { 1 } else { 100 };
    // No unit's program may have clocks of its own (capabilities(7), CAP_SYS_TIME), so this is in a control group as a unit's would be.
    let model = host.spawn(&format!(
        "mkdir {GROUP} && echo $$ > {GROUP}/cgroup.procs && exec env{passed} LD_PRELOAD={FOLDER}/wall_clock.so \
         CURFEW_MODEL_CLOCK={FOLDER}/clock unshare --time --boottime {UP_FOR} --fork --kill-child {FOLDER}/model"
    ));
    let output = model.finish(LONGEST * longer);
    assert!(output.success() && output.stdout.contains(" sequences hold"), "{}\n{}", output.stdout, output.stderr);
    report(&format!("{release}: {}", output.stdout.trim()));
}
