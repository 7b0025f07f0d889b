//! The figures as lines of text that fit a terminal.
//!
//! Invariant: no line is wider than the terminal, and state is a word before it is a colour.

use super::figures::{App, Figures, Lane, Node, Sort};

/// How a line looks. Colours only repeat what the words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Strong,
    Heading,
    Faint,
    Warning,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) style: Style,
}

/// A column: its heading, whether it is a number, what of an app stands in it. Where space is short, the last ones go first.
struct Column {
    heading: &'static str,
    sort: Option<Sort>,
    cell: fn(&App) -> String,
}

/// In the order of their worth: an operator looks for who waits and who fails.
const COLUMNS: [Column; 11] = [
    Column { heading: "app", sort: Some(Sort::App), cell: |app| app.app_id.clone() },
    Column { heading: "preview", sort: Some(Sort::Seats), cell: |app| seats(app.preview) },
    Column { heading: "batch", sort: Some(Sort::Seats), cell: |app| seats(app.batch) },
    Column { heading: "queue", sort: Some(Sort::Queue), cell: |app| count(app.waiting()) },
    Column { heading: "req/s", sort: Some(Sort::Rate), cell: |app| rate(app.requests_per_sec) },
    Column { heading: "err/s", sort: Some(Sort::Errors), cell: |app| rate(app.errors_per_sec) },
    Column { heading: "429/s", sort: Some(Sort::Errors), cell: |app| rate(app.limited_per_sec) },
    Column { heading: "p95", sort: Some(Sort::P95), cell: |app| time(app.p95_sec) },
    Column { heading: "cache", sort: None, cell: |app| share(app.cache_share) },
    Column { heading: "p50", sort: None, cell: |app| time(app.p50_sec) },
    Column { heading: "not ready", sort: None, cell: |app| some(app.not_ready) },
];

/// An id that is longer than this is cut before columns are left out.
const APP_WIDTH_MIN: usize = 12;
const GAP: usize = 2;

/// Everything, for a terminal that is `width` columns wide and `height` lines high; without bounds where they are none.
pub(super) fn lines(figures: &Figures, sort: Sort, width: usize, height: Option<usize>) -> Vec<Line> {
    let mut lines = head(figures);
    let mut below = nodes(&figures.nodes);
    below.extend(failures(figures));
    let rows = apps(&figures.apps, sort, width);
    // The apps get what the rest leaves, and their heading in any case.
    let left = height.map_or(usize::MAX, |height| height.saturating_sub(lines.len() + below.len() + 1).max(2));
    let hidden = rows.len().saturating_sub(left);
    lines.extend(rows.into_iter().take(if hidden > 0 { left - 1 } else { left }));
    if hidden > 0 {
        lines.push(Line::of(format!("… and {} more apps", hidden + 1), Style::Faint));
    }
    lines.push(Line::of("", Style::Plain));
    lines.extend(below);
    if let Some(height) = height {
        lines.truncate(height);
    }
    lines.into_iter().map(|line| Line { text: cut(&line.text, width), ..line }).collect()
}

fn head(figures: &Figures) -> Vec<Line> {
    let gateway = &figures.gateway;
    let version = gateway.version.as_deref().unwrap_or("?");
    let up = gateway.up_sec.map(|up| format!(", up {}", span(up))).unwrap_or_default();
    let memory = gateway.resident_bytes.map(|bytes| format!(", {:.0} MiB", bytes / f64::from(1 << 20)));
    let text = format!(
        "AppServer {version}{up}{}   {} req/s   {} solves shared   registry generation {}",
        memory.unwrap_or_default(),
        rate(gateway.requests_per_sec),
        count(gateway.flights),
        count(gateway.generation)
    );
    let mut lines = vec![Line::of(text, Style::Strong)];
    if gateway.stale_sec > 0.0 {
        let text = format!("! the registry cannot be read for {}: what serves may be old", span(gateway.stale_sec));
        lines.push(Line::of(text, Style::Warning));
    }
    for task in &gateway.tasks_down {
        lines.push(Line::of(format!("× the task `{task}` is down: see the log"), Style::Bad));
    }
    if gateway.panics > 0.0 {
        lines.push(Line::of(format!("× {} panics since the start: a defect", count(gateway.panics)), Style::Bad));
    }
    lines.push(Line::of("", Style::Plain));
    lines
}

fn apps(apps: &[App], sort: Sort, width: usize) -> Vec<Line> {
    if apps.is_empty() {
        return vec![Line::of("no app has a policy yet", Style::Faint)];
    }
    let cells: Vec<[String; COLUMNS.len()]> =
        apps.iter().map(|app| COLUMNS.each_ref().map(|column| (column.cell)(app))).collect();
    let wide = |index: usize| {
        let mark = usize::from(COLUMNS[index].sort == Some(sort));
        let heading = letters(COLUMNS[index].heading) + mark;
        cells.iter().map(|row| letters(&row[index])).max().unwrap_or_default().max(heading)
    };
    let mut widths: Vec<usize> = (0..COLUMNS.len()).map(wide).collect();
    // Nothing is worth a column that says nothing at all.
    if cells.iter().all(|row| row[COLUMNS.len() - 1].is_empty()) {
        widths.pop();
    }
    while widths.len() > 2 && total(&widths) > width {
        let over = total(&widths) - width;
        if widths[0] >= APP_WIDTH_MIN + over {
            widths[0] -= over;
        } else {
            widths.pop();
        }
    }
    let row = |cells: &[String]| {
        let cell = |(index, width): (usize, &usize)| {
            let text = cut(&cells[index], *width);
            let pad = " ".repeat(width - letters(&text));
            if index == 0 { text + &pad } else { pad + &text }
        };
        widths.iter().enumerate().map(cell).collect::<Vec<_>>().join(&" ".repeat(GAP))
    };
    let mark = |column: &Column| {
        let sorted = column.sort == Some(sort);
        format!("{}{}", column.heading, if sorted { "↓" } else { "" })
    };
    let mut lines = vec![Line::of(row(&COLUMNS.each_ref().map(mark)), Style::Heading)];
    lines.extend(apps.iter().zip(&cells).map(|(app, cells)| Line::of(row(cells), style(app))));
    lines
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * (widths.len() - 1)
}

