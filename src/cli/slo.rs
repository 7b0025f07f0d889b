//! `appserver slo`: what each app promises and what was kept, by a gateway's own memory or by Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::{Exit, matrix, print, say};
use crate::admin::Health;
use crate::admin::health::columns;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway to ask. It knows its own solves, since its start and of three days at most, and nothing of jobs.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", env = "APPSERVER_URL")]
    url: String,
    /// Ask this Prometheus in its place: all gateways and workers, over 28 days, by the rules of infra/monitoring/prometheus.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    prometheus: Option<String>,
    /// This app only.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
}

/// One promise of an app.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Row {
    app_id: String,
    slo: String,
    objective: f64,
    within_ms: Option<f64>,
    /// How far back share and budget look.
    window_sec: Option<u64>,
    share: Option<f64>,
    /// 1 where nothing was bad, below 0 where the promise is broken.
    budget_left: Option<f64>,
    burn_5m: Option<f64>,
    burn_1h: Option<f64>,
}

const PATIENCE: Duration = Duration::from_secs(10);
/// The window of the rules.
const WINDOW: Duration = Duration::from_hours(28 * 24);
/// All that is shown, in one question: so many series a promise.
const QUERY: &str = "{__name__=~\"appserver:slo_objective|appserver:slo_within_seconds|appserver:slo_errors:ratio28d|\
                     appserver:slo_budget_left:ratio28d|appserver:slo_burn:(5m|1h)\"}";

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new()?;
    let asked = match &args.prometheus {
        Some(url) => runtime.block_on(ask_prometheus(url)),
        None => runtime.block_on(matrix::ask(&args.url)).map(|health| of_health(&health)),
    };
    let mut rows = match asked {
        Ok(rows) => rows,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            return Ok(Exit::Unreachable);
        }
    };
    if let Some(app) = &args.app {
        rows.retain(|row| row.app_id == *app);
        if rows.is_empty() {
            say(format_args!("error: no app `{app}` promises anything there: see `slo` in its policy.json"));
            return Ok(Exit::NoSuchThing);
        }
    }
    if json {
        print(serde_json::to_string_pretty(&rows)?);
    } else {
        print(table(&rows).trim_end());
    }
    let broken = rows.iter().any(|row| row.budget_left.is_some_and(|left| left < 0.0));
    Ok(if broken { Exit::NotReady } else { Exit::Done })
}

fn of_health(health: &Health) -> Vec<Row> {
    let rows = health.apps.iter().flat_map(|app| {
        app.slo.iter().map(|view| {
            let counted = view.counted;
            Row {
                app_id: app.app_id.clone(),
                slo: view.slo.as_str().to_owned(),
                objective: view.objective,
                within_ms: view.within_ms.map(|ms| Duration::from_millis(ms).as_secs_f64() * 1e3),
                window_sec: counted.map(|counted| counted.window_sec),
                share: counted.and_then(|counted| counted.share),
                budget_left: counted.and_then(|counted| counted.budget_left),
                burn_5m: counted.and_then(|counted| counted.burn_5m),
                burn_1h: counted.and_then(|counted| counted.burn_1h),
            }
        })
    });
    rows.collect()
}

/// The part of Prometheus' answer that is read.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

async fn ask_prometheus(base: &str) -> anyhow::Result<Vec<Row>> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let address = format!("{}/api/v1/query", base.trim_end_matches('/'));
    let url = reqwest::Url::parse_with_params(&address, [("query", QUERY)])
        .with_context(|| format!("`{base}` is no address"))?;
    let answer = client.get(url).send().await.with_context(|| format!("cannot reach {base}"))?;
    let bytes = answer.bytes().await.with_context(|| format!("{base} broke off"))?;
    let answer: Answer =
        serde_json::from_slice(&bytes).with_context(|| format!("{base} does not answer as Prometheus"))?;
    if let Some(error) = answer.error {
        bail!("{base}: {error}");
    }
    if answer.data.result.is_empty() {
        bail!("{base} has no series of the rules in infra/monitoring/prometheus: load them, and scrape a gateway");
    }
    Ok(of_samples(answer.data.result))
}

fn of_samples(samples: Vec<Sample>) -> Vec<Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for Sample { mut metric, value: (_, text) } in samples {
        let mut word = |label| metric.remove(label).unwrap_or_default();
        let (name, app_id, slo) = (word("__name__"), word("app_id"), word("slo"));
        let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else { continue };
        let row = rows.entry((app_id.clone(), slo.clone())).or_insert_with(|| Row { app_id, slo, ..Row::default() });
        row.window_sec = Some(WINDOW.as_secs());
        match name.as_str() {
            "appserver:slo_objective" => row.objective = value,
            "appserver:slo_within_seconds" => row.within_ms = Some(value * 1e3),
            "appserver:slo_errors:ratio28d" => row.share = Some(1.0 - value),
            "appserver:slo_budget_left:ratio28d" => row.budget_left = Some(value),
            "appserver:slo_burn:5m" => row.burn_5m = Some(value),
            "appserver:slo_burn:1h" => row.burn_1h = Some(value),
            _ => {}
        }
    }
    // What is promised no more may still have figures.
    rows.into_values().filter(|row| row.objective > 0.0).collect()
}

fn table(rows: &[Row]) -> String {
    let heading = ["app_id", "slo", "objective", "within", "good", "budget_left", "burn_5m", "burn_1h", "window"];
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let burn = |burn: Option<f64>| or_none(burn.map(|burn| format!("{burn:.1}x")));
        [
            row.app_id.clone(),
            row.slo.clone(),
            percent(row.objective),
            or_none(row.within_ms.map(|ms| format!("{} s", ms / 1e3))),
            or_none(row.share.map(percent)),
            or_none(row.budget_left.map(|left| format!("{:.0} %", left * 100.0))),
            burn(row.burn_5m),
            burn(row.burn_1h),
            or_none(row.window_sec.map(window)),
        ]
    }));
    columns(&lines)
}

/// A time in its largest unit.
fn window(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, slo: &str, value: &str) -> Sample {
        let labels = [("__name__", name), ("app_id", "roof"), ("slo", slo)];
        let metric = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
        Sample { metric, value: (0.0, value.to_owned()) }
    }

    #[test]
    fn what_prometheus_says_becomes_a_row_a_promise() {
        let rows = of_samples(vec![
            sample("appserver:slo_burn:5m", "availability", "NaN"),
            sample("appserver:slo_burn:1h", "availability", "1.5"),
            sample("appserver:slo_objective", "availability", "0.995"),
            sample("appserver:slo_errors:ratio28d", "availability", "0.01"),
            sample("appserver:slo_budget_left:ratio28d", "availability", "-1"),
            sample("appserver:slo_burn:1h", "promised_no_more", "1"),
        ]);
        let expected = "app_id  slo           objective  within  good     budget_left  burn_5m  burn_1h  window\n\
                        roof    availability  99.50 %    -       99.00 %  -100 %       -        1.5x     28 d\n";
        assert_eq!(table(&rows), expected);
    }
}
