//! Connections of this process, and the bounds of what is asked over them.
//!
//! Each call has a connection to itself. One that a call was done with is used again as it is; one that a call failed on, left or was
//! too long with is out of its transaction and answers before anybody else has it, or else it is closed.
//!
//! Invariant: nothing here waits without a bound, whatever has become of the server and of the way to it, and every place comes back.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::Error;

/// The longest wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// The longest that a call takes, a connection included: what the server's own bound of one statement leaves room for.
const CALL: Duration = Duration::from_secs(25);
/// A connection that was used so lately is not asked whether it answers.
const FRESH: Duration = Duration::from_secs(1);
/// The longest that a connection may take to say that it answers.
const ANSWER: Duration = Duration::from_secs(2);
/// A connection that nobody needs for so long is closed, and one that is so old once it is free: a server that is new in a cluster gets
/// its share.
const UNUSED: Duration = Duration::from_mins(10);
const OLD: Duration = Duration::from_mins(30);
/// Before a server that refuses is tried again, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// At most so many connections.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    places: Arc<Semaphore>,
    /// The one that was used last is last.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    live: Live,
    since: Instant,
}

#[derive(Debug)]
struct Live {
    connection: PgConnection,
    born: Instant,
}

/// A connection that is in use.
#[derive(Debug)]
pub(super) struct Kept {
    /// None once it has gone back.
    live: Option<Live>,
    place: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
    /// Others have used it.
    used: bool,
    /// A transaction was begun, and has not been committed.
    begun: bool,
}

/// Bounds a call.
pub(super) async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(CALL, call).await.unwrap_or_else(|_late| Err(late("the database did not answer in time")))
}

fn late(what: &'static str) -> Error {
    Error::Database(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(options: PgConnectOptions, connections_max: u32) -> Self {
        let places = Arc::new(Semaphore::new(connections_max.max(1) as usize));
        Self(Arc::new(Shared { options, places, idle: Mutex::default() }))
    }

    /// A connection that answers. Cancel safe.
    pub(super) async fn acquire(&self) -> Result<Kept, Error> {
        let (shared, until) = (&self.0, Instant::now() + ACQUIRE);
        let Ok(Ok(place)) = timeout_at(until, Arc::clone(&shared.places).acquire_owned()).await else {
            return Err(late("no connection was free in time"));
        };
        while let Some(Idle { mut live, since }) = shared.pop() {
            let asked = Instant::now();
            if since.elapsed() < FRESH || matches!(timeout(ANSWER, live.connection.ping()).await, Ok(Ok(()))) {
                return Ok(Kept::new(live, place, shared, true));
            }
            // What became of this one has become of those that have been unused as long.
            shared.forget(asked);
        }
        let connection = timeout_at(until, connect(&shared.options, until)).await;
        let connection = connection.unwrap_or_else(|_late| Err(late("the database took no connection in time")))?;
        Ok(Kept::new(Live { connection, born: Instant::now() }, place, shared, false))
    }

    /// A connection with a transaction. One that was used and is found broken is replaced: nothing was asked over it yet.
    pub(super) async fn begin(&self) -> Result<Kept, Error> {
        loop {
            let mut kept = self.acquire().await?;
            kept.begun = true;
            match sqlx::raw_sql("BEGIN").execute(&mut *kept).await {
                Ok(_) => return Ok(kept),
                Err(error) if kept.used && may_pass(&error) => self.0.forget(Instant::now()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Connects, again where the server is not there yet.
async fn connect(options: &PgConnectOptions, until: Instant) -> Result<PgConnection, Error> {
    let mut pause = PAUSE;
    loop {
        match PgConnection::connect_with(options).await {
            Ok(connection) => return Ok(connection),
            Err(error) if may_pass(&error) && Instant::now() + pause < until => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The server starts, is full for the moment, ends, or is away.
fn may_pass(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::Io(_)) || matches!(code.as_deref(), Some("53300" | "57P01" | "57P02" | "57P03"))
}

// === impl Shared ===

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn push(&self, live: Live) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|idle| now.duration_since(idle.since) < UNUSED);
        if now.duration_since(live.born) < OLD {
            idle.push(Idle { live, since: now });
        }
    }

    /// Closes those that have been unused since before this.
    fn forget(&self, before: Instant) {
        self.idle().retain(|idle| idle.since >= before);
    }
}

// === impl Kept ===

impl Kept {
    fn new(live: Live, place: OwnedSemaphorePermit, shared: &Arc<Shared>, used: bool) -> Self {
        Self { live: Some(live), place: Some(place), shared: Arc::clone(shared), used, begun: false }
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
        self.begun = false;
        self.done();
        Ok(())
    }

    /// A statement that is a transaction of its own failed on it. Where the connection is broken those that were unused meanwhile are not given to
    /// whoever asks again: what came of the statement is not known, so it is not asked again here.
    pub(super) fn failed(self, error: sqlx::Error) -> Error {
        if self.used && may_pass(&error) {
            self.shared.forget(Instant::now());
        }
        error.into()
    }

    /// The call is done with it, and has had all its answers.
    pub(super) fn done(mut self) {
        if let Some(live) = self.live.take() {
            self.shared.push(live);
        }
    }
}

impl Deref for Kept {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.live.as_ref().expect("it goes back with the last use").connection
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.live.as_mut().expect("it goes back with the last use").connection
    }
}

impl Drop for Kept {
    /// Where the call was not done with it, somewhere in the middle of something. The place is free when it is clear what becomes of it.
    fn drop(&mut self) {
        let (Some(mut live), Ok(runtime)) = (self.live.take(), Handle::try_current()) else { return };
        let (shared, place, begun) = (Arc::clone(&self.shared), self.place.take(), self.begun);
        runtime.spawn(async move {
            let mended = async {
                if begun {
                    sqlx::raw_sql("ROLLBACK").execute(&mut live.connection).await?;
                }
                live.connection.ping().await
            };
            match timeout(ANSWER, mended).await {
                Ok(Ok(())) => shared.push(live),
                // The server ends what it does for it when it finds it closed.
                Ok(Err(_)) | Err(_) => drop(live),
            }
            drop(place);
        });
    }
}
