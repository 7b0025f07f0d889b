//! Secrets from files: `NAME_FILE` names the file that holds what `NAME` would, as Compose, systemd and orchestrators hand secrets over.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Command;

/// A connection string or a key is far shorter.
const BYTES_MAX: u64 = 64 << 10;

/// What a secret's file holds, without the line's end.
///
/// # Errors
/// When it cannot be read, is empty, no text, or larger than 64 KiB.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let unfit = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    std::fs::File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(unfit("it is larger than 64 KiB, and no secret"));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err(unfit("it is empty")) } else { Ok(secret.to_owned()) }
}

/// What `var` says of the secret `name`: the content of the file that `<name>_FILE` names. None where it names none.
///
/// # Errors
/// Why there is no secret: it cannot be read, or `name` is set, too.
pub fn of_file(name: &str, var: impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, String> {
    let named = |name: &str| var(name).filter(|value| !value.is_empty());
    let variable = format!("{name}_FILE");
    let Some(path) = named(&variable).map(PathBuf::from) else { return Ok(None) };
    if named(name).is_some() {
        return Err(format!("{name} and {variable} are both set: which of them holds?"));
    }
    read(&path).map(Some).map_err(|error| format!("{variable}: {} cannot be used: {error}", path.display()))
}

/// Where variables are looked up; a function, so that tests bring their own.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The same command, whose secrets (arguments that hide what their variable holds), and those of its commands, may come by
/// `<VARIABLE>_FILE`, too.
///
/// # Errors
/// The command as it was, and why a file cannot be used.
#[expect(clippy::result_large_err, reason = "called once, at the start, and the command goes on to say what is wrong")]
pub fn from_files(mut command: Command, var: Variables<'_>) -> Result<Command, (Command, String)> {
    let secrets: Vec<_> = command
        .get_arguments()
        .filter(|argument| argument.is_hide_env_values_set())
        .filter_map(|argument| Some((argument.get_id().clone(), argument.get_env()?.to_str()?.to_owned())))
        .collect();
    for (id, variable) in secrets {
        match of_file(&variable, var) {
            Ok(Some(secret)) => {
                command = command
                    .mut_arg(id, |argument| argument.required(false).hide_default_value(true).default_value(secret));
            }
            Ok(None) => {}
            Err(why) => return Err((command, why)),
        }
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let mut unfit = None;
        command = command.mut_subcommand(name, |sub| {
            from_files(sub, var).unwrap_or_else(|(sub, why)| {
                unfit = Some(why);
                sub
            })
        });
        if let Some(why) = unfit {
            return Err((command, why));
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let secret = Arg::new("key").long("key").env("A_KEY_OF_A_TEST").hide_env_values(true).required(true);
        Command::new("sample").arg(secret).arg(Arg::new("plain").long("plain").env("A_WORD_OF_A_TEST"))
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_is_named_and_shown_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "s3cret\n").unwrap();
        let var = |name: &str| (name == "A_KEY_OF_A_TEST_FILE").then(|| file.clone().into_os_string());
        let mut command = from_files(command(), &var).unwrap();
        let matches = command.try_get_matches_from_mut(["sample"]).unwrap();
        assert_eq!(matches.get_one::<String>("key").unwrap(), "s3cret");
        assert!(!command.render_long_help().to_string().contains("s3cret"));
        // The same for a command of a program.
        let whole = from_files(Command::new("whole").subcommand(super::tests::command()), &var).unwrap();
        let matches = whole.try_get_matches_from(["whole", "sample"]).unwrap();
        assert_eq!(matches.subcommand().unwrap().1.get_one::<String>("key").unwrap(), "s3cret");
    }

    #[test]
    fn a_file_that_holds_none_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("huge"), "x".repeat(70_000)).unwrap();
        for name in ["empty", "huge", "missing"] {
            let why = from_files(command(), &|variable| (variable == "A_KEY_OF_A_TEST_FILE").then(|| path(name)));
            let why = why.unwrap_err().1;
            assert!(why.contains("A_KEY_OF_A_TEST_FILE") && why.contains(name), "{why}");
        }
        let both = of_file("A_KEY_OF_A_TEST", |_| Some(path("empty"))).unwrap_err();
        assert!(both.contains("both set"), "{both}");
    }
}
