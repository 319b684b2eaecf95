//! Serving connections: bounded in number, in how long a head may take, and in how long they live
//! on when the service stops.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections served at once; more wait in the listener's own queue.
const CONNECTIONS: usize = 256;

/// The longest that a request's head may take to arrive, and a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests in hand may go on when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until cancelled.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            permit = permits.clone().acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("could not accept a connection to the API: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                debug!("a connection to the API ended early: {error}");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    tasks.shutdown().await;
}
