"""Holds `cargo metadata` (standard input) against deny.toml: banned crates, licences, sources.

cargo-deny does this and more; it also takes minutes to compile. The rules live in deny.toml alone,
this file only reads them.
"""

import json
import re
import sys
import tomllib


def allowed(expression, licences):
    """SPDX, as far as crates use it: OR of ANDs, brackets, WITH; `/` is an old spelling of OR."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression)

    def alternatives(i):
        good, i = conjunction(i)
        while i < len(words) and words[i] in ("OR", "/"):
            more, i = conjunction(i + 1)
            good = good or more
        return good, i

    def conjunction(i):
        good, i = term(i)
        while i < len(words) and words[i] == "AND":
            more, i = term(i + 1)
            good = good and more
        return good, i

    def term(i):
        if words[i] == "(":
            good, i = alternatives(i + 1)
            return good, i + 1
        name, i = words[i], i + 1
        if i < len(words) and words[i] == "WITH":
            name, i = f"{name} WITH {words[i + 1]}", i + 2
        return name in licences, i

    return alternatives(0)[0]


def main():
    with open(sys.argv[1], "rb") as file:
        rules = tomllib.load(file)
    banned = {entry["crate"]: entry["reason"] for entry in rules["bans"]["deny"]}
    licences = set(rules["licenses"]["allow"])
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in rules["licenses"].get("exceptions", [])}
    registries = {"registry+" + url for url in rules["sources"]["allow-registry"]}
    packages = json.load(sys.stdin)["packages"]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["name"] in banned:
            problems.append(f"{name} is banned: {banned[package['name']]}")
        if package["source"] is None:
            continue  # ours
        if package["source"] not in registries:
            problems.append(f"{name} comes from {package['source']}")
        licence = package["license"] or "none stated"
        if not allowed(licence, licences | exceptions.get(package["name"], set())):
            problems.append(f"{name} has the licence {licence}")
    print(f"{len(packages)} packages: " + ("; ".join(problems) or "no ban, known licences, one registry"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
