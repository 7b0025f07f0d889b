//! `appserver slo`: what each app promises and what was kept, by a gateway's own memory or by Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::{Exit, matrix, print, say};
use crate::admin::promises::{self, Row, table};

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
        None => runtime.block_on(matrix::ask(&args.url)).map(|health| promises::rows(&health.apps)),
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
