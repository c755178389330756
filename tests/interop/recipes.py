"""Takes the recipes apart.

    recipes.py ROOT DIRECTORY

Checks every block of YAML against the schema of its kind, or as YAML, and prints JSON: for each recipe
its shell snippets in their order, and its files.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys

try:
    import kubernetes_validate
    from ruamel.yaml import YAML
except ImportError as error:
    sys.exit(f"{error}: run `cargo xtask peers`")

ROOT, WORK = map(pathlib.Path, sys.argv[1:3])

# The schema by the name of the file, as its first line says it.
SCHEMAS = {
    ".github/workflows/release.yml": "vendor.github-workflows",
    "action.yml": "vendor.github-actions",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    "templates/ambisign.yml": "vendor.gitlab-ci",
    ".buildkite/pipeline.yml": "vendor.buildkite",
    ".circleci/config.yml": "vendor.circle-ci",
    "cloudbuild.yaml": "vendor.cloudbuild",
}
checked = []


def check(name, document, number, schema=None):
    schema = schema or SCHEMAS.get(name)
    # What Kubernetes itself defines; Tekton publishes no schema.
    if schema is None and document.get("apiVersion") in ("v1", "apps/v1", "batch/v1"):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        checked.append(name)
        return
    # The head of a GitLab component is not of the pipeline's schema.
    if schema is None or "spec" in document and schema == "vendor.gitlab-ci":
        return
    path = WORK / f"{number}-{name.replace('/', '-')}"
    with path.open("w") as file:
        YAML().dump(document, file)
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    run = subprocess.run(program, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{name}: {run.stdout}{run.stderr}")
    checked.append(name)


def environment(value):
    if isinstance(value, list):
        value = dict(line.split("=", 1) if isinstance(line, str) else (line["name"], line["value"]) for line in value)
    return {name: str(text) for name, text in (value or {}).items() if not isinstance(text, dict)}


def snippets(node, env, steps):
    """Shell text and argument lists below `node`, with the variables of what is around them."""
    if isinstance(node, list):
        for item in node:
            snippets(item, env, steps)
        return
    if not isinstance(node, dict):
        return
    env = env | environment(node.get("env") or node.get("variables") or node.get("environment"))
    if "uses" in node or "image" in node and "args" in node:
        steps.append({"uses": str(node.get("uses", "")), "with": environment(node.get("with")),
                      "arguments": [str(it) for it in node.get("args", [])], "env": env})
        return
    for key, value in node.items():
        if key == "run" and isinstance(value, dict):
            inner = env | environment(value.get("environment"))
            steps.append({"shell": value["command"], "env": inner})
        elif key in ("before_script", "script", "commands", "run", "command"):
            if isinstance(value, list) and all(isinstance(line, str) for line in value):
                steps.append({"shell": "\n".join(value), "env": env})
                continue
            if isinstance(value, str):
                steps.append({"shell": value, "env": env})
                continue
            snippets(value, env, steps)
        elif key not in ("env", "variables", "environment", "with"):
            snippets(value, env, steps)


def documents(text):
    return [it for it in YAML(typ="safe").load_all(text) if it is not None]


def recipe(page):
    steps, files = [], {}
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.S | re.M):
        if kind == "yaml":
            name = block.splitlines()[0].removeprefix("# ")
            for document in documents(block):
                check(name, document, len(checked))
                snippets(document, {}, steps)
        elif kind == "groovy":
            env = dict(re.findall(r"^\s*(\w+) = '([^']*)'$", block, re.M))
            for shell in re.findall(r"sh '''\n(.*?)'''", block, re.S):
                steps.append({"shell": shell, "env": env})
        elif kind == "sh":
            steps.append({"shell": block, "env": {}})
        elif kind == "toml":
            files["policy.toml"] = block
    return {"steps": steps, "files": files}


recipes = {page.stem: recipe(page) for page in sorted((ROOT / "docs/recipes").glob("*.md")) if page.stem != "README"}
action = documents((ROOT / "action.yml").read_text())[0]
check("action.yml", action, 99)
steps = []
snippets(action["runs"]["steps"], {}, steps)
for step, source in zip(steps, action["runs"]["steps"]):
    step["if"] = source.get("if", "")
for number, file in enumerate(sorted((ROOT / ".github").rglob("*.yml")), 100):
    kinds = {"workflows": "github-workflows", "ISSUE_TEMPLATE": "github-issue-forms"}
    kind = "github-issue-config" if file.stem == "config" else kinds[file.parent.name]
    check(file.name, documents(file.read_text())[0], number, f"vendor.{kind}")
print(json.dumps({"recipes": recipes, "action": steps, "checked": checked}))
