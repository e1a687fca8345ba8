//! The crawler's two lists in Redis, as the demo fills and counts them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use redis::{Commands, Connection};

/// A connection to the crawler's Redis.
pub(super) struct Queue {
    connection: Connection,
}

impl Queue {
    /// Connects.
    pub(super) fn open(host: &str, port: u16, password: &str) -> Result<Self> {
        let client = redis::Client::open(format!("redis://:{password}@{host}:{port}/"))
            .context("a wrong address for redis")?;
        let connection = client.get_connection().context("cannot connect to redis")?;
        Ok(Self { connection })
    }

    /// Puts items `first` to `first + count - 1` on the list.
    pub(super) fn fill(&mut self, first: u64, count: u64) -> Result<()> {
        let items: Vec<_> = (first..first + count).map(|n| format!("item-{n}")).collect();
        let length: u64 = self.connection.rpush("todo", items).context("cannot fill the queue")?;
        ensure!(length > 0, "redis took no items");
        Ok(())
    }

    /// How many items are done.
    pub(super) fn done(&mut self) -> Result<u64> {
        self.connection.llen("done").context("cannot count what is done")
    }

    /// Fails unless each of items 1 to `count` was done exactly once.
    pub(super) fn check_each_once(&mut self, count: u64) -> Result<()> {
        let done: Vec<String> =
            self.connection.lrange("done", 0, -1).context("cannot read what is done")?;
        each_once(&done, count)
    }
}

fn each_once(done: &[String], count: u64) -> Result<()> {
    let mut times = BTreeMap::<&str, u64>::new();
    for item in done {
        *times.entry(item).or_default() += 1;
    }
    for n in 1..=count {
        let item = format!("item-{n}");
        let worked = times.remove(item.as_str()).unwrap_or(0);
        ensure!(worked == 1, "{item} was worked on {worked} times");
    }
    ensure!(times.is_empty(), "items nobody asked for were worked on: {times:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_lost_doubled_or_made_up_is_named() {
        let list = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>();
        assert!(each_once(&list(&["item-2", "item-1"]), 2).is_ok());
        let fault = |items: &[&str]| each_once(&list(items), 2).unwrap_err().to_string();
        assert_eq!(fault(&["item-1"]), "item-2 was worked on 0 times");
        assert_eq!(fault(&["item-1", "item-2", "item-1"]), "item-1 was worked on 2 times");
        assert!(fault(&["item-1", "item-2", "item-3"]).contains("item-3"));
    }
}
