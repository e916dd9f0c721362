//! Several servers, some of them wrong: who agrees, who lies, and where the truth must be.
//!
//! Two intervals come out of a selection, and they are not the same thing:
//!
//! - [`Selection::bound`] holds the truth whenever fewer than half of the servers are wrong, *whatever the
//!   wrong ones say*: it spans every point that more than half of the intervals cover.
//! - [`Selection::agreed`] is the tighter overlap of the standard. Liars who know the others' answers can
//!   bend it, because a small group that agrees exactly beats a large one that agrees loosely.
//!
//! Steer by `agreed`, promise by `bound`.

use alloc::vec::Vec;
use core::fmt;

use crate::instant::Interval;

/// Names a source of time; the host's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SourceId(pub u32);

/// What one source says, as an interval of nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Candidate {
    /// Who says it.
    pub id: SourceId,
    /// Where it says the truth is.
    pub interval: Interval,
    /// How far its samples scatter, nanoseconds.
    pub jitter: u64,
}

impl Candidate {
    /// A candidate with no known jitter.
    #[must_use]
    pub const fn new(id: SourceId, interval: Interval) -> Self {
        Candidate { id, interval, jitter: 0 }
    }
}

/// The smallest interval that the most sources share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The interval.
    pub interval: Interval,
    /// How many sources cover all of it.
    pub count: usize,
}

/// Marzullo's algorithm: the interval covered by the most sources; the earliest one of several.
///
/// Intervals are closed, so those that only touch share a point. `None` without sources.
#[must_use]
pub fn marzullo(candidates: &[Candidate]) -> Option<Overlap> {
    // A start sorts before an end at the same value: touching intervals agree.
    let mut edges: Vec<(i64, bool)> = Vec::with_capacity(candidates.len() * 2);
    for candidate in candidates {
        edges.push((candidate.interval.lo(), false));
        edges.push((candidate.interval.hi(), true));
    }
    edges.sort_unstable();
    let mut best: Option<Overlap> = None;
    let mut count = 0_usize;
    for pair in edges.windows(2) {
        let &[(value, is_end), (next, _)] = pair else { continue };
        if is_end {
            count -= 1;
            continue;
        }
        count += 1;
        if best.is_none_or(|found| count > found.count) {
            best = Some(Overlap { interval: Interval::new(value, next), count });
        }
    }
    best
}

/// All points that at least `need` sources cover lie in this interval; `None` when there is no such point.
#[must_use]
pub fn covered_by(candidates: &[Candidate], need: usize) -> Option<Interval> {
    let mut starts: Vec<i64> = candidates.iter().map(|c| c.interval.lo()).collect();
    let mut ends: Vec<i64> = candidates.iter().map(|c| c.interval.hi()).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let lo = first_reaching(&starts, &ends, need)?;
    // The same sweep from the other side, on mirrored values; -MAX for MIN costs one unit outwards.
    let mirror = |v: &i64| v.saturating_neg();
    let down_starts: Vec<i64> = ends.iter().rev().map(mirror).collect();
    let down_ends: Vec<i64> = starts.iter().rev().map(mirror).collect();
    let hi = first_reaching(&down_starts, &down_ends, need)?.saturating_neg();
    (lo <= hi).then(|| Interval::new(lo, hi))
}

fn first_reaching(starts: &[i64], ends: &[i64], need: usize) -> Option<i64> {
    let mut ended = 0;
    for (begun, start) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|end| end < start) {
            ended += 1;
        }
        if begun + 1 - ended >= need {
            return Some(*start);
        }
    }
    None
}

