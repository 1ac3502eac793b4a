//! Both simulators in one process, as `callbridge simulate` starts them.

use std::net::{SocketAddr, TcpListener};

use super::{Error, crm, dialer};

/// What to start, and where it listens (port 0: any free one).
#[derive(Debug, Clone)]
pub struct Options {
    pub dialer: dialer::Options,
    pub listen: SocketAddr,
    /// The demo CRM too, and where it listens. Its phone panel watches this dialer.
    pub crm: Option<(crm::Options, SocketAddr)>,
}

/// What runs.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub dialer: dialer::Running,
    pub crm: Option<crm::Running>,
}

/// Starts what the options name. Call it inside a tokio runtime.
pub fn start(options: Options) -> Result<Addresses, Error> {
    let dialer = dialer::start(options.dialer, listen(options.listen)?)?;
    let Some((mut crm_options, address)) = options.crm else { return Ok(Addresses { dialer, crm: None }) };
    crm_options.phone_url.get_or_insert_with(|| dialer.control_url.clone());
    let crm = crm::start(crm_options, listen(address)?)?;
    Ok(Addresses { dialer, crm: Some(crm) })
}

/// Starts, prints the addresses and runs until the process is told to stop.
pub async fn run(options: Options) -> Result<(), Error> {
    let running = start(options)?;
    println!("dialer   {}", running.dialer.url);
    println!("control  {}/stats", running.dialer.control_url);
    if let Some(crm) = &running.crm {
        println!("crm      {}", crm.url);
        println!("results  {}", crm.results_url);
    }
    tokio::signal::ctrl_c().await?;
    running.dialer.stop().await;
    if let Some(crm) = &running.crm {
        crm.stop().await;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|source| Error::Listen { address: address.to_string(), source })
}
