//! The story: each step with its check.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{
    Args,
    checks::{Tasks, until},
    images,
    queue::Queue,
    report::Report,
    stage::Stage,
};

const SERVICE: &str = "spider";
const REDIS_PORT: u16 = 7891;
const REGISTRY_PORT: u16 = 8003;
const PASSWORD: &str = "not-a-secret";
/// Items the spiders work through.
const ITEMS: u64 = 200;
/// Seconds a spider rests between items.
const PAUSE: &str = "PAUSE=5";
/// Far more than any step takes; a step that needs longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tells the whole story; the table is complete when it all held.
pub(super) async fn tell(stage: &Stage, args: &Args) -> Result<Report> {
    let mut report = Report::default();
    report.note(format!("cluster of {} nodes", args.nodes), stage.created(), "");
    prepare(stage, args, &mut report)?;
    patiently(|| find_registry(stage)).await?;
    build_and_push(stage, args, &mut report)?;
    let address = &stage.nodes()[0].address;
    let mut queue = patiently(|| Queue::open(address, REDIS_PORT, PASSWORD)).await?;
    create(stage, &mut report).await?;
    scale(stage, &mut report, 3, "").await?;
    check_spread(stage, 3).await?;
    scale(stage, &mut report, 50, "2 min promised for 50 servers; Docker 20.10 here 3.5 s").await?;
    work(&mut queue).await?;
    scale(stage, &mut report, args.peak, "30 s promised; Docker 20.10 here 41 s, by tag 79 s")
        .await?;
    queue.check_each_once(ITEMS)?;
    logs(stage, &mut report)?;
    scale(stage, &mut report, 3, "").await?;
    lose_a_machine(stage, &mut report).await?;
    update(stage, &mut report).await?;
    stop_all(stage, args.peak, &mut report).await?;
    stage.shoal(&["service", "rm", SERVICE])?;
    Ok(report)
}

fn prepare(stage: &Stage, args: &Args, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    if args.python {
        images::registry(stage)?;
    } else {
        images::import(stage)?;
    }
    report.since("base images", start, "");
    let start = Instant::now();
    let publish = format!("{REGISTRY_PORT}:5000");
    stage.shoal(&["run", "-d", "-p", &publish, "--name", "registry", images::REGISTRY])?;
    let publish = format!("{REDIS_PORT}:6379");
    let redis = ["run", "-d", "--name", "redis", "-p", &publish, images::REDIS];
    stage.shoal(&[&redis[..], &["--requirepass", PASSWORD]].concat())?;
    report.since("registry and redis", start, "");
    Ok(())
}

fn build_and_push(stage: &Stage, args: &Args, report: &mut Report) -> Result<()> {
    let context = images::context(args.python, args.examples.as_deref())?;
    let context = context.path().to_string_lossy();
    for version in ["0.01", "0.02"] {
        let tag = format!("localhost:{REGISTRY_PORT}/spider:{version}");
        let argument = format!("VERSION={version}");
        let start = Instant::now();
        stage.shoal(&["build", "--quiet", "-t", &tag, "--build-arg", &argument, &context])?;
        report.since(format!("build spider:{version}"), start, "");
        let start = Instant::now();
        stage.shoal(&["push", "--quiet", &tag])?;
        report.since(format!("push spider:{version}"), start, "");
    }
    Ok(())
}

fn find_registry(stage: &Stage) -> Result<()> {
    let address = (stage.nodes()[0].address.as_str(), REGISTRY_PORT);
    TcpStream::connect(address).map(drop).context("the registry does not listen")
}

/// Tries what may not listen yet, as it was started a moment ago.
async fn patiently<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn image(stage: &Stage, version: &str) -> String {
    format!("{}:{REGISTRY_PORT}/spider:{version}", stage.nodes()[0].address)
}

async fn create(stage: &Stage, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let host = format!("REDIS_HOST={}", stage.nodes()[0].address);
    let port = format!("REDIS_PORT={REDIS_PORT}");
    let password = format!("REDIS_PASSWORD={PASSWORD}");
    stage.shoal(&[
        "service",
        "create",
        "--detach",
        "--name",
        SERVICE,
        "--network",
        "host",
        "--env",
        &host,
        "--env",
        &port,
        "--env",
        &password,
        "--env",
        PAUSE,
        &image(stage, "0.01"),
    ])?;
    until(stage.client(), SERVICE, "1", PATIENCE, |tasks| tasks.running().count() == 1).await?;
    report.since("service create, 1 running", start, "");
    Ok(())
}

