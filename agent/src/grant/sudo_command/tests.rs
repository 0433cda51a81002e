use super::*;

fn parse(line: &str) -> SudoCommand {
    let granted: Vec<Command> = ["/usr/bin/id", "/usr/bin/psql", "/opt/a/run", "/opt/b/run"].map(command).into();
    typed(line).command(&Place { folder: Some("/opt/a"), granted: granted.iter().collect() })
}

fn typed(line: &str) -> Typed {
    SudoCommand::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn command(text: &str) -> Command {
    text.parse().unwrap()
}

#[test]
fn the_user_to_run_as_is_found_however_it_is_written() {
    for line in [
        "sudo -u bob id",
        "sudo -ubob id",
        "sudo -nu bob id",
        "sudo --user bob id",
        "sudo --user=bob -n id",
        "sudo --us bob id",
    ] {
        assert_eq!((parse(line), typed(line).user.as_deref()), (program("id", ""), Some("bob")), "{line}");
    }
    assert_eq!(typed("sudo -p x id -u bob").user, None);
    for line in ["sudo -g ops id", "sudo -ngops id", "sudo --group=ops id", "sudo -u bob --gr ops id"] {
        assert_eq!(typed(line).group.as_deref(), Some("ops"), "{line}");
    }
    assert_eq!(typed("sudo id -g ops").group, None);
}

#[test]
fn long_arguments_hide_no_program_and_are_no_others() {
    let long = "a".repeat(100_000);
    assert_eq!(parse(&format!("sudo -p {long} /opt/a/run x")), program("/opt/a/run", "x"));
    // What they begin with is no command of its own.
    assert_eq!(parse(&format!("sudo /opt/a/run x {long}")), program("/opt/a/run", "x…"));
    assert!(command("/opt/a/run").covers("/opt/a/run", "x…") && !command("/opt/a/run x").covers("/opt/a/run", "x…"));
    assert_eq!(parse(&format!("sudo /{long}")), SudoCommand::Anything);
}

#[test]
fn the_program_has_its_name_where_more_than_it_is_wanted() {
    for (line, program) in [
        ("sudo -E /bin/rm x", Some("rm")),
        ("sudo A=b rm x", Some("rm")),
        ("sudo -i rm x", Some("rm")),
        ("sudo -i", None),
        ("sudo -e /etc/hosts", None),
        ("sudoedit /etc/hosts", None),
        ("sudo id", Some("id")),
        ("sudo -l id", None),
    ] {
        assert_eq!(typed(line).program.as_deref(), program, "{line}");
    }
}

#[test]
fn who_is_not_to_be_asked_is_told_by_sudos_own_options() {
    for line in [
        "sudo -n id",
        "sudo -nu bob id",
        "sudo -Hn id",
        "sudo -u bob -n id",
        "sudo --non-interactive id",
        "sudo --non id",
        "sudo A=b -n id",
        "sudo -nl",
        "sudo -nv",
        "sudo -ni",
        "sudoedit -n /etc/hosts",
    ] {
        assert!(typed(line).is_noninteractive, "{line}");
    }
    for line in [
        "sudo id -n",
        "sudo id",
        "sudo -un id",
        "sudo -u -n id",
        "sudo -p -n id",
        "sudo -- id -n",
        "sudo -- -n",
        "sudo --no-update id",
        "sudo -i id -n",
        "sudo -N id",
    ] {
        assert!(!typed(line).is_noninteractive, "{line}");
    }
}

fn program(path: &str, arguments: &str) -> SudoCommand {
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let paths = match path {
        "id" | "psql" => vec![format!("/bin/{path}"), format!("/usr/bin/{path}")],
        "" => Vec::new(),
        path => vec![path.to_owned()],
    };
    SudoCommand::Program { name, paths, arguments: arguments.into() }
}

#[test]
fn the_command_is_found_behind_the_options() {
    for (line, command) in [
        ("sudo id", program("id", "")),
        ("sudo -n /usr/bin/id -u root", program("id", "-u root")),
        ("sudo -u postgres psql -l", program("psql", "-l")),
        ("sudo -upostgres psql", program("psql", "")),
        ("sudo -nu postgres psql", program("psql", "")),
        ("sudo --user postgres -- psql", program("psql", "")),
        ("sudo --user=postgres psql", program("psql", "")),
        ("sudo -- id -i", program("id", "-i")),
        ("sudo -p -i id", program("id", "")),
        ("sudo -k id", program("id", "")),
        ("sudo ./a=b", program("/opt/a/a=b", "")),
        ("sudo /bin/id", program("id", "")),
        ("sudo /opt/a/run x", program("/opt/a/run", "x")),
        ("sudo ./run", program("/opt/a/run", "")),
        ("sudo //opt/./a/run", program("/opt/a/run", "")),
    ] {
        assert_eq!(parse(line), command, "{line}");
    }
}

#[test]
fn what_may_be_another_file_is_no_certain_one() {
    for line in ["sudo run", "sudo true", "sudo /opt/b/../a/run"] {
        assert!(matches!(parse(line), SudoCommand::Program { paths, .. } if paths.is_empty()), "{line}");
    }
    let all = Place { folder: None, granted: vec![&Command::All] };
    let words = ["sudo", "id"].map(str::to_owned);
    let command = SudoCommand::parse(&words).command(&all);
    assert!(matches!(command, SudoCommand::Program { paths, .. } if paths.is_empty()));
}

#[test]
fn shells_and_editors_want_everything() {
    for line in [
        "sudo -i",
        "sudo -s",
        "sudo -su root",
        "sudo -i id",
        "sudo --login",
        "sudo -e /etc/hosts",
        "sudo -ni",
        "sudoedit /etc/hosts",
        "sudo -E id",
        "sudo -nE id",
        "sudo --preserve-env=A id",
        "sudo PATH=/tmp LANG=C id",
        "sudo -- LANG=C id",
        "sudo -D /tmp ./run",
        "sudo --chroot=/srv /opt/a/run",
    ] {
        assert_eq!(parse(line), SudoCommand::Anything, "{line}");
    }
}

#[test]
fn lists_and_tickets_run_nothing() {
    for line in ["sudo -l", "sudo -nv", "sudo -k", "sudo --list", "sudo", "sudo -l id"] {
        assert_eq!(parse(line), SudoCommand::Nothing, "{line}");
    }
}
