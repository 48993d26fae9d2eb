//! What was measured, and the table of it.

/// A figure's place in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    part: &'static str,
    name: String,
    unit: &'static str,
}

/// Everything measured so far, in the order in which it first was.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: Vec<(Row, Vec<f64>)>,
    besides: Vec<(Row, Row)>,
}

/// One part's figures.
pub(crate) struct Section<'a> {
    figures: &'a mut Figures,
    part: &'static str,
}

impl Figures {
    pub(crate) fn section(&mut self, part: &'static str) -> Section<'_> {
        Section { figures: self, part }
    }

    /// The table in Markdown: medians, what stands beside them, and the median of the rounds' ratios.
    pub(crate) fn table(&self) -> String {
        let head = "| part | figure | unit | median | least – most | beside it | ratio |\n";
        let mut table = format!("{head}| --- | --- | --- | ---: | ---: | --- | ---: |\n");
        for (row, values) in &self.rows {
            let sorted = sorted(values);
            let span = format!("{} – {}", number(sorted[0]), number(sorted[sorted.len() - 1]));
            let (beside, ratio) = self.beside(row, values);
            let Row { part, name, unit } = row;
            let median = number(median(values));
            table += &format!("| {part} | {name} | {unit} | {median} | {span} | {beside} | {ratio} |\n");
        }
        table
    }

    fn beside(&self, row: &Row, values: &[f64]) -> (String, String) {
        let none = || ("–".to_owned(), "–".to_owned());
        let Some((_, other)) = self.besides.iter().find(|(known, _)| known == row) else { return none() };
        let Some((_, others)) = self.rows.iter().find(|(known, _)| known == other) else { return none() };
        let ratios: Vec<f64> = values.iter().zip(others).map(|(own, other)| own / other).collect();
        let part = if other.part == row.part { String::new() } else { format!("{}: ", other.part) };
        (format!("{part}{} {}", other.name, number(median(others))), format!("{:.2}", median(&ratios)))
    }
}

impl Section<'_> {
    /// Writes down what a round found.
    pub(crate) fn record(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let row = Row { part: self.part, name: name.into(), unit };
        match self.figures.rows.iter_mut().find(|(known, _)| *known == row) {
            Some((_, values)) => values.push(value),
            None => self.figures.rows.push((row, vec![value])),
        }
    }

    /// Puts a figure beside another one of the same unit.
    pub(crate) fn compare(&mut self, name: &str, unit: &'static str, other: &str) {
        self.compare_with(name, unit, self.part, other);
    }

    /// Puts a figure beside one of another part.
    pub(crate) fn compare_with(&mut self, name: &str, unit: &'static str, part: &'static str, other: &str) {
        let row = |part, name: &str| Row { part, name: name.to_owned(), unit };
        let pair = (row(self.part, name), row(part, other));
        if !self.figures.besides.contains(&pair) {
            self.figures.besides.push(pair);
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value in the middle; of two in the middle the lower.
fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    sorted[(sorted.len() - 1) / 2]
}

/// Three digits that matter, or all of a whole number.
fn number(value: f64) -> String {
    match value {
        value if value >= 1000.0 => whole(value.round() as usize),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

/// `1 worker`, `2 workers`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A whole number with a comma before every three digits.
pub(crate) fn whole(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", whole(number / 1000), number % 1000) }
}
