"""Holds a running service to its own OpenAPI document, with tools that know nothing of it.

usage: openapi.py URL TOKEN FOLDER

The document is checked against the OpenAPI standard; then every operation is asked, rightly and
wrongly, and every answer's status, type and form are compared with the document. Objects are closed
first, so that a field that the document lacks is found too.
"""
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from openapi_spec_validator import validate


def closed(node):
    """The same document in which objects hold nothing but what is described."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        node.setdefault("additionalProperties", False)
    return node


def with_examples(document, get):
    """Gives each id the one of a thing that is there, so that more than 404 is seen."""
    for path, item in document["paths"].items():
        if "{id}" not in path:
            continue
        for _ in range(100):
            # A page is about what the API has under the same name.
            under = path if path.startswith("/api/") else "/api/v1" + path
            items = get(under.split("/{id}")[0])["items"]
            if items:
                break
            time.sleep(0.1)
        for operation in item.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "id":
                    parameter["example"] = items[0]["id"]


def main(url, token, folder):
    headers = {"Authorization": f"Bearer {token}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path):
        request = urllib.request.Request(url + path, headers=headers)
        return json.load(opener.open(request, timeout=10))

    document = get("/api/v1/openapi.json")
    validate(document)
    with_examples(document, get)
    path = Path(folder, "openapi.json")
    path.write_text(json.dumps(closed(document)))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", str(path), "--url", url,
        "--header", f"Authorization: Bearer {token}",
        "--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "1",
        "--generation-deterministic", "--continue-on-failure", "--no-color",
        "--checks", ",".join([
            "not_a_server_error", "status_code_conformance", "content_type_conformance",
            "response_schema_conformance", "response_headers_conformance", "unsupported_method",
            "ignored_auth", "negative_data_rejection",
        ]),
    ]
    ended = subprocess.run(command, cwd=folder)
    operations = sum(len(item) for item in document["paths"].values())
    print(f"{operations} operations")
    return ended.returncode


sys.exit(main(*sys.argv[1:]))
