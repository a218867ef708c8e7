//! Columns of Chinese and numbers on a terminal.

/// Rows whose columns stand under each other: the first to the left, the others to the right.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(|(at, (cell, most))| padded(cell, *most, at == 0)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn padded(cell: &str, most: usize, to_the_left: bool) -> String {
    let room = " ".repeat(most.saturating_sub(width(cell)));
    if to_the_left { format!("{cell}{room}") } else { format!("{room}{cell}") }
}

/// Columns that a text takes: what is not ASCII takes two here.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// Digits in groups of three: `12 340`.
pub fn grouped(points: i64) -> String {
    let digits = points.unsigned_abs().to_string();
    let mut grouped = String::from(if points < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(columns(&[row(["水杯", "7 天"]), row(["a", "100%"])]), ["水杯  7 天", "a     100%"]);
        assert_eq!([0, 999, 1_000, -1_234_567].map(grouped), ["0", "999", "1 000", "-1 234 567"]);
    }
}
