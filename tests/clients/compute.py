"""Drives the compute_rhino3d package of PyPI, unchanged: calls from standard input, what it gives on standard output."""

import json
import sys

import compute_rhino3d.Grasshopper as gh
import compute_rhino3d.Util

work = json.load(sys.stdin)
compute_rhino3d.Util.url = work["base"] + "/"
compute_rhino3d.Util.apiKey = work["key"]
answers = []
for call in work["calls"]:
    trees = []
    for name, path, items in call["inputs"]:
        tree = gh.DataTree(name)
        tree.Append(path, items)
        trees.append(tree)
    answers.append({"body": gh.EvaluateDefinition(call["pointer"], trees)})
json.dump(answers, sys.stdout)
