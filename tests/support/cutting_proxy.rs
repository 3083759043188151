//! A Unix socket in front of another one, whose connections all break: each after so many bytes from the server.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

/// A proxy that cuts. Its connections end with it.
#[derive(Debug)]
pub struct CuttingProxy {
    socket: PathBuf,
    cuts: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl CuttingProxy {
    /// Listens at `socket` for the server at `behind`. The connections break after as many bytes as `limits` says, one
    /// after the other and over again.
    ///
    /// # Panics
    /// When it cannot listen, or without a limit.
    #[must_use]
    pub fn start(socket: &Path, behind: &Path, limits: Vec<usize>) -> Self {
        assert!(!limits.is_empty(), "a proxy that cuts needs limits");
        let listener = UnixListener::bind(socket).expect("a fresh path");
        let (behind, cuts) = (behind.to_path_buf(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&cuts);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for limit in limits.into_iter().cycle() {
                let Ok((near, _)) = listener.accept().await else { return };
                // A server that is being restarted is not there: the client comes again.
                let Ok(far) = UnixStream::connect(&behind).await else { continue };
                let counted = Arc::clone(&counted);
                connections.spawn(async move {
                    if pass(near, far, limit).await {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { socket: socket.to_path_buf(), cuts, _serving: serving }
    }

    /// Where it listens, as an endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// How many connections it has cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Passes bytes on until one side ends or the server has sent its limit; whether it was the limit.
async fn pass(near: UnixStream, far: UnixStream, limit: usize) -> bool {
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
        (near.into_split(), far.into_split());
    let down = async {
        let (mut left, mut buffer) = (limit, vec![0; 4096]);
        while left > 0 {
            let most = left.min(buffer.len());
            match far_read.read(&mut buffer[..most]).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => {
                    if near_write.write_all(&buffer[..count]).await.is_err() {
                        return false;
                    }
                    left -= count;
                }
            }
        }
        true
    };
    tokio::select! {
        cut = down => cut,
        _ = tokio::io::copy(&mut near_read, &mut far_write) => false,
    }
}
