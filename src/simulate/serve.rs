//! A small HTTP server that ends when its owner says so, and the clock that a stand-in goes by.

use std::{sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt as _};
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Says what time it is.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub(super) fn machine_clock() -> Now {
    Arc::new(Timestamp::now)
}

/// How long requests under way may take when the server is to end.
const GRACE: Duration = Duration::from_secs(2);

/// A server under way; it ends when this is dropped.
pub(super) struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `app` until `stop`.
    pub(super) fn start(listener: TcpListener, app: Router, stop: CancellationToken) -> Self {
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let listener = listener.tap_io(|io| {
                // Without it answers are only slower.
                let _ = io.set_nodelay(true);
            });
            // `axum::serve` does not fail: it waits when accepting does.
            let _ = axum::serve(listener, app).with_graceful_shutdown(stopped).await;
        });
        Self { stop, task }
    }

    /// Ends the server: idle connections at once, others within two seconds.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
