//! The bytes of a definition as they are kept in memory.
//!
//! A `.ghx` takes a tenth when deflated and is wanted whole once for each node, so it is kept deflated. What comes out hashes to what
//! went in.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Bytes, deflated where that makes them much shorter.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    kept: Kept,
    len: usize,
}

#[derive(Clone, PartialEq, Eq)]
enum Kept {
    Plain(Arc<[u8]>),
    Deflated(Box<[u8]>),
}

/// Less is not worth the work.
const WORTH: usize = 16 << 10;

// === impl Packed ===

impl Packed {
    pub fn new(bytes: &Arc<[u8]>) -> Self {
        let len = bytes.len();
        // A `.gh` is deflated already, and does not begin as XML does.
        let is_text = bytes.iter().take(8).any(|&byte| byte == b'<');
        let deflated = (is_text && len >= WORTH).then(|| deflate(bytes)).filter(|deflated| deflated.len() < len / 2);
        let kept = deflated.map_or_else(|| Kept::Plain(Arc::clone(bytes)), Kept::Deflated);
        Self { kept, len }
    }

    /// How many bytes there were.
    pub fn whole_bytes(&self) -> usize {
        self.len
    }

    /// The bytes as they were. Costs time and memory in proportion.
    ///
    /// # Panics
    /// Never: what was deflated here inflates.
    pub fn bytes(&self) -> Arc<[u8]> {
        match &self.kept {
            Kept::Plain(bytes) => Arc::clone(bytes),
            Kept::Deflated(deflated) => {
                let mut bytes = Vec::with_capacity(self.len);
                let read = DeflateDecoder::new(&**deflated).read_to_end(&mut bytes);
                read.expect("what was deflated here inflates");
                bytes.into()
            }
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

fn deflate(bytes: &[u8]) -> Box<[u8]> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes all that is written to it").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_as_it_was_and_takes_less() {
        let lines: Vec<_> = (0..5_000).map(|number| format!("<item name=\"Number\" index=\"{number}\" />")).collect();
        let text = lines.join("\n");
        for (bytes, smaller) in [
            (text.clone().into_bytes(), true),
            (format!("\u{feff}{text}").into_bytes(), true),
            (text.as_bytes()[..WORTH - 1].to_vec(), false),
            (b"\x7d\x00".repeat(WORTH), false),
            (Vec::new(), false),
        ] {
            let bytes: Arc<[u8]> = bytes.into();
            let packed = Packed::new(&bytes);
            assert_eq!(packed.bytes(), bytes);
            assert_eq!(matches!(&packed.kept, Kept::Deflated(kept) if kept.len() < bytes.len() / 4), smaller);
        }
    }
}
