//! The crawler's Redis, asked by hand in its inline form.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use crate::until;

/// A connection to a Redis.
#[derive(Debug)]
pub struct Redis {
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// Connects as soon as it listens.
    ///
    /// # Panics
    /// When it never does, or takes no password.
    pub fn connect(host: &str, port: u16, password: &str) -> Self {
        until("redis to answer", || {
            let stream = TcpStream::connect((host, port)).ok()?;
            let mut redis = Self { stream: BufReader::new(stream) };
            (redis.ask(&format!("AUTH {password}"))? == "+OK").then_some(redis)
        })
    }

    /// Puts items `item-first` and so on onto the list.
    ///
    /// # Panics
    /// When Redis is gone.
    pub fn fill(&mut self, first: u32, count: u32) {
        for number in first..first + count {
            let answer = self.ask(&format!("RPUSH todo item-{number}"));
            assert!(answer.is_some_and(|text| text.starts_with(':')), "redis takes an item");
        }
    }

    /// What is done, in order.
    ///
    /// # Panics
    /// When Redis is gone.
    pub fn done(&mut self) -> Vec<String> {
        let header = self.ask("LRANGE done 0 -1").expect("redis answers");
        let count: usize = header.trim_start_matches('*').parse().expect("a count");
        (0..count)
            .map(|_| {
                self.line().expect("a length");
                self.line().expect("an item")
            })
            .collect()
    }

    fn ask(&mut self, command: &str) -> Option<String> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).ok()?;
        self.line()
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim_end().to_owned())
    }
}
