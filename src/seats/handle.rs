//! The async shell: callers wait for a [`Schedule`]'s grant, and a [`Seat`] gives itself back.
//!
//! No task of its own: whoever releases grants, and wakes those who got something; every waiter ends its own wait by its
//! own timer. Invariant: every ticket of the schedule is owned by exactly one `Wait` or one [`Seat`], whose drop returns
//! it; wakers are woken only after the lock is gone.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    caps::Caps,
    outcome::{Answer, Ask, Fate, Refusal, Ticket, View, Why},
    rt::{self, Arc, Instant, Mutex, MutexGuard, RwLock},
    schedule::Schedule,
};

/// All apps' seats. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seats {
    shared: Arc<Shared>,
}

/// The right to run one solve. Dropping it gives it back.
#[derive(Debug)]
pub struct Seat {
    app: Arc<App>,
    ticket: Ticket,
}

#[derive(Debug)]
struct Shared {
    apps: RwLock<BTreeMap<String, Arc<App>>>,
    origin: Instant,
}

#[derive(Debug)]
struct App {
    state: Mutex<State>,
    origin: Instant,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    waits: HashMap<Ticket, Progress>,
}

#[derive(Debug)]
enum Progress {
    Waits(Option<Waker>),
    Ended(Fate),
}

/// A place in line.
#[derive(Debug)]
struct Wait {
    app: Arc<App>,
    /// None once its end was seen: then the ticket is the seat's, or nobody's.
    ticket: Option<Ticket>,
}

impl Default for Seats {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Seats ===

impl Seats {
    /// No app has seats yet.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { apps: RwLock::new(BTreeMap::new()), origin: rt::now() }) }
    }

    /// An app's caps, new or changed. Takes hold at once; see [`Schedule::set_caps`] for seats in use.
    pub fn set_caps(&self, app: &str, caps: Caps) {
        let mut apps = self.shared.apps.write().unwrap_or_else(PoisonError::into_inner);
        // A removed app is kept while its seats are in use, so that its coming back does not double them.
        apps.retain(|name, known| name == app || !known.lock().schedule.is_over());
        let known = apps.entry(app.to_owned()).or_insert_with(|| Arc::new(App::new(self.shared.origin)));
        // Under the map's lock: else another app's change could drop this one as over before it has its caps.
        known.change(|state, now| state.schedule.set_caps(caps, now));
    }

    /// An app is no longer served: who waits is turned away, who runs finishes.
    pub fn remove(&self, app: &str) {
        if let Some(app) = self.app(app) {
            app.change(|state, now| state.schedule.set_caps(Caps::CLOSED, now));
        }
    }

    /// Waits for a seat of the app until `until`, or the lane's longest wait, at the latest.
    ///
    /// Cancel safe: dropped while it waits, it leaves the line at once; dropped when the seat had just been granted, the
    /// seat goes to the next in line.
    pub async fn acquire(&self, app: &str, ask: Ask, until: Instant) -> Result<Seat, Refusal> {
        let app = self.app(app).ok_or(Refusal { why: Why::NoSuchApp, retry_after: Duration::ZERO })?;
        let (lane, tenant) = (ask.lane, Arc::clone(&ask.tenant));
        let (mut wait, until) = match app.ask(ask, rt::between(self.shared.origin, until)) {
            Answer::Granted(ticket) => return Ok(Seat { app, ticket }),
            Answer::Refused(refusal) => return Err(app.explain(refusal)),
            Answer::Queued(ticket, until) => (Wait { app: Arc::clone(&app), ticket: Some(ticket) }, until),
        };
        let ended = tokio::select! {
            biased;
            ended = &mut wait => ended,
            () = rt::sleep_until(self.shared.origin + until) => app.give_up(&mut wait),
        };
        let why = match ended {
            (ticket, Fate::Granted) => return Ok(Seat { app, ticket }),
            (_, Fate::Superseded) => Why::Superseded,
            (_, Fate::Expired) => Why::Expired,
            (_, Fate::Closed) => Why::LaneClosed,
            (_, Fate::Shed) => Why::Shed,
            (_, Fate::Displaced) => Why::QueueFull,
        };
        let refusal = app.lock().schedule.refusal(why, lane, &tenant);
        Err(app.explain(refusal))
    }

