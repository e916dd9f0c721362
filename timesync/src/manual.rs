//! The manual: how the parts work together, and what to mind.
//!
//! # 1. Bounds
//!
//! One exchange tells the offset to within half its delay, however lopsided the path is. To that come what the
//! clocks cannot resolve, what they may drift apart (PHI, 15 ppm by default; 50 to 100 for phones in heat), and
//! how far the server itself is from true time. [`Interval`](crate::Interval) carries the sum, and it only grows
//! until a new sample comes. Ask [`Estimate::good_for`](crate::Estimate::good_for) how long a clock stays good
//! enough.
//!
//! With several servers there are two intervals. [`Selection::agreed`](crate::Selection::agreed) is the
//! standard's overlap: tight, good to steer by. [`Selection::bound`](crate::Selection::bound) is a promise: it
//! holds the truth while fewer than half of the servers are wrong, even if those conspire and know all other
//! answers. The client of [`sntp`](crate::sntp) promises the latter, and says nothing at all before more servers
//! have spoken than may be wrong.
//!
//! The promise stands on PHI: a clock that drifts faster than configured breaks it. A step of the monotonic
//! clock breaks it too; give the engines one that has none.
//!
//! # 2. Eras, leap seconds, smear
//!
//! NTP's 64 bits wrap in 2036. They are unfolded around a pivot, and a client is told the span of time it may
//! believe in (build date to 30 years later). Leap seconds have no instant of their own, as in POSIX. Servers
//! that smear them differ from others by up to half a second for a day: do not mix the two kinds.
//!
//! # 3. Clocks of terminals
//!
//! [`clock::ServerSide`](crate::clock::ServerSide) measures a terminal with its own two stamps around the
//! terminal's two; a lie moves nothing but the liar's own alarms. A terminal that agrees to set its clock is
//! believed when the next measurement shows it. One that refuses keeps a "custom time", and its moments are
//! compensated: by the server ([`for_terminal`](crate::clock::ServerSide::for_terminal)) or by the terminal
//! ([`alarm_at`](crate::clock::ClientSide::alarm_at)). [`Due`](crate::clock::Due) knows which clock it is written
//! in, so doing both is an error instead of a wrong alarm. When a terminal sets its clock after all,
//! `CompensationChanged` says that moments sent on its old clock must be sent again.
//!
//! Deviation is *terminal minus true time*: positive when the terminal is fast. Offsets of
//! [`sntp`](crate::sntp) are *true time minus own clock*, as in NTP.
//!
//! # 4. Appointments (feature `tz`)
//!
//! Store the intent, a civil time with its zone, and recompute the instant when the zone data change; they do,
//! with days of notice. `Starter` does that, and starts each operation once: across clock changes, zone changes
//! and restarts. What to do with a moment that passed unseen is said per operation (`Missed`).
//!
//! The difference of two wall clocks, measured now, is a poor way to say "03:00 at the server" next month: it
//! breaks when either zone changes its offset in between. It is used alone only when the server's zone is
//! unknown, and otherwise to cross-check: `CrossCheck::ZoneChange` is normal, `CrossCheck::Disagrees` means a
//! wrong zone in the message or a clock that moved.
//!
//! Recorded doubt: "compatible" resolution shifts a time in a gap forward and takes the first of a fold, as
//! calendars do. A server that means otherwise must say so.
//!
//! # 5. Tasks (feature `tasks`)
//!
//! The server's engine keeps plans, not content. Near the moment it gives one client a lease with an epoch; if
//! no feedback comes, the next client gets it with a higher epoch. Every client with a copy shows it by itself
//! after a grace period when it has heard nothing: an unreachable server loses no alarm. The price is that
//! clients without a connection at the moment may show it as well: at most once per device, and reported.
//!
//! | numbers | default |
//! |---|---|
//! | client chosen before the moment | 60 s |
//! | lease after the moment | 30 s |
//! | client fires alone after | 120 s + up to 15 s |
//! | finished and deleted names remembered | 90 days |
//!
//! Rights are checked when a task is set, by a target that gets it directly, at upload, and again at the
//! moment. A sync through a client that does not know levels never adds a right; what would have is held for
//! the owner.
//!
//! A snooze that reaches the server before the showing was acknowledged moves the task there too; one that
//! comes later is kept by the terminal that snoozed.
//!
//! # 6. Testing with it (feature `testkit`)
//!
//! `SimClock` is a clock whose every error is known, `SimNetwork` a network whose every delay is; `SntpSim` and
//! `TaskSim` put the engines into such worlds. The functions of `testkit::property` state what must hold for
//! any input; fuzz targets are shims over them.
