//! Shows a service indication and a server alert as the short messages that carry them.
//! `cargo run -p pushpolicy --features bearer --example wap_push`

use pushpolicy::bearer::si::ServiceIndication;
use pushpolicy::bearer::wap::{ContentType, Ports, Push, segments};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let si = ServiceIndication::new("https://mail.example.com/", "New mail from Bob").encode()?;
    for push in [Push::new(1, ContentType::SI, si), Push::new(2, ContentType::DS_ALERT, vec![0; 140])] {
        let messages = segments(Ports::WAP_PUSH, 7, &push.encode()?).ok_or("too long for SMS")?;
        println!("{} in {} short messages", push.content_type.name().unwrap_or("?"), messages.len());
        for m in messages {
            println!("  {}", m.short_message().iter().map(|b| format!("{b:02x}")).collect::<String>());
        }
    }
    Ok(())
}
