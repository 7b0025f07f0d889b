//! A way to a server that can be slow, hang, lose its connections or break them, as networks and servers can. Used by the workers' tests, too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Each piece of an answer takes so much longer.
    Slow(Duration),
    /// Connections stand, and nothing passes until the way is open again; then all of it does.
    Hung,
    /// Connections are closed, and so are new ones.
    Down,
}

/// Where a connection breaks that commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server does not hear of the commit.
    Before,
    /// The server has committed, and its answer does not come.
    After,
}

/// Stands before a server.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// `127.0.0.1:…`
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    /// How many connections there have been.
    born: AtomicU64,
    cut: Mutex<Option<Cut>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    way: Way,
    /// Connections up to this one are lost: nothing passes on them any more, and nobody is told.
    lost: u64,
}

// === impl Proxy ===

impl Proxy {
    /// Stands before `server`, `127.0.0.1:5432`, as long as the runtime does.
    pub(crate) async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = watch::Sender::new(State { way: Way::Open, lost: 0 });
        let shared = Arc::new(Shared { state, born: AtomicU64::new(0), cut: Mutex::default() });
        let (serving, server) = (Arc::clone(&shared), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if serving.state.borrow().way != Way::Down {
                    let born = serving.born.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::spawn(carry(Arc::clone(&serving), client, server.clone(), born));
                }
            }
        });
        Self { address, shared }
    }

    pub(crate) fn make(&self, way: Way) {
        self.shared.state.send_modify(|state| state.way = way);
    }

    /// Loses the connections that there are: they stand, and nothing passes on them again.
    pub(crate) fn lose(&self) {
        let born = self.shared.born.load(Ordering::SeqCst);
        self.shared.state.send_modify(|state| state.lost = born);
    }

    /// Breaks the next connection that commits: a transaction, or a holder's call.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = Some(cut);
    }

    /// Whether the break that was asked for has yet to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.shared.cut.lock().unwrap().is_some()
    }
}

/// One connection, to its end. Whichever way ends first ends both, by a reset.
async fn carry(shared: Arc<Shared>, client: TcpStream, server: String, born: u64) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        stream.set_zero_linger().unwrap();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let breaks = AtomicBool::new(false);
    tokio::select! {
        () = asks(&shared, born, from_client, to_server, &breaks) => {}
        () = answers(&shared, born, from_server, to_client, &breaks) => {}
    }
}

async fn asks(shared: &Shared, born: u64, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, breaks: &AtomicBool) {
    let mut state = shared.state.subscribe();
    let mut piece = vec![0; 1 << 16];
    let mut alone = Vec::new();
    while let Some(bytes) = next(&mut from, &mut piece, &mut state).await {
        if passage(&mut state, born).await.is_none() {
            return;
        }
        if commits(&piece[..bytes], &mut alone) {
            match shared.cut.lock().unwrap().take() {
                Some(Cut::Before) => return,
                Some(Cut::After) => breaks.store(true, Ordering::SeqCst),
                None => {}
            }
        }
        if to.write_all(&piece[..bytes]).await.is_err() {
            return;
        }
    }
}

/// Whether the server will commit by this: it is told to, or asked for a statement that is a transaction of its own and changes a row. Such a
/// one is told the server in a piece of its own, under the name (`alone`) that it is run by afterwards.
fn commits(piece: &[u8], alone: &mut Vec<u8>) -> bool {
    let has = |word: &[u8]| piece.windows(word.len()).any(|part| part == word);
    match piece {
        // Its kind, four bytes of length, its name, its text.
        [b'P', _, _, _, _, rest @ ..] if has(b"move_held_job(") => {
            *alone = rest.split_inclusive(|byte| *byte == 0).next().unwrap_or_default().to_vec();
            false
        }
        [b'B', ..] if !alone.is_empty() && has(alone) => true,
        _ => has(b"COMMIT\0"),
    }
}

async fn answers(shared: &Shared, born: u64, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, breaks: &AtomicBool) {
    let mut state = shared.state.subscribe();
    let mut piece = vec![0; 1 << 16];
    while let Some(bytes) = next(&mut from, &mut piece, &mut state).await {
        let Some(wait) = passage(&mut state, born).await else { return };
        tokio::time::sleep(wait).await;
        if breaks.load(Ordering::SeqCst) || to.write_all(&piece[..bytes]).await.is_err() {
            return;
        }
    }
}

/// What comes next; none at the end, and where the way is down.
async fn next(from: &mut OwnedReadHalf, piece: &mut [u8], state: &mut watch::Receiver<State>) -> Option<usize> {
    loop {
        tokio::select! {
            read = from.read(piece) => return read.ok().filter(|bytes| *bytes > 0),
            changed = state.changed() => {
                if changed.is_err() || state.borrow_and_update().way == Way::Down {
                    return None;
                }
            }
        }
    }
}

/// Waits until something may pass, and tells how much longer it takes. None where the way is down.
async fn passage(state: &mut watch::Receiver<State>, born: u64) -> Option<Duration> {
    loop {
        let State { way, lost } = *state.borrow_and_update();
        if born <= lost {
            std::future::pending::<()>().await;
        }
        match way {
            Way::Open => return Some(Duration::ZERO),
            Way::Slow(wait) => return Some(wait),
            Way::Down => return None,
            Way::Hung => state.changed().await.ok()?,
        }
    }
}