    /// Every app that is served or has seats in use, by name.
    pub fn views(&self) -> Vec<(String, View)> {
        let apps = self.shared.apps.read().unwrap_or_else(PoisonError::into_inner);
        let apps: Vec<_> = apps.iter().map(|(name, app)| (name.clone(), Arc::clone(app))).collect();
        apps.into_iter().filter_map(|(name, app)| Some((name, app.view()?))).collect()
    }

    /// One app's view; none where it is not known.
    pub fn view(&self, app: &str) -> Option<View> {
        self.app(app)?.view()
    }

    fn app(&self, name: &str) -> Option<Arc<App>> {
        self.shared.apps.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.app.change(|state, now| state.schedule.release(self.ticket, now));
    }
}

// === impl App ===

impl App {
    fn new(origin: Instant) -> Self {
        let state = State { schedule: Schedule::new(Caps::CLOSED), waits: HashMap::new() };
        Self { state: Mutex::new(state), origin }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes whoever's wait ended by it.
    fn change<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.lock();
        // Read under the lock: times reach the schedule in order.
        let now = rt::between(self.origin, rt::now());
        let changed = change(&mut state, now);
        let wakers = state.end_waits();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        changed
    }

    fn ask(&self, ask: Ask, until: Duration) -> Answer {
        self.change(|state, now| {
            let answer = state.schedule.ask(ask, until, now);
            if let Answer::Queued(ticket, _) = answer {
                state.waits.insert(ticket, Progress::Waits(None));
            }
            answer
        })
    }

    /// The wait's time is over, by a timer that may be early by its grain. What came first holds.
    fn give_up(&self, wait: &mut Wait) -> (Ticket, Fate) {
        let ticket = wait.ticket.expect("a wait that was not ready has its ticket");
        let fate = self.change(|state, now| match state.waits.remove(&ticket) {
            Some(Progress::Ended(fate)) => fate,
            Some(Progress::Waits(_)) | None => {
                state.schedule.expire(ticket, now);
                Fate::Expired
            }
        });
        wait.ticket = None;
        (ticket, fate)
    }

    fn explain(&self, refusal: Refusal) -> Refusal {
        let closed = refusal.why == Why::LaneClosed && self.lock().schedule.is_closed();
        Refusal { why: if closed { Why::NoSuchApp } else { refusal.why }, ..refusal }
    }

    fn view(&self) -> Option<View> {
        let state = self.lock();
        let now = rt::between(self.origin, rt::now());
        (!state.schedule.is_over()).then(|| state.schedule.view(now))
    }
}

// === impl State ===

impl State {
    /// Notes what became of waits. Their wakers are to be woken once the lock is gone.
    fn end_waits(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (ticket, fate) in self.schedule.fates() {
            let Some(progress) = self.waits.get_mut(&ticket) else { continue };
            if let Progress::Waits(Some(waker)) = std::mem::replace(progress, Progress::Ended(fate)) {
                wakers.push(waker);
            }
        }
        wakers
    }
}

// === impl Wait ===

impl Future for Wait {
    type Output = (Ticket, Fate);

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket.expect("a wait is not polled after its end");
        let mut state = self.app.lock();
        if let Some(Progress::Ended(fate)) = state.waits.get(&ticket) {
            let fate = *fate;
            state.waits.remove(&ticket);
            drop(state);
            self.ticket = None;
            return Poll::Ready((ticket, fate));
        }
        state.waits.insert(ticket, Progress::Waits(Some(ctx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.app.change(|state, now| {
            state.waits.remove(&ticket);
            state.schedule.leave(ticket, now)
        });
    }
}
