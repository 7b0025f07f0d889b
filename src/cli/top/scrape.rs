//! Prometheus' text format, read back: just as much of it as the gateway writes.

use std::collections::BTreeMap;

/// One look at a gateway: every series with its value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scrape {
    series: BTreeMap<String, Vec<Series>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

// === impl Scrape ===

impl Scrape {
    /// What cannot be read is passed over: a later gateway may say more than this command knows.
    pub(super) fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((name, series)) = Series::parse(line) {
                scrape.series.entry(name.to_owned()).or_default().push(series);
            }
        }
        scrape
    }

    /// All series of a metric.
    pub(super) fn of(&self, name: &str) -> &[Series] {
        self.series.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of the series that has these labels, among others.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.of(name).iter().find(|series| series.has(labels)).map(|series| series.value)
    }

    /// The sum over the series that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name).iter().filter(|series| series.has(labels)).map(|series| series.value).sum()
    }
}

// === impl Series ===

impl Series {
    fn parse(line: &str) -> Option<(&str, Self)> {
        let name_end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(name_end);
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                rest = rest.trim_start_matches([',', ' ']);
                if let Some(after) = rest.strip_prefix('}') {
                    rest = after;
                    break;
                }
                let (label, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                labels.push((label.to_owned(), value));
                rest = after;
            }
        }
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some((name, Self { labels, value }))
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == Some(value))
    }
}

/// What stands before the closing quote, with its escapes resolved, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_writes_is_read_back() {
        let text = "# HELP a_total What.\n# TYPE a_total counter\na_total{app_id=\"x\",code=\"ok\"} 3\n\
                    a_total{app_id=\"y\",code=\"say \\\"no\\\"\\n\"} 4.5\nb 1e3\n\nc_bucket{le=\"+Inf\"} 7\nnonsense{\nd{x=\"y\"} word\n";
        let scrape = Scrape::parse(text);
        assert_eq!(scrape.value("a_total", &[("app_id", "x")]), Some(3.0));
        assert_eq!(scrape.of("a_total")[1].label("code"), Some("say \"no\"\n"));
        assert!((scrape.sum("a_total", &[]) - 7.5).abs() < 1e-9 && scrape.value("b", &[]) == Some(1000.0));
        assert_eq!(scrape.value("c_bucket", &[("le", "+Inf")]), Some(7.0));
        assert!(scrape.of("d").is_empty() && scrape.of("nonsense").is_empty());
    }
}
