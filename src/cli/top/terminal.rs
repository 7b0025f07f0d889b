//! The terminal: taken over whole, and given back as it was, however the command ends.
//!
//! Invariant: what was on the screen before is there again afterwards, also after a panic.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::table::{Line, Style};

/// Another screen, no cursor, no wrapping of long lines; and all of it back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Where a terminal does not tell its size.
const USUAL: (usize, usize) = (80, 24);

/// A terminal that is taken over until this is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    before: Termios,
    colours: bool,
}

/// What a person pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Interrupt,
}

// === impl Screen ===

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let colours = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let screen = Self { before, colours };
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        write(ENTER)?;
        Ok(screen)
    }

    /// Columns and lines, as of now.
    pub(super) fn size() -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            Ok(_) | Err(_) => USUAL,
        }
    }

    /// Shows these lines, and nothing else.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            let next = if index == 0 { "" } else { "\r\n" };
            let _ = write!(text, "{next}{}{}\x1b[0m\x1b[K", self.begin(line.style), line.text);
        }
        text.push_str("\x1b[J");
        write(&text)
    }

    fn begin(&self, style: Style) -> &'static str {
        match style {
            Style::Strong => "\x1b[1m",
            Style::Heading => "\x1b[7m",
            Style::Faint if self.colours => "\x1b[2m",
            Style::Warning if self.colours => "\x1b[33m",
            Style::Bad if self.colours => "\x1b[31m",
            Style::Plain | Style::Faint | Style::Warning | Style::Bad => "",
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What is pressed from now on; it ends when the terminal has gone. The thread behind it waits for a key for as long as the process lives.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (told, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = io::stdin().read(&mut bytes) {
            for key in read(&bytes[..count]) {
                if told.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    keys
}

/// Arrows and the like come as one piece that begins with Escape, and mean nothing here.
fn read(bytes: &[u8]) -> Vec<Key> {
    let plain = bytes.split(|byte| *byte == 0x1b).next().unwrap_or_default();
    let key = |byte: &u8| match byte {
        3 => Some(Key::Interrupt),
        b'a'..=b'z' | b'A'..=b'Z' => Some(Key::Letter(char::from(*byte).to_ascii_lowercase())),
        _ => None,
    };
    plain.iter().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_and_the_interrupt_and_arrows_are_none() {
        assert_eq!(read(b"qP\x03 1"), [Key::Letter('q'), Key::Letter('p'), Key::Interrupt]);
        assert_eq!(read(b"\x1b[A"), []);
    }
}
