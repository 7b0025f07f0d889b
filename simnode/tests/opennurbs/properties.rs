//! What holds for every object and for any bytes, without Rhino's own library.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, Crc, write::ZlibEncoder};
use proptest::{collection::vec, prelude::*, sample::Index};
use simnode::opennurbs::{ArcCurve, Error, Flaw, Geometry, LineCurve, Mesh, NurbsCurve, RhinoJson, decode, encode};

use super::shapes::{any_curve, any_geometry, grid, level_plane};

/// Compares all numbers exactly, but for the points of rational curves, which are stored times their weight.
pub(crate) fn assert_same(found: &Geometry, expected: &Geometry) {
    let (Geometry::NurbsCurve(a), Geometry::NurbsCurve(b)) = (found, expected) else {
        assert_eq!(found, expected);
        return;
    };
    assert_eq!((a.degree, &a.knots, &a.weights), (b.degree, &b.knots, &b.weights));
    assert_eq!(a.points.len(), b.points.len());
    for (a, b) in a.points.as_flattened().iter().zip(b.points.as_flattened()) {
        assert!((a - b).abs() <= 1e-15 * b.abs(), "{a} for {b}");
    }
}

/// Where the content of the class lies in the archive: after the headers of object and id, the id and the header of the
/// content, and before the checksum of the content and the end mark.
fn content(bytes: &[u8]) -> std::ops::Range<usize> {
    12 + 12 + 20 + 12..bytes.len() - 4 - 12
}

/// Makes the checksum of the content match, where no chunk stands in it.
fn seal(bytes: &mut [u8]) {
    let content = content(bytes);
    let mut sum = Crc::new();
    sum.update(&bytes[content.clone()]);
    bytes[content.end..][..4].copy_from_slice(&sum.sum().to_le_bytes());
}

fn with_bytes(object: &RhinoJson, change: impl FnOnce(&mut Vec<u8>)) -> RhinoJson {
    let mut bytes = BASE64_STANDARD.decode(&object.data).unwrap();
    change(&mut bytes);
    RhinoJson { data: BASE64_STANDARD.encode(bytes), ..object.clone() }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(geometry in any_geometry()) {
        assert_same(&decode(&encode(&geometry).unwrap()).unwrap(), &geometry);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300), version in 40..100) {
        let data = BASE64_STANDARD.encode(bytes);
        decode(&RhinoJson { version: 10_000, archive3dm: version, opennurbs: 0, data }).unwrap_err();
    }

    #[test]
    fn any_text_is_read_without_a_panic(data in ".{0,100}") {
        decode(&RhinoJson { version: 10_000, archive3dm: 60, opennurbs: 0, data }).unwrap_err();
    }

    #[test]
    fn a_damaged_object_is_read_without_a_panic(
        geometry in any_geometry(),
        damage in vec((any::<Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xFF)]), 1..8),
        cut in any::<Option<Index>>(),
    ) {
        let damaged = with_bytes(&encode(&geometry).unwrap(), |bytes| {
            for (index, value) in damage {
                *index.get_mut(bytes) = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        });
        // What is read nevertheless is well formed: it can be written.
        if let Ok(read) = decode(&damaged) {
            encode(&read).unwrap();
        }
    }

    #[test]
    fn a_wrong_curve_with_the_right_checksum_is_read_without_a_panic(
        geometry in any_curve(),
        damage in vec((any::<Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xFF)]), 1..8),
    ) {
        let wrong = with_bytes(&encode(&geometry).unwrap(), |bytes| {
            let content = content(bytes);
            for (index, value) in damage {
                *index.get_mut(&mut bytes[content.clone()]) = value;
            }
            seal(bytes);
        });
        if let Ok(read) = decode(&wrong) {
            encode(&read).unwrap();
        }
    }

    #[test]
    fn a_changed_byte_of_a_curve_is_noticed(geometry in any_curve(), index in any::<Index>(), bit in 0..8) {
        let changed = with_bytes(&encode(&geometry).unwrap(), |bytes| {
            let content = content(bytes);
            *index.get_mut(&mut bytes[content]) ^= 1_u8 << bit;
        });
        decode(&changed).unwrap_err();
    }

    #[test]
    fn a_cut_object_is_noticed(geometry in any_geometry(), cut in any::<Index>()) {
        let cut = with_bytes(&encode(&geometry).unwrap(), |bytes| bytes.truncate(cut.index(bytes.len())));
        decode(&cut).unwrap_err();
    }
}

