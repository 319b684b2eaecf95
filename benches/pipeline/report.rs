//! What was measured, as a table for people and as JSON.

use serde_json::json;

/// One line of the table.
pub(crate) struct Line {
    pub(crate) what: String,
    /// With the side on which it is good: at least, or at most.
    pub(crate) must: Option<Bound>,
    pub(crate) goal: Option<f64>,
    pub(crate) measured: f64,
    pub(crate) unit: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Default)]
pub(crate) struct Report(Vec<Line>);

impl Report {
    /// A figure that must hold.
    pub(crate) fn bound(
        &mut self,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        must: Bound,
        goal: Option<f64>,
    ) {
        self.add(Line { what: what.into(), must: Some(must), goal, measured, unit });
    }

    /// A figure for scale.
    pub(crate) fn note(&mut self, what: impl Into<String>, measured: f64, unit: &'static str) {
        self.add(Line { what: what.into(), must: None, goal: None, measured, unit });
    }

    fn add(&mut self, line: Line) {
        eprintln!("  {}: {} {}", line.what, shown(line.measured), line.unit);
        self.0.push(line);
    }

    /// The table, in Markdown.
    pub(crate) fn print(&self) {
        println!("| what | must | goal | measured | |\n|---|---|---|---|---|");
        for line in &self.0 {
            let must = match line.must {
                Some(Bound::AtLeast(least)) => format!("≥ {}", shown(least)),
                Some(Bound::AtMost(most)) => format!("≤ {}", shown(most)),
                None => String::new(),
            };
            let goal = line.goal.map(shown).unwrap_or_default();
            let (measured, verdict) = (shown(line.measured), line.verdict());
            println!("| {} | {must} | {goal} | {measured} {} | {verdict} |", line.what, line.unit);
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let line = |line: &Line| {
            let must = line.must.map(|must| match must {
                Bound::AtLeast(least) => json!({ "at_least": least }),
                Bound::AtMost(most) => json!({ "at_most": most }),
            });
            json!({
                "what": line.what, "must": must, "goal": line.goal, "measured": line.measured,
                "unit": line.unit, "verdict": line.verdict(),
            })
        };
        self.0.iter().map(line).collect()
    }
}

impl Line {
    fn verdict(&self) -> &'static str {
        let (measured, goal) = (self.measured, self.goal);
        match self.must {
            None => "",
            Some(Bound::AtLeast(_)) if goal.is_some_and(|goal| measured >= goal) => "goal",
            Some(Bound::AtMost(_)) if goal.is_some_and(|goal| measured <= goal) => "goal",
            Some(Bound::AtLeast(least)) if measured >= least => "ok",
            Some(Bound::AtMost(most)) if measured <= most => "ok",
            Some(_) => "NOT REACHED",
        }
    }
}

/// Three figures, or all of a whole number.
fn shown(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 || number.fract() == 0.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}
