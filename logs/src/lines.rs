//! Log lines on their way out: requests put them into a bounded buffer, and one thread writes many at a time. So a sink that is
//! slow, full or blocked holds no request, and a line costs no system call of its own.
//!
//! Invariant: the buffer holds at most so many bytes, and lines leave it whole and in order; one that finds no room is dropped
//! and counted, as are those that the sink did not take.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Some ten thousand access lines: a second of a busy gateway.
const BYTES_MAX: usize = 4 << 20;
/// From a batch's first line until it is written. So much is lost where the process is killed.
const LINGER: Duration = Duration::from_millis(5);
/// Within this time the rest is written at the end, or the sink is given up.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// Where lines are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    /// A first line has come, or the rest is to be written at once.
    filled: Condvar,
    /// All that had come is written.
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    lines: u64,
    /// A batch is being written.
    writing: bool,
    /// Somebody waits for the rest.
    hurried: bool,
}

// === impl Lines ===

impl Lines {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".into()).spawn(move || writer.write(sink))?;
        Ok(Self { shared })
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what has come is written, for two seconds at most.
    pub fn flush(&self) {
        let end = Instant::now() + FLUSH_WAIT;
        let mut buffer = self.shared.lock();
        while buffer.writing || !buffer.bytes.is_empty() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return };
            buffer.hurried = true;
            self.shared.filled.notify_all();
            buffer = self.shared.emptied.wait_timeout(buffer, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Takes a line whole or not at all. Never fails, for whoever logs could do nothing about it.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut buffer = self.shared.lock();
        if buffer.bytes.len().saturating_add(line.len()) > BYTES_MAX {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = buffer.bytes.is_empty();
        buffer.bytes.extend_from_slice(line);
        buffer.lines += 1;
        drop(buffer);
        if is_first {
            self.shared.filled.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives as long as the process.
    fn write(&self, mut sink: impl Write) {
        // Two buffers in turn, so that neither is allocated again.
        let mut batch = Vec::new();
        loop {
            let first = self.filled.wait_while(self.lock(), |buffer| buffer.bytes.is_empty());
            let first = first.unwrap_or_else(PoisonError::into_inner);
            let more = self.filled.wait_timeout_while(first, LINGER, |buffer| !buffer.hurried);
            let (mut buffer, _) = more.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut batch, &mut buffer.bytes);
            let lines = std::mem::take(&mut buffer.lines);
            (buffer.writing, buffer.hurried) = (true, false);
            drop(buffer);
            if sink.write_all(&batch).and_then(|()| sink.flush()).is_err() {
                self.dropped.fetch_add(lines, Ordering::Relaxed);
            }
            batch.clear();
            self.lock().writing = false;
            self.emptied.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Passes on what it is given, once it is let.
    struct Gate {
        open: mpsc::Receiver<()>,
        out: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.out.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let ((opens, open), (out, seen)) = (mpsc::channel(), mpsc::channel());
        (Lines::start(Gate { open, out }).unwrap(), opens, seen)
    }

    #[test]
    fn lines_are_written_whole_in_order_and_many_at_a_time() {
        let (lines, opens, seen) = gated();
        let write = |number: u32| lines.clone().write_all(format!("{number}\n").as_bytes()).unwrap();
        write(0);
        opens.send(()).unwrap();
        assert_eq!(seen.recv().unwrap(), b"0\n");
        (1..1000).for_each(write);
        (0..999).for_each(|_| opens.send(()).unwrap());
        lines.flush();
        let batches: Vec<_> = seen.try_iter().collect();
        assert!(batches.len() < 999, "a write for each line");
        let text = String::from_utf8(batches.concat()).unwrap();
        let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers, (1..1000).collect::<Vec<_>>());
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn b5_a_sink_that_takes_nothing_holds_nobody_and_what_it_cost_is_counted() {
        let (lines, opens, seen) = gated();
        let line = [b'x'; 1 << 10];
        // Nothing is let through: were a writer held, this would not end.
        for _ in 0..20_000 {
            lines.clone().write_all(&line).unwrap();
        }
        let kept = 20_000 - lines.dropped();
        assert!((4_096..=8_192).contains(&kept), "the buffer, and as much on its way: {kept}");
        drop(opens);
        lines.flush();
        assert_eq!(lines.dropped(), 20_000, "a sink that fails has taken none");
        assert_eq!(seen.try_iter().count(), 0);
    }
}
