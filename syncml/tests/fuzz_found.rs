#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! What fuzzing found, each named for what went wrong.

use bytes::Bytes;
use syncml::{Encoding, Limits, Message, Quirks, decode, encode};

fn devinf(sync_cap: &str) -> Bytes {
    Bytes::from(format!(
        "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
         <SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>s</LocURI></Target><Source><LocURI>c</LocURI></Source>\
         </SyncHdr><SyncBody><Put><CmdID>1</CmdID><Item><Data><DevInf xmlns='syncml:devinf'><VerDTD>1.2</VerDTD>\
         <DevID>d</DevID><DevTyp>phone</DevTyp><DataStore><SourceRef>./n</SourceRef>\
         <Rx-Pref><CTType>text/plain</CTType><VerCT>1.0</VerCT></Rx-Pref>\
         <Tx-Pref><CTType>text/plain</CTType><VerCT>1.0</VerCT></Tx-Pref>\
         <SyncCap><SyncType>1</SyncType>{sync_cap}</SyncCap></DataStore></DevInf></Data></Item></Put></SyncBody></SyncML>"
    ))
}

fn read(octets: &Bytes) -> Result<Message, syncml::DecodeError> {
    let mut quirks = Quirks::normal();
    quirks.partial_devinf = false;
    decode(Encoding::Xml, octets, &Limits::default(), &quirks)
}

#[test]
fn an_element_of_a_datastore_inside_its_sync_cap_became_the_datastores_own() {
    let error = read(&devinf("<Tx>4</Tx>")).unwrap_err();
    assert!(error.to_string().contains("Tx in SyncCap"), "{error}");
    // What nobody knows stays, in either spelling.
    let message = read(&devinf("<X-New>4</X-New>")).unwrap();
    let octets = encode(Encoding::Xml, &message).unwrap();
    assert!(octets.windows(5).any(|part| part == b"X-New"));
    assert_eq!(read(&octets).unwrap(), message);
}
