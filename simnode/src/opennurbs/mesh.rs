//! The layout of a mesh.
//!
//! Vertices stand in single precision, and a second time in double precision where single loses any of them.

use uuid::Uuid;

use super::{
    Error, buffer,
    chunk::{ANONYMOUS, Reader, Writer},
    curve::layout,
    geometry::{FACES_MAX, Mesh, POINTS_MAX, single},
};

/// What openNURBS writes for a number that has not been set.
const UNSET: f64 = -1.234_321_012_343_21e308;
/// The most by which a vertex in double precision may differ from its single, relative to the largest coordinate of
/// that: Rhino's bound, beyond which it believes the single.
const PRECISIONS_TOLERANCE: f32 = 1e-6;
const VERTICES: &str = "vertices of the mesh";
const EXACT_VERTICES: &str = "vertices of the mesh in double precision";
const NORMALS: &str = "normals of the mesh";

/// `ON_Mesh` 3.8:
///
/// - count of vertices, count of faces (i32);
/// - texture domains (four doubles), surface domains (four doubles), all unset; surface scale (two doubles), zero;
/// - bounding box (six f32), rounded outwards; boxes of the normals (six f32) and of the texture coordinates (four
///   f32), both empty, for readers work them out when asked;
/// - whether closed (i32), -1: not known;
/// - whether meshing parameters follow, and which of four curvature statistics (five u8), none; each would be a
///   `TCODE_ANONYMOUS_CHUNK`;
/// - the faces, see [`write_faces`];
/// - five [`buffer`]s: vertices (three f32 each), normals (three f32 each), texture coordinates, curvatures, colours;
/// - whether packed textures are rotated (i32; from 3.2 on), a mapping's id (16 bytes; 3.3), a buffer of surface
///   parameters (3.3), the mapping, see [`write_mapping`] (3.4);
/// - whether manifold, oriented, solid (three u8; 3.5), 0: not known;
/// - whether n-gons follow (u8; 3.6), no; they would be a `TCODE_ANONYMOUS_CHUNK`;
/// - whether vertices in double precision follow (u8; 3.7), and these, see [`write_exact_vertices`];
/// - bounding box (six doubles; 3.8).
pub(super) fn write(writer: &mut Writer, mesh: &Mesh) {
    let (least, greatest) = bounds(&mesh.vertices);
    writer.u8(0x38);
    writer.count(mesh.vertices.len());
    writer.count(mesh.faces.len());
    writer.f64s(&[UNSET; 8]);
    writer.f64s(&[0.0; 2]);
    writer.f32s(&least.map(single_below));
    writer.f32s(&greatest.map(|value| -single_below(-value)));
    writer.f32s(&[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    writer.f32s(&[1.0, 1.0, -1.0, -1.0]);
    writer.i32(-1);
    writer.put(&[0; 5]);
    write_faces(writer, mesh);
    buffer::write(writer, &single_bytes(mesh.vertices.as_flattened().iter().map(|value| single(*value))));
    let normals = mesh.normals.as_deref().unwrap_or_default();
    buffer::write(writer, &single_bytes(normals.as_flattened().iter().copied()));
    for _absent in ["texture coordinates", "curvatures", "colours"] {
        buffer::write(writer, &[]);
    }
    writer.i32(0);
    writer.uuid(Uuid::nil());
    buffer::write(writer, &[]);
    write_mapping(writer);
    writer.put(&[0; 3]);
    writer.u8(0);
    let is_exact =
        mesh.vertices.as_flattened().iter().all(|value| f64::from(single(*value)).to_bits() == value.to_bits());
    writer.u8(u8::from(!is_exact));
    if !is_exact {
        write_exact_vertices(writer, &mesh.vertices);
    }
    writer.f64s(&least);
    writer.f64s(&greatest);
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Mesh, Error> {
    const DOUBLES: usize = 10 * size_of::<f64>();
    const SINGLES: usize = 16 * size_of::<f32>();
    let minor = layout(reader, "a mesh", (3, 8))?;
    let count = reader.count(VERTICES, POINTS_MAX)?;
    let face_count = reader.count("faces of the mesh", FACES_MAX)?;
    reader.take(DOUBLES + SINGLES + size_of::<i32>())?;
    for _part in ["meshing parameters", "statistic", "statistic", "statistic", "statistic"] {
        skip_optional(reader)?;
    }
    let faces = read_faces(reader, face_count)?;
    if count == 0 {
        return Ok(Mesh { vertices: Vec::new(), faces, normals: None });
    }
    let size = count * size_of::<[f32; 3]>();
    let vertices = buffer::read(reader, VERTICES, size)?;
    let vertices = singles(&vertices.ok_or(Error::BufferSize { what: VERTICES, stated: 0, expected: size })?);
    let normals = buffer::read(reader, NORMALS, size)?.map(|bytes| singles(&bytes));
    for _part in ["texture coordinates", "curvatures", "colours"] {
        buffer::skip(reader)?;
    }
    let exact = read_later_members(reader, minor, count)?.filter(|exact| agree(exact, &vertices));
    let vertices = exact.unwrap_or_else(|| vertices.iter().map(|vertex| vertex.map(f64::from)).collect());
    Ok(Mesh { vertices, faces, normals })
}

/// The size of an index in bytes (i32), then four indices for each face, of that size: 1 below 256 vertices, 2 below
/// 65536, else 4.
fn write_faces(writer: &mut Writer, mesh: &Mesh) {
    let width: u8 = match mesh.vertices.len() {
        0..256 => 1,
        256..65_536 => 2,
        _ => 4,
    };
    writer.i32(width.into());
    for index in mesh.faces.as_flattened() {
        // The index has been checked against the number of vertices, so that cutting it loses nothing.
        writer.put(&index.to_le_bytes()[..usize::from(width)]);
    }
}

fn read_faces(reader: &mut Reader<'_>, count: usize) -> Result<Vec<[u32; 4]>, Error> {
    let width = match reader.i32()? {
        1 => 1,
        2 => 2,
        4 => 4,
        stated => return Err(Error::Code { what: "bytes of a vertex index", stated }),
    };
    let bytes = reader.take(count * 4 * width)?;
    let index = |bytes: &[u8]| bytes.iter().rev().fold(0, |index, byte| index << 8 | u32::from(*byte));
    let face = |bytes: &[u8]| std::array::from_fn(|corner| index(&bytes[corner * width..][..width]));
    Ok(bytes.chunks_exact(4 * width).map(face).collect())
}

/// A `TCODE_ANONYMOUS_CHUNK` with the versions 1 and 1 (i32), the mapping's id (16 bytes), its checksum (i32), a 4 x 4
/// matrix (doubles), its kind (i32): none.
fn write_mapping(writer: &mut Writer) {
    writer.chunk(ANONYMOUS, |chunk| {
        chunk.i32(1);
        chunk.i32(1);
        chunk.uuid(Uuid::nil());
        chunk.i32(0);
        for row in 0..4 {
            let mut values = [0.0; 4];
            values[row] = 1.0;
            chunk.f64s(&values);
        }
        chunk.i32(0);
    });
}

/// A `TCODE_ANONYMOUS_CHUNK` with the versions 1 and 0 (i32), the count of vertices (i32), a [`buffer`] of three
/// doubles each.
fn write_exact_vertices(writer: &mut Writer, vertices: &[[f64; 3]]) {
    let bytes: Vec<u8> = vertices.as_flattened().iter().flat_map(|value| value.to_le_bytes()).collect();
    writer.chunk(ANONYMOUS, |chunk| {
        chunk.i32(1);
        chunk.i32(0);
        chunk.count(vertices.len());
        buffer::write(chunk, &bytes);
    });
}

/// What follows the buffers; of interest are only the vertices in double precision.
fn read_later_members(reader: &mut Reader<'_>, minor: u8, count: usize) -> Result<Option<Vec<[f64; 3]>>, Error> {
    if minor >= 2 {
        reader.i32()?;
    }
    if minor >= 3 {
        reader.uuid()?;
        buffer::skip(reader)?;
    }
    if minor >= 4 {
        reader.chunk(ANONYMOUS)?;
    }
    if minor >= 5 {
        reader.take(3)?;
    }
    if minor >= 6 {
        skip_optional(reader)?;
    }
    let mut exact = None;
    if minor >= 7 && reader.u8()? != 0 {
        exact = read_exact_vertices(reader, count)?;
    }
    if minor >= 8 {
        reader.f64s::<6>()?;
    }
    Ok(exact)
}

fn read_exact_vertices(reader: &mut Reader<'_>, count: usize) -> Result<Option<Vec<[f64; 3]>>, Error> {
    let mut chunk = reader.chunk(ANONYMOUS)?;
    let (major, minor) = (chunk.i32()?, chunk.i32()?);
    if major != 1 {
        return Err(Error::Layout { what: EXACT_VERTICES, major, minor });
    }
    let stated = chunk.count(EXACT_VERTICES, POINTS_MAX)?;
    if stated != count {
        return Ok(None);
    }
    let bytes = buffer::read(&mut chunk, EXACT_VERTICES, count * size_of::<[f64; 3]>())?;
    chunk.finish()?;
    Ok(bytes.map(|bytes| {
        let values: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        values.as_chunks::<3>().0.to_vec()
    }))
}

/// A flag (u8), and a chunk where it is set.
fn skip_optional(reader: &mut Reader<'_>) -> Result<(), Error> {
    if reader.u8()? != 0 {
        reader.chunk(ANONYMOUS)?;
    }
    Ok(())
}

/// Whether the vertices in double precision are those in single precision.
fn agree(exact: &[[f64; 3]], vertices: &[[f32; 3]]) -> bool {
    exact.iter().zip(vertices).all(|(exact, vertex)| {
        let largest = vertex.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        // Written so that a NaN does not agree.
        exact.iter().zip(vertex).all(|(a, b)| (single(*a) - b).abs() <= PRECISIONS_TOLERANCE * largest)
    })
}

fn bounds(vertices: &[[f64; 3]]) -> ([f64; 3], [f64; 3]) {
    vertices.iter().fold(([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]), |(least, greatest), vertex| {
        (
            std::array::from_fn(|axis| least[axis].min(vertex[axis])),
            std::array::from_fn(|axis| greatest[axis].max(vertex[axis])),
        )
    })
}

/// The greatest single that is not above a number.
fn single_below(value: f64) -> f32 {
    let nearest = single(value);
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

fn single_bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

fn singles(bytes: &[u8]) -> Vec<[f32; 3]> {
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    values.as_chunks::<3>().0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_in_single_precision_is_rounded_outwards() {
        for value in [0.1, -0.1, 0.3, -0.3, 1e9 + 1.0] {
            let (below, above) = (single_below(value), -single_below(-value));
            assert!(f64::from(below) < value && value < f64::from(above));
            assert_eq!(below.next_up().to_bits(), above.to_bits());
        }
        assert_eq!(single_below(-2.5).to_bits(), (-2.5_f32).to_bits());
    }

    #[test]
    fn vertices_in_double_precision_are_believed_where_they_agree_with_their_singles() {
        let singles = [[0.1, 0.0, 1000.0], [0.0; 3]];
        assert!(agree(&[[0.1, 1e-4, 1000.0], [0.0; 3]], &singles));
        assert!(!agree(&[[0.1, 2e-3, 1000.0], [0.0; 3]], &singles));
        assert!(!agree(&[[0.1, 0.0, 1000.0], [0.0, 0.0, 1e-3]], &singles));
        assert!(!agree(&[[f64::NAN, 0.0, 1000.0], [0.0; 3]], &singles));
    }
}
