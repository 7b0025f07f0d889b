//! What each app promises and what was kept, as rows: of a gateway's own memory, or of Prometheus; and as a table for people.

use std::time::Duration;

use serde::Serialize;

use super::health::{AppHealth, columns};

/// One promise of an app.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Row {
    pub app_id: String,
    pub slo: String,
    pub objective: f64,
    pub within_ms: Option<f64>,
    /// How far back share and budget look.
    pub window_sec: Option<u64>,
    pub share: Option<f64>,
    /// 1 where nothing was bad, below 0 where the promise is broken.
    pub budget_left: Option<f64>,
    pub burn_5m: Option<f64>,
    pub burn_1h: Option<f64>,
}

/// Of what a gateway knows itself.
pub fn rows(apps: &[AppHealth]) -> Vec<Row> {
    let rows = apps.iter().flat_map(|app| {
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

/// One line a promise, columns aligned; `-` where nothing is known.
pub fn table(rows: &[Row]) -> String {
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
