"""As much of JSON Schema as our own schemas use; anything else in a schema is an error."""

import re

KINDS = {
    "object": lambda v: isinstance(v, dict), "array": lambda v: isinstance(v, list), "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool), "null": lambda v: v is None,
}
PROSE = {"$schema", "$defs", "title", "description"}


def problems(value, schema, root=None, where="$", strict=False):
    """What is wrong, a line each. `strict`: a key that the schema does not name is wrong too."""
    root = root or schema
    unknown = set(schema) - PROSE - {"$ref", "oneOf", "type", "enum", "const", "minimum", "pattern", "required", "properties", "additionalProperties", "items"}
    found = [f"{where}: the schema has {sorted(unknown)}, which this checker does not know"] if unknown else []
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found += problems(value, target, root, where, strict)
    if "oneOf" in schema:
        each = [problems(value, one, root, where, strict) for one in schema["oneOf"]]
        if sum(not one for one in each) != 1:
            found.append(f"{where}: fits {sum(not one for one in each)} of the alternatives; nearest: {min(each, key=len)}")
    if "type" in schema and not KINDS[schema["type"]](value):
        return found + [f"{where}: {value!r} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where}: {value!r} is under {schema['minimum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, dict):
        found += [f"{where}: {key} is missing" for key in schema.get("required", ()) if key not in value]
        for key, one in value.items():
            if key in schema.get("properties", {}):
                found += problems(one, schema["properties"][key], root, f"{where}.{key}", strict)
            elif "additionalProperties" in schema:
                found += problems(one, schema["additionalProperties"], root, f"{where}.{key}", strict)
            elif strict and "properties" in schema:
                found.append(f"{where}: {key} is not in the schema")
    if isinstance(value, list) and "items" in schema:
        for i, one in enumerate(value):
            found += problems(one, schema["items"], root, f"{where}[{i}]", strict)
    return found