fn style(app: &App) -> Style {
    if app.errors_per_sec > 0.0 {
        Style::Bad
    } else if app.limited_per_sec > 0.0 || app.waiting() > 0.0 {
        Style::Warning
    } else {
        Style::Plain
    }
}

fn nodes(nodes: &[Node]) -> Vec<Line> {
    if nodes.is_empty() {
        return vec![Line::of("× no node is configured", Style::Bad)];
    }
    let name = nodes.iter().map(|node| letters(&node.name)).max().unwrap_or_default().max(4);
    let mut lines = vec![Line::of(format!("{:name$}  state     slots busy/all  wedged", "node"), Style::Heading)];
    for node in nodes {
        let all = node.free + node.busy + node.wedged;
        let slots = format!("{}/{}", count(node.busy), count(all));
        let text = format!("{:name$}  {:<8}  {slots:>14}  {:>6}", node.name, node.state, count(node.wedged));
        let style = match node.state.as_str() {
            "down" => Style::Bad,
            "up" | "asleep" if node.wedged == 0.0 => Style::Plain,
            _ => Style::Warning,
        };
        lines.push(Line::of(text, style));
    }
    lines
}

fn failures(figures: &Figures) -> Vec<Line> {
    if figures.failures.is_empty() {
        return Vec::new();
    }
    let told: Vec<String> =
        figures.failures.iter().map(|failure| format!("{} {}/s", failure.code, rate(failure.per_sec))).collect();
    vec![Line::of("", Style::Plain), Line::of(format!("failures: {}", told.join(", ")), Style::Plain)]
}

// === impl Line ===

impl Line {
    pub(super) fn of(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

fn seats(lane: Lane) -> String {
    format!("{}/{}", count(lane.in_use), count(lane.seats))
}

fn count(value: f64) -> String {
    format!("{value:.0}")
}

fn some(value: u32) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

fn rate(value: f64) -> String {
    if value >= 100.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "—".to_owned(), |value| format!("{:.0} %", value * 100.0))
}

/// Three digits at most.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "—".to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1000.0),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        Some(seconds) if seconds < 10.0 => format!("{seconds:.2} s"),
        Some(seconds) => format!("{seconds:.0} s"),
    }
}

/// `42 s`, `12 min`, `3 h`, `5 d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

/// What fits; a cut is shown.
pub(super) fn cut(text: &str, width: usize) -> String {
    // Names come from elsewhere, and must not steer the terminal.
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if letters(&text) <= width {
        return text;
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let lane = Lane { seats: 2.0, in_use: 1.0, waiting: 0.0 };
        let app = |id: &str, rate| App {
            app_id: id.to_owned(),
            preview: lane,
            batch: lane,
            requests_per_sec: rate,
            p95_sec: Some(0.25),
            ..App::default()
        };
        let node = Node { name: "win-1".to_owned(), state: "up".to_owned(), free: 3.0, busy: 1.0, wedged: 0.0 };
        let apps = vec![app("a-product-with-a-long-name", 3.5), app("sitefit", 120.0)];
        Figures { apps, nodes: vec![node], ..Figures::default() }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_what_matters_stays() {
        for width in 1..140 {
            for height in 1..20 {
                let lines = lines(&figures(), Sort::Rate, width, Some(height));
                assert!(lines.iter().all(|line| letters(&line.text) <= width), "{width}: {lines:?}");
                assert!(lines.len() <= height, "{height}: {lines:?}");
            }
        }
        let narrow = lines(&figures(), Sort::Rate, 44, Some(20));
        let heading = narrow.iter().find(|line| line.style == Style::Heading).unwrap();
        assert!(heading.text.contains("queue") && !heading.text.contains("cache"), "{narrow:?}");
        let wide = lines(&figures(), Sort::Rate, 120, None);
        assert!(wide.iter().any(|line| line.text.contains("cache")), "{wide:?}");
        assert!(wide.iter().any(|line| line.text.starts_with("a-product-with-a-long-name")), "{wide:?}");
    }

    #[test]
    fn apps_that_do_not_fit_are_counted() {
        let mut many = figures();
        many.apps = (0..30).map(|index| App { app_id: format!("app-{index}"), ..App::default() }).collect();
        let lines = lines(&many, Sort::App, 80, Some(14));
        assert_eq!(lines.len(), 14);
        let shown = lines.iter().filter(|line| line.text.starts_with("app-")).count();
        assert!(lines.iter().any(|line| line.text == format!("… and {} more apps", 30 - shown)), "{lines:?}");
    }
}
