//! `appserver top`: a running gateway as it works, app by app, in a terminal.
//!
//! Invariant: it reads `/metrics` of the operators' listener and nothing else, so it shows what dashboards show.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::figures::{Figures, Sort};
use self::scrape::Scrape;
use self::table::{Line, Style};
use self::terminal::{Key, Screen};
use super::{Exit, print, say};

mod figures;
mod scrape;
mod table;
mod terminal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway's own listener for operators (`admin.listen`).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3001", env = "APPSERVER_ADMIN_URL")]
    url: String,
    /// How often it is asked, such as 500ms or 5s.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = super::check::duration)]
    interval: Duration,
    /// What the apps are ordered by; also the keys r, a, s, u, p, e.
    #[arg(long, value_enum, value_name = "BY", default_value_t)]
    sort: Sort,
    /// Look twice, one interval apart, print, and end. So it does where standard output is no terminal.
    #[arg(long)]
    once: bool,
}

/// Rates are over this long: less jumps, more lags.
const WINDOW: Duration = Duration::from_secs(10);
const LOOKS_MAX: usize = 64;
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_mins(1);
/// A gateway that takes longer than this is not well.
const PATIENCE: Duration = Duration::from_secs(5);
/// A thousand apps are 1 MiB.
const SCRAPE_BYTES_MAX: usize = 64 << 20;

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let interval = args.interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
    let eye = Eye { url: format!("{}/metrics", args.url.trim_end_matches('/')), interval, client: client()? };
    let runtime = tokio::runtime::Runtime::new()?;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.once || (!terminal && !json) {
        return runtime.block_on(once(&eye, args.sort, json));
    }
    if json {
        return runtime.block_on(stream(&eye, args.sort));
    }
    let exit = runtime.block_on(live(eye, args.sort));
    // The thread that waits for keys would be waited for.
    runtime.shutdown_background();
    exit
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?)
}

/// What looks at a gateway.
#[derive(Debug, Clone)]
struct Eye {
    url: String,
    interval: Duration,
    client: reqwest::Client,
}

/// The looks of the last seconds.
#[derive(Debug, Default)]
struct Looks(VecDeque<(Instant, Scrape)>);

// === impl Eye ===

