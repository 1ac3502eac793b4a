//! `callbridge pause --all` and `resume --all`: the stop button.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client;
use super::output::{self, facts, moment, text};

#[derive(Debug, clap::Args)]
pub struct Pause {
    /// Every line. For one line: `callbridge line pause ID`.
    #[arg(long, required = true)]
    all: bool,
    /// Why; it is shown until someone resumes.
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub struct Resume {
    /// Every line. For one line: `callbridge line resume ID`.
    #[arg(long, required = true)]
    all: bool,
}

pub async fn pause(cli: &Cli, args: &Pause) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        let answer = server.post("/pause", &json!({"reason": args.reason})).await?;
        eprintln!("all calling is stopped; calls that ring or talk go on, the others wait for `callbridge resume --all`");
        output::show(cli.json, &answer, brakes);
        Ok(ExitCode::SUCCESS)
    })
    .await
}

pub async fn resume(cli: &Cli, _args: &Resume) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        let answer = server.post("/resume", &json!({})).await?;
        eprintln!("calling goes on; lines that are paused one by one stay paused");
        output::show(cli.json, &answer, brakes);
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn brakes(answer: &Value) -> String {
    if answer["stopped"].is_null() {
        return "calling: on".into();
    }
    facts(&[
        ("calling", "stopped".into()),
        ("by", text(answer, "/stopped/by")),
        ("since", moment(answer, "/stopped/since")),
        ("reason", text(answer, "/stopped/reason")),
    ])
}