/// The intersection of the standard: the largest group whose midpoints agree too.
///
/// `None` when no group of more than half exists.
/// # Spec
/// RFC 5905 §11.2.1
#[must_use]
pub fn intersection(candidates: &[Candidate]) -> Option<Interval> {
    let m = candidates.len();
    let mut edges: Vec<(i64, i8)> = Vec::with_capacity(m * 3);
    for candidate in candidates {
        edges.push((candidate.interval.lo(), -1));
        edges.push((candidate.interval.mid(), 0));
        edges.push((candidate.interval.hi(), 1));
    }
    edges.sort_unstable();
    let mut allow = 0;
    while 2 * allow < m {
        let (low, outside_below) = scan(edges.iter().map(|(value, kind)| (*value, -kind)), m - allow);
        let (high, outside_above) = scan(edges.iter().rev().map(|(value, kind)| (*value, *kind)), m - allow);
        // quirk: the text says d = f; deployed servers use d <= f
        if let (Some(low), Some(high)) = (low, high)
            && outside_below + outside_above <= allow
            && low <= high
        {
            return Some(Interval::new(low, high));
        }
        allow += 1;
    }
    None
}

/// Value at which `need` intervals are open, and midpoints passed before it.
fn scan(edges: impl Iterator<Item = (i64, i8)>, need: usize) -> (Option<i64>, usize) {
    let (mut open, mut outside) = (0_i64, 0);
    for (value, step) in edges {
        open += i64::from(step);
        if open >= i64::try_from(need).unwrap_or(i64::MAX) {
            return (Some(value), outside);
        }
        outside += usize::from(step == 0);
    }
    (None, outside)
}

/// Who to believe, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Holds the truth if fewer than half of the sources are wrong, whatever those say.
    pub bound: Interval,
    /// The overlap of the standard; lies inside or touches `bound`.
    pub agreed: Interval,
    /// Best single value: the survivors' midpoints weighted by 1 / radius, kept inside `agreed`.
    pub combined: i64,
    /// Sources that overlap `agreed`, most precise first.
    pub truechimers: Vec<SourceId>,
    /// Sources that do not.
    pub falsetickers: Vec<SourceId>,
    /// Truechimers left after clustering, whose midpoints were combined.
    pub survivors: Vec<SourceId>,
}

/// Why there is no selection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectRefusal {
    /// Nothing to select from.
    NoSources,
    /// Fewer sources agree than the caller asks for.
    TooFew {
        /// Sources that agree.
        agreeing: usize,
        /// Sources asked for.
        need: usize,
    },
    /// No point is covered by more than half of the sources.
    NoMajority {
        /// The most that agree anywhere.
        agreeing: usize,
        /// Sources in all.
        of: usize,
    },
}

impl fmt::Display for SelectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectRefusal::NoSources => write!(f, "no sources"),
            SelectRefusal::TooFew { agreeing, need } => write!(f, "{agreeing} sources agree, {need} needed"),
            SelectRefusal::NoMajority { agreeing, of } => write!(f, "only {agreeing} of {of} sources agree"),
        }
    }
}

impl core::error::Error for SelectRefusal {}

/// Selects among sources; at least `need` of them, and always more than half, must agree.
///
/// The result does not depend on the order of `candidates`.
///
/// ```
/// use timesync::{Candidate, Interval, SourceId, select};
/// let says = |id, mid| Candidate::new(SourceId(id), Interval::around(mid, 10_000_000));
/// let selection = select(&[says(1, 0), says(2, 2_000_000), says(3, 5_000_000_000)], 1).unwrap();
/// assert_eq!(selection.falsetickers, [SourceId(3)]);
/// assert!(selection.bound.contains(1_000_000));
/// ```
/// # Errors
/// [`SelectRefusal`]: nobody, too few, or no majority.
/// # Spec
/// RFC 5905 §11.2
pub fn select(candidates: &[Candidate], need: usize) -> Result<Selection, SelectRefusal> {
    select_with(candidates, need, candidates.len().saturating_sub(1) / 2)
}

