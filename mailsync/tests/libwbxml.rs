//! A second codec reads and writes every golden file: our XML and that of libwbxml's tools are the same document.
//!
//! Parsed trees are compared: names with their namespaces, and texts to the octet. What the tools, or we, write in another
//! way is a [`REWRITES`] entry with its reason; what cannot be compared is an [`EXCEPTIONS`] entry. Both fail when unused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::trees::{Node, parse};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is compared with our XML of a golden file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The tools' XML of the file itself; an XML file goes through their WBXML.
    TheirsOfFile,
    /// Their XML of our WBXML of the file.
    TheirsOfOurs,
    /// Our XML of their WBXML of an XML file.
    OursOfTheirs,
}

/// A difference in spelling that is none in meaning.
struct Rewrite {
    name: &'static str,
    /// Whose habit it is, and why both mean the same.
    why: &'static str,
    /// Makes a tree of ours and one of theirs spell it alike; whether it changed anything.
    apply: fn(&mut Node, &mut Node) -> bool,
}

const REWRITES: &[Rewrite] = &[
    Rewrite {
        name: "order in DevInf",
        why: "we write the order of the DTD, the tools keep that of the file; DS 1.2 phones send another",
        apply: |ours, theirs| sort(ours, theirs, "DevInf"),
    },
    Rewrite {
        name: "order in Property",
        why: "as in DevInf: Synthesis puts ValEnum before MaxOccur",
        apply: |ours, theirs| sort(ours, theirs, "Property"),
    },
    Rewrite {
        name: "order in Meta",
        why: "as in DevInf: the parts of a Meta have no order in 1.1 and later",
        apply: |ours, theirs| sort(ours, theirs, "Meta"),
    },
    Rewrite {
        name: "MetInf wrapper",
        why: "phones put a MetInf around the parts of a Meta; we read through it, the tools keep it",
        apply: |_, theirs| {
            theirs.change(&mut |node| {
                let wrapped =
                    node.name == "Meta" && node.children.len() == 1 && node.children[0].name == "MetInf";
                if wrapped {
                    let inner = node.children.remove(0);
                    node.children = inner.children;
                }
                wrapped
            })
        },
    },
    Rewrite {
        name: "DevInf as text",
        why: "a DevInf document that stands escaped or as CDATA in Data is read by us, kept as text by the tools",
        apply: |_, theirs| {
            theirs.change(&mut |node| {
                let text = node.name == "Data" && node.text.trim_start().starts_with("<DevInf");
                if text {
                    node.children = vec![parse(node.text.trim().as_bytes()).unwrap()];
                    node.text.clear();
                }
                text
            })
        },
    },
    Rewrite {
        name: "raw digest",
        why: "SyncML 1.0 puts the 16 octets of a digest raw into WBXML; we write base64 and say so, the tools write \
              the octets, which is not XML",
        apply: |ours, theirs| {
            let mut raw = false;
            theirs.change(&mut |node| {
                let found = node.name == "Data" && node.text.starts_with("octets ");
                raw |= found;
                if found {
                    node.text = "a digest".into();
                }
                found
            });
            let base64 = |text: &str| text.len() == 24 && text.ends_with("==");
            raw && ours.change(&mut |node| {
                if node.name != "Cred" {
                    return false;
                }
                for child in &mut node.children {
                    child.children.retain(|part| part.name != "Format");
                    if child.name == "Data" && base64(&child.text) {
                        child.text = "a digest".into();
                    }
                }
                true
            })
        },
    },
];

