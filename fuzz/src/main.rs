//! `fuzz list`, `fuzz TARGET FILE...`, `fuzz run TARGET`, `fuzz dict`, `fuzz seeds`.

#[cfg(feature = "sessions")]
use fuzz::seeds;
use fuzz::{TARGETS, dict, run};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
fuzz list                                     the targets and what they assert
fuzz TARGET FILE...                           replay inputs: exit 0 if all hold, 1 naming the property that breaks
fuzz run TARGET|all [--seconds N] [--seed S]  mutate the corpus for N seconds (60); a failing input is saved
fuzz dict                                     write dict/*.dict from the token tables
fuzz seeds                                    write the seeds of corpus/ from golden files and sessions";

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["list"] => list(),
        ["dict"] => done(write_dicts()),
        #[cfg(feature = "sessions")]
        ["seeds"] => done(seeds::write()),
        ["run", target, options @ ..] => run_targets(target, options),
        [target, _, ..] if fuzz::target(target).is_some() => {
            run::replay_files(target, args.iter().skip(1).cloned())
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn list() -> ExitCode {
    for target in TARGETS {
        println!("{}: {}", target.name, target.input);
        for property in target.properties {
            println!("  {}: {}", property.name, property.sentence);
        }
    }
    ExitCode::SUCCESS
}

fn write_dicts() -> std::io::Result<()> {
    for name in dict::NAMES {
        std::fs::write(run::folder().join("dict").join(format!("{name}.dict")), dict::file(name))?;
    }
    Ok(())
}

fn done(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_targets(name: &str, options: &[&str]) -> ExitCode {
    let (mut seconds, mut seed) = (60, 1);
    for option in options.chunks(2) {
        match (option, option.get(1).and_then(|value| value.parse().ok())) {
            (["--seconds", _], Some(value)) => seconds = value,
            (["--seed", _], Some(value)) => seed = value,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let chosen: Vec<_> = TARGETS.iter().filter(|target| name == "all" || target.name == name).collect();
    if chosen.is_empty() {
        eprintln!("no target {name:?}; `fuzz list` names them");
        return ExitCode::from(2);
    }
    let mut broken = false;
    for target in chosen {
        match run::run(target, Duration::from_secs(seconds), seed) {
            Ok(report) => {
                let rate = report.executions as f64 / report.took.as_secs_f64();
                let (times, took) = (report.executions, report.took.as_secs());
                println!("{}: {times} executions in {took} s, {rate:.0}/s, seed {seed}", target.name);
                if let Some((failure, input)) = report.failure {
                    broken = true;
                    println!("  {failure}");
                    match run::save(target.name, &input) {
                        Ok(path) => println!("  saved as {}", path.display()),
                        Err(error) => println!("  not saved: {error}: {input:?}"),
                    }
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", target.name);
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::from(u8::from(broken))
}
