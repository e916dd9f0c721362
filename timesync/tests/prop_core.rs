//! Properties T1 to T10 of the time core.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use proptest::prelude::*;
use timesync::{
    Candidate, ClockFilter, Correction, Estimate, Exchange, Interval, NtpDate, NtpDuration, NtpShort,
    NtpTimestamp, Packet, Rate, Request, Sample, SourceId, Tolerance, Trailer, UnixTime, VirtualClock,
    covered_by, marzullo, select,
};

/// A client stamp anywhere in the era, a true offset of up to 60 years, two path delays, a hold time.
fn journey() -> impl Strategy<Value = (u64, i64, u64, u64, u64)> {
    let years = 60_i64 * 366 * 86_400;
    (any::<u64>(), -(years << 32)..(years << 32), 0_u64..(8 << 32), 0_u64..(8 << 32), 0_u64..(2 << 32))
}

fn exchange((t1, offset, up, down, hold): (u64, i64, u64, u64, u64)) -> Exchange {
    let t2 = t1.wrapping_add(offset.cast_unsigned()).wrapping_add(up);
    let t3 = t2.wrapping_add(hold);
    let t4 = t1.wrapping_add(up + hold + down);
    let stamp = NtpTimestamp::from_bits;
    Exchange::new(stamp(t1), stamp(t2), stamp(t3), stamp(t4))
}