/// A way that cannot be compared for a file.
struct Exception {
    file: &'static str,
    way: Way,
    /// Part of what is told instead.
    told: &'static str,
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        file: "quirks/any_order.xml",
        way: Way::TheirsOfFile,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/any_order.xml",
        way: Way::TheirsOfOurs,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/devinf_as_text.xml",
        way: Way::TheirsOfOurs,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/incomplete_info.xml",
        way: Way::TheirsOfFile,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/incomplete_info.xml",
        way: Way::TheirsOfOurs,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/odd_devinf.xml",
        way: Way::TheirsOfFile,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/odd_devinf.xml",
        way: Way::TheirsOfOurs,
        told: "an octet that XML cannot have",
        why: "the tools print a WBXML document in an opaque as raw octets unless Meta/Type says devinf+wbxml; here it is missing",
    },
    Exception {
        file: "quirks/extension_tokens.hex",
        way: Way::TheirsOfFile,
        told: "Unexpected End Of WBXML Buffer",
        why: "the tools do not read past extension tokens, which we skip",
    },
    Exception {
        file: "quirks/inline_devinf.hex",
        way: Way::TheirsOfFile,
        told: "}unknown",
        why: "the tools have no DevInf on code page 2: they name what is there `unknown`",
    },
    Exception {
        file: "quirks/inline_devinf.hex",
        way: Way::TheirsOfOurs,
        told: "}unknown",
        why: "the tools have no DevInf on code page 2: they name what is there `unknown`",
    },
    Exception {
        file: "quirks/partial_devinf.hex",
        way: Way::TheirsOfFile,
        told: "xml cannot carry octets that are not UTF-8",
        why: "half a DevInf document is octets, which no XML can carry; the tools print them raw",
    },
    Exception {
        file: "quirks/partial_devinf.hex",
        way: Way::TheirsOfOurs,
        told: "xml cannot carry octets that are not UTF-8",
        why: "half a DevInf document is octets, which no XML can carry; the tools print them raw",
    },
    Exception {
        file: "quirks/missing_namespace.xml",
        way: Way::TheirsOfFile,
        told: "can't encode Literal",
        why: "without a namespace the tools know no element",
    },
    Exception {
        file: "quirks/missing_namespace.xml",
        way: Way::OursOfTheirs,
        told: "can't encode Literal",
        why: "without a namespace the tools know no element",
    },
    Exception {
        file: "quirks/incomplete_commands.xml",
        way: Way::TheirsOfFile,
        told: "CmdID is missing",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/incomplete_commands.xml",
        way: Way::TheirsOfOurs,
        told: "CmdID is missing",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/incomplete_commands.xml",
        way: Way::OursOfTheirs,
        told: "CmdID is missing",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/odd_values.xml",
        way: Way::TheirsOfFile,
        told: "second Source",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/odd_values.xml",
        way: Way::TheirsOfOurs,
        told: "second Source",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/odd_values.xml",
        way: Way::OursOfTheirs,
        told: "second Source",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/stray_text.xml",
        way: Way::TheirsOfFile,
        told: "text where elements belong",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/stray_text.xml",
        way: Way::TheirsOfOurs,
        told: "text where elements belong",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/stray_text.xml",
        way: Way::OursOfTheirs,
        told: "text where elements belong",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/trailing_bytes.xml",
        way: Way::TheirsOfFile,
        told: "text outside the root",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/trailing_bytes.xml",
        way: Way::TheirsOfOurs,
        told: "text outside the root",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
    Exception {
        file: "quirks/trailing_bytes.xml",
        way: Way::OursOfTheirs,
        told: "text outside the root",
        why: "only lenient reading takes it, and `mailsync convert` reads normally",
    },
];

fn sort(ours: &mut Node, theirs: &mut Node, parent: &str) -> bool {
    // Only a difference of order counts as one.
    let before = (ours.clone(), theirs.clone());
    for tree in [&mut *ours, &mut *theirs] {
        tree.change(&mut |node| {
            if node.name == parent {
                node.children.sort_by(|a, b| a.name.cmp(&b.name));
            }
            node.name == parent
        });
    }
    let (was, is) = (before.0.differences(&before.1), ours.differences(theirs));
    let used = is < was;
    if !used {
        (*ours, *theirs) = before;
    }
    used
}

fn through(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let name = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} cannot be started ({error}); ./test --peers installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let octets = input.to_vec();
    // A tool that refuses early closes its end.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&octets)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    if output.status.success() && !output.stdout.is_empty() {
        Ok(output.stdout)
    } else {
        Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn ours(to: &str, octets: &[u8]) -> Result<Vec<u8>, String> {
    through(Command::new(env!("CARGO_BIN_EXE_mailsync")).args(["convert", "--to", to]), octets)
}

/// -k keeps white space in texts, -m 0 adds none.
fn their_xml(wbxml: &[u8]) -> Result<Vec<u8>, String> {
    through(Command::new("wbxml2xml").args(["-k", "-m", "0", "-o", "-", "-"]), wbxml)
}

/// -n: no string table, which phones do not send either.
fn their_wbxml(xml: &[u8]) -> Result<Vec<u8>, String> {
    through(Command::new("xml2wbxml").args(["-k", "-n", "-v", "1.2", "-o", "-", "-"]), xml)
}

/// Hex with 'text', and comments after `;`.
fn hex(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for line in text.lines() {
        let mut quoted = false;
        for part in line.split('\'') {
            if quoted {
                octets.extend_from_slice(part.as_bytes());
            } else {
                let (digits, comment) =
                    part.split_once(';').map_or((part, false), |(digits, _)| (digits, true));
                let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
                octets.extend(
                    digits
                        .chunks(2)
                        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()),
                );
                if comment {
                    break;
                }
            }
            quoted = !quoted;
        }
    }
    octets
}

