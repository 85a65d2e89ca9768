# Everyday commands. `just` lists them; each line here can also be typed as it stands.

_list:
    @just --list --unsorted

# Format, lints and tests: what a change must pass before it is shown to anybody.
check:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    cargo test --release --workspace

# The tests that simulate no built-in scenario, generated week or case: under a minute once built.
unit:
    cargo test --release --workspace --lib --bins --test repository --test pipeline --test golden -- --skip without_marks

# All that the continuous integration does.
ci:
    .ci/run

# Run a scenario: `just run incident-2016@7 -v`.
run *arguments='incident-2016':
    cargo run --release --package latent -- run {{arguments}}

# Speed, memory and linearity of whole runs, and what a sweep adds to them, against their limits.
bench:
    cargo bench --package latent --bench speed --bench sweep

# What a developer runs before review, besides `check`: generated weeks, under a minute.
quick *arguments:
    cargo run --release --package latent -- sweep {{arguments}}

# What runs every night, some hours: the debug tests, a year, then fresh seeds from the date, or from another text.
nightly text=`date +%F`:
    .ci/nightly {{text}}

# A sweep as a Slurm array, one task requeued and one killed half-way, against the same sweep in one piece.
slurm seeds='1..201':
    cargo build --release --package latent
    contrib/slurm/test.sh "${CARGO_TARGET_DIR:-target}/release/latent" {{seeds}}

# The Kubernetes manifests against their schema, and what their pods run, in containers.
kubernetes seeds='1..81':
    contrib/kubernetes/test.sh {{seeds}}

# See a case again: `just repro 7` is generated@7; or `just repro rough-week@7 --log`, `just repro corpus/NAME.json`.
repro seed *arguments:
    cargo run --release --package latent -- repro {{ if seed =~ '^[0-9]+$' { "generated@" + seed } else { seed } }} {{arguments}}

# Make a failing case small: `just shrink 7`, `just shrink rough-week@7 --for 2m`.
shrink seed *arguments:
    cargo run --release --package latent -- shrink {{ if seed =~ '^[0-9]+$' { "generated@" + seed } else { seed } }} {{arguments}}

# Changed files against all readers, a few minutes: `just fuzz 5000 7` makes so many other changes.
fuzz cases='1000' seed='1':
    LATENT_FUZZ_CASES={{cases}} LATENT_FUZZ_SEED={{seed}} cargo test --release --workspace --test scenarios readers::

# Replay every case that once failed.
corpus *arguments='run':
    cargo run --release --package latent -- corpus {{arguments}}

# The incident over more seeds than the tests take: `just incident 1..101`.
incident seeds='1..11':
    LATENT_INCIDENT_SEEDS={{seeds}} cargo test --release --workspace --test scenarios every_seed_of_the_incident

# The rough week over more seeds than the tests take: `just rough 1..1001`.
rough seeds='1..101':
    LATENT_ROUGH_SEEDS={{seeds}} cargo test --release --workspace --test scenarios every_seed_of_the_rough_week

# A crash, or one error, at every operation of a run: `just enumerate one-day --fault crash --node disk-1`. With a
# second fault after each: `just enumerate one-day --pairs --fault crash-drawn --node disk-1 --from 2016-02-21T00:00:00Z`.
enumerate *arguments='one-day':
    cargo run --release --package latent -- enumerate {{arguments}}

# Take the texts and files of today as the reviewed ones. Then read the diff, line by line.
bless:
    LATENT_BLESS=1 cargo test --release --workspace --test pipeline --test repository --test scenarios -- golden:: hashes:: reference::
    cargo test --release --workspace --test golden
    INSTA_UPDATE=always cargo test --release --workspace --test scenarios -- cli:: reports:: screens:: sweep::
    git diff --stat -- reports models/golden docs

# The JSON Schema of scenarios, for an editor.
schema:
    cargo run --release --package latent -- schema
