//! What AppServer's programs have in common as processes: they take secrets from files, check their own health, so that an image
//! needs neither a shell nor `curl`, and let operators change which log lines they write.
//!
//! Invariant: a secret is in no text that this crate gives.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches};

pub mod health;
pub mod operators;
pub mod secret;

pub use health::Health;

/// What a program was called to do.
#[derive(Debug)]
pub enum Called<C> {
    /// What it is for.
    Run(C),
    /// `health` was asked, and has been answered.
    Asked(ExitCode),
}

/// Reads the command line of a program that listens at `--listen`, or at its address with `--port`: secrets also from files, and beside what
/// the program is for the command `health`. Ends the process where the line is wrong, as clap does.
pub fn called<C: CommandFactory + FromArgMatches>() -> Called<C> {
    let matches = matches(with_health(C::command()));
    if let Some(("health", asked)) = matches.subcommand() {
        let health = Health::from_arg_matches(asked).unwrap_or_else(|error| error.exit());
        return Called::Asked(health.run(listen(&matches)));
    }
    C::from_arg_matches(&matches).map_or_else(|error| error.exit(), Called::Run)
}

/// Reads the command line of a program with commands of its own, secrets also from files. Ends the process where the line is wrong.
pub fn parsed<C: CommandFactory + FromArgMatches>() -> C {
    C::from_arg_matches(&matches(C::command())).unwrap_or_else(|error| error.exit())
}

fn matches(command: Command) -> ArgMatches {
    match secret::from_files(command, &|name| std::env::var_os(name)) {
        Ok(command) => command.get_matches(),
        Err((mut command, why)) => command.error(clap::error::ErrorKind::Io, why).exit(),
    }
}

fn with_health(command: Command) -> Command {
    let health = Health::augment_args(Command::new("health").about(health::ABOUT));
    command.subcommand_negates_reqs(true).subcommand(health)
}

/// Where the program listens by this line and its environment.
fn listen(matches: &ArgMatches) -> SocketAddr {
    let mut listen = match matches.try_get_one::<SocketAddr>("listen") {
        Ok(Some(listen)) => *listen,
        Ok(None) | Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    if let Ok(Some(port)) = matches.try_get_one::<u16>("port") {
        listen.set_port(*port);
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Sample {
        #[arg(long, env = "SAMPLE_LISTEN_OF_A_TEST", default_value = "127.0.0.1:3001")]
        listen: SocketAddr,
        #[arg(long)]
        port: Option<u16>,
        #[arg(long)]
        needed: String,
    }

    #[test]
    fn health_asks_where_the_program_listens_and_needs_nothing_else() {
        let at = |line: &[&str]| listen(&with_health(Sample::command()).try_get_matches_from(line).unwrap());
        assert_eq!(at(&["sample", "health"]).to_string(), "127.0.0.1:3001");
        assert_eq!(at(&["sample", "--listen", "0.0.0.0:80", "health", "--live"]).to_string(), "0.0.0.0:80");
        assert_eq!(at(&["sample", "--port", "81", "health"]).to_string(), "127.0.0.1:81");
        let refused = with_health(Sample::command()).try_get_matches_from(["sample"]).unwrap_err();
        assert!(refused.to_string().contains("--needed"), "{refused}");
    }
}
