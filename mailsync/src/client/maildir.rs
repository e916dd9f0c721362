//! Names in a Maildir++: what of an item's id, state and folder shows in the file system.
//!
//! The inbox is the folder itself (`cur`, `new`, `tmp`), every other folder a `.Name` in it. A mail's file is
//! `<id>:2,<flags>`; the id is the LUID.

use mailsync_proto::mail::{Folder, MailFields, Role};
use std::io;
use std::path::{Path, PathBuf};

/// Longest file name that we make, octets, before flags.
const NAME_MAX: usize = 200;
const OURS: &str = "DFPRST";

/// An id or a folder name as a file name: everything but ASCII letters, digits and `-_+=@,` is escaped as `%XX`,
/// other letters stay.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, c) in text.chars().enumerate() {
        let plain = c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '+' | '=' | '@')
            || (c == '.' && n > 0)
            || (!c.is_ascii() && c.is_alphanumeric());
        if plain {
            out.push(c);
        } else {
            for b in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{b:02X}"));
            }
        }
    }
    if out.len() > NAME_MAX {
        let digest = mailsync_proto::sync::collection::match_key(&[text.as_bytes()]).0;
        let mut cut = 150;
        while !out.is_char_boundary(cut) {
            cut -= 1;
        }
        out.truncate(cut);
        out.push('_');
        out.extend(digest.iter().map(|b| format!("{b:02x}")));
    }
    out
}

/// The folder's directory below the inbox; empty for the inbox itself. `above` is its parent's.
pub fn directory(folder: &Folder, role: Option<Role>, above: &str) -> String {
    match role {
        Some(Role::Inbox) => String::new(),
        Some(role) => format!(".{}", role.name()),
        // A dot separates levels, so a name has none.
        None => format!("{above}.{}", encode(folder.name.trim()).replace('.', "%2E")),
    }
}

/// The name for people of a directory that another program made.
pub fn folder_name(directory: &str) -> String {
    let last = directory.rsplit('.').next().unwrap_or_default();
    let mut out = Vec::new();
    let mut rest = last.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            rest = after;
            continue;
        }
        out.push(*first);
        rest = tail;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The letters after `:2,`, sorted; those of other programs stay as they are.
///
/// D draft, F flagged, P passed on, R replied, S seen, T trashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(String);

impl Flags {
    /// Base name and flags of a file name.
    pub fn split(name: &str) -> (&str, Flags) {
        match name.split_once(":2,") {
            Some((base, flags)) => {
                let mut letters: Vec<char> = flags.chars().filter(char::is_ascii_alphabetic).collect();
                letters.sort_unstable();
                letters.dedup();
                (base, Flags(letters.into_iter().collect()))
            }
            None => (name.split_once(':').map_or(name, |(base, _)| base), Flags::default()),
        }
    }

    /// The flags of a state.
    pub fn of(fields: &MailFields) -> Flags {
        let mut flags = Flags::default();
        for (letter, on) in [
            ('D', fields.draft),
            ('F', fields.flagged),
            ('P', fields.forwarded),
            ('R', fields.answered),
            ('S', fields.read),
            ('T', fields.deleted),
        ] {
            flags.set(letter, on);
        }
        flags
    }

    /// Whether a letter is set.
    pub fn has(&self, letter: char) -> bool {
        self.0.contains(letter)
    }

    /// Sets or clears a letter.
    pub fn set(&mut self, letter: char, on: bool) {
        let mut letters: Vec<char> = self.0.chars().filter(|c| *c != letter).collect();
        if on {
            letters.push(letter);
            letters.sort_unstable();
        }
        self.0 = letters.into_iter().collect();
    }

    /// These flags with what changed between two others; letters of other programs as in `after`.
    pub fn with_change(&self, before: &Flags, after: &Flags) -> Flags {
        let mut flags = Flags(self.0.chars().filter(|c| OURS.contains(*c)).collect());
        for letter in OURS.chars() {
            if before.has(letter) != after.has(letter) {
                flags.set(letter, after.has(letter));
            }
        }
        for letter in after.0.chars().filter(|c| !OURS.contains(*c)) {
            flags.set(letter, true);
        }
        flags
    }