struct File {
    name: String,
    wbxml: bool,
    octets: Vec<u8>,
}

/// Every golden message: recordings, examples, quirks.
fn files() -> Vec<File> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../syncml/tests/golden");
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["from-syncevolution", "examples", "quirks"].iter().map(|name| golden.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    let mut files = Vec::new();
    for path in found {
        let name = path.strip_prefix(&golden).unwrap().to_string_lossy().into_owned();
        let octets = match path.extension().and_then(|ending| ending.to_str()) {
            Some("xml" | "wbxml") => std::fs::read(&path).unwrap(),
            // The hex files of `examples` are those beside them in hex.
            Some("hex") if name.starts_with("quirks/") => hex(&std::fs::read_to_string(&path).unwrap()),
            _ => continue,
        };
        files.push(File { wbxml: !name.ends_with(".xml"), name, octets });
    }
    files
}

/// Why the two are not the same document, if they are not; the rewrites it took.
fn compare(ours: &[u8], theirs: &[u8], used: &mut BTreeSet<&'static str>) -> Result<(), String> {
    let mut ours = parse(ours).map_err(|error| format!("our XML: {error}"))?;
    let mut theirs = parse(theirs).map_err(|error| format!("their XML: {error}"))?;
    let raw = theirs.change(&mut |node| node.name == "Data" && node.text.starts_with("octets "));
    if raw && !theirs.change(&mut |node| node.name == "Cred") {
        return Err("their XML: an octet that XML cannot have".into());
    }
    for rewrite in REWRITES {
        if ours == theirs {
            break;
        }
        if (rewrite.apply)(&mut ours, &mut theirs) {
            used.insert(rewrite.name);
        }
    }
    ours.difference(&theirs).map_or(Ok(()), Err)
}

fn check(file: &File, way: Way, used: &mut BTreeSet<&'static str>) -> Result<(), String> {
    let ours_of_file =
        if file.wbxml { ours("xml", &file.octets)? } else { ours("xml", &ours("wbxml", &file.octets)?)? };
    let other = match way {
        Way::TheirsOfFile if file.wbxml => their_xml(&file.octets)?,
        Way::TheirsOfFile => their_xml(&their_wbxml(&file.octets)?)?,
        Way::TheirsOfOurs => their_xml(&ours("wbxml", &file.octets)?)?,
        Way::OursOfTheirs => ours("xml", &their_wbxml(&file.octets)?)?,
    };
    compare(&ours_of_file, &other, used)
}

#[test]
fn our_xml_and_the_tools_describe_the_same_document() {
    let files = files();
    assert!(files.len() > 325, "only {} golden files", files.len());
    let (mut used, mut excepted, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut compared = 0;
    for file in &files {
        for way in [Way::TheirsOfFile, Way::TheirsOfOurs, Way::OursOfTheirs] {
            if way == Way::OursOfTheirs && file.wbxml {
                continue;
            }
            let exception = EXCEPTIONS.iter().find(|e| e.file == file.name && e.way == way);
            match (check(file, way, &mut used), exception) {
                (Ok(()), None) => compared += 1,
                (Ok(()), Some(stale)) => {
                    wrong.push(format!("{} {way:?}: not an exception any more: {}", file.name, stale.why));
                }
                (Err(told), Some(exception)) if told.contains(exception.told) => {
                    excepted.insert((exception.file, way));
                }
                (Err(told), _) => wrong.push(format!("{} {way:?}: {told}", file.name)),
            }
        }
    }
    for rewrite in REWRITES {
        if !used.contains(rewrite.name) {
            wrong.push(format!("no file needs the rewrite {:?} ({})", rewrite.name, rewrite.why));
        }
    }
    for exception in EXCEPTIONS {
        if !excepted.contains(&(exception.file, exception.way)) {
            wrong.push(format!("{} {:?}: an exception that nothing met", exception.file, exception.way));
        }
    }
    assert!(wrong.is_empty(), "{compared} compared\n{}", wrong.join("\n"));
    assert!(compared > 600, "only {compared} comparisons");
}
