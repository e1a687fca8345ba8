//! The figures of both peers side by side.

use std::{fmt, time::Duration};

use crate::memory::Bytes;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    Time(Duration),
    Memory(Bytes),
}

/// What Shoal promises of a work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Nothing; it is told.
    None,
    /// At most this, and this many times less than the peer.
    AtMost(Figure, f64),
}

/// The figures so far, in the order they came.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    work: String,
    goal: Goal,
    shoal: Option<Figure>,
    docker: Option<Figure>,
}

impl From<Duration> for Figure {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<Bytes> for Figure {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

impl Goal {
    pub(crate) fn at_most_ms(ms: u64, times: u32) -> Self {
        Self::AtMost(Figure::Time(Duration::from_millis(ms)), f64::from(times))
    }

    pub(crate) fn at_most_mb(mb: u64) -> Self {
        Self::AtMost(Figure::Memory(Bytes(mb * 1_000_000)), 1.0)
    }

    pub(crate) fn at_most_kb(kb: u64) -> Self {
        Self::AtMost(Figure::Memory(Bytes(kb * 1_000)), 1.0)
    }
}

impl Figure {
    fn amount(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::Memory(Bytes(bytes)) => bytes as f64,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Time(time) if time.as_secs() >= 1 => format!("{:.2} s", time.as_secs_f64()),
            Self::Time(time) => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
            Self::Memory(Bytes(bytes)) if *bytes >= 1_000_000 => {
                format!("{:.1} MB", *bytes as f64 / 1e6)
            }
            Self::Memory(Bytes(bytes)) => format!("{:.0} kB", *bytes as f64 / 1e3),
        };
        f.pad(&text)
    }
}

impl Table {
    /// Notes a figure of a peer.
    pub(crate) fn note(
        &mut self,
        peer: &str,
        work: impl Into<String>,
        figure: impl Into<Figure>,
        goal: Goal,
    ) {
        let (work, figure) = (work.into(), figure.into());
        eprintln!("  {work}: {figure}");
        let row = match self.rows.iter_mut().position(|row| row.work == work) {
            Some(index) => &mut self.rows[index],
            None => {
                self.rows.push(Row { work, goal, shoal: None, docker: None });
                let last = self.rows.len() - 1;
                &mut self.rows[last]
            }
        };
        if peer == "Shoal" { row.shoal = Some(figure) } else { row.docker = Some(figure) }
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        Some(self.docker?.amount() / self.shoal?.amount())
    }

    fn verdict(&self) -> String {
        let Goal::AtMost(most, times) = self.goal else { return String::new() };
        let Some(shoal) = self.shoal else { return String::new() };
        let held = shoal.amount() <= most.amount() && self.ratio().is_none_or(|r| r >= times);
        let ratio = if times > 1.0 { format!(" and {times:.0}x") } else { String::new() };
        format!("{} at most {most}{ratio}", if held { "held:  " } else { "MISSED:" })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36}{:>12}{:>12}{:>9}  promise", "work", "Shoal", "Docker", "ratio")?;
        for row in &self.rows {
            let text = |figure: Option<Figure>| figure.map_or("-".into(), |f| f.to_string());
            let ratio = row.ratio().map_or("-".into(), |ratio| format!("{ratio:.1}x"));
            let line = format!(
                "{:<36}{:>12}{:>12}{:>9}  {}",
                row.work,
                text(row.shoal),
                text(row.docker),
                ratio,
                row.verdict()
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_held_or_missed() {
        let mut table = Table::default();
        let goal = Goal::at_most_ms(20, 6);
        table.note("Shoal", "run", Duration::from_millis(10), goal);
        table.note("Docker", "run", Duration::from_millis(100), goal);
        table.note("Shoal", "stop", Duration::from_millis(30), goal);
        table.note("Docker", "stop", Duration::from_millis(300), goal);
        let text = table.to_string();
        assert!(text.contains("10.0x  held:   at most 20.0 ms and 6x"), "{text}");
        assert!(text.contains("MISSED: at most 20.0 ms and 6x"), "{text}");
    }
}
