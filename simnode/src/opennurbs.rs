//! Geometry in the JSON form of Rhino: an openNURBS object archive as base64, and its version numbers.
//!
//! [`encode`] and [`decode`] turn the plain arrays of [`Geometry`] into that form and back. What is written is in the
//! archive version of Rhino 6, which later ones read. What is read may come from anyone: lengths, counts and inflated
//! sizes are bounded, and a malformed object is an [`Error`], never a panic.
//!
//! The archive of one object, by the typecodes of openNURBS (the module `chunk` has the frame of a chunk):
//!
//! ```text
//! TCODE_OPENNURBS_CLASS
//!   TCODE_OPENNURBS_CLASS_UUID      the id of the class, 16 bytes as .NET writes a Guid; checksum
//!   TCODE_OPENNURBS_CLASS_DATA      a byte major << 4 | minor, then the layout of the class; checksum
//!   TCODE_OPENNURBS_CLASS_USERDATA  any number; passed over when read, not written
//!   TCODE_OPENNURBS_CLASS_END       no bytes
//! ```

mod buffer;
mod chunk;
mod curve;
mod geometry;
mod mesh;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

use chunk::{CLASS, CLASS_DATA, CLASS_END, CLASS_USERDATA, CLASS_UUID, Reader, Writer};
pub use geometry::{
    ArcCurve, FACES_MAX, Flaw, Geometry, LineCurve, Mesh, NurbsCurve, POINTS_MAX, Plane, PolylineCurve,
};

/// The version of the JSON form itself; there is one.
const FORM: i32 = 10_000;
/// The archive version that is written: that of Rhino 6, which Rhino 6, 7 and 8 read and `rhino3dm` 8 writes.
const ARCHIVE: i32 = 60;
/// The first archive version that is read: that of Rhino 5, before which a chunk's length took four bytes.
const ARCHIVE_FIRST: i32 = 50;
/// The last archive version that is read: that of the coming Rhino 9.
const ARCHIVE_LAST: i32 = 90;
/// Which openNURBS wrote the archive, by which readers know the quirks to expect: the public release 8.12 of 8 October
/// 2024 (day 282), whose layouts the encoders follow, on branch 0: a developer build, for no product of McNeel wrote
/// it.
const OPENNURBS: i32 = version_number(8, 12, 2024, 282, 0);
/// The most characters of base64 that are read: compute takes no larger request.
const TEXT_MAX: usize = 50 << 20;

const POINT: Uuid = uuid!("C3101A1D-F157-11D3-BFE7-0010830122F0");
const LINE_CURVE: Uuid = uuid!("4ED7D4DB-E947-11D3-BFE5-0010830122F0");
const POLYLINE_CURVE: Uuid = uuid!("4ED7D4E6-E947-11D3-BFE5-0010830122F0");
const ARC_CURVE: Uuid = uuid!("CF33BE2A-09B4-11D4-BFFB-0010830122F0");
const NURBS_CURVE: Uuid = uuid!("4ED7D4DD-E947-11D3-BFE5-0010830122F0");
/// A NURBS curve as Rhino itself names it; openNURBS and `rhino3dm` read it as theirs, the layout is the same.
const NURBS_CURVE_OF_RHINO: Uuid = uuid!("5EAF1119-0B51-11D4-BFFE-0010830122F0");
const MESH: Uuid = uuid!("4ED7D4E4-E947-11D3-BFE5-0010830122F0");
/// Classes that callers may well send and that cannot be read here, so that the error can say what they are. Some have
/// one id in Rhino and another in openNURBS.
const NOT_READ: [(Uuid, &str); 14] = [
    (uuid!("4ED7D4E0-E947-11D3-BFE5-0010830122F0"), "PolyCurve"),
    (uuid!("4ED7D4D8-E947-11D3-BFE5-0010830122F0"), "CurveOnSurface"),
    (uuid!("4ED7D4DE-E947-11D3-BFE5-0010830122F0"), "NurbsSurface"),
    (uuid!("4760C817-0BE3-11D4-BFFE-0010830122F0"), "NurbsSurface"),
    (uuid!("4ED7D4DF-E947-11D3-BFE5-0010830122F0"), "PlaneSurface"),
    (uuid!("A16220D3-163B-11D4-8000-0010830122F0"), "RevSurface"),
    (uuid!("0A8401B6-4D34-4B99-8615-1B4E723DC4E5"), "RevSurface"),
    (uuid!("C4CD5359-446D-4690-9FF5-29059732472B"), "SumSurface"),
    (uuid!("665F6331-2A66-4CCE-81D0-B5EEBD9B5417"), "SumSurface"),
    (uuid!("36F53175-72B8-4D47-BF1F-B4E6FC24F4B9"), "Extrusion"),
    (uuid!("60B5DBC5-E660-11D3-BFE4-0010830122F0"), "Brep"),
    (uuid!("F06FC243-A32A-4608-9DD8-A7D2C4CE2A36"), "Brep"),
    (uuid!("F09BA4D9-455B-42C3-BA3B-E6CCACEF853B"), "SubD"),
    (uuid!("2488F347-F8FA-11D3-BFEC-0010830122F0"), "PointCloud"),
];