/// [`select`] for sources of which at most `wrong` are wrong, whatever those say.
///
/// With `n` servers configured and `m` answers so far, `wrong = (n - 1) / 2` keeps the promise of
/// [`Selection::bound`] even while the honest ones are still silent: the bound is then wider, and no bound is
/// given before more than `wrong` sources have spoken.
///
/// # Errors
/// As [`select`].
pub fn select_with(candidates: &[Candidate], need: usize, wrong: usize) -> Result<Selection, SelectRefusal> {
    let best = marzullo(candidates).ok_or(SelectRefusal::NoSources)?;
    let of = candidates.len();
    let honest = of.saturating_sub(wrong);
    if honest == 0 {
        return Err(SelectRefusal::TooFew { agreeing: of, need: wrong.saturating_add(1).max(need) });
    }
    let bound =
        covered_by(candidates, honest).ok_or(SelectRefusal::NoMajority { agreeing: best.count, of })?;
    // Midpoints may refuse to agree where the intervals still do; then the overlap stands.
    let agreed = intersection(candidates).filter(|agreed| bound.covers(*agreed)).unwrap_or(best.interval);
    let mut chimers: Vec<&Candidate> = Vec::with_capacity(of);
    chimers.extend(candidates.iter().filter(|c| c.interval.overlaps(agreed)));
    chimers.sort_unstable_by_key(|c| (c.interval.radius(), c.id, c.interval.lo()));
    if chimers.len() < need {
        return Err(SelectRefusal::TooFew { agreeing: chimers.len(), need });
    }
    let mut falsetickers: Vec<SourceId> =
        candidates.iter().filter(|c| !c.interval.overlaps(agreed)).map(|c| c.id).collect();
    falsetickers.sort_unstable();
    let truechimers = chimers.iter().map(|c| c.id).collect();
    cluster(&mut chimers);
    Ok(Selection {
        bound,
        agreed,
        combined: combine(&chimers).clamp(agreed.lo(), agreed.hi()),
        truechimers,
        falsetickers,
        survivors: chimers.iter().map(|c| c.id).collect(),
    })
}

/// Fewest survivors of clustering.
// spec: RFC 5905 §11.2.2 NMIN
const MIN_SURVIVORS: usize = 3;

/// Drops the source farthest from the others until dropping no longer helps.
///
/// A source's distance from the others is the root mean square of its midpoint's, the selection jitter; who is the farthest
/// the sums of squares say, which are kept up to date, so that a root is taken once a round.
// spec: RFC 5905 §11.2.2
fn cluster(chimers: &mut Vec<&Candidate>) {
    if chimers.len() <= MIN_SURVIVORS {
        return;
    }
    let mut mids: Vec<i64> = chimers.iter().map(|c| c.interval.mid()).collect();
    let mut sums: Vec<u128> = mids.iter().map(|mid| squares(*mid, &mids)).collect();
    while chimers.len() > MIN_SURVIVORS {
        let least_jitter = chimers.iter().map(|c| c.jitter).min().unwrap_or(0);
        let farthest = sums.iter().enumerate().map(|(i, sum)| (*sum, i)).max();
        let Some((sum, index)) = farthest.filter(|(sum, _)| spread(*sum, mids.len()) > least_jitter) else {
            return;
        };
        chimers.remove(index);
        sums.remove(index);
        let gone = mids.remove(index);
        // A sum that reached its end says nothing of its parts.
        let ended = sum == u128::MAX;
        for (mid, sum) in mids.iter().zip(&mut sums) {
            *sum = if ended { squares(*mid, &mids) } else { sum.saturating_sub(square(*mid, gone)) };
        }
    }
}

fn square(a: i64, b: i64) -> u128 {
    let away = a.abs_diff(b);
    // Offsets below four seconds fit 64 bits, where arithmetic is several times faster.
    match u32::try_from(away) {
        Ok(small) => u128::from(u64::from(small) * u64::from(small)),
        Err(_) => u128::from(away).saturating_mul(u128::from(away)),
    }
}

/// The sum of the squares of a midpoint's distances.
fn squares(mid: i64, all: &[i64]) -> u128 {
    all.iter().fold(0, |sum: u128, other| sum.saturating_add(square(mid, *other)))
}

/// Selection jitter of who is one of so many.
fn spread(squares: u128, of: usize) -> u64 {
    let others = u64::try_from(of.saturating_sub(1).max(1)).unwrap_or(u64::MAX);
    match u64::try_from(squares) {
        Ok(small) => (small / others).isqrt(),
        Err(_) => u64::try_from((squares / u128::from(others)).isqrt()).unwrap_or(u64::MAX),
    }
}

