//! From a GUID to the devices that hold it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{Guid, Holders, Luid, View, adopt, bind, forget, offer, switch_generation};

fn guid(text: &str) -> Guid {
    Guid::try_from(text).unwrap()
}

fn luid(text: &str) -> Luid {
    Luid::try_from(text).unwrap()
}

fn found<'a>(holders: &'a Holders<&'static str>, id: &'a Guid) -> Vec<(&'static str, &'a str)> {
    holders.of(id).map(|holder| (*holder.device, holder.luid.as_str())).collect()
}

// mission: M7
#[test]
fn every_client_that_holds_the_mail_and_its_luid_there() {
    let (mail, other) = (guid("mail"), guid("other"));
    let mut phone = View::default();
    phone.extend(&adopt(&View::default(), 1, &luid("1"), &mail, 1, 0).unwrap());
    let mut tablet = View::default();
    tablet.extend(&adopt(&View::default(), 4, &luid("1"), &other, 1, 0).unwrap());

    let mut holders = Holders::default();
    holders.insert("phone", 1, phone.clone());
    holders.insert("tablet", 4, tablet.clone());
    // LUIDs of different clients may be equal.
    assert_eq!(found(&holders, &mail), [("phone", "1")]);
    assert_eq!(found(&holders, &other), [("tablet", "1")]);

    // Only offered is not held.
    let (_, offered) = offer(&tablet, 4, &mail, None, 0, 1, 0).unwrap();
    offered.iter().for_each(|record| holders.apply("tablet", record));
    assert_eq!(found(&holders, &mail), [("phone", "1")]);
    tablet.extend(&offered);
    let mapped = bind(&tablet, 4, "mail", &luid("2")).unwrap();
    mapped.iter().for_each(|record| holders.apply("tablet", record));
    assert_eq!(found(&holders, &mail), [("phone", "1"), ("tablet", "2")]);

    forget(&phone, 1, &mail).iter().for_each(|record| holders.apply("phone", record));
    assert_eq!(found(&holders, &mail), [("tablet", "2")]);
    holders.remove(&"tablet");
    assert_eq!(found(&holders, &mail), []);
}

#[test]
fn a_slow_sync_counts_when_it_has_succeeded() {
    let mail = guid("mail");
    let mut holders = Holders::default();
    let bound = |generation, id: &str| adopt(&View::default(), generation, &luid(id), &mail, 1, 0).unwrap();
    holders.apply("phone", &bound(1, "1")[0]);
    holders.apply("phone", &bound(2, "9")[0]);
    assert_eq!(found(&holders, &mail), [("phone", "1")]);
    holders.apply("phone", &switch_generation(2));
    assert_eq!(found(&holders, &mail), [("phone", "9")]);
}
