//! Four stamps, one offset, and a bound that holds whatever the network did.
//!
//! ```text
//!   server          t2 ── t3              offset = ((t2 - t1) + (t3 - t4)) / 2
//!                  /        \             delay  =  (t4 - t1) - (t3 - t2)
//!   client       t1          t4           truth within offset +- delay / 2
//! ```

use core::fmt;

use crate::instant::{Interval, Ppb, growth, saturate};
use crate::timestamp::NtpTimestamp;

/// The four timestamps of one exchange.
///
/// `origin` and `destination` are the client's clock, `receive` and `transmit` the server's. Take the
/// client's two from a monotonic clock plus one wall reading, so that a step in between cannot spoil them.
///
/// ```
/// use timesync::{Exchange, NtpTimestamp, Tolerance};
/// let at = |ms: u64| NtpTimestamp::from_bits((ms << 32) / 1000 + (1 << 40));
/// let exchange = Exchange::new(at(0), at(5010), at(5011), at(31));
/// let measured = exchange.measure(&Tolerance::EXACT).unwrap();
/// assert_eq!(measured.offset.mid() / 1_000_000, 4_994); // 4.995 s, rounded to the past
/// assert_eq!(measured.offset.radius() / 1_000_000, 15);
/// assert!(measured.offset.contains(4_995_000_000));
/// ```
/// # Spec
/// RFC 5905 §8
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Exchange {
    /// t1: client sends, client clock.
    pub origin: NtpTimestamp,
    /// t2: server receives, server clock.
    pub receive: NtpTimestamp,
    /// t3: server sends, server clock.
    pub transmit: NtpTimestamp,
    /// t4: client receives, client clock.
    pub destination: NtpTimestamp,
}

impl Exchange {
    /// From t1, t2, t3, t4.
    #[must_use]
    pub const fn new(
        origin: NtpTimestamp,
        receive: NtpTimestamp,
        transmit: NtpTimestamp,
        destination: NtpTimestamp,
    ) -> Self {
        Exchange { origin, receive, transmit, destination }
    }

    /// Round-trip delay in units of 2^-32 s, as the arithmetic gives it: negative when a clock moved.
    #[must_use]
    pub const fn delay(&self) -> i128 {
        self.destination.signed_since(self.origin).bits() as i128
            - self.transmit.signed_since(self.receive).bits() as i128
    }

    /// Twice the offset (server minus client) in units of 2^-32 s: exact, nothing is halved away.
    ///
    /// `(t2-t1)` and `(t3-t4)` can wrap to opposite signs near +-68 years and cancel to zero; this form wraps
    /// once: `2 (t2-t1) - delay`.
    #[must_use]
    pub const fn twice_offset(&self) -> i128 {
        2 * self.receive.signed_since(self.origin).bits() as i128 - self.delay()
    }

    /// The offset of the server's clock from the client's, with its bound.
    ///
    /// The bound is half the delay, plus what the two clocks cannot resolve or drift apart during the
    /// exchange, minus a one-way delay known to be the least possible.
    ///
    /// # Errors
    /// [`ExchangeRefusal`] names what is wrong with the stamps; nothing is clamped silently.
    pub fn measure(&self, tolerance: &Tolerance) -> Result<Measurement, ExchangeRefusal> {
        let waited = self.destination.signed_since(self.origin).bits();
        let held = self.transmit.signed_since(self.receive).bits();
        if waited < 0 {
            return Err(ExchangeRefusal::ClientWentBack { by: nanos_ceil(-i128::from(waited)) });
        }
        if held < 0 {
            return Err(ExchangeRefusal::ServerWentBack { by: nanos_ceil(-i128::from(held)) });
        }
        let resolution = tolerance.client_precision.saturating_add(tolerance.server_precision);
        let drift = growth(nanos_ceil(i128::from(waited)), tolerance.frequency);
        let blur = resolution.saturating_add(drift);
        let delay = self.delay();
        if delay < 0 && nanos_ceil(-delay) > blur {
            return Err(ExchangeRefusal::NegativeDelay { by: nanos_ceil(-delay) });
        }
        let delay_nanos = nanos_ceil(delay.max(0));
        if delay_nanos > tolerance.max_delay {
            return Err(ExchangeRefusal::TooMuchDelay { delay: delay_nanos, limit: tolerance.max_delay });
        }
        // Truth is theta +- delta/2; both ends are rounded outwards.
        let twice = self.twice_offset();
        let ends = Interval::new(
            half_nanos_floor(twice - delay.max(0)),
            saturate(-i128::from(half_nanos_floor(-(twice + delay.max(0))))),
        );
        let offset = shrink(ends, tolerance.min_one_way.min(delay_nanos / 2));
        Ok(Measurement { offset: offset.widen(blur), delay: delay_nanos, dispersion: blur })
    }
}

fn shrink(ends: Interval, by: u64) -> Interval {
    let by = by.min(ends.width() / 2);
    Interval::new(ends.lo().saturating_add_unsigned(by), ends.hi().saturating_sub_unsigned(by))
}

/// What may be assumed about the two clocks and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tolerance {
    /// How coarse the client's stamps are, nanoseconds.
    pub client_precision: u64,
    /// How coarse the server's stamps are, nanoseconds.
    pub server_precision: u64,
    /// How fast the clocks may drift apart, parts per billion (PHI).
    pub frequency: u64,
    /// Samples with more delay are refused, nanoseconds.
    pub max_delay: u64,
    /// No one-way trip is faster than this, nanoseconds; 0 when unknown.
    pub min_one_way: u64,
}

