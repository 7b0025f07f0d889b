//! `appserver load`: sends solves to a gateway at a rate or from so many callers, and tells what became of them.
//!
//! Invariant: latency runs from the moment a request was due, so that a slow answer counts for all that wait behind it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use self::drive::{Bodies, Run};
use self::random::{Inputs, Random};
use self::report::{Arrivals, Cpu, Report};
use self::schedule::{Schedule, Spacing};
use self::tally::Tally;
use self::tenants::Tenant;
use self::variation::Variation;
use self::wire::Wire;
use super::{Exit, print, say};
use crate::config::{ProcessEnvironment, Secret};

mod drive;
mod histogram;
mod outcome;
mod process;
mod random;
mod report;
mod schedule;
mod tally;
mod target;
mod tenants;
mod variation;
mod wire;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway to load.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", env = "APPSERVER_URL")]
    url: String,
    /// Load a gateway on another computer. Only do so to one that is yours.
    #[arg(long)]
    allow_remote: bool,
    /// What to solve [default: the first stable version that is ready].
    #[arg(long, value_name = "DEFINITION:VERSION", value_parser = name)]
    solve: Option<String>,
    /// Send the inputs of this JSON file, always the same, and ask the gateway for no description.
    #[arg(long, value_name = "FILE", requires = "solve", conflicts_with = "hit_ratio")]
    inputs: Option<PathBuf>,
    /// Requests a second, whatever becomes of them (an open loop) [default: 10].
    #[arg(long, value_name = "N", value_parser = |text: &str| within(text, 0.01, 100_000.0), conflicts_with = "callers")]
    rate: Option<f64>,
    /// How the requests of --rate are spaced.
    #[arg(long, value_enum, default_value_t = Spacing::Poisson, conflicts_with = "callers")]
    spacing: Spacing,
    /// Callers who each wait for their answer before they send again (a closed loop).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    callers: Option<u16>,
    /// Seconds to send for; what is under way then is waited for.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = |text: &str| within(text, 0.1, 86_400.0))]
    duration: f64,
    /// A tenant: NAME:env:VARIABLE[:WEIGHT], or NAME:KEY[:WEIGHT], which others on this computer can see. The weight is
    /// its share of the requests or callers. Can be repeated.
    #[arg(long = "tenant", value_name = "TENANT", value_parser = secret)]
    tenants: Vec<Secret>,
    /// The lane of all requests [default: as the gateway decides].
    #[arg(long, value_parser = ["preview", "batch"])]
    lane: Option<String>,
    /// The share of requests that send one of 16 inputs; all others send inputs of their own.
    #[arg(long, value_name = "0..1", default_value = "0", value_parser = |text: &str| within(text, 0.0, 1.0))]
    hit_ratio: f64,
    /// Callers leave when they have waited this many milliseconds.
    #[arg(long, value_name = "MS")]
    hang_up_after: Option<u64>,
    /// Connections at most; requests that find none free wait, and the wait counts. Gateways bound connections per
    /// address as well, 256 by default.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Tell the processor time of this process per answer: that of the gateway.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Send the same sequence as the run that told this seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Why there was no run, and how the command ends by it.
#[derive(Debug)]
struct NoRun {
    exit: Exit,
    message: String,
}

impl NoRun {
    #[expect(clippy::new_ret_no_self, reason = "it only ever travels as an error")]
    fn new(exit: Exit, message: String) -> anyhow::Error {
        Self { exit, message }.into()
    }
}

impl fmt::Display for NoRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NoRun {}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let tenants = tenants::tenants(&args.tenants, &ProcessEnvironment)?;
    let report = match tokio::runtime::Runtime::new()?.block_on(load(args, tenants)) {
        Ok(report) => report,
        Err(error) => {
            let Some(no_run) = error.downcast_ref::<NoRun>() else { return Err(error) };
            say(format_args!("error: {no_run}"));
            return Ok(no_run.exit);
        }
    };
    let (report, all_good) = report;
    if json {
        print(serde_json::to_string_pretty(&report)?);
    } else {
        print(report.text().trim_end());
    }
    Ok(match (report.interrupted, all_good) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    })
}