#[test]
fn the_json_form_has_the_four_members_of_rhino() {
    let line = Geometry::LineCurve(LineCurve::new([0.0; 3], [1.0, 0.0, 0.0]));
    let json = serde_json::to_value(encode(&line).unwrap()).unwrap();
    let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["archive3dm", "data", "opennurbs", "version"]);
    let read: RhinoJson = serde_json::from_value(json).unwrap();
    assert_same(&decode(&read).unwrap(), &line);
}

#[test]
fn an_unknown_form_or_archive_version_is_named() {
    let object = encode(&Geometry::Point([1.0, 2.0, 3.0])).unwrap();
    assert_eq!(decode(&RhinoJson { version: 9, ..object.clone() }), Err(Error::Form(9)));
    assert_eq!(decode(&RhinoJson { archive3dm: 4, ..object.clone() }), Err(Error::Archive(4)));
    for archive3dm in [50, 60, 70, 80] {
        assert_eq!(decode(&RhinoJson { archive3dm, ..object.clone() }), Ok(Geometry::Point([1.0, 2.0, 3.0])));
    }
}

#[test]
fn a_nurbs_curve_under_the_id_that_rhino_gives_it_is_read() {
    let [from, to] = [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]];
    let curve = NurbsCurve { degree: 1, knots: vec![0.0, 1.0], points: vec![from, to], weights: None };
    let curve = Geometry::NurbsCurve(curve);
    let object = with_bytes(&encode(&curve).unwrap(), |bytes| {
        let id = uuid::uuid!("5EAF1119-0B51-11D4-BFFE-0010830122F0").to_bytes_le();
        // The checksum as it stands in a file that Rhino 8 wrote.
        bytes[24..44].copy_from_slice(&[&id[..], &[0x4A, 0x1A, 0x79, 0x17]].concat());
    });
    assert_same(&decode(&object).unwrap(), &curve);
}

#[test]
fn a_mesh_that_states_more_than_it_may_have_is_refused_before_it_is_read() {
    let object = encode(&Geometry::Mesh(grid(3, 3, 0.5))).unwrap();
    let vast = with_bytes(&object, |bytes| {
        let start = content(bytes).start + 1;
        bytes[start..start + 4].copy_from_slice(&i32::MAX.to_le_bytes());
    });
    assert!(matches!(decode(&vast), Err(Error::Count { stated: i32::MAX, .. })));
}

#[test]
fn an_intact_object_with_numbers_that_cannot_be_is_refused() {
    let object = with_bytes(&encode(&Geometry::Point([1.0, 2.0, 3.0])).unwrap(), |bytes| {
        let x = content(bytes).start + 1;
        bytes[x..x + 8].copy_from_slice(&f64::NAN.to_le_bytes());
        seal(bytes);
    });
    assert_eq!(decode(&object), Err(Error::Geometry(Flaw::NotFinite("the coordinates of the point"))));
}

