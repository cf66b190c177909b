//! Several reflectors, one value.

/// The median: the middle one, or the mean of the middle two. `None` of nothing. Sorts in place.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [4.0, 3.0]), Some(3.5));
        assert_eq!(median(&mut [200.0, 3.0, 4.0]), Some(4.0));
        assert_eq!(median(&mut [1.0, 9.0, 3.0, 5.0]), Some(4.0));
    }
}
