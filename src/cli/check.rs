//! `appserver check`: all that is wrong with a registry, an app or a version, before a gateway refuses it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::findings::Shown;
use super::{Exit, say};
use crate::config::Flags;
use crate::governance::check::{self, Error, Target};
use crate::governance::finding::Subject;
use crate::governance::render::Disk;
use crate::governance::{Report, examples, fix};
use crate::rhino::client::Key;

pub(super) mod live;

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own, and clap sees to those that exclude each other"
)]
pub(super) struct Args {
    /// A registry, an app's or a version's folder, or `app`, `app:version`, `app:alias`; the whole registry if left out.
    #[arg(conflicts_with_all = ["url", "pre"])]
    target: Option<String>,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Repair what can be repaired without a doubt, and show each repair.
    #[arg(long, conflicts_with_all = ["url", "pre"])]
    fix: bool,
    /// With --fix: show the repairs, and write nothing.
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Solve every valid example on this Rhino.Compute server, and compare with the golden outputs. Its key is `RHINO_COMPUTE_KEY`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "pre", "fix"])]
    node: Option<String>,
    /// With --node: write what the node gives as the golden outputs.
    #[arg(long, requires = "node")]
    accept: bool,
    /// Check a running gateway instead: its registry, its nodes, its contracts.
    #[arg(long, value_name = "URL", conflicts_with_all = ["pre", "registry"])]
    url: Option<String>,
    /// With --url: try until all is well, for this long, such as 30s or 2m.
    #[arg(long, value_name = "TIME", requires = "url", value_parser = duration, default_value = "0s")]
    wait: Duration,
    /// Check what a gateway would find here before it is started: settings, address, registry. No node is asked.
    #[arg(long)]
    pre: bool,
    /// With --url or --pre: how the checks are written.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = live::Output::Table)]
    output: live::Output,
    /// Let warnings count as errors do.
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Rounds of repairs: each mends one place a file.
const ROUNDS: usize = 100;

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let output = if json { live::Output::Json } else { args.output };
    if let Some(url) = &args.url {
        return live::run(url, args.wait, output);
    }
    if args.pre {
        return live::before(args.registry.as_deref(), file, output);
    }
    let root = match &args.registry {
        Some(root) => root.clone(),
        None => super::settings(file.clone(), Flags::default())?.config.registry.root,
    };
    let target = match &args.target {
        Some(word) => Target::of(word, &root),
        None => Ok(Target::Registry(root)),
    };
    match target.and_then(|target| Ok((check::check(&target)?, target))) {
        Ok((report, target)) if args.fix => repair(args, report, &target, json),
        Ok((report, target)) => match &args.node {
            Some(url) => solve(args, report, &target, url, file, json),
            None => Ok(args.shown.show(report, &Disk, json, args.deny_warnings)),
        },
        Err(error @ (Error::NoSuchThing { .. } | Error::NotARegistry(_))) => {
            say(format_args!("error: {error}"));
            Ok(Exit::NoSuchThing)
        }
        Err(error) => Err(error.into()),
    }
}

/// Mends and checks again until nothing can be mended; repairs are talk, what remains is data.
fn repair(args: &Args, mut report: Report, target: &Target, json: bool) -> anyhow::Result<Exit> {
    let mut repairs = 0;
    for _ in 0..ROUNDS {
        let changes = fix::fix(&report, args.dry_run)?;
        for change in &changes {
            say(change.diff.trim_end_matches('\n'));
        }
        repairs += changes.len();
        if changes.is_empty() || args.dry_run {
            break;
        }
        report = check::check(target)?;
    }
    say(match (repairs, args.dry_run) {
        (0, _) => "nothing could be repaired without a doubt".to_owned(),
        (count, true) => format!("{count} repairs, none written"),
        (count, false) => format!("{count} repairs written; a version that is published already must not change"),
    });
    Ok(args.shown.show(report, &Disk, json, args.deny_warnings))
}

/// Adds what a node makes of the examples to the report.
fn solve(
    args: &Args,
    mut report: Report,
    target: &Target,
    url: &str,
    file: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<Exit> {
    let key = super::settings(file, Flags::default())?.secrets.node_key;
    let key =
        key.map(|key| Key::new(key.expose()).context("RHINO_COMPUTE_KEY has characters that no header can carry"));
    let (key, contracts) = (key.transpose()?, examples::contracts(target)?);
    let tried = match tokio::runtime::Runtime::new()?.block_on(examples::solve(&contracts, url, key)) {
        Ok(tried) => tried,
        Err(error @ examples::Error::Unreachable { .. }) => {
            say(format_args!("error: {error}"));
            return Ok(Exit::Unreachable);
        }
        Err(error) => return Err(error.into()),
    };
    let solved = tried.iter().filter(|tried| tried.outputs.is_some()).count();
    for tried in tried {
        if args.accept && examples::accept(&tried).with_context(|| tried.file.display().to_string())? {
            say(format_args!("{}: golden outputs written", tried.file.display()));
            report.findings.extend(tried.findings.into_iter().filter(|finding| finding.rule != "example_drift"));
        } else {
            report.findings.extend(tried.findings);
        }
        report.subjects.push(Subject { name: tried.name, path: tried.file });
    }
    say(format_args!("{solved} examples solved on {url}"));
    Ok(args.shown.show(report, &Disk, json, args.deny_warnings))
}

/// `500ms`, `30s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_not| format!("`{text}` is not a time such as 30s or 2m"))?;
    Duration::try_from(span).map_err(|_negative| format!("`{text}` is no time to wait"))
}
