//! The command line: one file a command, one exit code a kind of outcome.
//!
//! Invariant: data goes to standard output, talk to standard error; `--json` makes the data JSON.

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Flags, ProcessEnvironment, Settings};
use crate::telemetry;

mod alias;
mod breaking;
mod can_roll;
mod check;
mod client;
mod completions;
mod config_command;
mod dev;
mod diff;
mod doctor;
mod explain;
mod findings;
mod health;
mod import;
mod inspect;
mod job;
mod key;
mod load;
mod log_level;
mod man;
mod matrix;
mod migrate;
mod new_app;
mod new_version;
mod node;
mod schema;
mod serve;
mod top;
mod watch;

/// Run Grasshopper definitions as versioned products, in front of Rhino.Compute.
#[derive(Debug, Parser)]
#[command(name = "appserver", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Global {
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Read settings from this file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this computer, with a stand-in for Rhino.Compute (the default).
    Dev(dev::Args),
    /// Run the gateway.
    Serve(serve::Args),
    /// Tell all that is wrong with a registry, an app or a version.
    Check(check::Args),
    /// Tell what a version breaks for the callers of another, and whether its number says so.
    Breaking(breaking::Args),
    /// Tell whether an alias may move to a version.
    CanRoll(can_roll::Args),
    /// Tell what differs between two versions or two Grasshopper files, in meaning.
    Diff(diff::Args),
    /// Tell what an error code or a rule means, and what to do.
    Explain(explain::Args),
    /// Tell what Rhino.Compute will see in a Grasshopper file.
    Inspect(inspect::Args),
    /// Make an app of a Grasshopper file: its whole folder, checked.
    NewApp(new_app::Args),
    /// Make the next version of an app, from its latest and perhaps another Grasshopper file.
    NewVersion(new_version::Args),
    /// Make apps of a folder of Grasshopper files.
    Import(import::Args),
    /// Show where an app's aliases lead, lead one elsewhere, take the last move back.
    Alias(alias::Args),
    /// Show which version can be solved on which node, and why not.
    Matrix(matrix::Args),
    /// Tell why it does not work here: settings, this computer, and all that they lead to.
    Doctor(doctor::Args),
    /// Watch a running gateway at work: seats, rates, cache, times and failures of each app, and its nodes.
    Top(top::Args),
    /// Show the nodes of a running gateway, drain one, take it back.
    Node(node::Args),
    /// Show or change which log lines a running gateway writes.
    LogLevel(log_level::Args),
    /// Follow what happens to a running gateway's registry.
    Watch(watch::Args),
    /// Print the JSON Schema of a file of the registry.
    Schema(schema::Args),
    /// Show each setting and where its value came from.
    Config,
    /// Send solves to a gateway, and tell how it took them.
    Load(load::Args),
    /// Write a client of one version: a small file in your language that needs nothing else.
    Client(client::Args),
    /// Show and change jobs of a tenant in an app.
    Job(job::Args),
    /// Bring a job database to this binary's schema, and admit tenants to their apps.
    Migrate(migrate::Args),
    /// Ask the gateway of this computer whether it is ready: for the health checks of containers.
    Health(health::Args),
    /// Make a service key, and the entry for tenants.json.
    Key(key::Args),
    /// Print what makes a shell complete this command.
    Completions(completions::Args),
    /// Print the manual page, or write all of them.
    Man(man::Args),
}

const EXIT_CODES: &str = "\
Exit codes:
    0  done, or yes
    1  the answer is no, or the operation failed
    2  wrong usage
    3  reached, but not ready or degraded
    4  no such thing
    5  not allowed
    6  not reachable, or timed out
  100  findings in your files
  130  interrupted";

/// How a command ended. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    NotReady = 3,
    NoSuchThing = 4,
    Unreachable = 6,
    Findings = 100,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the command, and tells what went wrong if it did.
pub fn run(cli: Cli) -> Exit {
    let _flushed = telemetry::Flushed;
    let Global { json, config } = cli.global;
    let outcome = match cli.command.unwrap_or_else(|| Command::Dev(dev::Args::default())) {
        Command::Dev(args) => dev::run(&args, config),
        Command::Serve(args) => serve::run(&args, config),
        Command::Check(args) => check::run(&args, json, config),
        Command::Breaking(args) => breaking::run(&args, json, config),
        Command::CanRoll(args) => can_roll::run(&args, json, config),
        Command::Diff(args) => diff::run(&args, json, config),
        Command::Explain(args) => explain::run(&args, json),
        Command::Inspect(args) => inspect::run(&args, json),
        Command::NewApp(args) => new_app::run(&args, json, config),
        Command::NewVersion(args) => new_version::run(&args, json),
        Command::Import(args) => import::run(&args, json, config),
        Command::Alias(args) => alias::run(&args, json),
        Command::Matrix(args) => matrix::run(&args, json),
        Command::Doctor(args) => doctor::run(&args, json, config),
        Command::Top(args) => top::run(&args, json),
        Command::Node(args) => node::run(&args, json),
        Command::LogLevel(args) => log_level::run(&args, json),
        Command::Watch(args) => watch::run(&args, json),
        Command::Schema(args) => Ok(schema::run(&args)),
        Command::Config => config_command::run(json, config),
        Command::Load(args) => load::run(&args, json),
        Command::Client(args) => client::run(&args, config),
        Command::Job(args) => job::run(&args, json),
        Command::Migrate(args) => migrate::run(&args, json),
        Command::Health(args) => health::run(&args, config),
        Command::Key(args) => key::run(&args, json),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        say(format_args!("error: {error:#}"));
        Exit::Failed
    })
}

fn settings(file: Option<PathBuf>, flags: Flags) -> Result<Settings, config::Error> {
    config::load(&Flags { file, ..flags }, &ProcessEnvironment)
}

/// Data. A reader that has gone away (`| head`) is no error.
fn print(data: impl Display) {
    let _ = writeln!(anstream::stdout(), "{data}");
}

/// Talk.
fn say(talk: impl Display) {
    let _ = writeln!(anstream::stderr(), "{talk}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
