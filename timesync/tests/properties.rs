//! The published properties under random input; the fuzz targets run the same functions for longer.
#![cfg(all(feature = "testkit", feature = "tasks"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use timesync::testkit::property;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // mission: T1
    #[test]
    fn packet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        property::packet(&bytes);
        // And near misses of a real reply.
        let mut near = vec![0x24, 1, 0, 0xec];
        near.resize(48, 1);
        for (to, from) in near.iter_mut().zip(&bytes).step_by(7) {
            *to = *from;
        }
        property::packet(&near);
    }

    #[test]
    fn exchange(stamps in any::<[u64; 4]>(), small in any::<[u32; 3]>()) {
        property::exchange(stamps);
        let [t1, ..] = stamps;
        let near = small.map(|more| t1.wrapping_add(u64::from(more)));
        property::exchange([t1, near[0], near[0].wrapping_add(u64::from(small[1])), near[2]]);
    }

    #[test]
    fn civil(text in "[0-9]{4}-?[01][0-9]-?[0-3][0-9]T[0-2][0-9]:?[0-5][0-9]:?[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][01][0-9]:?[0-5][0-9])?") {
        property::civil(&text);
    }

    #[test]
    fn calendar(body in "((UID|DTSTART|DUE|RRULE|SUMMARY|DESCRIPTION|ATTACH)(;[A-Z]{1,4}=[a-z/]{0,9})?:[ -~]{0,30}\r\n){0,9}") {
        property::calendar(&body);
        property::calendar(&format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261201T000000Z\r\n{body}END:VEVENT\r\nEND:VCALENDAR\r\n"));
    }

    // invariants T14, T16, mission: T6, T7
    #[test]
    fn task_operations(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
        property::task_operations(&bytes);
    }
}

// mission: T6
#[test]
fn a_snooze_to_a_moment_that_was_shown_already_does_not_fire_again() {
    let (due, later) = (10, 20);
    property::task_operations(
        &[
            [0, 0, 0, 0, due, 0, 0, 0],
            [2, 0, 0, 0, later, 0, 0, 0],
            [4, 0, 0, 0, 0, 0, 200, 0],
            [2, 0, 0, 0, due, 0, 200, 1],
            [3, 0, 0, 0, 0, 0, 0, 1],
            [4, 0, 0, 0, 0, 0, 200, 0],
        ]
        .concat(),
    );
}
