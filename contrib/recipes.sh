#!/usr/bin/env bash
# Checks the recipes of docs/nightly-on-n-machines.md against the schemas of GitHub Actions, GitLab and Buildkite (the Python
# package check-jsonschema carries them). Usage: contrib/recipes.sh
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/python"
"$dir/python/bin/pip" install --quiet --disable-pip-version-check check-jsonschema==0.39.0
page=docs/nightly-on-n-machines.md
# The YAML block under each heading.
awk -v dir="$dir" '/^## /{name = $2} /^```$/{file = ""} file{print > file} /^```yaml$/{file = dir "/" name ".yml"}' "$page"
check() { "$dir/python/bin/check-jsonschema" --builtin-schema "vendor.$1" "$dir/$2.yml"; }
check github-workflows GitHub
check gitlab-ci GitLab
check buildkite Buildkite
# A check that cannot fail says nothing.
sed -i 's/parallel: 8/parallel: eight/' "$dir/GitLab.yml"
! check gitlab-ci GitLab >/dev/null 2>&1 || { echo "error: a wrong recipe passes the schema" >&2; exit 1; }
