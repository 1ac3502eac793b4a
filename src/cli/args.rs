//! Every command and its options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{alert, backup, brakes, call, check, config, connection, demo, dnc, event, line, output, plugin, serve, simulate};
use crate::config::Sources;

/// Connects any CRM, without code, to the phones of Auto Call (goitudong.vn).
#[derive(Debug, Parser)]
#[command(name = "callbridge", version, propagate_version = true, after_help = output::EXIT_CODES)]
pub struct Cli {
    /// A settings file; may be given several times, later ones win.
    #[arg(long, global = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A folder with one settings file per client.
    #[arg(long, global = true, value_name = "DIR")]
    config_dir: Vec<PathBuf>,
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bridge, simulated phone and a small demo CRM in one process; prints the address to open.
    Demo(demo::Args),
    /// The server: web and workers.
    Serve(serve::Args),
    /// A stand-in for the callone API and its phone.
    Simulate(simulate::Args),
    /// What callbridge knows about CRM products.
    #[command(subcommand)]
    Plugin(plugin::Args),
    /// The CRM accounts that may ask for calls.
    #[command(subcommand)]
    Connection(connection::Args),
    /// The phones.
    #[command(subcommand)]
    Line(line::Args),
    /// Calls: ask for one, look at them, cancel, redial.
    #[command(subcommand)]
    Call(call::Args),
    /// Numbers that are never called.
    #[command(subcommand)]
    Dnc(dnc::Args),
    /// Webhooks that came in.
    #[command(subcommand)]
    Event(event::Args),
    /// Is everything in place? Settings, plugins, store, disk, clock, dialer, public address.
    Check,
    /// The settings.
    #[command(subcommand)]
    Config(config::Args),
    /// What is wrong now, and was.
    #[command(subcommand)]
    Alert(alert::Args),
    /// Stop all calling.
    Pause(brakes::Pause),
    /// Let calling go on.
    Resume(brakes::Resume),
    /// Write a copy of the store that can be restored, also while the server runs.
    Backup(backup::Backup),
    /// Make a store in a new directory from a backup.
    Restore(backup::Restore),
}

impl Cli {
    pub fn sources(&self) -> Sources {
        Sources::of_process(self.config.clone(), self.config_dir.clone())
    }
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::config::arm_failpoint();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("callbridge: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("worker").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("callbridge: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match &cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(&cli, args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Plugin(args) => plugin::run(&cli, args).await,
            Command::Connection(args) => connection::run(&cli, args).await,
            Command::Line(args) => line::run(&cli, args).await,
            Command::Call(args) => call::run(&cli, args).await,
            Command::Dnc(args) => dnc::run(&cli, args).await,
            Command::Event(args) => event::run(&cli, args).await,
            Command::Alert(args) => alert::run(&cli, args).await,
            Command::Check => check::run(&cli).await,
            Command::Config(args) => config::run(&cli, args),
            Command::Pause(args) => brakes::pause(&cli, args).await,
            Command::Resume(args) => brakes::resume(&cli, args).await,
            Command::Backup(args) => backup::backup(&cli, args).await,
            Command::Restore(args) => backup::restore(&cli, args),
        }
    });
    output::exit(result)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::Cli;

    /// What is wrong with `callbridge <text>`: a command or an option that does not exist.
    fn mistake(text: &str) -> Option<String> {
        let mut command = Cli::command();
        let mut words = text.split_whitespace().peekable();
        // Names of commands, and of two of them in one (`release|cancel`); then come ids and options.
        while let Some(word) =
            words.next_if(|word| command.has_subcommands() && !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '|'))
        {
            let mut found = word.split('|').map(|name| command.find_subcommand(name).cloned().ok_or(name));
            if let Some(Err(name)) = found.clone().find(Result::is_err) {
                return Some(format!("there is no command `{name}`"));
            }
            let Some(Ok(next)) = found.next() else { break };
            command = next;
        }
        let knows = |long: &str| {
            let all = Cli::command();
            ["help", "version"].contains(&long) || command.get_arguments().chain(all.get_arguments()).any(|argument| argument.get_long() == Some(long))
        };
        let options =
            words.filter_map(|word| word.strip_prefix("--")).map(|word| word.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or(""));
        options.filter(|long| !long.is_empty()).find(|long| !knows(long)).map(|long| format!("there is no option --{long}"))
    }

    /// Every `callbridge …` of a text that is meant to be typed: between backticks, or a line of a block of code.
    fn commands(text: &str) -> Vec<String> {
        let (mut blocks, mut prose) = (String::new(), String::new());
        for (i, part) in text.split("```").enumerate() {
            if i % 2 == 1 { blocks.push_str(part) } else { prose.push_str(part) }
        }
        let quoted = prose.split('`').skip(1).step_by(2).filter_map(|quote| quote.strip_prefix("callbridge "));
        let lines = blocks.lines().filter_map(|line| line.trim_start().trim_start_matches("$ ").strip_prefix("callbridge "));
        let lines = lines.map(|line| line.split(" #").next().unwrap_or(line));
        quoted.chain(lines).map(|command| command.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                texts(&entry, found);
            } else if entry.extension().is_some_and(|ending| ["md", "rs", "toml", "hbs"].iter().any(|known| ending == *known)) {
                found.push((entry.display().to_string(), std::fs::read_to_string(&entry).unwrap()));
            }
        }
    }

    #[test]
    fn no_text_of_ours_names_a_command_that_does_not_exist() {
        let mut found = vec![("README.md".to_owned(), std::fs::read_to_string("README.md").unwrap())];
        for folder in ["src", "docs", "config", "templates", "plugins"] {
            texts(Path::new(folder), &mut found);
        }
        let mut faults: Vec<String> = Vec::new();
        for (file, text) in found.iter().filter(|(file, _)| !file.contains("docs/progress") && !file.contains("docs/decisions")) {
            faults.extend(commands(text).into_iter().filter_map(|command| Some(format!("{file}: callbridge {command}: {}", mistake(&command)?))));
        }
        for code in crate::error::ALL.iter().map(|code| code.entry()) {
            let sentences = [code.en, code.vi, code.advice_en, code.advice_vi];
            let named = sentences.iter().flat_map(|text| text.match_indices("callbridge ").map(|(at, word)| text[at + word.len()..].trim_end_matches('.')));
            // In prose it is the program that does something.
            let typed = named.filter(|command| !["failed ", "may ", "cho thấy", "tự "].iter().any(|prose| command.starts_with(prose)));
            faults.extend(typed.filter_map(|command| {
                let command = command.split([',', ';', '(', ')']).next().unwrap_or(command);
                Some(format!("{}: callbridge {command}: {}", code.code, mistake(command)?))
            }));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_command_that_does_not_exist_is_noticed() {
        assert_eq!(mistake("connection tset crm").unwrap(), "there is no command `tset`");
        assert_eq!(mistake("call release|cancle --yes").unwrap(), "there is no command `cancle`");
        assert_eq!(mistake("call release --connection crm --holds brake").unwrap(), "there is no option --holds");
        let text = "run `callbridge plugin list`:\n```\n$ callbridge line list   # all\n```\ncallbridge is a bridge";
        assert_eq!(commands(text), ["plugin list", "line list"]);
    }
}
