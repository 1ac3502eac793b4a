//! The listeners: TCP for everybody, a unix socket for the local admin.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use actix_web::{App as WebApp, HttpServer};

use super::routes::{self, State};

/// A server that runs in a task of its own.
pub struct Running {
    handle: ServerHandle,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Takes no new connections, lets answers finish.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.task.await;
    }
}

/// Serves on an open TCP listener.
pub fn serve(state: State, listener: TcpListener, workers: usize, shutdown: Duration) -> std::io::Result<Running> {
    let server = HttpServer::new(move || WebApp::new().app_data(Data::new(state.clone())).configure(routes::configure))
        .workers(workers)
        .backlog(4096)
        .client_request_timeout(Duration::from_secs(10))
        .keep_alive(Duration::from_secs(60))
        .shutdown_timeout(shutdown.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Running { handle: server.handle(), task: tokio::spawn(server) })
}

/// Serves the local admin on a unix socket that only this user can open.
pub fn serve_local(state: State, socket: &Path) -> std::io::Result<Running> {
    let _ = std::fs::remove_file(socket);
    let state = State { local_admin: true, ..state };
    let server = HttpServer::new(move || WebApp::new().app_data(Data::new(state.clone())).configure(routes::configure))
        .workers(1)
        .shutdown_timeout(2)
        .disable_signals()
        .bind_uds(socket)?
        .run();
    std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(Running { handle: server.handle(), task: tokio::spawn(server) })
}
