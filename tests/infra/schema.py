"""The schema of the resources that infra/ uses, as JSON: schema.py PACKAGE OUTPUT RESOURCE...

Reads the generated classes of the npm package @cdktf/provider-azurerm, which was frozen at azurerm 4.55, and applies what
azurerm 5 changed of these resources (OVERLAY). A resource that the package does not hold is an error.
"""

import json
import re
import sys
from pathlib import Path

TYPES = {
    "string": "string", "number": "number", "boolean": "bool",
    "stringMap": ["map", "string"], "numberMap": ["map", "number"], "booleanMap": ["map", "bool"],
    "stringList": ["list", "string"], "stringSet": ["set", "string"],
    "numberList": ["list", "number"], "numberSet": ["set", "number"],
}
GETTERS = {
    "String": "string", "Number": "number", "Boolean": "bool", "List": ["list", "string"],
    "StringMap": ["map", "string"], "NumberMap": ["map", "number"],
}
# One attribute or block of a generated `attrs` table.
ENTRY = re.compile(
    r'(?:^|\n)\s{8,12}"?(\w+)"?: \{\s*value: (.*?),\s*isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)"', re.S
)

GETTER = re.compile(r"get \w+\(\) \{\s*return this\.get(String|Number|Boolean|List|StringMap|NumberMap)Attribute\('(\w+)'\)")

# What azurerm 5 has otherwise, by its upgrade guide: path of a block -> what is taken away, and what is put in.
OVERLAY = {
    "azurerm_container_app/template/custom_scale_rule": ([], {"identity_id": ("string", False)}),
    "azurerm_key_vault": (["enable_rbac_authorization", "contact"], {"rbac_authorization_enabled": ("bool", True)}),
    "azurerm_lb_nat_rule": (["enable_floating_ip", "enable_tcp_reset"], {}),
    "azurerm_log_analytics_workspace": (["local_authentication_disabled"], {}),
    "azurerm_storage_account": (["queue_properties", "static_website"], {}),
    "azurerm_storage_container": (["storage_account_name", "resource_manager_id"], {}),
    "azurerm_storage_share": (["storage_account_name", "resource_manager_id"], {}),
}


def required_by_interface(declarations):
    """Which members of each TypeScript interface must be given."""
    return {
        name: {member: mark != "?" for member, mark in re.findall(r"readonly (\w+)(\??):", body)}
        for name, body in re.findall(r"export interface (\w+)(?: extends [\w.]+)? \{(.*?)\n\}", declarations, re.S)
    }


def told(members, attributes):
    """Adds what the provider tells after a create: what a class has a getter for, and nobody can give."""
    for kind, name in GETTER.findall(members[0] if members else ""):
        attributes.setdefault(name, {"type": GETTERS[kind], "required": False, "optional": False, "computed": True})


def resource(folder):
    code, interfaces = (folder / "index.js").read_text(), required_by_interface((folder / "index.d.ts").read_text())

    def block(table, interface):
        attributes, blocks = {}, {}
        for name, value, is_block, kind, storage in ENTRY.findall(table):
            member = re.findall(r"(?:struct\.|this\._)(\w+)", value)[-1]
            required = interfaces.get(interface, {}).get(member, False)
            if is_block == "true":
                function = re.search(r"(\w+)ToHclTerraform", value.split("Mapper")[-1])[1]
                body = re.search(r"function " + function + r"ToHclTerraform\(struct\) \{.*?const attrs = \{(.*?)\n    \};", code, re.S)[1]
                nesting = "SINGLE" if name == "timeouts" else "SET" if kind == "set" else "LIST"
                child = block(body, function[0].upper() + function[1:])
                blocks[name] = {"nesting": nesting, "required": required, "block": child}
            else:
                attributes[name] = {"type": TYPES.get(storage, "dynamic"), "required": required, "optional": not required, "computed": False}
        told(re.search(r"class " + interface + r"OutputReference extends .*?\n\}", code, re.S), attributes)
        return {"attributes": attributes, "blocks": blocks}

    title = "".join(part.capitalize() for part in folder.name.split("-"))
    whole = block(re.search(r"synthesizeHclAttributes\(\) \{\s*const attrs = \{(.*?)\n        \};", code, re.S)[1], title + "Config")
    told(re.search(r"extends cdktf\.TerraformResource .*", code, re.S), whole["attributes"])
    whole["attributes"].setdefault("id", {"type": "string", "required": False, "optional": True})["computed"] = True
    return re.search(r'tfResourceType = "(\w+)"', code)[1], whole


def overlay(resources):
    for path, (gone, new) in OVERLAY.items():
        name, *steps = path.split("/")
        if name not in resources:
            continue
        block = resources[name]
        for step in steps:
            block = block["blocks"][step]["block"]
        for word in gone:
            if block["attributes"].pop(word, None) is None:
                block["blocks"].pop(word, None)
        for word, (kind, required) in new.items():
            block["attributes"][word] = {"type": kind, "required": required, "optional": not required, "computed": False}


def main():
    package, output, *names = sys.argv[1:]
    found = dict(resource(Path(package) / "lib" / name.removeprefix("azurerm_").replace("_", "-")) for name in names)
    overlay(found)
    Path(output).write_text(json.dumps(found, indent=1))


main()