/// An object as Rhino, `rhino3dm` and compute write it in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RhinoJson {
    /// Of the JSON form: 10000.
    pub version: i32,
    /// Of the archive: 50 is Rhino 5, 60 Rhino 6, and so on.
    pub archive3dm: i32,
    /// The openNURBS that wrote it: negative from Rhino 6 on, as a date (`202503318`) before.
    pub opennurbs: i32,
    /// The archive in base64.
    pub data: String,
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the object is in version {0} of the JSON form, and only {FORM} is known")]
    Form(i32),
    #[error("the object is in archive version {0}, and {ARCHIVE_FIRST} to {ARCHIVE_LAST} can be read")]
    Archive(i32),
    #[error("the data takes {0} characters, more than {TEXT_MAX}")]
    TooLong(usize),
    #[error("the data is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the data ends before the object does")]
    Truncated,
    #[error("chunk {found:#010x} stands where {expected:#010x} belongs")]
    UnexpectedChunk { expected: u32, found: u32 },
    #[error("chunk {typecode:#010x} states the length {length}")]
    ChunkLength { typecode: u32, length: i64 },
    #[error("chunk {typecode:#010x} has {bytes} bytes more than its content")]
    Unread { typecode: u32, bytes: usize },
    #[error("the checksum of chunk {typecode:#010x} does not match its bytes")]
    Checksum { typecode: u32 },
    #[error("an object of class {name} cannot be read", name = class_name(*.0))]
    Class(Uuid),
    #[error("version {major}.{minor} of the layout of {what} cannot be read")]
    Layout { what: &'static str, major: i32, minor: i32 },
    #[error("{what}: the archive states {stated}, and 0 to {most} can be")]
    Count { what: &'static str, stated: i32, most: usize },
    #[error("{what}: the archive states {stated}, which has no meaning")]
    Code { what: &'static str, stated: i32 },
    #[error("the buffer of {what} states {stated} bytes where {expected} belong")]
    BufferSize { what: &'static str, stated: usize, expected: usize },
    #[error("the method of a buffer is {0}, and only 0 and 1 are known")]
    BufferMethod(u8),
    #[error("the buffer of {0} is not a zlib stream of the size it states")]
    BufferStream(&'static str),
    #[error("the checksum of the buffer of {0} does not match its bytes")]
    BufferChecksum(&'static str),
    #[error("the object is malformed: {0}")]
    Geometry(#[from] Flaw),
}

/// Writes an object; the first flaw where an archive cannot hold it.
pub fn encode(geometry: &Geometry) -> Result<RhinoJson, Flaw> {
    geometry.check()?;
    let class = match geometry {
        Geometry::Point(_) => POINT,
        Geometry::LineCurve(_) => LINE_CURVE,
        Geometry::PolylineCurve(_) => POLYLINE_CURVE,
        Geometry::ArcCurve(_) => ARC_CURVE,
        Geometry::NurbsCurve(_) => NURBS_CURVE,
        Geometry::Mesh(_) => MESH,
    };
    let mut archive = Writer::new();
    archive.chunk(CLASS, |object| {
        object.chunk(CLASS_UUID, |id| id.uuid(class));
        object.chunk(CLASS_DATA, |data| match geometry {
            Geometry::Point(point) => curve::write_point(data, *point),
            Geometry::LineCurve(line) => curve::write_line(data, line),
            Geometry::PolylineCurve(polyline) => curve::write_polyline(data, polyline),
            Geometry::ArcCurve(arc) => curve::write_arc(data, arc),
            Geometry::NurbsCurve(nurbs) => curve::write_nurbs(data, nurbs),
            Geometry::Mesh(mesh) => mesh::write(data, mesh),
        });
        object.mark(CLASS_END);
    });
    let data = BASE64_STANDARD.encode(archive.into_bytes());
    Ok(RhinoJson { version: FORM, archive3dm: ARCHIVE, opennurbs: OPENNURBS, data })
}

/// Reads an object. What it has beyond the arrays of [`Geometry`] (colours, texture coordinates, n-gons, user strings)
/// is passed over, and so is what follows it in the data. A mesh of Rhino 5 has its double precision among its user
/// data, and is read in single precision.
pub fn decode(object: &RhinoJson) -> Result<Geometry, Error> {
    if object.version != FORM {
        return Err(Error::Form(object.version));
    }
    if !(ARCHIVE_FIRST..=ARCHIVE_LAST).contains(&object.archive3dm) {
        return Err(Error::Archive(object.archive3dm));
    }
    if object.data.len() > TEXT_MAX {
        return Err(Error::TooLong(object.data.len()));
    }
    let bytes = BASE64_STANDARD.decode(&object.data)?;
    let mut object = Reader::new(&bytes).chunk(CLASS)?;
    let mut id = object.chunk(CLASS_UUID)?;
    let class = id.uuid()?;
    id.finish()?;
    let mut data = object.chunk(CLASS_DATA)?;
    let geometry = match class {
        POINT => curve::read_point(&mut data).map(Geometry::Point),
        LINE_CURVE => curve::read_line(&mut data).map(Geometry::LineCurve),
        POLYLINE_CURVE => curve::read_polyline(&mut data).map(Geometry::PolylineCurve),
        ARC_CURVE => curve::read_arc(&mut data).map(Geometry::ArcCurve),
        NURBS_CURVE | NURBS_CURVE_OF_RHINO => curve::read_nurbs(&mut data).map(Geometry::NurbsCurve),
        MESH => mesh::read(&mut data).map(Geometry::Mesh),
        other => Err(Error::Class(other)),
    }?;
    data.finish()?;
    loop {
        match object.any_chunk()?.typecode() {
            CLASS_USERDATA => {}
            CLASS_END => break,
            found => return Err(Error::UnexpectedChunk { expected: CLASS_END, found }),
        }
    }
    geometry.check()?;
    Ok(geometry)
}

/// The number by which openNURBS names a release: the highest bit, 6 bits of the major and 7 of the minor version, 16
/// bits of the day (367 for each year since 2000, plus the day of the year from 1), 2 bits of the branch.
const fn version_number(major: u32, minor: u32, year: u32, day_of_year: u32, branch: u32) -> i32 {
    let day = (year - 2000) * 367 + day_of_year;
    (1 << 31 | major << 25 | minor << 18 | day << 2 | branch).cast_signed()
}

fn class_name(class: Uuid) -> String {
    NOT_READ.iter().find(|(id, _)| *id == class).map_or_else(|| class.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_number_is_made_as_opennurbs_makes_it() {
        // What rhino3dm 8.35 of 8 September 2026 states of itself.
        assert_eq!(version_number(8, 35, 2026, 251, 0), -1_869_833_980);
    }
}