fn shifted(of: Exchange, client: u64, server: u64) -> Exchange {
    let client = NtpDuration::from_bits(client.cast_signed());
    let server = NtpDuration::from_bits(server.cast_signed());
    Exchange::new(
        of.origin.wrapping_add(client),
        of.receive.wrapping_add(server),
        of.transmit.wrapping_add(server),
        of.destination.wrapping_add(client),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // invariant T1, mission: T1
    #[test]
    fn t1_the_truth_is_within_half_the_delay(trip in journey()) {
        let exchange = exchange(trip);
        let truth = i128::from(trip.1);
        prop_assert!((2 * truth - exchange.twice_offset()).abs() <= exchange.delay());
        let offset = exchange.measure(&Tolerance::EXACT).unwrap().offset;
        let nanos = i64::try_from((truth * 1_000_000_000) >> 32).unwrap();
        prop_assert!(offset.contains(nanos) || offset.contains(nanos + 1));
    }

    #[test]
    fn t2_swapping_the_roles_negates_the_offset(trip in journey()) {
        let one = exchange(trip);
        // The server's view: its stamps are the outer pair of an exchange started one trip earlier.
        let other = Exchange::new(one.receive, one.origin, one.destination, one.transmit);
        prop_assert_eq!(other.twice_offset(), -one.twice_offset());
        prop_assert_eq!(other.delay(), -one.delay());
        // And through the roles proper: negating every clock's offset negates theta and keeps the delay.
        let mirrored = exchange((trip.0, -trip.1, trip.3, trip.2, trip.4));
        prop_assert_eq!(mirrored.twice_offset(), -one.twice_offset());
        prop_assert_eq!(mirrored.delay(), one.delay());
    }

    #[test]
    fn t3_a_shift_of_the_server_adds_to_the_offset(trip in journey(), by in -(1_i64 << 60)..(1 << 60)) {
        let one = exchange((trip.0, trip.1 >> 2, trip.2, trip.3, trip.4));
        let other = shifted(one, 0, by.cast_unsigned());
        prop_assert_eq!(other.twice_offset(), one.twice_offset() + 2 * i128::from(by));
        prop_assert_eq!(other.delay(), one.delay());
    }

    #[test]
    fn t4_a_shift_of_all_four_changes_nothing(trip in journey(), by in any::<u64>()) {
        let one = exchange(trip);
        let other = shifted(one, by, by);
        prop_assert_eq!((other.twice_offset(), other.delay()), (one.twice_offset(), one.delay()));
    }

    #[test]
    fn t5_nanoseconds_survive_ntp_and_order_is_kept(
        nanos in -5_000_000_000_000_000_000_i128..50_000_000_000_000_000_000, step in 1_i64..1_000_000,
        away in -2_000_000_000_i64..2_000_000_000,
    ) {
        let time = UnixTime::from_nanos(nanos);
        let pivot = time.plus(away * 1_000_000_000);
        prop_assert_eq!(NtpTimestamp::from_unix(time).unfold(pivot), time);
        prop_assert_eq!(NtpDate::from_unix(time).unwrap().to_unix(), time);
        let later = NtpTimestamp::from_unix(time.plus(step));
        prop_assert!(later.signed_since(NtpTimestamp::from_unix(time)).bits() > 0);
    }

    #[test]
    fn t6_any_bytes_are_answered_and_packets_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let nonce = NtpTimestamp::from_bits(1);
        let _ = Request::new(nonce).check(&bytes);
        if let Ok(trailer) = Trailer::decode(&bytes) {
            prop_assert!(trailer.extensions().map(|(_, body)| body.len() + 4).sum::<usize>() <= bytes.len());
        }
        match Packet::decode(&bytes) {
            Ok(packet) => {
                prop_assert_eq!(&packet.encode()[..], &bytes[..48]);
                prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
            }
            Err(_) => prop_assert!(bytes.len() < 48),
        }
    }

    #[test]
    fn t7_order_does_not_matter_and_a_minority_cannot_hide_the_truth(
        truth in -1_000_000_i64..1_000_000,
        honest in proptest::collection::vec((0_i64..5_000, 0_i64..5_000), 1..7),
        lies in proptest::collection::vec((-1_010_000_i64..1_010_000, 0_i64..20_000), 0..6),
        turn in 0_usize..10,
    ) {
        let mut sources: Vec<Candidate> = Vec::new();
        for (below, above) in &honest {
            let id = SourceId(u32::try_from(sources.len()).unwrap());
            sources.push(Candidate::new(id, Interval::new(truth - below, truth + above)));
        }
        for (lo, width) in lies.iter().take(honest.len().saturating_sub(1)) {
            let id = SourceId(u32::try_from(sources.len()).unwrap());
            sources.push(Candidate::new(id, Interval::new(*lo, lo + width)));
        }
        let selection = select(&sources, 1).unwrap();
        prop_assert!(selection.bound.contains(truth));
        prop_assert!(selection.bound.covers(selection.agreed));
        prop_assert!(selection.agreed.contains(selection.combined));
        let mut turned = sources.clone();
        let by = turn % turned.len();
        turned.rotate_left(by);
        turned.reverse();
        prop_assert_eq!(select(&turned, 1).unwrap(), selection);
        // One more truechimer never empties the result.
        sources.push(Candidate::new(SourceId(99), sources[0].interval));
        prop_assert!(select(&sources, 1).unwrap().bound.contains(truth));
    }

    #[test]
    fn t8_marzullo_equals_brute_force(
        intervals in proptest::collection::vec((-30_i64..30, 0_i64..12), 1..9), need in 1_usize..9,
    ) {
        let sources: Vec<Candidate> = intervals
            .iter()
            .enumerate()
            .map(|(i, (lo, width))| Candidate::new(SourceId(u32::try_from(i).unwrap()), Interval::new(*lo, lo + width)))
            .collect();
        let cover = |point: i64| sources.iter().filter(|c| c.interval.contains(point)).count();
        let most = (-30..45).map(cover).max().unwrap();
        let first = (-30..45).find(|p| cover(*p) == most).unwrap();
        let best = marzullo(&sources).unwrap();
        prop_assert_eq!(best.count, most);
        prop_assert_eq!(best.interval.lo(), first);
        prop_assert!((first..=best.interval.hi()).all(|p| cover(p) == most));
        let points: Vec<i64> = (-30..45).filter(|p| cover(*p) >= need).collect();
        let hull = points.first().map(|lo| Interval::new(*lo, *points.last().unwrap()));
        prop_assert_eq!(covered_by(&sources, need), hull);
    }

    #[test]
    fn t9_a_bound_never_shrinks_with_age(
        mid in any::<i64>(), radius in any::<u64>(), rate in -1_000_000_i64..1_000_000, phi in 0_u64..1_000_000,
        a in 0_u64..100_000_000, b in 0_u64..100_000_000,
    ) {
        let (sooner, later) = (Duration::from_millis(a.min(b)), Duration::from_millis(a.max(b)));
        let sample = Sample { at: Duration::ZERO, offset: Interval::around(mid, radius), delay: 0, root: 3 };
        prop_assert!(sample.bound_at(later, phi).covers(sample.bound_at(sooner, phi)));
        let estimate = Estimate::new(Duration::ZERO, Interval::around(mid >> 8, radius >> 8), phi)
            .with_rate(Rate { ppb: rate, radius: 7 }, phi);
        prop_assert!(estimate.offset_at(later).width() >= estimate.offset_at(sooner).width());
    }

    #[test]
    fn good_for_is_the_last_moment_within_tolerance(
        radius in 0_u64..1_000_000, phi in 1_u64..1_000_000, tolerance in 0_u64..100_000_000,
    ) {
        let estimate = Estimate::new(Duration::ZERO, Interval::around(0, radius), phi);
        match estimate.good_for(tolerance) {
            None => prop_assert!(radius > tolerance),
            Some(span) => {
                prop_assert!(estimate.offset_at(span).radius() <= tolerance);
                prop_assert!(estimate.offset_at(span + Duration::from_millis(1001)).radius() > tolerance);
            }
        }
    }

    #[test]
    fn t10_a_virtual_clock_never_goes_back_under_slew(
        slews in proptest::collection::vec((any::<i64>(), 0_u64..10_000, 0_u64..5_000), 0..20),
        reads in proptest::collection::vec(0_u64..3_000, 1..40),
    ) {
        let mut clock = VirtualClock::new(Duration::ZERO, UnixTime::from_secs(1_795_334_400));
        let mut now = Duration::ZERO;
        let mut last = clock.read(now);
        let mut slews = slews.into_iter();
        for step in reads {
            now += Duration::from_millis(step);
            let read = clock.read(now);
            prop_assert!(read >= last);
            last = read;
            if let Some((rate, duration, standing)) = slews.next() {
                clock.apply(now, Correction::Slew { rate, duration: Duration::from_millis(duration) });
                clock.set_rate(now, i64::try_from(standing).unwrap() - 2_500);
                prop_assert!(clock.read(now) >= last);
            }
        }
    }

    #[test]
    fn a_filter_keeps_the_truth(
        truth in -1_000_000_000_i64..1_000_000_000,
        samples in proptest::collection::vec((1_u64..1_000, 0_u64..50_000_000, 0_u64..50_000_000), 1..30),
    ) {
        // A clock that drifts by exactly phi, delays of any asymmetry.
        let phi = 15_000_u64;
        let mut filter = ClockFilter::new(phi);
        let mut now = 0;
        for (step, up, down) in samples {
            now += step;
            let true_now = truth + i64::try_from(now * phi).unwrap();
            let mid = true_now + (i64::try_from(up).unwrap() - i64::try_from(down).unwrap()) / 2;
            let offset = Interval::around(mid, (up + down).div_ceil(2));
            filter.push(Sample { at: Duration::from_secs(now), offset, delay: up + down, root: 0 }).unwrap();
            prop_assert!(filter.best(Duration::from_secs(now)).unwrap().bound.contains(true_now));
        }
    }

    #[test]
    fn short_values_never_shrink(nanos in 0_u64..65_000_000_000_000) {
        prop_assert!(NtpShort::from_nanos(nanos).as_nanos_ceil() >= nanos);
    }
}
