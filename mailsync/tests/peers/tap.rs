//! A way to a TCP server on which a test sees what is said, and may say something else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a line of the client: it, another one, or none and the link ends once the server answered.
pub(crate) type Edit = fn(&str) -> Option<String>;

#[derive(Default)]
struct Heard {
    /// What clients said, line by line.
    lines: Vec<String>,
    octets_out: u64,
    octets_in: u64,
    edit: Option<Edit>,
}

/// A listener that passes everything on. It ends with the process of the test.
pub(crate) struct Tap {
    pub(crate) address: String,
    heard: Arc<Mutex<Heard>>,
}

impl Tap {
    /// Before the server at this address. Literals count as lines.
    pub(crate) fn start(server: &str) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (server, shared) = (server.to_owned(), Arc::clone(&heard));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let cut = Arc::new(Mutex::new(false));
                let (heard, cut_too) = (Arc::clone(&shared), Arc::clone(&cut));
                std::thread::spawn(move || answers(back, forth, &heard, &cut_too));
                let heard = Arc::clone(&shared);
                std::thread::spawn(move || commands(client, server, &heard, &cut));
            }
        });
        Tap { address, heard }
    }

    /// From now on lines of clients go through this.
    pub(crate) fn edit(&self, edit: Edit) {
        self.heard.lock().unwrap().edit = Some(edit);
    }

    /// Forgets what was heard.
    pub(crate) fn clear(&self) {
        let mut heard = self.heard.lock().unwrap();
        (heard.lines, heard.octets_out, heard.octets_in) = (Vec::new(), 0, 0);
    }

    /// How many lines of clients began so.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.heard.lock().unwrap().lines.iter().filter(|line| line.starts_with(start)).count()
    }

    /// Lines of clients with this in them.
    pub(crate) fn lines_with(&self, what: &str) -> Vec<String> {
        self.heard.lock().unwrap().lines.iter().filter(|line| line.contains(what)).cloned().collect()
    }

    /// Octets that went to the server, and that came from it.
    pub(crate) fn octets(&self) -> (u64, u64) {
        let heard = self.heard.lock().unwrap();
        (heard.octets_out, heard.octets_in)
    }
}

fn commands(client: TcpStream, mut server: TcpStream, heard: &Mutex<Heard>, cut: &Mutex<bool>) {
    let mut client = BufReader::new(client);
    let mut line = Vec::new();
    while client.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let edit = {
            let mut heard = heard.lock().unwrap();
            heard.octets_out += line.len() as u64;
            heard.lines.push(text.clone());
            heard.edit
        };
        match edit.map(|edit| edit(&text)) {
            Some(Some(other)) if other != text => line = format!("{other}\r\n").into_bytes(),
            Some(None) => *cut.lock().unwrap() = true,
            _ => {}
        }
        if server.write_all(&line).is_err() {
            break;
        }
        line.clear();
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn answers(mut server: TcpStream, mut client: TcpStream, heard: &Mutex<Heard>, cut: &Mutex<bool>) {
    let mut octets = vec![0; 16 << 10];
    while let Ok(count @ 1..) = server.read(&mut octets) {
        heard.lock().unwrap().octets_in += count as u64;
        if *cut.lock().unwrap() || client.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
