//! Users and devices, as a login sees them.

use super::*;

pub(super) fn cases<S: Fixture>() -> Vec<Case<S>> {
    vec![
        ("a user logs in from a device never seen", new_device),
        ("what is kept of a device comes back", device_row),
        ("a device may have a verifier of its own", own_verifier),
        ("a revoked device", revoked),
    ]
}

fn login<S: Store>(store: &S, user: &str, device: &str) -> Option<Login> {
    match read(store, Read::Login { user: user.into(), device: device.into() }) {
        Value::Login(login) => login,
        other => panic!("{other:?}"),
    }
}

fn new_device<S: Fixture>(store: &S) {
    store.add_user("ana", "VERIFIER==");
    let expected = Login {
        verifier: "VERIFIER==".into(),
        password: None,
        item_key: None,
        revoked: false,
        device: Device::default(),
        sessions: 0,
    };
    assert_eq!(login(store, "ana", "phone"), Some(expected));
    assert_eq!(login(store, "Ana", "phone"), None);
    store.add_user("ana", "CHANGED==");
    assert_eq!(login(store, "ana", "phone").map(|login| login.verifier), Some("CHANGED==".into()));
}

fn device_row<S: Fixture>(store: &S) {
    store.add_user("ana", "V");
    store.add_user("bo", "W");
    let device = Device {
        nonce: Some(Bytes::from_static(b"\0nonce\xff")),
        logins: 7,
        session: Some("token".into()),
        devinf: Some(Bytes::from_static(b"\xff<DevInf/>")),
    };
    commit(store, vec![Write::PutDevice("ana".into(), "phone".into(), device.clone())]);
    assert_eq!(login(store, "ana", "phone").map(|login| login.device), Some(device.clone()));
    assert_eq!(login(store, "ana", "other").map(|login| login.device), Some(Device::default()));
    assert_eq!(login(store, "bo", "phone").map(|login| login.device), Some(Device::default()));
    let kept = |user: &str, id: &str| read(store, Read::Device(user.into(), id.into()));
    assert_eq!(kept("ana", "phone"), Value::Device(Some(device)));
    assert_eq!(kept("ana", "other"), Value::Device(None));
    assert_eq!(kept("bo", "phone"), Value::Device(None));
    let next = Device { nonce: Some(Bytes::from_static(b"2")), logins: 78, devinf: None, session: None };
    commit(store, vec![Write::PutDevice("ana".into(), "phone".into(), next.clone())]);
    assert_eq!(login(store, "ana", "phone").map(|login| login.device), Some(next));
}

fn own_verifier<S: Fixture>(store: &S) {
    store.add_user("ana", "V");
    store.set_device("ana", "phone", Some("OWN"), false);
    assert_eq!(login(store, "ana", "phone").map(|login| login.verifier), Some("OWN".into()));
    assert_eq!(login(store, "ana", "laptop").map(|login| login.verifier), Some("V".into()));
    commit(store, vec![Write::PutDevice("ana".into(), "phone".into(), Device::default())]);
    assert_eq!(login(store, "ana", "phone").map(|login| login.verifier), Some("OWN".into()));
}

fn revoked<S: Fixture>(store: &S) {
    store.add_user("ana", "V");
    let device = Device { nonce: Some(Bytes::from_static(b"n")), ..Device::default() };
    commit(store, vec![Write::PutDevice("ana".into(), "phone".into(), device.clone())]);
    store.set_device("ana", "phone", None, true);
    let found = login(store, "ana", "phone").unwrap();
    assert_eq!((found.revoked, found.device), (true, device), "and keeps what is known of it");
    commit(store, vec![Write::PutDevice("ana".into(), "phone".into(), Device::default())]);
    assert!(login(store, "ana", "phone").unwrap().revoked, "no turn lifts it");
    assert!(!login(store, "ana", "laptop").unwrap().revoked);
    store.set_device("ana", "phone", None, false);
    assert!(!login(store, "ana", "phone").unwrap().revoked);
}
