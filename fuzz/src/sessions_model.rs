//! Any message of the model in the middle of a session, on either side.

use crate::client_body::CLIENT_BODY;
use crate::model::message;
use crate::server_body::SERVER_BODY;
use crate::{Broken, Property, Target};
use syncml::{Encoding, encode};

/// Octets as a message of the model that comes into a session.
pub const SESSIONS_MODEL: Target = Target {
    name: "sessions_model",
    input: "what Arbitrary makes a message of",
    dictionary: None,
    properties: &[
        Property {
            name: "server",
            sentence: "what holds of any octets that reach a server's session holds of any message of the model",
            check: |data| each(data, &SERVER_BODY),
        },
        Property {
            name: "client",
            sentence: "what holds of any octets that answer a client holds of any message of the model",
            check: |data| each(data, &CLIENT_BODY),
        },
    ],
};

fn each(data: &[u8], target: &Target) -> Result<(), Broken> {
    let Ok(octets) = encode(Encoding::Wbxml, &message(data)) else { return Ok(()) };
    for property in target.properties {
        (property.check)(&octets).map_err(|Broken(how)| Broken(format!("{}: {how}", property.name)))?;
    }
    Ok(())
}
