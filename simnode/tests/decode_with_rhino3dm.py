"""Says what rhino3dm makes of objects in Rhino's JSON form, and makes some of its own.

Reads a JSON array of objects from standard input. Writes a JSON object: under "decoded", for each of them, what
rhino3dm reads out of it and how it writes it again; under "built", by name, objects of its own making with the same
account.
"""

import json
import math
import sys

import rhino3dm
from rhino3dm import Point3d


def xyz(point):
    return [point.X, point.Y, point.Z]


def account_of_curve(curve):
    account = {
        "domain": [curve.Domain.T0, curve.Domain.T1],
        "start": xyz(curve.PointAtStart),
        "middle": xyz(curve.PointAt((curve.Domain.T0 + curve.Domain.T1) / 2)),
        "end": xyz(curve.PointAtEnd),
        "closed": curve.IsClosed,
    }
    if isinstance(curve, rhino3dm.LineCurve):
        account["length"] = curve.Line.Length
    elif isinstance(curve, rhino3dm.PolylineCurve):
        account["length"] = curve.ToPolyline().Length
        account["points"] = [xyz(curve.Point(index)) for index in range(curve.PointCount)]
    elif isinstance(curve, rhino3dm.ArcCurve):
        account["length"] = curve.Arc.Length
        account["radius"] = curve.Radius
    elif isinstance(curve, rhino3dm.NurbsCurve):
        account["degree"] = curve.Degree
        account["knots"] = [curve.Knots[index] for index in range(len(curve.Knots))]
        points = [curve.Points[index] for index in range(len(curve.Points))]
        # rhino3dm gives the coordinates times the weight.
        account["points"] = [[value / point.W for value in xyz(point)] for point in points]
        account["weights"] = [point.W for point in points] if curve.IsRational else None
    return account


def account_of_mesh(mesh):
    return {
        "vertices": [xyz(mesh.Vertices.Point3dAt(index)) for index in range(len(mesh.Vertices))],
        "faces": [list(mesh.Faces[index]) for index in range(mesh.Faces.Count)],
        "normals": [xyz(mesh.Normals[index]) for index in range(len(mesh.Normals))],
        "closed": mesh.IsClosed,
    }


def account_of(thing):
    if thing is None:
        return {"class": None, "valid": False, "again": None}
    account = {"class": type(thing).__name__, "valid": thing.IsValid, "again": thing.Encode()}
    bounds = thing.GetBoundingBox()
    account["bounds"] = [xyz(bounds.Min), xyz(bounds.Max)]
    if isinstance(thing, rhino3dm.Curve):
        account.update(account_of_curve(thing))
    elif isinstance(thing, rhino3dm.Mesh):
        account.update(account_of_mesh(thing))
    elif isinstance(thing, rhino3dm.Point):
        account["start"] = xyz(thing.Location)
    return account


def a_mesh(columns, rows, height):
    mesh = rhino3dm.Mesh()
    for row in range(rows + 1):
        for column in range(columns + 1):
            mesh.Vertices.AddPoint3d(column, row, height * (column * row % 7))
    for row in range(rows):
        for column in range(columns):
            corner = row * (columns + 1) + column
            corners = [corner, corner + 1, corner + columns + 2, corner + columns + 1]
            mesh.Faces.AddFace(*(corners if (row + column) % 2 == 0 else corners[:3]))
    return mesh


def built():
    line = rhino3dm.LineCurve(Point3d(1, 2, 3), Point3d(-4, 5.5, 0.1))
    yield "line", line

    noted = rhino3dm.LineCurve(Point3d(0, 0, 0), Point3d(0, 0, 1))
    noted.SetUserString("storey", "ground floor")
    noted.SetUserString("use", "parking")
    yield "line with user strings", noted

    polyline = rhino3dm.Polyline(5)
    for corner in [(0, 0, 0), (4, 0, 0), (4, 3, 0), (0, 3, 1), (0, 0, 0)]:
        polyline.Add(*corner)
    yield "polyline", polyline.ToPolylineCurve()

    circle = rhino3dm.Circle(Point3d(1, 2, 3), 2.5)
    yield "circle", rhino3dm.ArcCurve.CreateFromCircle(circle)
    arc = rhino3dm.Arc(Point3d(0, 0, 0), Point3d(1, 1, 0.5), Point3d(2, 0, 1))
    yield "arc", rhino3dm.ArcCurve.CreateFromArc(arc)

    points = [Point3d(x, math.sin(x), x * x / 10) for x in range(8)]
    yield "open NURBS curve", rhino3dm.NurbsCurve.Create(False, 3, points)
    yield "periodic NURBS curve", rhino3dm.NurbsCurve.Create(True, 3, points)
    yield "rational NURBS curve", circle.ToNurbsCurve()

    yield "small mesh", a_mesh(2, 1, 0.5)
    yield "mesh in double precision", a_mesh(30, 20, 0.1)
    single = a_mesh(5, 5, 0.1)
    single.Vertices.UseDoublePrecisionVertices = False
    yield "mesh in single precision", single
    dressed = a_mesh(12, 9, 0.3)
    dressed.Normals.ComputeNormals()
    for index in range(len(dressed.Vertices)):
        dressed.VertexColors.Add(index % 256, 128, 255)
    dressed.SetUserString("layer", "terrain")
    yield "mesh with normals, colours and user strings", dressed

    yield "point", rhino3dm.Point(Point3d(7, 8, 9))

    chain = rhino3dm.PolyCurve()
    chain.Append(rhino3dm.Line(Point3d(0, 0, 0), Point3d(1, 0, 0)))
    chain.Append(rhino3dm.Line(Point3d(1, 0, 0), Point3d(1, 1, 0)))
    yield "chain of curves", chain
    yield "sphere", rhino3dm.Brep.CreateFromSphere(rhino3dm.Sphere(Point3d(0, 0, 0), 1.0))


def main():
    objects = json.load(sys.stdin)
    decoded = [account_of(rhino3dm.CommonObject.Decode(each)) for each in objects]
    json.dump({"decoded": decoded, "built": {name: account_of(thing) for name, thing in built()}}, sys.stdout)


main()
