# Short names for the commands CI and CONTRIBUTING.md use.

default: lint

# Everything CI runs.
ci:
    bash .ci/run

# Install the interop peers if they are missing, then every test.
test:
    ./test

# Also the long seeded runs.
full:
    ./test --full

# The quick checks before a commit.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace --all-features

# Replay one input of a fuzz target, naming the property it breaks: just fuzz wbxml FILE
fuzz target file:
    cargo run -p fuzz -- {{target}} {{file}}

# Rewrite the golden files from what the code does now; read the diff.
golden:
    UPDATE_GOLDEN=1 cargo test --workspace --all-features

# Which requirement is shown by which test.
trace:
    scripts/traceability --write docs/traceability.md

# Which section of a standard is stated and tested where.
spec:
    scripts/traceability --spec

# Licences, sources and banned crates; `cargo deny check` adds the advisory database.
deny:
    scripts/deny