async fn scale(
    stage: &Stage,
    report: &mut Report,
    replicas: u64,
    others: &'static str,
) -> Result<()> {
    let start = Instant::now();
    stage.shoal(&["service", "scale", "--detach", &format!("{SERVICE}={replicas}")])?;
    let wanted = replicas as usize;
    until(stage.client(), SERVICE, &replicas.to_string(), PATIENCE, |tasks| {
        tasks.running().count() == wanted && tasks.alive() == wanted
    })
    .await?;
    report.since(format!("scale to {replicas}, all running"), start, others);
    Ok(())
}

/// As many tasks as nodes: one on each.
async fn check_spread(stage: &Stage, replicas: usize) -> Result<()> {
    let tasks = Tasks::of(stage.client(), SERVICE).await?;
    let by_node = tasks.by_node();
    let nodes = stage.nodes().len();
    let most = replicas.div_ceil(nodes);
    ensure!(
        by_node.len() == nodes.min(replicas) && by_node.values().all(|count| *count <= most),
        "{replicas} tasks are not spread over {nodes} nodes: {by_node:?}"
    );
    Ok(())
}

/// Every item is worked on, once.
async fn work(queue: &mut Queue) -> Result<()> {
    queue.fill(1, ITEMS)?;
    let start = Instant::now();
    while queue.done()? < ITEMS {
        ensure!(start.elapsed() < PATIENCE, "only {} of {ITEMS} items were done", queue.done()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    queue.check_each_once(ITEMS)?;
    crate::print::talk(format_args!("  {ITEMS} items worked on, each exactly once\n"));
    Ok(())
}

fn logs(stage: &Stage, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let text = stage.shoal(&["service", "logs", "--tail", "1", SERVICE])?;
    let lines = text.lines().count();
    ensure!(text.contains("starts") || text.contains("works on"), "the logs say nothing");
    report.since(format!("last log line of every task, {lines} lines"), start, "");
    Ok(())
}

/// One node's plug is pulled: its task moves, the others stay.
async fn lose_a_machine(stage: &Stage, report: &mut Report) -> Result<()> {
    let Some(lost) = stage.nodes().iter().skip(1).next_back() else { return Ok(()) };
    let start = Instant::now();
    stage.shoal(&["cluster", "stop", stage.name(), &lost.name])?;
    let survivors = stage.nodes().len() - 1;
    until(stage.client(), SERVICE, "3 on the other nodes", PATIENCE, |tasks| {
        tasks.running().count() == 3 && tasks.by_node().len() <= survivors
    })
    .await?;
    report.since("a node lost, 3 running elsewhere", start, "");
    let start = Instant::now();
    stage.shoal(&["cluster", "start", stage.name(), &lost.name])?;
    until_ready(stage, stage.nodes().len()).await?;
    report.since("the node is back", start, "");
    Ok(())
}

async fn until_ready(stage: &Stage, count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let nodes = stage.client().get("/nodes", &crate::client::Query::default()).await?;
        let nodes = nodes.as_array().context("the nodes are no list")?.clone();
        let ready = nodes.iter().filter(|node| node["Status"]["State"] == "ready").count();
        if ready == count {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "{ready} of {count} nodes are ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn update(stage: &Stage, report: &mut Report) -> Result<()> {
    scale(stage, report, 50, "").await?;
    let start = Instant::now();
    stage.shoal(&[
        "service",
        "update",
        "--detach",
        "--update-parallelism",
        "10",
        "--update-monitor",
        "1ms",
        "--image",
        &image(stage, "0.02"),
        SERVICE,
    ])?;
    until(stage.client(), SERVICE, "50 of version 0.02", PATIENCE, |tasks| {
        tasks.running_image("spider:0.02") == 50 && tasks.running().count() == 50
    })
    .await?;
    report.since("update of 50, 10 at a time", start, "1 min promised; Docker 20.10 here 20.6 s");
    Ok(())
}

async fn stop_all(stage: &Stage, peak: u64, report: &mut Report) -> Result<()> {
    scale(stage, report, peak, "").await?;
    scale(stage, report, 0, "30 s promised; Docker 20.10 here 26 s").await
}
