//! Distances of symbols outside a support whose two sides share one escape: even distances count up from the support,
//! odd distances count down from it.

/// Returns the distance of a symbol from the support `first..first + count`, which does not contain it.
#[cold]
pub(crate) fn distance_outside(symbol: i32, first: i32, count: u32) -> u64 {
    let position = i64::from(symbol) - i64::from(first);
    let above = position - i64::from(count);
    if above >= 0 { 2 * above as u64 } else { 2 * (-1 - position) as u64 + 1 }
}

/// Inverts [`distance_outside`]; returns `None` if no 32-bit symbol lies at this distance.
pub(crate) fn symbol_outside(distance: u64, first: i32, count: u32) -> Option<i32> {
    let half = i64::try_from(distance / 2).ok()?;
    let position = if distance.is_multiple_of(2) { half.checked_add(count.into())? } else { -1 - half };
    i32::try_from(position.checked_add(first.into())?).ok()
}
