//! Writes the sample definitions of the registry, as Grasshopper would have saved them.
//!
//! `cargo run -p contract --example author -- registry/contracts` overwrites every definition file below that folder, and the one
//! that `new-app --blank` begins with.
//! The output depends on nothing but this source: no clock, no random ids. A test keeps the files equal to it.

mod definitions;

use std::{env, fs, io, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let Some(root) = env::args_os().nth(1).map(PathBuf::from) else {
        report(&format_args!("usage: author FOLDER, for instance registry/contracts"));
        return ExitCode::from(2);
    };
    for definition in definitions::all().into_iter().chain([definitions::blank()]) {
        let file = root.join(definition.file);
        let written =
            file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, &definition.bytes));
        match written {
            Ok(()) => report(&format_args!("wrote {} ({} bytes)", file.display(), definition.bytes.len())),
            Err(error) => {
                report(&format_args!("cannot write {}: {error}", file.display()));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// One line for the person at the terminal; a closed terminal is no reason to fail.
fn report(line: &std::fmt::Arguments<'_>) {
    use io::Write as _;
    let _closed = writeln!(io::stderr(), "{line}");
}
