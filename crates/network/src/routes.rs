//! What the node reaches through its routes: default pools keep off it.

use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// Destinations of the routes of the calling thread's namespace, the default
/// route left out. Without /proc: none.
pub(crate) fn destinations() -> Vec<Subnet> {
    parse(&std::fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default())
}

/// Reads the kernel's table: numbers in hexadecimal, in the machine's order of
/// bytes.
fn parse(table: &str) -> Vec<Subnet> {
    let number = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::to_be);
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let destination = Ipv4Addr::from(number(words.get(1)?)?);
            let prefix = number(words.get(7)?)?.leading_ones();
            Some(Subnet::of(destination, u8::try_from(prefix).ok()?))
        })
        .filter(|subnet| subnet.prefix() > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
             eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             broken\n";
        assert_eq!(parse(table), ["192.168.1.0/24".parse().unwrap()]);
    }
}
