//! Buffers: long arrays of a mesh, compressed where that pays.
//!
//! A buffer is the size of its content in bytes (u32) and, unless that is zero, the CRC-32 of its content (u32) and a
//! method (u8). Method 0: the content follows. Method 1: a `TCODE_ANONYMOUS_CHUNK` with the content as a zlib stream
//! follows. The stated size is compared with what the mesh needs, and no more than that is ever inflated.

use std::io::{Read, Write};

use flate2::{Compression, Crc, read::ZlibDecoder, write::ZlibEncoder};

use super::{
    Error,
    chunk::{ANONYMOUS, Reader, Writer},
};

/// The largest content, in bytes, that is written as it is: the bound that openNURBS uses.
const PLAIN_MAX: usize = 128;

/// Writes a buffer; an absent array is an empty buffer.
pub(super) fn write(writer: &mut Writer, content: &[u8]) {
    writer.count(content.len());
    if content.is_empty() {
        return;
    }
    writer.u32(checksum(content));
    if content.len() <= PLAIN_MAX {
        writer.u8(0);
        writer.put(content);
    } else {
        writer.u8(1);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let deflated = encoder.write_all(content).and_then(|()| encoder.finish()).expect("a Vec takes every byte");
        writer.chunk(ANONYMOUS, |chunk| chunk.put(&deflated));
    }
}

/// Reads a buffer that is empty or has exactly `expected` bytes.
pub(super) fn read(reader: &mut Reader<'_>, what: &'static str, expected: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some(Stored { size, stated, content, .. }) = stored(reader, Some((what, expected)))? else { return Ok(None) };
    let content = match content {
        Content::Plain(bytes) => bytes.to_vec(),
        Content::Deflated(chunk) => inflate(chunk, what, size)?,
    };
    if checksum(&content) == stated { Ok(Some(content)) } else { Err(Error::BufferChecksum(what)) }
}

/// Passes over a buffer, whatever its size, without inflating it.
pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), Error> {
    stored(reader, None).map(|_| ())
}

struct Stored<'a> {
    size: usize,
    /// The checksum that the buffer states.
    stated: u32,
    content: Content<'a>,
}

enum Content<'a> {
    Plain(&'a [u8]),
    Deflated(Reader<'a>),
}

fn stored<'a>(reader: &mut Reader<'a>, expected: Option<(&'static str, usize)>) -> Result<Option<Stored<'a>>, Error> {
    let size = usize::try_from(reader.u32()?).map_err(|_too_large| Error::Truncated)?;
    if size == 0 {
        return Ok(None);
    }
    if let Some((what, expected)) = expected
        && size != expected
    {
        return Err(Error::BufferSize { what, stated: size, expected });
    }
    let stated = reader.u32()?;
    let content = match reader.u8()? {
        0 => Content::Plain(reader.take(size)?),
        1 => Content::Deflated(reader.chunk(ANONYMOUS)?),
        method => return Err(Error::BufferMethod(method)),
    };
    Ok(Some(Stored { size, stated, content }))
}

fn inflate(mut chunk: Reader<'_>, what: &'static str, size: usize) -> Result<Vec<u8>, Error> {
    let deflated = chunk.take_rest();
    chunk.finish()?;
    // One byte more than stated is asked for, so that a stream which goes on is seen.
    let mut decoder = ZlibDecoder::new(deflated).take(size as u64 + 1);
    let mut content = Vec::new();
    decoder.read_to_end(&mut content).map_err(|_malformed| Error::BufferStream(what))?;
    if content.len() == size { Ok(content) } else { Err(Error::BufferStream(what)) }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    checksum.sum()
}
