"""What the pods of the two Jobs run, read from their manifests: for test.sh, which has no cluster to ask.

    job.py check                     compares the numbers that must be the same in both manifests
    job.py sweep INDEX [OLD=NEW]...  the options of `podman run` for this index, and its arguments, one a line
    job.py merge [OLD=NEW]...        the same of the merge

OLD=NEW replaces an argument, such as 1..100001=1..41.
"""

import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent


def job(name):
    return yaml.safe_load((HERE / f"{name}.yaml").read_text())["spec"]


def container(spec):
    (only,) = spec["template"]["spec"]["containers"]
    return only


def environment(spec, index=None):
    """Variables of the container, and the one that Kubernetes adds to each pod of an Indexed Job."""
    one = container(spec)
    found = {} if index is None else {"JOB_COMPLETION_INDEX": str(index)}
    for variable in one.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            scope, resource = variable["valueFrom"]["resourceFieldRef"]["resource"].split(".")
            found[variable["name"]] = one["resources"][scope][resource]
    return found


def arguments(spec, variables, replaced):
    """Arguments with $(NAME) expanded as Kubernetes does: an unknown name stays as it is."""

    def expanded(text):
        return re.sub(r"\$\((\w+)\)", lambda name: variables.get(name[1], name[0]), text)

    return [replaced.get(text, text) for text in map(expanded, container(spec)["args"])]


def options(spec, variables):
    """The container's and the pod's security settings as options of podman: what is not asked for here is not given."""
    pod, one = spec["template"]["spec"]["securityContext"], container(spec)["securityContext"]
    assert pod["runAsNonRoot"] and pod["seccompProfile"]["type"] == "RuntimeDefault", "podman's default is another"
    found = [f"--user={pod['runAsUser']}:{pod['runAsGroup']}"]
    found += [f"--env={name}={value}" for name, value in variables.items()]
    if one["readOnlyRootFilesystem"]:
        found += ["--read-only", "--read-only-tmpfs=false"]
    if not one["allowPrivilegeEscalation"]:
        found += ["--security-opt=no-new-privileges"]
    return found + [f"--cap-drop={capability}" for capability in one["capabilities"]["drop"]]


def check():
    sweep, merge = job("sweep"), job("merge")
    count = int(environment(sweep)["LATENT_PARTITION_COUNT"])
    wrong = []
    if sweep["completions"] != count:
        wrong.append(f"sweep.yaml: completions {sweep['completions']}, but LATENT_PARTITION_COUNT {count}")
    written = [arguments(sweep, environment(sweep, index), {}) for index in range(count)]
    written = [given[given.index("--json") + 1] for given in written]
    read = [given for given in container(merge)["args"] if given.endswith(".jsonl")]
    if written != read:
        wrong.append(f"sweep.yaml writes {' '.join(written)}\nmerge.yaml reads {' '.join(read)}")
    if len(set(written)) != count:
        wrong.append("sweep.yaml: two indices write one file")
    print("\n".join(wrong) or f"{count} slices in both manifests")
    return 1 if wrong else 0


def main(command, *rest):
    if command == "check":
        return check()
    spec = job(command)
    index = None
    if command == "sweep":
        index, *rest = rest
    variables = environment(spec, index)
    given = arguments(spec, variables, dict(pair.split("=", 1) for pair in rest))
    print("\n".join([*options(spec, variables), "--", *given]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