/// Midpoints weighted by 1 / radius.
// spec: RFC 5905 §11.2.3
fn combine(chimers: &[&Candidate]) -> i64 {
    let Some(first) = chimers.first() else { return 0 };
    let base = first.interval.mid();
    let (mut sum, mut weights) = (0_i128, 0_i128);
    for chimer in chimers {
        let weight = i128::from((1_u64 << 40) / chimer.interval.radius().saturating_add(1)).max(1);
        let away = i128::from(chimer.interval.mid()) - i128::from(base);
        sum = sum.saturating_add(away.saturating_mul(weight));
        weights += weight;
    }
    let mean = match (i64::try_from(sum), i64::try_from(weights)) {
        // Several times faster.
        (Ok(sum), Ok(weights)) => sum.checked_div(weights).map_or(0, i128::from),
        _ => sum.checked_div(weights).unwrap_or(0),
    };
    crate::instant::saturate(i128::from(base) + mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(id: u32, lo: i64, hi: i64) -> Candidate {
        Candidate::new(SourceId(id), Interval::new(lo, hi))
    }

    #[test]
    fn one_liar_who_knows_the_others_bends_the_overlap_but_not_the_bound() {
        // Truth is 9. The liar agrees with the first source on a point beside the truth.
        let sources = [says(1, 0, 10), says(2, 8, 20), says(3, 5, 5)];
        assert_eq!(marzullo(&sources).unwrap().interval, Interval::point(5));
        assert!(select(&sources, 1).unwrap().bound.contains(9));
    }

    #[test]
    fn refusals_are_named() {
        assert_eq!(select(&[], 1), Err(SelectRefusal::NoSources));
        let apart = [says(1, 0, 1), says(2, 5, 6)];
        assert_eq!(select(&apart, 1), Err(SelectRefusal::NoMajority { agreeing: 1, of: 2 }));
        assert_eq!(select(&apart[..1], 3), Err(SelectRefusal::TooFew { agreeing: 1, need: 3 }));
    }

    #[test]
    fn clustering_keeps_three_and_drops_the_farthest() {
        let sources: Vec<_> =
            [(1, 0), (2, 1), (3, 2), (4, 900)].map(|(id, mid)| says(id, mid - 1000, mid + 1000)).into();
        assert_eq!(select(&sources, 1).unwrap().survivors, [1, 2, 3].map(SourceId));
    }

    #[test]
    fn clustering_by_sums_is_clustering_by_distances() {
        // As the standard words it, every distance anew in each round.
        fn slowly(mut mids: Vec<i64>, jitter: u64) -> Vec<i64> {
            while mids.len() > MIN_SURVIVORS {
                let far = mids.iter().enumerate().map(|(i, mid)| (squares(*mid, &mids), i)).max();
                let (sum, index) = far.unwrap();
                if spread(sum, mids.len()) <= jitter {
                    break;
                }
                mids.remove(index);
            }
            mids
        }
        let far = [i64::MIN, i64::MAX, 0, 5, -9_000_000_000, 1 << 40, i64::MIN + 3, i64::MAX - 1];
        for (mids, jitter) in [
            ((0..10).map(|n| n * n * 1_000).collect::<Vec<i64>>(), 0),
            ((0..10).map(|n| n * n * 1_000).collect(), 9_000),
            ((0..9).map(|n| (n % 3) * 7_000_000_000).collect(), 1),
            (far.to_vec(), 0),
            (far.iter().rev().copied().collect(), u64::MAX / 4),
        ] {
            let sources: Vec<Candidate> =
                mids.iter().zip(0..).map(|(mid, id)| Candidate { jitter, ..says(id, *mid, *mid) }).collect();
            let mut chimers: Vec<&Candidate> = sources.iter().collect();
            cluster(&mut chimers);
            let left: Vec<i64> = chimers.iter().map(|c| c.interval.mid()).collect();
            assert_eq!(left, slowly(mids, jitter));
        }
    }

    #[test]
    fn the_whole_range_is_no_overflow() {
        let sources = [says(1, i64::MIN, i64::MAX), says(2, i64::MAX, i64::MAX), says(3, i64::MIN, i64::MIN)];
        assert!(select(&sources, 1).unwrap().bound.width() > 0);
    }
}
