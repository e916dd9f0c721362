//! Workloads by name and size, and the least work that the same octets could take.
//!
//! `cargo bench -p benches` measures wall time for people; `cargo run --release -p benches --bin bars` holds the
//! ratios against their bars in one run, `--bin heap` the memory; `benches/icount.sh` counts instructions.

pub mod floor;
pub mod measure;
pub mod messages;
pub mod session;
