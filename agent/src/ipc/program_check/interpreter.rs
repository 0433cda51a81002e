//! The `#!` of a script, as execve(2) reads it: which program runs instead of it, and with which argument.

/// How much of a file says what runs it. Kernels before 5.1 read no more of a first line; a name that ends later is another one there.
pub const READ: u64 = 127;

/// What the first line of a script says.
#[derive(Debug, Eq, PartialEq)]
pub struct Interpreter {
    /// The program that runs in the script's stead.
    pub path: String,
    /// What else the line has: one argument to the kernel, and several to `env -S`.
    pub argument: String,
}

/// What runs a file with this beginning, of [`READ`] bytes at most: nothing but itself, or an interpreter.
///
/// # Errors
///
/// Why that can't be told for certain.
pub fn named_in(beginning: &[u8]) -> Result<Option<Interpreter>, String> {
    let Some(rest) = beginning.strip_prefix(b"#!") else { return Ok(None) };
    let end = rest.iter().position(|&byte| byte == b'\n');
    let line = std::str::from_utf8(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
    let line = line.ok().filter(|line| !line.contains(|it: char| it.is_control() && it != '\t'));
    let line = line.ok_or("its first line is no plain text")?.trim_matches([' ', '\t']);
    let is_whole = end.is_some() || (beginning.len() as u64) < READ;
    let (path, argument) = match line.split_once([' ', '\t']) {
        Some((path, argument)) => (path, argument.trim_start_matches([' ', '\t'])),
        None => (line, ""),
    };
    if !is_whole {
        return Err(format!("its first line has more than {READ} bytes"));
    }
    if !path.starts_with('/') {
        return Err("its first line names no interpreter by its whole path".into());
    }
    Ok(Some(Interpreter { path: path.into(), argument: argument.into() }))
}

impl Interpreter {
    /// The files that its argument names by their whole paths.
    ///
    /// # Errors
    ///
    /// That it is env(1), and what that starts can't be told.
    pub fn files(&self) -> Result<impl Iterator<Item = &str>, String> {
        let mut words = self.argument.split([' ', '\t']).peekable();
        if self.path.rsplit('/').next() == Some("env") {
            // Found by `secure_path`, where it is a name.
            let first = match self.argument.strip_prefix("-S") {
                Some(split) => split.trim_start_matches([' ', '\t']).split([' ', '\t']).next().unwrap_or_default(),
                None => words.peek().copied().unwrap_or_default(),
            };
            let is_name = !first.is_empty() && !first.starts_with('-') && !first.contains(['/', '=']);
            let is_plain = !self.argument.contains(['\'', '"', '\\', '$', '#']);
            if !is_plain || !(is_name || first.starts_with('/')) {
                return Err(format!("what its first line starts by {} can't be told", self.path));
            }
        }
        // `-S/bin/sh`
        let words = words.map(|word| word.strip_prefix("-S").unwrap_or(word));
        Ok(words.filter(|word| word.starts_with('/')))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_read_as_the_kernel_does() {
        let read = |text: &str| named_in(text.as_bytes()).unwrap().map(|it| (it.path, it.argument));
        let is = |path: &str, argument: &str| Some((path.to_owned(), argument.to_owned()));
        assert_eq!(read("#!/bin/sh\necho\n"), is("/bin/sh", ""));
        assert_eq!(read("#! \t/bin/sh -e \t\n"), is("/bin/sh", "-e"));
        assert_eq!(read("#!/usr/bin/env -S perl  -w"), is("/usr/bin/env", "-S perl  -w"));
        for text in ["", "#", "echo", "\x7fELF", " #!/bin/sh"] {
            assert_eq!(read(text), None);
        }
        let long = format!("#!/{}", "a".repeat(124));
        assert_eq!(long.len() as u64, READ);
        let odd: [&[u8]; 8] = [
            b"#!",
            b"#!\n/bin/sh",
            b"#!sh\n",
            b"#!./sh",
            b"#!/bin/sh\0x\n",
            b"#!/bin/\xff\n",
            b"#!/bin/sh\r\n",
            long.as_bytes(),
        ];
        for text in odd {
            assert!(named_in(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn files_in_the_argument_are_named_and_env_starts_a_name_or_a_file() {
        let files = |path: &str, argument: &str| {
            let it = Interpreter { path: path.into(), argument: argument.into() };
            it.files().map(|files| files.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(files("/bin/sh", "-e").unwrap(), [""; 0]);
        assert_eq!(files("/bin/sh", "/home/alice/own").unwrap(), ["/home/alice/own"]);
        assert_eq!(files("/usr/bin/env", "python3").unwrap(), [""; 0]);
        assert_eq!(files("/usr/bin/env", "-S python3 -u").unwrap(), [""; 0]);
        assert_eq!(files("/usr/bin/env", "-S/home/a/x /b").unwrap(), ["/home/a/x", "/b"]);
        for argument in
            ["", "-S", "-i sh", "PATH=/home/alice sh", "-S PATH=/home/alice sh", "./own", "-S $X", "-S sh \"/home\""]
        {
            assert!(files("/usr/bin/env", argument).is_err(), "{argument}");
        }
    }
}