impl Eye {
    async fn look(&self) -> anyhow::Result<Scrape> {
        let Self { url, client, .. } = self;
        let mut answer = client.get(url).send().await.with_context(|| format!("cannot reach {url}"))?;
        match answer.status().as_u16() {
            200 => {}
            404 => bail!("{url} is not there: is it the listener for operators (`admin.listen`)?"),
            status => bail!("{url} answered with status {status}"),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.with_context(|| format!("{url} broke off"))? {
            if bytes.len() + chunk.len() > SCRAPE_BYTES_MAX {
                bail!("{url} answers with more than {SCRAPE_BYTES_MAX} bytes");
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Scrape::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Looks again and again, and tells what it saw, or why it saw nothing; the second look follows soon, so that there are rates.
    async fn watch(self, told: mpsc::Sender<Result<Scrape, String>>) {
        let mut pause = self.interval.min(Duration::from_secs(1));
        loop {
            let seen = self.look().await.map_err(|error| format!("{error:#}"));
            if told.send(seen).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = self.interval;
        }
    }
}

// === impl Looks ===

impl Looks {
    fn add(&mut self, scrape: Scrape) {
        if self.0.back().is_some_and(|(_, before)| figures::restarted(before, &scrape)) {
            self.0.clear();
        }
        self.0.push_back((Instant::now(), scrape));
        let old = |looks: &VecDeque<(Instant, Scrape)>| looks.get(1).is_some_and(|(at, _)| at.elapsed() >= WINDOW);
        while self.0.len() > LOOKS_MAX || old(&self.0) {
            self.0.pop_front();
        }
    }

    fn figures(&self, sort: Sort) -> Option<Figures> {
        let ((begun, old), (ended, new)) = (self.0.front()?, self.0.back()?);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let mut figures = Figures::between(old, new, ended.duration_since(*begun).as_secs_f64(), now);
        figures.sort(sort);
        Some(figures)
    }
}

async fn once(eye: &Eye, sort: Sort, json: bool) -> anyhow::Result<Exit> {
    let mut looks = Looks::default();
    for look in 0..2 {
        if look > 0 {
            tokio::time::sleep(eye.interval).await;
        }
        match eye.look().await {
            Ok(scrape) => looks.add(scrape),
            Err(error) => {
                say(format_args!("error: {error:#}"));
                return Ok(Exit::Unreachable);
            }
        }
    }
    let figures = looks.figures(sort).unwrap_or_default();
    if json {
        print(serde_json::to_string_pretty(&figures)?);
    } else {
        for line in table::lines(&figures, sort, usize::MAX, None) {
            print(line.text.trim_end());
        }
    }
    Ok(Exit::Done)
}

/// A line of JSON an interval, until it is interrupted or nobody reads it.
async fn stream(eye: &Eye, sort: Sort) -> anyhow::Result<Exit> {
    let mut looks = Looks::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        match eye.look().await {
            Ok(scrape) => {
                looks.add(scrape);
                print(serde_json::to_string(&looks.figures(sort))?);
            }
            Err(error) => say(format_args!("error: {error:#}")),
        }
        tokio::select! {
            () = tokio::time::sleep(eye.interval) => {}
            _ = interrupt.recv() => return Ok(Exit::Interrupted),
        }
    }
}

/// What the screen shows, and what changes it.
struct View {
    looks: Looks,
    sort: Sort,
    /// Since when the gateway does not answer, and why.
    lost: Option<(Instant, String)>,
    url: String,
    interval: Duration,
}

async fn live(eye: Eye, sort: Sort) -> anyhow::Result<Exit> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut ended = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut view = View { looks: Looks::default(), sort, lost: None, url: eye.url.clone(), interval: eye.interval };
    let (told, mut seen) = mpsc::channel(1);
    let watching = tokio::spawn(eye.watch(told));
    let screen = Screen::open().context("the terminal cannot be taken over; --once prints once")?;
    let mut keys = terminal::keys();
    let exit = loop {
        screen.draw(&view.lines(Screen::size()))?;
        tokio::select! {
            Some(seen) = seen.recv() => view.take(seen),
            key = keys.recv() => match key {
                Some(Key::Interrupt) => break Exit::Interrupted,
                Some(Key::Letter('q')) | None => break Exit::Done,
                Some(Key::Letter(letter)) => view.press(letter),
            },
            _ = resized.recv() => {}
            _ = ended.recv() => break Exit::Done,
            _ = hung_up.recv() => break Exit::Done,
        }
    };
    drop(screen);
    watching.abort();
    Ok(exit)
}

// === impl View ===

impl View {
    fn take(&mut self, seen: Result<Scrape, String>) {
        match seen {
            Ok(scrape) => {
                self.lost = None;
                self.looks.add(scrape);
            }
            Err(why) => {
                let since = self.lost.take().map_or_else(Instant::now, |(since, _)| since);
                self.lost = Some((since, why));
            }
        }
    }

    fn press(&mut self, letter: char) {
        self.sort = match letter {
            'r' => Sort::Rate,
            'a' => Sort::App,
            's' => Sort::Seats,
            'u' => Sort::Queue,
            'p' => Sort::P95,
            'e' => Sort::Errors,
            _ => self.sort,
        };
    }

    fn lines(&self, (width, height): (usize, usize)) -> Vec<Line> {
        let mut head = Vec::new();
        if let Some((since, why)) = &self.lost {
            let text = format!("× no answer for {}, trying again: {why}", table::span(since.elapsed().as_secs_f64()));
            head.push(Line::of(text, Style::Bad));
        }
        let room = height.saturating_sub(head.len() + 1);
        let body = match self.looks.figures(self.sort) {
            Some(figures) => table::lines(&figures, self.sort, width, Some(room)),
            None if head.is_empty() => vec![Line::of("asking …", Style::Faint)],
            None => Vec::new(),
        };
        // Figures of a gateway that has gone are old, and look so.
        let stale = self.lost.is_some();
        head.extend(body.into_iter().map(|line| if stale { Line { style: Style::Faint, ..line } } else { line }));
        head.resize(height.saturating_sub(1), Line::of("", Style::Plain));
        let every = self.interval.as_secs_f64();
        let keys = "q quit   order: r rate  a app  s seats  u queue  p p95  e errors";
        head.push(Line::of(format!("{keys}   {} every {every} s", self.url), Style::Faint));
        head.iter().map(|line| Line { text: table::cut(&line.text, width), ..line.clone() }).collect()
    }
}
