//! A person's way to the server, which is cut and frozen at random.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::Context;
use fastrand::Rng;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::spawn_local,
    time::sleep,
};

use crate::Options;

/// A port that leads to the server.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    /// Whether the last connection was cut or frozen here.
    faulty: Rc<Cell<bool>>,
    calm: Rc<Cell<bool>>,
}

impl Link {
    pub(crate) async fn open(
        server: SocketAddr,
        mut rng: Rng,
        cut_every: f64,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let link = Self {
            address: listener
                .local_addr()
                .context("a listener without an address")?,
            faulty: Rc::default(),
            calm: Rc::default(),
        };
        let (faulty, calm) = (link.faulty.clone(), link.calm.clone());
        spawn_local(async move {
            while let Ok((near, _)) = listener.accept().await {
                faulty.set(false);
                let rng = rng.fork();
                spawn_local(carry(
                    near,
                    server,
                    rng,
                    faulty.clone(),
                    calm.clone(),
                    cut_every,
                ));
            }
        });
        Ok(link)
    }

    /// Whether it did something to the last connection.
    pub(crate) fn was_faulty(&self) -> bool {
        self.faulty.get()
    }

    /// From now on nothing happens to it.
    pub(crate) fn calm(&self) {
        self.calm.set(true);
    }
}

async fn carry(
    near: TcpStream,
    server: SocketAddr,
    mut rng: Rng,
    faulty: Rc<Cell<bool>>,
    calm: Rc<Cell<bool>>,
    cut_every: f64,
) {
    let Ok(far) = TcpStream::connect(server).await else {
        return;
    };
    // A link that is cut ends both ways, or is reset.
    let linger = rng.bool().then_some(Duration::ZERO);
    for socket in [&near, &far] {
        let socket = SockRef::from(socket);
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_linger(linger);
    }
    let (frozen, thaw) = watch::channel(false);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let up = spawn_local(copy(near_read, far_write, thaw.clone()));
    let down = spawn_local(copy(far_read, near_write, thaw));
    let (up_ends, down_ends) = (up.abort_handle(), down.abort_handle());
    let trouble = async {
        loop {
            sleep(Options::around(&mut rng, cut_every)).await;
            if calm.get() {
                continue;
            }
            faulty.set(true);
            if rng.f64() < 0.3 {
                let _ = frozen.send(true);
                sleep(Options::around(&mut rng, 3.0)).await;
                let _ = frozen.send(false);
            } else {
                return;
            }
        }
    };
    tokio::select! {
        () = trouble => {}
        // One side has ended: the other one hears what is on its way, and then the end.
        _ = async { let _ = up.await; sleep(Duration::from_millis(100)).await } => {}
        _ = async { let _ = down.await; sleep(Duration::from_millis(100)).await } => {}
    }
    // With both gone the sockets are closed: reset, or at an end.
    up_ends.abort();
    down_ends.abort();
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frozen: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            let _ = to.shutdown().await;
            return;
        };
        if frozen.wait_for(|frozen| !frozen).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