    /// Takes over into a state what changed since `before`; whether anything did.
    pub fn change(&self, before: &Flags, fields: &mut MailFields) -> bool {
        let mut changed = false;
        for (letter, to) in [
            ('D', &mut fields.draft),
            ('F', &mut fields.flagged),
            ('P', &mut fields.forwarded),
            ('R', &mut fields.answered),
            ('S', &mut fields.read),
            ('T', &mut fields.deleted),
        ] {
            if before.has(letter) != self.has(letter) && *to != self.has(letter) {
                *to = self.has(letter);
                changed = true;
            }
        }
        changed
    }

    /// The file name of a mail with these flags.
    pub fn name(&self, base: &str) -> String {
        format!("{base}:2,{}", self.0)
    }
}

/// A mail's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Directory of its folder below the inbox; empty for the inbox.
    pub directory: String,
    /// `cur/` or `new/` and its name.
    pub name: String,
}

impl Place {
    /// The base name.
    pub fn base(&self) -> &str {
        Flags::split(self.file_name()).0
    }

    /// The flags.
    pub fn flags(&self) -> Flags {
        Flags::split(self.file_name()).1
    }

    /// The path.
    pub fn path(&self, root: &Path) -> PathBuf {
        join(root, &self.directory).join(&self.name)
    }

    fn file_name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, name)| name)
    }
}

/// The path of a folder's directory.
pub fn join(root: &Path, directory: &str) -> PathBuf {
    if directory.is_empty() { root.to_owned() } else { root.join(directory) }
}

/// The directories of all folders: the inbox (empty name) and every `.Name` that has a `cur`.
pub fn directories(root: &Path) -> io::Result<Vec<String>> {
    let mut found = vec![String::new()];
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.len() > 1 && name.starts_with('.') && name != ".." && root.join(name).join("cur").is_dir() {
            found.push(name.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// The mails in a folder's directory.
pub fn mails(root: &Path, directory: &str) -> io::Result<Vec<Place>> {
    let mut found = Vec::new();
    for sub in ["cur", "new"] {
        let entries = match std::fs::read_dir(join(root, directory).join(sub)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !name.starts_with('.') && entry.file_type()?.is_file() {
                found.push(Place { directory: directory.to_owned(), name: format!("{sub}/{name}") });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        assert_eq!(encode("m12ab-_"), "m12ab-_");
        assert_eq!(encode("../a b:c/ä"), "%2E.%2Fa%20b%3Ac%2Fä");
        assert_ne!(encode(&"x/".repeat(100)), encode(&"x/".repeat(101)));
        assert!(encode(&"ä/".repeat(120)).len() <= NAME_MAX);
        let folder = Folder::new("a.b/c", None);
        assert_eq!(directory(&folder, None, ".Work"), ".Work.a%2Eb%2Fc");
        assert_eq!(folder_name(".Work.a%2Eb%2Fc"), "a.b/c");
        assert_eq!(directory(&folder, Some(Role::Inbox), ""), "");
    }

    #[test]
    fn flags_both_directions() {
        let (base, flags) = Flags::split("m1:2,SaFb");
        assert_eq!((base, flags.name("m1")), ("m1", "m1:2,FSab".to_owned()));
        assert_eq!(Flags::split("m1").0, "m1");
        assert_eq!(Flags::split("m1:1,x").0, "m1");
        let mut fields = MailFields::default();
        assert!(flags.change(&Flags::default(), &mut fields));
        assert!(fields.read && fields.flagged && !fields.answered);
        assert_eq!(Flags::of(&fields).name("m"), "m:2,FS");
        assert!(!flags.change(&flags, &mut fields));
    }

    #[test]
    fn changes_of_both_sides_stay() {
        let flags = |s: &str| Flags::split(&format!("m:2,{s}")).1;
        // The server set F; meanwhile a reader set S and its own letter, and took R away.
        assert_eq!(flags("FR").with_change(&flags("R"), &flags("Sa")), flags("FSa"));
    }
}
