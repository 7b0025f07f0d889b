"""A stand-in for the provider azurerm that knows schemas and nothing else: no network, no state, no apply.

Terraform starts it as it starts any provider, and talks gRPC with it by protocol 5 of its plug-ins. Messages are written and read by
field number, so that no generated code is needed. It plans what it is given, with what Azure would decide left unknown; it refuses
to apply. The file schema.json beside it is made by schema.py.
"""

import json
import os
import re
import sys
from concurrent import futures
from pathlib import Path

import grpc
import msgpack

SCHEMAS = json.loads((Path(__file__).parent / "schema.json").read_text())
NESTING = {"SINGLE": 1, "LIST": 2, "SET": 3}
UNKNOWN = msgpack.ExtType(0, b"\x00")

# === the wire


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """One field: a boolean or a number as varint, text and bytes with their length. False, 0 and nothing are left out."""
    if value is None or value is False or value == 0 and isinstance(value, int):
        return b""
    if isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def read(data):
    """The fields of a message, the last of each number: numbers, and bytes."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            fields[key >> 3] = number()
        elif key & 7 == 2:
            length = number()
            fields[key >> 3] = data[at:at + length]
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return fields


def value_of(message):
    """What a DynamicValue holds."""
    packed = read(message).get(1, b"\xc0")
    return msgpack.unpackb(packed, raw=False, strict_map_key=False, ext_hook=lambda code, data: UNKNOWN)


def dynamic(value):
    return field(1, msgpack.packb(value))


def diagnostic(summary, detail, attribute=None):
    path = field(4, field(1, field(1, attribute))) if attribute else b""
    return field(1, 1) + field(2, summary) + field(3, detail) + path


# === schemas


def block(described):
    out = b""
    for name, a in described["attributes"].items():
        out += field(2, field(1, name) + field(2, json.dumps(a["type"])) + field(4, a["required"]) + field(5, a["optional"]) + field(6, a["computed"]))
    for name, b in described["blocks"].items():
        least = 1 if b["required"] and b["nesting"] != "SINGLE" else 0
        out += field(3, field(1, name) + field(2, block(b["block"])) + field(3, NESTING[b["nesting"]]) + field(4, least))
    return out


def provider_block():
    texts = ["subscription_id", "tenant_id", "client_id", "resource_provider_registrations"]
    options = [(name, "string") for name in texts] + [("storage_use_azuread", "bool"), ("use_oidc", "bool")]
    options.append(("resource_providers_to_register", ["list", "string"]))
    out = b"".join(field(2, field(1, name) + field(2, json.dumps(kind)) + field(5, True)) for name, kind in options)
    # `features` must be there, once.
    return out + field(3, field(1, "features") + field(3, NESTING["LIST"]) + field(4, 1) + field(5, 1) + field(2, b""))


def get_schema(request):
    out = field(1, field(2, provider_block()))
    for name, described in SCHEMAS.items():
        out += field(2, field(1, name) + field(2, field(2, block(described))))
    return out


# === what it checks that a schema cannot say

DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def seconds(text):
    parts = DURATION.fullmatch(text)
    return parts and sum(int(part or 0) * unit for part, unit in zip(parts.groups(), (86400, 3600, 60, 1)))


def validate(request):
    fields = read(request)
    name, config = fields[1].decode(), value_of(fields.get(2, b""))
    lock = config.get("lock_duration") if name == "azurerm_servicebus_queue" else None
    if isinstance(lock, str) and not 5 <= (seconds(lock) or 0) <= 300:
        return field(1, diagnostic("lock_duration is out of range", "Azure allows PT5S to PT5M", "lock_duration"))
    return b""


# === plans


def plan(request):
    fields = read(request)
    name, proposed = fields[1].decode(), value_of(fields.get(3, b""))
    if proposed is not None:
        for attribute, described in SCHEMAS[name]["attributes"].items():
            if described["computed"] and proposed.get(attribute) is None:
                proposed[attribute] = UNKNOWN
    return field(1, dynamic(proposed)) + field(5, True)


def refuse_apply(request):
    return field(3, diagnostic("nothing is applied here", "this stand-in for azurerm knows schemas only"))


def stop(request):
    os._exit(0)


METHODS = {
    "GetSchema": get_schema,
    "PrepareProviderConfig": lambda request: field(1, read(request).get(1, b"")),
    "ValidateResourceTypeConfig": validate,
    "ValidateDataSourceConfig": lambda request: b"",
    "Configure": lambda request: b"",
    "UpgradeResourceState": lambda request: field(1, field(2, read(read(request)[3]).get(1, b""))),
    "ReadResource": lambda request: field(1, read(request).get(2, b"")),
    "PlanResourceChange": plan,
    "ApplyResourceChange": refuse_apply,
    "Stop": stop,
}


def handler(service, methods):
    same = lambda data: data
    wrapped = {
        name: grpc.unary_unary_rpc_method_handler(lambda request, _context, run=run: run(request), same, same)
        for name, run in methods.items()
    }
    return grpc.method_handlers_generic_handler(service, wrapped)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((
        handler("tfplugin5.Provider", METHODS),
        handler("grpc.health.v1.Health", {"Check": lambda request: field(1, 1)}),
        handler("plugin.GRPCController", {"Shutdown": stop}),
    ))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"1|5|tcp|127.0.0.1:{port}|grpc", flush=True)
    server.wait_for_termination()


if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") is None:
    sys.exit("Terraform starts this program; by itself it does nothing")
main()
