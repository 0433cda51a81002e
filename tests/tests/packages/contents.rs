//! What is in the packages, and where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use curfew_tests::command::run;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(120);
/// Compressing takes its time on a busy machine.
const PACKING: Duration = Duration::from_secs(600);

/// The top of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The one package in `folder` whose name begins and ends so.
fn only(folder: &Path, begins: &str, ends: &str) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let its = paths.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begins) && name.ends_with(ends)
    });
    let its: Vec<_> = its.collect();
    let [one] = its.as_slice() else { panic!("{begins}…{ends}: {its:?}; run packaging/build") };
    one.clone()
}

/// The .deb of `target/packages` whose name begins so.
pub fn deb(begins: &str) -> PathBuf {
    only(&repository().join("target/packages"), begins, ".deb")
}

fn rpm(begins: &str) -> PathBuf {
    only(&repository().join("target/packages"), begins, ".rpm")
}

/// The files of a .deb.
pub fn unpacked(package: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder.path()), SOON).expect_ok("dpkg-deb");
    folder
}

/// As `x86_64-linux-gnu`.
pub fn multiarch() -> String {
    run(Command::new("dpkg-architecture").args(["--query", "DEB_HOST_MULTIARCH"]), SOON).expect_ok("dpkg-architecture")
}

/// The paths in a .deb, folders left out.
fn deb_files(package: &Path) -> BTreeSet<String> {
    let listed = run(Command::new("dpkg-deb").arg("--contents").arg(package), SOON).expect_ok("dpkg-deb");
    let files = listed.lines().filter(|line| line.starts_with('-') || line.starts_with('l'));
    let path = |line: &str| line.split_whitespace().nth(5).map(|path| path.trim_start_matches('.').to_owned());
    files.filter_map(path).collect()
}

/// The paths in an .rpm, folders left out.
fn rpm_files(package: &Path) -> BTreeSet<String> {
    let format = "[%{FILEMODES:perms} %{FILENAMES}\n]";
    let mut query = Command::new("rpm");
    query.args(["--query", "--package", "--queryformat", format]).arg(package);
    let listed = run(&mut query, SOON).expect_ok("rpm");
    let files = listed.lines().filter(|line| !line.starts_with('d'));
    files.filter_map(|line| line.split_once(' ').map(|(_, path)| path.to_owned())).collect()
}

/// With an older compiler at hand, the packages are for Enterprise Linux 9, too: glibc 2.34.
#[test]
fn the_rpms_ask_for_no_newer_glibc_than_enterprise_linux_9_has() {
    let older_compiler = run(Command::new("sh").args(["-c", "command -v gcc-11"]), SOON).success();
    for name in ["curfew-0", "curfew-server-0"] {
        let mut query = Command::new("rpm");
        query.args(["--query", "--requires", "--package"]).arg(rpm(name));
        let requires = run(&mut query, SOON).expect_ok("rpm");
        let versions = requires
            .lines()
            .filter_map(|line| line.split_once("(GLIBC_2.")?.1.split([')', '.']).next()?.parse::<u32>().ok());
        let newest = versions.max().expect("it needs glibc");
        assert!(newest <= 34 || (newest == 35 && !older_compiler), "{name} asks for glibc 2.{newest}");
    }
}

#[test]
fn both_kinds_of_package_hold_the_same_but_for_where_a_distribution_wants_it() {
    let multiarch = multiarch();
    for name in ["curfew", "curfew-server"] {
        let in_deb: BTreeSet<_> = deb_files(&deb(&format!("{name}_")))
            .into_iter()
            .map(|path| path.replace(&format!("/usr/lib/{multiarch}/"), "/usr/lib64/"))
            .map(|path| path.replace("/zsh/vendor-completions/", "/zsh/site-functions/"))
            .filter(|path| !path.contains("/lintian/") && !path.ends_with("/copyright") && !path.contains("/changelog"))
            .collect();
        let in_rpm: BTreeSet<_> = rpm_files(&rpm(&format!("{name}-0")))
            .into_iter()
            .filter(|path| !path.starts_with("/usr/share/licenses/"))
            .collect();
        assert_eq!(in_deb, in_rpm);
    }
}

#[test]
fn every_unit_of_the_repository_is_in_a_package() {
    let agent = deb_files(&deb("curfew_"));
    let server = deb_files(&deb("curfew-server_"));
    let units = fs::read_dir(repository().join("systemd")).expect("units");
    let units: BTreeSet<_> = units
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".conf") && !name.ends_with(".catalog"))
        .map(|name| format!("/usr/lib/systemd/system/{name}"))
        .collect();
    assert!(units.len() > 4);
    let packed: BTreeSet<_> =
        agent.union(&server).filter(|path| path.starts_with("/usr/lib/systemd/system/")).cloned().collect();
    assert_eq!(packed, units);
}