impl Tolerance {
    /// Perfect clocks, any delay: the arithmetic alone.
    pub const EXACT: Tolerance = Tolerance {
        client_precision: 0,
        server_precision: 0,
        frequency: 0,
        max_delay: u64::MAX,
        min_one_way: 0,
    };
}

impl Default for Tolerance {
    /// PHI 15 ppm, stamps good to 1 us, at most 16 s of delay.
    // spec: RFC 5905 §7.2 PHI, MAXDISP
    fn default() -> Self {
        Tolerance {
            client_precision: 1_000,
            server_precision: 1_000,
            frequency: PHI.unsigned_abs(),
            max_delay: 16_000_000_000,
            min_one_way: 0,
        }
    }
}

/// Frequency tolerance of a clock, parts per billion: about 1.3 s a day. Phones in heat need 50 to 100 ppm.
// spec: RFC 5905 §7.2 PHI
pub const PHI: Ppb = 15_000;

/// What one exchange says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Measurement {
    /// Server minus client, nanoseconds; the truth lies inside.
    pub offset: Interval,
    /// Round-trip delay, nanoseconds.
    pub delay: u64,
    /// The part of the bound that is not delay: resolution and drift, nanoseconds.
    pub dispersion: u64,
}

/// Why four stamps give no offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeRefusal {
    /// t4 is before t1: the client's clock was set back, or t1 and t4 are more than 68 years apart.
    ClientWentBack {
        /// By how many nanoseconds.
        by: u64,
    },
    /// t3 is before t2: the server's clock was set back, or it lies.
    ServerWentBack {
        /// By how many nanoseconds.
        by: u64,
    },
    /// The server claims to have held the request longer than the client waited.
    NegativeDelay {
        /// By how many nanoseconds.
        by: u64,
    },
    /// More delay than the caller wants to believe.
    TooMuchDelay {
        /// Delay, nanoseconds.
        delay: u64,
        /// Limit, nanoseconds.
        limit: u64,
    },
}

impl fmt::Display for ExchangeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeRefusal::ClientWentBack { by } => write!(f, "client clock went back by {by} ns"),
            ExchangeRefusal::ServerWentBack { by } => write!(f, "server clock went back by {by} ns"),
            ExchangeRefusal::NegativeDelay { by } => write!(f, "delay is negative by {by} ns"),
            ExchangeRefusal::TooMuchDelay { delay, limit } => write!(f, "delay {delay} ns, limit {limit}"),
        }
    }
}

impl core::error::Error for ExchangeRefusal {}

/// What a message that travelled one way says about its sender's clock.
///
/// `stamp` is the sender's clock when it sent, `received` ours when it came, both in nanoseconds of any common
/// scale; the trip took between nothing and `max_trip`. Returns sender minus receiver.
#[must_use]
pub fn one_way(stamp: i128, received: i128, max_trip: u64) -> Interval {
    let least = saturate(stamp.saturating_sub(received));
    Interval::new(least, least.saturating_add_unsigned(max_trip))
}

/// Units of 2^-32 s to nanoseconds, rounded up.
fn nanos_ceil(units: i128) -> u64 {
    u64::try_from(units.saturating_mul(1_000_000_000).saturating_add(0xffff_ffff) >> 32).unwrap_or(u64::MAX)
}

/// Units of 2^-33 s to nanoseconds, rounded down.
fn half_nanos_floor(half_units: i128) -> i64 {
    saturate(half_units.saturating_mul(1_000_000_000) >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bits: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(bits)
    }

    #[test]
    fn an_offset_of_68_years_does_not_cancel_to_zero() {
        // quirk: another client returns offset 0 here
        let half = 1_u64 << 63;
        let exchange = Exchange::new(at(0), at(half), at(half), at(2));
        assert_eq!(exchange.twice_offset(), -(1_i128 << 64) - 2);
    }

    #[test]
    fn small_negative_delay_is_blur_and_a_large_one_is_refused() {
        let exchange = Exchange::new(at(1 << 40), at(1 << 40), at((1 << 40) + 4000), at((1 << 40) + 4));
        let fine = Tolerance { client_precision: 1_000, ..Tolerance::EXACT };
        let measured = exchange.measure(&fine).unwrap();
        assert_eq!(measured.delay, 0);
        assert!(measured.offset.contains(0));
        assert_eq!(exchange.measure(&Tolerance::EXACT), Err(ExchangeRefusal::NegativeDelay { by: 931 }));
    }

    #[test]
    fn a_known_least_delay_tightens_the_bound() {
        let ms = 4_294_967_u64;
        let exchange = Exchange::new(at(0), at(10 * ms), at(10 * ms), at(20 * ms));
        let plain = exchange.measure(&Tolerance::EXACT).unwrap();
        let tight = exchange.measure(&Tolerance { min_one_way: 4_000_000, ..Tolerance::EXACT }).unwrap();
        assert_eq!(plain.offset.radius() - tight.offset.radius(), 4_000_000);
        assert_eq!(plain.offset.mid(), tight.offset.mid());
        let absurd = exchange.measure(&Tolerance { min_one_way: u64::MAX, ..Tolerance::EXACT }).unwrap();
        assert!(absurd.offset.width() <= 2, "rounding only");
    }

    #[test]
    fn one_way_holds_for_every_trip_up_to_the_limit() {
        let (error, sent) = (-7_000_i128, 1_000_000_i128);
        for trip in [0, 1, 500, 2_000] {
            assert!(one_way(sent + error, sent + trip, 2_000).contains(error as i64), "{trip}");
        }
    }
}
