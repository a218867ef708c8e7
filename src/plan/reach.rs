//! Who can reach a price in so many days: looked up in what each member really earned in spans of that length, never in an average of all.

use super::earners::{Earner, WEEK_DAYS};

/// Half of a group: a price is within its reach when so many of it get there.
const HALF: f64 = 0.5;

/// Longer than this nobody waits.
const DAYS_MAX: i64 = 3_650;

impl Earner {
    /// What was earned in each span of so many days that can be seen. Spans are whole weeks, stretched to the length wanted; who is not seen
    /// for so long counts as if it went on like that.
    fn spans(&self, days: i32) -> impl Iterator<Item = i64> + '_ {
        let seen = usize::try_from(self.days / WEEK_DAYS).unwrap_or(0).min(self.weeks.len());
        let wanted = usize::try_from(days / WEEK_DAYS).unwrap_or(0).clamp(1, seen.max(1));
        // Who is seen for less than a week has one broken one.
        let (weeks, length) = if seen == 0 { (self.weeks.len(), self.days) } else { (seen, WEEK_DAYS * i32::try_from(wanted).unwrap_or(i32::MAX)) };
        let size = if seen == 0 { weeks.max(1) } else { wanted };
        self.weeks[..weeks].windows(size).map(move |span| stretched(span.iter().sum(), days, length))
    }

    /// How likely it is that a price is reached in so many days: the share of the spans in which it was. 0..=1.
    pub fn chance(&self, price: i64, days: i32) -> f64 {
        let (mut reached, mut all) = (0_u32, 0_u32);
        for earned in self.spans(days) {
            reached += u32::from(earned >= price);
            all += 1;
        }
        f64::from(reached) / f64::from(all.max(1))
    }

    /// Days until a price is reached at the pace of the whole window; `None` for longer than ten years, or never.
    pub fn days_to(&self, price: i64) -> Option<i64> {
        let total = i128::from(self.total());
        let days = (total > 0).then(|| (i128::from(price) * i128::from(self.days) + total - 1).div_euclid(total))?;
        i64::try_from(days).ok().filter(|days| *days <= DAYS_MAX)
    }

    /// Points a week.
    pub fn weekly(&self) -> f64 {
        self.total() as f64 * f64::from(WEEK_DAYS) / f64::from(self.days.max(1))
    }
}

fn stretched(points: i64, days: i32, length: i32) -> i64 {
    let product = (i128::from(points) * i128::from(days)).div_euclid(i128::from(length.max(1)));
    i64::try_from(product).unwrap_or(if product < 0 { i64::MIN } else { i64::MAX })
}

/// The share of members that reach a price in so many days, 0..=1.
pub fn share(members: &[Earner], price: i64, days: i32) -> f64 {
    members.iter().map(|member| member.chance(price, days)).sum::<f64>() / members.len().max(1) as f64
}

/// The share of members that could pay it now, 0..=1.
pub fn share_now(members: &[Earner], price: i64) -> f64 {
    members.iter().filter(|member| member.spendable >= price).count() as f64 / members.len().max(1) as f64
}

/// Whether half of a group reach a price in so many days.
pub fn reaches(members: &[Earner], price: i64, days: i32) -> bool {
    share(members, price, days) >= HALF
}

/// The highest price that half of a group reach in so many days; 0 where there is none.
pub fn within_reach(members: &[Earner], days: i32) -> i64 {
    let weighed = |member: &Earner| {
        let weight = 1.0 / member.spans(days).count().max(1) as f64;
        member.spans(days).map(move |earned| (earned, weight)).collect::<Vec<_>>()
    };
    let mut spans: Vec<(i64, f64)> = members.iter().flat_map(weighed).collect();
    spans.sort_unstable_by_key(|(earned, _)| std::cmp::Reverse(*earned));
    let mut reached = 0.0;
    for (earned, weight) in spans {
        reached += weight;
        // A hair's breadth for what halves and thirds leave when they are summed.
        if reached + 1e-9 >= HALF * members.len() as f64 {
            return earned.max(0);
        }
    }
    0
}

/// The days that half of the members need for a price; `None` when half of them never get there.
pub fn median_days(members: &[Earner], price: i64) -> Option<i64> {
    let mut days: Vec<Option<i64>> = members.iter().map(|member| member.days_to(price)).collect();
    // Who never gets there comes last.
    days.sort_unstable_by_key(|days| days.unwrap_or(i64::MAX));
    days.get(days.len().saturating_sub(1) / 2).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earner(days: i32, weeks: &[i64]) -> Earner {
        Earner { spendable: 0, days, weeks: weeks.into() }
    }

    #[test]
    fn a_price_is_looked_up_in_the_spans_of_the_member() {
        let bursts = earner(28, &[0, 200, 0, 0]);
        assert_eq!(bursts.chance(200, 7), 0.25);
        assert_eq!((bursts.chance(200, 14), bursts.chance(200, 28), bursts.chance(214, 30), bursts.chance(215, 30)), (2.0 / 3.0, 1.0, 1.0, 0.0));
        assert_eq!((bursts.days_to(200), bursts.days_to(201), earner(28, &[0; 4]).days_to(1)), (Some(28), Some(29), None));
    }

    #[test]
    fn who_came_lately_counts_as_if_it_went_on_like_that() {
        let new = earner(3, &[6, 0]);
        assert_eq!((new.chance(14, 7), new.chance(15, 7), new.chance(60, 30), new.weekly()), (1.0, 0.0, 1.0, 14.0));
        let two_weeks = earner(14, &[10, 4, 0, 0]);
        assert_eq!((two_weeks.chance(10, 7), two_weeks.chance(30, 30)), (0.5, 1.0), "14 in two weeks are 30 in thirty days");
    }

    #[test]
    fn half_of_them_is_told_by_people_not_by_weeks() {
        let group = [earner(28, &[10, 10, 10, 10]), earner(7, &[20])];
        assert_eq!((within_reach(&group, 7), share(&group, 20, 7), share(&group, 10, 7)), (20, 0.5, 1.0));
        assert!(reaches(&group, 20, 7) && !reaches(&group, 21, 7));
        assert_eq!((median_days(&group, 20), within_reach(&[], 7), median_days(&[], 7)), (Some(7), 0, None));
    }
}
