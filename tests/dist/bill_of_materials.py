#!/usr/bin/env python3
"""Checks a bill of materials: bill_of_materials.py FILE [PROGRAM].

Without a schema at hand it checks what CycloneDX 1.5 demands of the fields in use, that every reference leads to a component, and that the hash is
PROGRAM's. With the package cyclonedx-python-lib[json-validation] it validates against the schema as well. Prints `ok` or what is wrong.
"""

import hashlib
import json
import re
import sys

TYPES = {"application", "library"}


def problems(document, program):
    def expect(holds, said):
        if not holds:
            found.append(said)

    found = []
    expect(document.get("bomFormat") == "CycloneDX", "bomFormat is not CycloneDX")
    expect(document.get("specVersion") == "1.5", "specVersion is not 1.5")
    expect(isinstance(document.get("version"), int) and document["version"] >= 1, "version is no number from 1")
    uuid = r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"
    expect(re.fullmatch(uuid, document.get("serialNumber", "")), "serialNumber is no UUID")
    date = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    expect(re.fullmatch(date, document.get("metadata", {}).get("timestamp", "")), "timestamp is no date")
    subject = document.get("metadata", {}).get("component", {})
    components = document.get("components", [])
    expect(components, "no components")
    known = [component.get("bom-ref") for component in [subject, *components]]
    expect(len(known) == len(set(known)), "a bom-ref is there twice")
    for component in [subject, *components]:
        name = component.get("name")
        expect(name and component.get("version"), f"{name}: name or version is missing")
        expect(component.get("type") in TYPES, f"{name}: type {component.get('type')}")
        expect(str(component.get("purl")).startswith("pkg:"), f"{name}: no package URL")
        expect(component.get("licenses", [{}])[0].get("expression"), f"{name}: no licence")
        ours = "externalReferences" not in component
        for entry in component.get("hashes", []):
            sound = entry.get("alg") == "SHA-256" and re.fullmatch("[0-9a-f]{64}", entry.get("content", ""))
            expect(sound, f"{name}: a hash that is none")
        expect(ours or component.get("hashes"), f"{name}: no hash")
    for entry in document.get("dependencies", []):
        for ref in [entry.get("ref"), *entry.get("dependsOn", [])]:
            expect(ref in known, f"{ref} leads nowhere")
    if program is not None:
        expect(subject.get("hashes", [{}])[0].get("content") == hashlib.sha256(program).hexdigest(), "the hash is not the program's")
    return found


def schema_problems(text):
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        return []
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    return [f"schema: {error}"] if error else []


text = open(sys.argv[1], encoding="utf-8").read()
program = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else None
found = problems(json.loads(text), program) + schema_problems(text)
print("\n".join(found) or "ok")
sys.exit(bool(found))
