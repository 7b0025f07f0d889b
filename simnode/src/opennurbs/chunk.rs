//! Chunks: the frames of a 3dm archive, written and read with their checksums.
//!
//! A chunk is a typecode (u32), a length (i64), and as many bytes; all numbers are little-endian. A typecode with the
//! bit `SHORT` has no bytes, its length is a value. A typecode with the bit `CRC` has the CRC-32 of its bytes as its
//! last four; chunks within it do not count towards that sum, neither their header nor their bytes.

use flate2::Crc;
use uuid::Uuid;

use super::Error;

/// `TCODE_OPENNURBS_CLASS`: the whole object.
pub(super) const CLASS: u32 = 0x0002_7FFA;
/// `TCODE_OPENNURBS_CLASS_UUID`: which class it is of.
pub(super) const CLASS_UUID: u32 = 0x0002_FFFB;
/// `TCODE_OPENNURBS_CLASS_DATA`: its content, in the layout of its class.
pub(super) const CLASS_DATA: u32 = 0x0002_FFFC;
/// `TCODE_OPENNURBS_CLASS_USERDATA`: what a plug-in, or the user strings, attached to it.
pub(super) const CLASS_USERDATA: u32 = 0x0002_7FFD;
/// `TCODE_OPENNURBS_CLASS_END`: a mark after the content and the user data.
pub(super) const CLASS_END: u32 = SHORT | 0x0002_7FFF;
/// `TCODE_ANONYMOUS_CHUNK`: a part of a class's content.
pub(super) const ANONYMOUS: u32 = 0x4000_8000;

/// `TCODE_SHORT`: no bytes follow the header.
const SHORT: u32 = 0x8000_0000;
/// `TCODE_CRC`: the bytes end with their checksum.
const CRC: u32 = 0x0000_8000;
/// The bytes of a checksum.
const CRC_SIZE: usize = 4;

/// Writes the bytes of one chunk, or of the archive.
pub(super) struct Writer {
    bytes: Vec<u8>,
    checksum: Crc,
}

/// Reads the bytes of one chunk, or of the archive.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    typecode: u32,
    /// The sum of what has been read so far.
    checksum: Crc,
    /// The sum that the chunk states, where it has one.
    stated: Option<u32>,
    /// Whether bytes may be left unread.
    is_later: bool,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), checksum: Crc::new() }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.put(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// A length that [`super::Geometry::check`] has bounded.
    pub(super) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("the object has been checked, and every bound is far below 2^32"));
    }

    pub(super) fn f32s(&mut self, values: &[f32]) {
        for value in values {
            self.put(&value.to_le_bytes());
        }
    }

    pub(super) fn f64s(&mut self, values: &[f64]) {
        for value in values {
            self.put(&value.to_le_bytes());
        }
    }

    pub(super) fn uuid(&mut self, value: Uuid) {
        self.put(&value.to_bytes_le());
    }

    /// A chunk with bytes, which `fill` writes.
    pub(super) fn chunk(&mut self, typecode: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::new();
        fill(&mut inner);
        if typecode & CRC != 0 {
            let checksum = inner.checksum.sum();
            inner.u32(checksum);
        }
        self.header(typecode, i64::try_from(inner.bytes.len()).expect("a length in memory fits 63 bits"));
        self.bytes.append(&mut inner.bytes);
    }

    /// A chunk without bytes.
    pub(super) fn mark(&mut self, typecode: u32) {
        self.header(typecode, 0);
    }

    /// Bypasses the checksum, to which chunks within do not count.
    fn header(&mut self, typecode: u32, length: i64) {
        self.bytes.extend_from_slice(&typecode.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, typecode: 0, checksum: Crc::new(), stated: None, is_later: false }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let taken = self.skip(count)?;
        self.checksum.update(taken);
        Ok(taken)
    }

    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        let taken = std::mem::take(&mut self.rest);
        self.checksum.update(taken);
        taken
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length: not negative, and no more than `most`.
    pub(super) fn count(&mut self, what: &'static str, most: usize) -> Result<usize, Error> {
        let stated = self.i32()?;
        usize::try_from(stated).ok().filter(|count| *count <= most).ok_or(Error::Count { what, stated, most })
    }

    pub(super) fn f64(&mut self) -> Result<f64, Error> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub(super) fn f64s<const N: usize>(&mut self) -> Result<[f64; N], Error> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = self.f64()?;
        }
        Ok(values)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, Error> {
        Ok(Uuid::from_bytes_le(self.array()?))
    }

    /// Enters the next chunk, which must be of this typecode.
    pub(super) fn chunk(&mut self, expected: u32) -> Result<Self, Error> {
        let inner = self.any_chunk()?;
        if inner.typecode == expected {
            Ok(inner)
        } else {
            Err(Error::UnexpectedChunk { expected, found: inner.typecode })
        }
    }

    /// Enters the next chunk, whatever it is.
    pub(super) fn any_chunk(&mut self) -> Result<Self, Error> {
        // The header does not count towards the checksum of the chunk that holds it.
        let header = self.skip(size_of::<u32>() + size_of::<i64>())?;
        let (typecode, length) = header.split_at(size_of::<u32>());
        let typecode = u32::from_le_bytes(typecode.try_into().expect("split at four bytes"));
        let length = i64::from_le_bytes(length.try_into().expect("eight bytes are left of twelve"));
        let mut inner = Self { rest: &[], typecode, checksum: Crc::new(), stated: None, is_later: false };
        if typecode & SHORT == 0 {
            let length = usize::try_from(length).map_err(|_negative| Error::ChunkLength { typecode, length })?;
            inner.rest = self.skip(length)?;
            if typecode & CRC != 0 {
                let (rest, checksum) = inner.rest.split_last_chunk::<CRC_SIZE>().ok_or(Error::Truncated)?;
                (inner.rest, inner.stated) = (rest, Some(u32::from_le_bytes(*checksum)));
            }
        }
        Ok(inner)
    }

    pub(super) fn typecode(&self) -> u32 {
        self.typecode
    }

    /// Says that the chunk is of a later version than is known. Later versions of a layout only append members.
    pub(super) fn allow_unread(&mut self) {
        self.is_later = true;
    }

    /// Leaves the chunk, which has been read to its end. Where bytes may be left unread, and are, its checksum is not
    /// compared: chunks among them would not count.
    pub(super) fn finish(self) -> Result<(), Error> {
        let typecode = self.typecode;
        match self.stated {
            _ if !self.rest.is_empty() && !self.is_later => Err(Error::Unread { typecode, bytes: self.rest.len() }),
            Some(stated) if self.rest.is_empty() && stated != self.checksum.sum() => Err(Error::Checksum { typecode }),
            _ => Ok(()),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    /// Passes over bytes without counting them towards the checksum.
    fn skip(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
