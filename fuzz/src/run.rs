//! The built-in runner, for when libFuzzer is not at hand; and the replay of files.

use crate::mutate::{Dice, mutate};
use crate::{Failure, Target, dict};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Octets of one input at most.
const MAX_LEN: usize = 128 * 1024;

/// The folder of this package.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus of a target: every file, in a stable order.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder().join("corpus").join(target))? {
        let path = entry?.path();
        if path.is_file() {
            let octets = std::fs::read(&path)?;
            files.push((path, octets));
        }
    }
    files.sort();
    Ok(files)
}

/// Replays files against one target: exit status 0 if each holds, 1 with the name of the property that is broken.
pub fn replay_files(name: &str, files: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(target) = crate::target(name) else {
        eprintln!("no target {name:?}; `fuzz list` names them");
        return ExitCode::from(2);
    };
    let mut broken = false;
    let mut none = true;
    for file in files {
        none = false;
        let shown = Path::new(&file).display();
        let octets = match std::fs::read(&file) {
            Ok(octets) => octets,
            Err(error) => {
                eprintln!("{shown}: {error}");
                return ExitCode::from(2);
            }
        };
        match target.check(&octets) {
            Ok(()) => println!("{shown}: {} octets, ok", octets.len()),
            Err(failure) => {
                broken = true;
                println!("{shown}: {} octets, {failure}", octets.len());
            }
        }
    }
    if none {
        eprintln!("which file?");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(broken))
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// How long it took.
    pub took: Duration,
    /// An input that breaks a property, made as short as could be.
    pub failure: Option<(Box<Failure>, Vec<u8>)>,
}

/// Mutates the corpus of a target until a property breaks or the time is over.
///
/// # Errors
/// When the corpus cannot be read.
pub fn run(target: &Target, time: Duration, seed: u64) -> io::Result<Report> {
    let corpus: Vec<Vec<u8>> = corpus(target.name)?.into_iter().map(|(_, octets)| octets).collect();
    let words = target.dictionary.map(dict::words).unwrap_or_default();
    let mut dice = Dice::new(seed);
    let began = Instant::now();
    let mut executions = 0;
    while began.elapsed() < time {
        let mut input = dice.choose(&corpus).cloned().unwrap_or_default();
        mutate(&mut dice, &mut input, &words, &corpus, MAX_LEN);
        executions += 1;
        if let Err(failure) = target.check(&input) {
            let took = began.elapsed();
            return Ok(Report { executions, took, failure: Some(shorten(target, failure, input)) });
        }
    }
    Ok(Report { executions, took: began.elapsed(), failure: None })
}

/// Takes pieces away while the same property stays broken; gives up after a while.
fn shorten(target: &Target, mut failure: Box<Failure>, mut input: Vec<u8>) -> (Box<Failure>, Vec<u8>) {
    let began = Instant::now();
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            if began.elapsed() > Duration::from_secs(20) {
                return (failure, input);
            }
            let mut less = input.clone();
            less.drain(at..(at + piece).min(input.len()));
            match target.check(&less) {
                Err(same) if same.property.name == failure.property.name => {
                    failure = same;
                    input = less;
                }
                _ => at += piece,
            }
        }
        piece /= 2;
    }
    (failure, input)
}

/// Saves an input under `artifacts/`, named by its octets.
///
/// # Errors
/// When it cannot be written.
pub fn save(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = folder().join("artifacts").join(target);
    std::fs::create_dir_all(&folder)?;
    let hash = input.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3)
    });
    let path = folder.join(format!("broken-{hash:016x}"));
    std::fs::write(&path, input)?;
    Ok(path)
}
