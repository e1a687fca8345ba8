//! The command line: docker's verbs and flags for the same things.
//!
//! A verb is a struct with its flags and one `run`. All of them speak the
//! Docker Engine API; none knows how the daemon does it.

mod build;
mod builder;
mod container;
mod exit;
mod image;
mod network;
mod node;
mod registry;
mod registry_image;
mod service;
mod shell;
mod swarm;
mod system;
mod verbs;
mod volume;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::client::{Address, Client};
use crate::{cluster_local, demo, serve};

use exit::Exit;
use shell::Shell;

/// Many containers, moving as one.
#[derive(Debug, Parser)]
#[command(
    name = "shoal",
    version,
    about = "Shoal: containers on one machine and on many, with docker's own commands",
    after_help = "A first tour, as root:
  shoal serve &                                     the daemon of this machine
  shoal run --rm busybox echo hello                 a container
  shoal run -d -p 8080:80 --name web nginx          one that stays
  shoal build -t me/app . && shoal push me/app      an image of your own

On several machines:
  shoal swarm init                                  prints the command for the others
  shoal service create --name web --replicas 5 nginx
  shoal service scale web=50
  shoal cluster create demo --nodes 3               three nodes on this machine, to try it

The docker command works as well: export DOCKER_HOST=unix:///run/shoal/shoal.sock"
)]
pub(crate) struct Cli {
    /// The daemon to talk to: unix:///path or tcp://host:port [default: $SHOAL_HOST,
    /// $DOCKER_HOST, unix:///run/shoal/shoal.sock]
    #[arg(short = 'H', long, global = true, value_name = "ADDRESS")]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command in a new container
    Run(Box<container::Run>),
    #[command(flatten)]
    Container(container::Verb),
    /// Containers: the same verbs, by docker's longer names
    #[command(name = "container", subcommand)]
    Containers(container::Group),
    #[command(flatten)]
    Image(image::Verb),
    /// Images: the same verbs, by docker's longer names
    #[command(name = "image", subcommand)]
    Images(image::Group),
    /// Build an image from a Dockerfile
    Build(build::Build),
    /// The build cache: steps that need not run again
    #[command(subcommand)]
    Builder(builder::Verb),
    /// Log in to a registry
    Login(registry::Login),
    /// Log out from a registry
    Logout(registry::Logout),
    /// Volumes: data that outlives containers
    #[command(subcommand)]
    Volume(volume::Verb),
    /// Networks: who reaches whom
    #[command(subcommand)]
    Network(network::Verb),
    #[command(flatten)]
    System(system::Verb),
    /// The whole daemon: disk use, events, facts
    #[command(name = "system", subcommand)]
    Systems(system::Group),
    /// The swarm: several machines as one
    #[command(subcommand)]
    Swarm(swarm::Verb),
    /// The swarm's nodes: its machines
    #[command(subcommand)]
    Node(node::Verb),
    /// The swarm's services: what runs how many times
    #[command(subcommand)]
    Service(service::Verb),
    /// A private registry: images of your own
    #[command(subcommand)]
    Registry(registry::Verb),
    /// Clusters of several nodes on this machine, to try a swarm
    Cluster(cluster_local::Args),
    /// Show the crawler story on a local cluster
    Demo(demo::Args),
    /// Run the daemon
    Serve(Box<serve::Args>),
}

/// Runs the command line and says how the process ends.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

/// Commands that make namespaces or a runtime of their own come first, while
/// this process has one thread.
fn dispatch(cli: Cli) -> Result<()> {
    let Cli { host, command } = cli;
    match command {
        Command::Cluster(args) => cluster_local::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Registry(registry::Verb::Serve(args)) => args.run(),
        command => {
            let shell = Shell { client: Client::new(Address::choose(host.as_deref())?) };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("starting")?;
            let done = runtime.block_on(talk(&shell, command));
            // A thread may still wait for a key that nobody will press.
            runtime.shutdown_background();
            done
        }
    }
}

/// Commands that talk to the daemon.
async fn talk(shell: &Shell, command: Command) -> Result<()> {
    match command {
        Command::Run(run) => run.run(shell).await,
        Command::Container(verb) => verb.run(shell).await,
        Command::Containers(group) => group.run(shell).await,
        Command::Image(verb) => verb.run(shell).await,
        Command::Images(group) => group.run(shell).await,
        Command::Build(build) => build.run(shell).await,
        Command::Builder(verb) => verb.run(shell).await,
        Command::Login(login) => login.run(shell).await,
        Command::Logout(logout) => logout.run(),
        Command::Volume(verb) => verb.run(shell).await,
        Command::Network(verb) => verb.run(shell).await,
        Command::System(verb) => verb.run(shell).await,
        Command::Systems(group) => group.run(shell).await,
        Command::Swarm(verb) => verb.run(shell).await,
        Command::Node(verb) => verb.run(shell).await,
        Command::Service(verb) => verb.run(shell).await,
        Command::Registry(verb) => verb.run(shell).await,
        Command::Cluster(_) | Command::Demo(_) | Command::Serve(_) => Err(Exit(1).into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_do_not_clash() {
        Cli::command().debug_assert();
    }

    #[test]
    fn dockers_commands_are_understood() {
        for line in [
            "shoal run -d -p 8003:5000 --name registry registry:2",
            "shoal run --rm -it -e A=b -v /a:/b:ro --network host -m 512m --cpus 1.5 busybox sh -c 'a'",
            "shoal run -d --name redis -p 7891:6379 redis --requirepass x",
            "shoal ps -a --filter name=x --format json",
            "shoal logs -f --tail 20 x",
            "shoal exec -it x sh",
            "shoal build -t localhost:8003/spider:0.01 .",
            "shoal service create --name spider --replicas 50 --network host a:1/spider:0.01",
            "shoal service scale spider=500",
            "shoal service update --image a:1/spider:0.02 spider",
            "shoal service rollback --detach=false spider",
            "shoal service inspect --pretty spider",
            "shoal system prune -a --volumes -f",
            "shoal registry garbage-collect -m --dry-run --uploads 1h /srv/registry",
            "shoal builder prune -a -f --keep-storage 2g --filter until=24h",
            "shoal swarm join --token T 1.2.3.4:2377",
            "shoal node update --availability drain x",
            "shoal -H unix:///x container ls",
            "shoal network create --subnet 10.0.0.0/24 x",
        ] {
            Cli::try_parse_from(line.split(' ')).expect(line);
        }
    }
}