#[test]
fn a_malformed_or_overlong_buffer_is_named() {
    let mesh = grid(100, 100, 0.1);
    let object = encode(&Geometry::Mesh(mesh.clone())).unwrap();
    // Where the buffer of vertices begins: after the version, both counts, ten doubles, sixteen singles, a code, five
    // flags, the size of an index, and the faces. It is the size, the checksum, the method and a chunk.
    let start = content(&BASE64_STANDARD.decode(&object.data).unwrap()).start
        + (1 + 8 + 80 + 64 + 4 + 5 + 4 + mesh.faces.len() * 4 * 2);
    let size = mesh.vertices.len() * 12;
    let check = |offset: usize, replacement: &[u8], expected: Error| {
        let changed = with_bytes(&object, |bytes| {
            let buffer = &mut bytes[start..];
            assert_eq!(buffer[..4], u32::try_from(size).unwrap().to_le_bytes());
            buffer[offset..][..replacement.len()].copy_from_slice(replacement);
            let length = usize::from(u16::from_le_bytes([buffer[13], buffer[14]]));
            let (stream, checksum) = buffer[21..21 + length].split_last_chunk_mut::<4>().unwrap();
            let mut sum = Crc::new();
            sum.update(stream);
            *checksum = sum.sum().to_le_bytes();
        });
        assert_eq!(decode(&changed), Err(expected));
    };
    let what = "vertices of the mesh";
    check(0, &[1, 2, 3, 0], Error::BufferSize { what, stated: 0x0003_0201, expected: size });
    check(4, &[1, 2, 3, 4], Error::BufferChecksum(what));
    check(8, &[2], Error::BufferMethod(2));
    check(21, &[0xFF; 4], Error::BufferStream(what));
    let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 4 << 20]).unwrap();
    check(21, &bomb.finish().unwrap(), Error::BufferStream(what));
}

#[test]
fn an_object_that_no_archive_can_hold_is_not_written() {
    let check = |geometry, expected: Flaw| assert_eq!(encode(&geometry), Err(expected));
    let [o, x] = [[0.0; 3], [1.0, 0.0, 0.0]];
    let curve = NurbsCurve { degree: 1, knots: vec![0.0, 1.0], points: vec![o, x], weights: None };
    let mesh = Mesh { vertices: vec![o, x, [0.0, 1.0, 0.0]], faces: vec![[0, 1, 2, 2]], normals: None };

    check(Geometry::Point([f64::NAN, 0.0, 0.0]), Flaw::NotFinite("the coordinates of the point"));
    check(Geometry::LineCurve(LineCurve::new(x, x)), Flaw::NotIncreasing("the domain of the line"));
    check(Geometry::ArcCurve(ArcCurve::circle(level_plane(o), 0.0)), Flaw::Radius);
    check(Geometry::ArcCurve(ArcCurve::new(level_plane(o), 1.0, [0.0, 7.0])), Flaw::MoreThanATurn);
    let skewed = simnode::opennurbs::Plane { origin: o, x_axis: x, y_axis: [0.1, 1.0, 0.0] };
    check(Geometry::ArcCurve(ArcCurve::circle(skewed, 1.0)), Flaw::Axes);
    check(Geometry::NurbsCurve(NurbsCurve { weights: Some(vec![1.0, 0.0]), ..curve.clone() }), Flaw::ZeroWeight(1));
    check(Geometry::NurbsCurve(NurbsCurve { knots: vec![0.0, 0.0], ..curve.clone() }), Flaw::KnotMultiplicity(0));
    let spans = |knots: [f64; 5]| {
        let points = vec![o, x, [2.0, 1.0, 0.0], [3.0, 0.0, 0.0]];
        Geometry::NurbsCurve(NurbsCurve { degree: 2, knots: knots.to_vec(), points, weights: None })
    };
    check(spans([-1.0, 0.0, 0.0, 1.0, 1.0]), Flaw::NotIncreasing("the first span of the domain"));
    check(spans([0.0, 0.0, 1.0, 1.0, 2.0]), Flaw::NotIncreasing("the last span of the domain"));
    encode(&spans([0.0, 0.0, 1.0, 2.0, 2.0])).unwrap();
    let count = |what, found, expected| Flaw::Count { what, found, expected };
    check(Geometry::NurbsCurve(NurbsCurve { knots: vec![0.0], ..curve }), count("knots of the curve", 1, 2));
    let missing = Flaw::VertexIndex { face: 0, vertex: 3 };
    check(Geometry::Mesh(Mesh { faces: vec![[0, 1, 2, 3]], ..mesh.clone() }), missing);
    check(Geometry::Mesh(Mesh { normals: Some(vec![]), ..mesh }), count("normals of the mesh", 0, 3));
}
