"""A ghhops-server of PyPI with one component, on the port that it is given."""

import sys

import ghhops_server as hs

hops = hs.Hops()


@hops.component(
    "/add",
    name="Add",
    inputs=[hs.HopsNumber("A", "A", "first"), hs.HopsNumber("B", "B", "second")],
    outputs=[hs.HopsNumber("Sum", "S", "sum")],
)
def add(a, b):
    return a + b


hops.start(address="127.0.0.1", port=int(sys.argv[1]))
