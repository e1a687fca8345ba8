//! Shoal beside a real dockerd: the same work, through the same API, on the
//! same machine, in the same run, each in a little machine of its own.
//!
//! What counts is the ratio: machines differ, and are shared. The seconds
//! only tell where to look. Notes on what profiles showed are in `NOTES.md`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]

mod api;
mod memory;
mod peer;
mod table;
mod work;

use anyhow::Result;
use clap::Parser;

use peer::{Ground, Peer};
use table::{Goal, Table};

/// Shoal beside a real dockerd.
#[derive(Parser)]
struct Args {
    /// Repetitions of the short works
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Replicas at the peak
    #[arg(long, default_value_t = 500)]
    peak: u64,
    /// Shoal alone
    #[arg(long)]
    alone: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare()?;
    let mut table = Table::default();
    measure(&ground.shoal().await?, &args, &mut table).await?;
    if !args.alone {
        measure(&ground.docker().await?, &args, &mut table).await?;
    }
    print!("{table}");
    Ok(())
}

/// All works on one peer, one after the other.
async fn measure(peer: &Peer, args: &Args, table: &mut Table) -> Result<()> {
    let name = peer.name;
    eprintln!("measuring {name}");
    let image = work::load_image(peer).await?;
    table.note(name, "daemon memory, idle", memory::daemon(peer)?, Goal::None);
    for (network, goal) in [("host", Goal::at_most_ms(20, 6)), ("bridge", Goal::at_most_ms(35, 6))]
    {
        let time = work::run_rm(peer, network, args.rounds).await?;
        table.note(name, format!("run --rm true, {network}"), time, goal);
    }
    let time = work::exec(peer, args.rounds).await?;
    table.note(name, "exec true", time, Goal::None);
    work::create_service(peer, &image).await?;
    let time = work::scale(peer, 50).await?;
    table.note(name, "scale 0 to 50", time, Goal::None);
    let peak = args.peak;
    let time = work::scale(peer, peak).await?;
    table.note(name, format!("scale 50 to {peak}"), time, Goal::at_most_ms(5000, 8));
    let daemon = memory::daemon(peer)?;
    table.note(name, format!("daemon memory, {peak} containers"), daemon, Goal::at_most_mb(100));
    let shim = memory::per_shim(peer)?;
    table.note(name, "shim memory, private, each", shim, Goal::at_most_kb(300));
    let time = work::scale(peer, 0).await?;
    table.note(name, format!("scale {peak} to 0, all gone"), time, Goal::at_most_ms(3000, 1));
    work::remove_service(peer).await
}
