#!/usr/bin/env bash
# Runs each recipe of the justfile once, with arguments that keep it short (the Python package rust-just carries the
# program). A recipe without a line below is an error. Usage: contrib/just.sh
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/python"
"$dir/python/bin/pip" install --quiet --disable-pip-version-check rust-just==1.59.0
just=$dir/python/bin/just

declare -A arguments=(
    [unit]="" [check]="" [bench]="" [schema]="" [corpus]="list" [run]="one-day" [quick]="generated --seeds 1..9"
    [repro]="7" [enumerate]="one-day --partition slice:1/40" [fuzz]="20 7" [incident]="1..2" [rough]="1..3"
)
# The expected exit code of a recipe, where it is not 0.
declare -A expected=()
# Recipes that are steps of .ci/nightly themselves, or that call it.
elsewhere=" ci nightly slurm kubernetes "

failed=0
for recipe in $("$just" --summary); do
    [[ $elsewhere == *" $recipe "* ]] && continue
    case $recipe in
        # Shrinks a failing case, in a copy of the release's planted bug.
        shrink)
            code=0
            "$just" shrink generated@18 --release recompaction-overwrites --for 20s \
                --out "$dir/shrunk.case.json" >"$dir/$recipe.txt" 2>&1 || code=$?
            ;;
        # Writes what it blesses: on a tree whose snapshots are current, nothing changes.
        bless)
            code=0
            "$just" bless >"$dir/$recipe.txt" 2>&1 || code=$?
            git diff --quiet -- reports models/golden docs scenarios || { echo "just bless changed files" >&2; code=1; }
            ;;
        *)
            [[ -v arguments[$recipe] ]] || { echo "just $recipe: contrib/just.sh has no line for it" >&2; failed=1; continue; }
            code=0
            # Unquoted: several arguments.
            "$just" "$recipe" ${arguments[$recipe]} >"$dir/$recipe.txt" 2>&1 || code=$?
            ;;
    esac
    if [ "$code" -ne "${expected[$recipe]:-0}" ]; then
        tail -n 20 "$dir/$recipe.txt" >&2
        echo "just $recipe: exit code $code" >&2
        failed=1
    else
        echo "just $recipe: as expected"
    fi
done
exit "$failed"
