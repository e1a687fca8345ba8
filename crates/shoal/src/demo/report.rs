//! The table at the end: each step, how long it took, and what others promise.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// The steps so far.
#[derive(Default)]
pub(super) struct Report {
    steps: Vec<Step>,
}

struct Step {
    what: String,
    took: Duration,
    others: &'static str,
}

impl Report {
    /// Notes a step that took `took`.
    pub(super) fn note(&mut self, what: impl Into<String>, took: Duration, others: &'static str) {
        let what = what.into();
        crate::print::talk(format_args!("  {what}: {}\n", seconds(took)));
        self.steps.push(Step { what, took, others });
    }

    /// Notes a step that began at `start` and ends now.
    pub(super) fn since(&mut self, what: impl Into<String>, start: Instant, others: &'static str) {
        self.note(what, start.elapsed(), others);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["STEP".to_owned(), "SHOAL".to_owned(), "OTHERS".to_owned()].to_vec()];
        for Step { what, took, others } in &self.steps {
            rows.push(vec![what.clone(), seconds(*took), (*others).to_owned()]);
        }
        f.write_str(&crate::print::align(&rows))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let mut report = Report::default();
        report.note("0 to 50", Duration::from_millis(1500), "2 min");
        report.note("a", Duration::from_millis(5), "");
        assert_eq!(
            report.to_string(),
            "STEP      SHOAL     OTHERS\n0 to 50   1.50 s    2 min\na         0.01 s    \n"
        );
    }
}