/// One run, and whether all of it was answered as a caller wants it.
async fn load(args: &Args, tenants: Vec<Tenant>) -> anyhow::Result<(Report, bool)> {
    let seed = args.seed.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let wire = Wire::find(&args.url, args.allow_remote).await?;
    let (solve, variation) = what(args, &wire, &tenants, seed).await?;
    let varied: Vec<String> = variation.names().into_iter().map(str::to_owned).collect();
    let lane = args.lane.as_ref().map(|lane| format!("?lane={lane}")).unwrap_or_default();
    let weights: Vec<f64> = tenants.iter().map(|tenant| tenant.weight).collect();
    let callers = args.callers.map(|callers| schedule::share(usize::from(callers), &weights));
    let callers = callers.map(|callers| callers.context("there are fewer callers than tenants")).transpose()?;
    let arrivals = arrivals(args);
    announce(args, &solve, arrivals, seed);

    let mut random = Random::new(seed);
    let cpu_before = args.pid.map(process::cpu_time).transpose()?;
    let run = Arc::new(Run {
        wire,
        path: format!("/gh/{solve}/solve{lane}"),
        tallies: tenants.iter().map(|_| Mutex::default()).collect(),
        tenants,
        inputs: Inputs::new(args.hit_ratio),
        bodies: Bodies::new(variation),
        hang_up_after: args.hang_up_after.map(Duration::from_millis),
        duration: Duration::from_secs_f64(args.duration),
        begin: Instant::now(),
        stop: CancellationToken::new(),
    });
    let interrupt = stop_on_interrupt(run.stop.clone());
    match (arrivals, &callers) {
        (Arrivals::Open { rate, spacing }, _) => {
            let schedule = Schedule::new(spacing, rate, Random::new(random.next()));
            run.open(schedule, random, usize::from(args.connections)).await;
        }
        (Arrivals::Closed { .. }, callers) => run.closed(callers.as_deref().unwrap_or_default(), &mut random).await,
    }
    interrupt.abort();
    // Before anything else is read, so that it covers the run and little more.
    let cpu_after = args.pid.map(process::cpu_time).transpose()?;
    let used = cpu_before.zip(cpu_after).map(|(before, after)| after.saturating_sub(before));
    let told = Told { args, solve, varied, arrivals, seed, used };
    Ok(told.report(&run))
}

/// What is known of a run beside its counts.
struct Told<'a> {
    args: &'a Args,
    solve: String,
    varied: Vec<String>,
    arrivals: Arrivals,
    seed: u64,
    /// Processor time of the process that was named.
    used: Option<Duration>,
}

impl Told<'_> {
    fn report(self, run: &Run) -> (Report, bool) {
        // The less of what was asked for and what there was before an interrupt.
        let duration = run.begin.elapsed().min(run.duration);
        let mut all = Tally::default();
        let mut tenants = BTreeMap::new();
        for (tenant, tally) in run.tenants.iter().zip(&run.tallies) {
            let tally = tally.lock().expect("nothing panics while it holds this lock");
            all.merge(&tally);
            tenants.insert(tenant.name.clone(), tally.line(duration));
        }
        let goodputs: Vec<f64> = tenants.values().map(|line| line.goodput_per_sec).collect();
        let line = all.line(duration);
        let report = Report {
            url: self.args.url.clone(),
            solve: self.solve,
            varied: self.varied,
            hit_ratio: self.args.hit_ratio,
            arrivals: self.arrivals,
            duration_sec: duration.as_secs_f64(),
            seed: self.seed,
            connections_opened: run.wire.opened(),
            interrupted: run.stop.is_cancelled(),
            tenants,
            fairness: tally::fairness(&goodputs),
            cpu: self.args.pid.zip(self.used).map(|(pid, used)| cpu(pid, used, line.answered)),
            all: line,
        };
        (report, all.is_all_good())
    }
}

/// What is solved, and how its inputs vary.
async fn what(args: &Args, wire: &Wire, tenants: &[Tenant], seed: u64) -> anyhow::Result<(String, Variation)> {
    if let (Some(name), Some(file)) = (&args.solve, &args.inputs) {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let inputs: Map<String, Value> =
            serde_json::from_slice(&text).with_context(|| format!("{} holds no JSON object", file.display()))?;
        return Ok((name.clone(), Variation::fixed(inputs)));
    }
    let key = tenants.first().and_then(|tenant| tenant.authorization.as_ref());
    let target = target::find(wire, args.solve.as_deref(), key).await?;
    let variation = Variation::new(&target.schema, target.example, seed);
    if variation.count() == 1 && args.hit_ratio < 1.0 {
        bail!("{} has no input with numbers to vary; --hit-ratio 1 sends its example as it is", target.name);
    }
    Ok((target.name, variation))
}

fn arrivals(args: &Args) -> Arrivals {
    match args.callers {
        Some(callers) => Arrivals::Closed { callers: usize::from(callers) },
        None => Arrivals::Open { rate: args.rate.unwrap_or(10.0), spacing: args.spacing },
    }
}

fn announce(args: &Args, solve: &str, arrivals: Arrivals, seed: u64) {
    let how = match arrivals {
        Arrivals::Open { rate, .. } => format!("{rate} requests a second"),
        Arrivals::Closed { callers } => format!("{callers} callers"),
    };
    let Args { url, duration, .. } = args;
    say(format_args!("{solve} at {url}: {how} for {duration} s, seed {seed}. Ctrl-C tells what there is by then."));
}

fn stop_on_interrupt(stop: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn cpu(pid: u32, used: Duration, answered: u64) -> Cpu {
    let seconds = used.as_secs_f64();
    Cpu { pid, seconds, ms_per_answer: (answered > 0).then(|| seconds * 1_000.0 / answered as f64) }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that clap calls")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// A name that can stand in an address as it is.
fn name(text: &str) -> Result<String, String> {
    let fits = text.split_once(':').is_some_and(|(definition, version)| !definition.is_empty() && !version.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-+".contains(&byte));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("it is DEFINITION:VERSION, as sitefit:1.0.0 or sitefit:stable".to_owned())
    }
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("it is a number from {least} to {most}"))
}