#[test]
fn an_upgrade_keeps_every_file_that_an_administrator_may_have_changed() {
    for (name, kept) in [
        ("curfew", &["/etc/curfew/agent.toml", "/etc/curfew/exempt"][..]),
        ("curfew-server", &["/etc/curfew/server.toml"]),
    ] {
        let mut conffiles = Command::new("sh");
        conffiles.args(["-c", "dpkg-deb --ctrl-tarfile \"$0\" | tar --extract --to-stdout ./conffiles"]);
        conffiles.arg(deb(&format!("{name}_")));
        let conffiles = run(&mut conffiles, SOON).expect_ok("conffiles");
        assert_eq!(conffiles.lines().collect::<BTreeSet<_>>(), kept.iter().copied().collect());
        // 17: a configuration file that is not replaced, RPMFILE_CONFIG and RPMFILE_NOREPLACE.
        let mut flags = Command::new("rpm");
        flags.args(["--query", "--package", "--queryformat", "[%{FILEFLAGS} %{FILENAMES}\n]"]);
        let flags = run(flags.arg(rpm(&format!("{name}-0"))), SOON).expect_ok("rpm");
        let configuration: BTreeSet<_> = flags.lines().filter_map(|line| line.strip_prefix("17 ")).collect();
        assert_eq!(configuration, kept.iter().copied().collect());
    }
}

#[test]
fn lintian_finds_nothing_that_is_not_explained() {
    for name in ["curfew_", "curfew-server_"] {
        let mut lintian = Command::new("lintian");
        // As root it says that it should not run as root.
        lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]).arg(deb(name));
        let output = run(&mut lintian, SOON);
        assert!(output.success(), "{output:#?}");
    }
    for package in ["curfew", "curfew-server"] {
        let overrides = fs::read_to_string(repository().join("packaging/lintian").join(package)).expect("overrides");
        let mut explained = false;
        for line in overrides.lines() {
            assert!(line.starts_with('#') || explained || line.is_empty(), "{package}: nothing explains {line:?}");
            explained = line.starts_with('#') || (explained && !line.is_empty());
        }
    }
}

#[test]
fn rpmlint_finds_nothing_that_is_not_explained() {
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.arg("--strict").arg("--config").arg(repository().join("packaging/rpm/rpmlint.toml"));
    let output = run(rpmlint.args([rpm("curfew-0"), rpm("curfew-server-0")]), SOON);
    assert!(output.success(), "{output:#?}");
}

/// Where the programs are in an unpacked .deb.
fn programs() -> Vec<(TempDir, PathBuf)> {
    let module = format!("usr/lib/{}/security/pam_curfew.so", multiarch());
    let agent = ["usr/bin/curfew", "usr/sbin/curfewd", module.as_str()].map(|path| ("curfew_", path.to_owned()));
    let all = agent.into_iter().chain([("curfew-server_", "usr/bin/curfew-server".to_owned())]);
    let unpack = |(package, path): (&str, String)| {
        let files = unpacked(&deb(package));
        let path = files.path().join(path);
        (files, path)
    };
    all.map(unpack).collect()
}

#[test]
fn every_program_names_its_libraries_and_their_versions() {
    // What cargo-auditable writes: JSON, packed by zlib, in a section of its own.
    const READ: &str = "import json, sys, zlib; bill = json.loads(zlib.decompress(sys.stdin.buffer.read())); \
                        print('\\n'.join(it['name'] + ' ' + it['version'] for it in bill['packages']))";
    for (_files, path) in programs() {
        let mut read = Command::new("sh");
        read.args(["-c", "objcopy --dump-section .dep-v0=/dev/stdout \"$0\" /dev/null | python3 -c \"$1\""]);
        let listed = run(read.arg(&path).arg(READ), SOON).expect_ok(&path.display().to_string());
        for known in ["curfew-protocol 0.1.0", "serde_json 1."] {
            assert!(listed.lines().any(|line| line.starts_with(known)), "{}: {listed}", path.display());
        }
    }
}

#[test]
fn no_program_tells_where_it_was_built() {
    let home = std::env::var("HOME").unwrap_or_default();
    let here = repository().canonicalize().expect("the repository");
    for (_files, path) in programs() {
        let bytes = fs::read(&path).expect("a program");
        for folder in [format!("{home}/.cargo"), here.display().to_string()] {
            let found = bytes.windows(folder.len()).position(|window| window == folder.as_bytes());
            let around = found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 100).min(bytes.len())]).into_owned());
            assert_eq!(around, None, "{}", path.display());
        }
    }
}

/// The rest of the command lines makes its own pages.
#[test]
fn the_agents_page_that_is_written_by_hand_has_every_option() {
    let files = unpacked(&deb("curfew_"));
    let help = run(Command::new(files.path().join("usr/sbin/curfewd")).arg("--help"), SOON).expect_ok("curfewd --help");
    let page =
        run(Command::new("zcat").arg(files.path().join("usr/share/man/man8/curfewd.8.gz")), SOON).expect_ok("zcat");
    let page = page.replace('\\', "");
    let options: Vec<_> = help.split([' ', '\n', ',']).filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 3, "{help}");
    for option in options {
        assert!(page.contains(option), "{option}");
    }
}

#[test]
fn packing_again_gives_the_same_bytes() {
    let again = tempfile::tempdir().expect("a folder");
    let mut build = Command::new(repository().join("packaging/build"));
    run(build.args(["--again", "--into"]).arg(again.path()), PACKING).expect_ok("packaging/build --again");
    let packed = fs::read_dir(again.path()).expect("packages").map(|entry| entry.expect("an entry").path());
    let mut count = 0;
    for path in packed {
        let first = repository().join("target/packages").join(path.file_name().expect("a name"));
        assert!(fs::read(&first).expect("a package") == fs::read(&path).expect("a package"), "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 4);
}
