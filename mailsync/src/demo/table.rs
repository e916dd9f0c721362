//! The figures at the end.

use super::client::Synced;
use serde_json::{Value, json};

/// What one step took.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    step: &'static str,
    messages: u64,
    items: u64,
    wbxml: u64,
    xml: u64,
    /// Wall time.
    pub(super) seconds: f64,
}

impl Row {
    pub(super) fn new(step: &'static str) -> Self {
        Row { step, ..Row::default() }
    }

    /// Counts a sync.
    pub(super) fn count(&mut self, synced: &Synced, wire: &str) {
        self.messages += synced.messages;
        self.items += synced.received + synced.sent;
        *(if wire == "xml" { &mut self.xml } else { &mut self.wbxml }) += synced.octets;
    }

    /// Its fields, for scripts.
    pub(super) fn json(&self) -> Value {
        json!({
            "step": self.step,
            "messages": self.messages,
            "items": self.items,
            "bytes_wbxml": self.wbxml,
            "bytes_xml": self.xml,
            "seconds": rounded(self.seconds),
        })
    }
}

/// Milliseconds are enough.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// The table for people.
pub(super) fn text(rows: &[Row]) -> String {
    let number = |n: u64| if n == 0 { "-".to_owned() } else { n.to_string() };
    let mut all = rows.to_vec();
    all.push(rows.iter().fold(Row::new("all"), |sum, row| Row {
        step: sum.step,
        messages: sum.messages + row.messages,
        items: sum.items + row.items,
        wbxml: sum.wbxml + row.wbxml,
        xml: sum.xml + row.xml,
        seconds: sum.seconds + row.seconds,
    }));
    let mut text = format!(
        "{:<44} {:>8} {:>6} {:>13} {:>12} {:>8}\n",
        "step", "messages", "items", "WBXML octets", "XML octets", "seconds"
    );
    for row in &all {
        text += &format!(
            "{:<44} {:>8} {:>6} {:>13} {:>12} {:>8.1}\n",
            row.step,
            number(row.messages),
            number(row.items),
            number(row.wbxml),
            number(row.xml),
            row.seconds
        );
    }
    text
}
