//! Openings a few at a time, so that a storm of clients that come back is a queue and not a crush.
//!
//! A session that is being opened takes a turn until it is in the database and greeted. So many turns there are at
//! a time: as many as keep the machine at work, and few enough for what others say meanwhile not to wait for
//! long. How many that is in a second, the machine decides; a rate can be set, too.
//!
//! A browser that opens a WebSocket sees neither a status nor a header: what is refused looks to it like
//! a server that is not there. So who comes in a storm is let wait, which a browser does for long
//! enough, and only who would wait for too long is refused.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout_at},
};

/// So much of the rate is let in at once when nobody came for a while.
const BURST: Duration = Duration::from_millis(50);

/// Gives turns, in the order in which they are asked for.
pub(crate) struct Turns {
    /// From one turn to the next; none where there is no limit.
    gap: Option<Duration>,
    /// How long anyone waits.
    patience: Duration,
    /// When the next turn may be.
    next: Mutex<Instant>,
    places: Arc<Semaphore>,
    closed: watch::Sender<bool>,
}

/// A turn, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// So many are before that it would take too long.
    Crowded,
    /// The server ends.
    Closed,
}

impl Turns {
    /// `at_once` turns at a time, and `per_second`, or any number if it is 0.
    pub(crate) fn new(at_once: usize, per_second: u32, patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))),
            gap: Duration::from_secs(1).checked_div(per_second),
            patience,
            next: Mutex::new(long_ago(Instant::now())),
            closed: watch::Sender::new(false),
        }
    }

    /// Waits for a turn. One that is not waited for is lost, and harms nobody.
    pub(crate) fn wait(&self) -> impl Future<Output = Result<Turn, NoTurn>> + Send + use<> {
        let turn = self.reserve();
        let mut closed = self.closed.subscribe();
        let (places, until) = (self.places.clone(), Instant::now() + self.patience);
        async move {
            if let Some(turn) = turn? {
                tokio::select! {
                    () = sleep_until(turn) => {}
                    // The sender is gone with the server.
                    _ = closed.wait_for(|closed| *closed) => return Err(NoTurn::Closed),
                }
            }
            let _place = match places.clone().try_acquire_owned() {
                Ok(place) => place,
                Err(_) => match timeout_at(until, places.acquire_owned()).await {
                    Ok(place) => place.map_err(|_| NoTurn::Closed)?,
                    Err(_) => return Err(NoTurn::Crowded),
                },
            };
            Ok(Turn { _place })
        }
    }

    /// Lets nobody wait any more.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        self.places.close();
    }

    /// When it is the next one's turn; `None` is now.
    fn reserve(&self) -> Result<Option<Instant>, NoTurn> {
        let Some(gap) = self.gap else {
            return Ok(None);
        };
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(long_ago(now));
        if turn > now + self.patience {
            return Err(NoTurn::Crowded);
        }
        *next = turn + gap;
        Ok((turn > now).then_some(turn))
    }
}

/// Turns that nobody took since then are still there.
fn long_ago(now: Instant) -> Instant {
    now.checked_sub(BURST).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_let_in_at_the_rate_and_in_its_order() {
        let turns = Turns::new(1_000, 100, Duration::from_secs(10));
        let began = Instant::now();
        let waits = (0..300).map(|number| {
            let turn = turns.wait();
            async move {
                turn.await.unwrap();
                (began.elapsed(), number)
            }
        });
        let mut admitted = join_all(waits).await;
        let (last, _) = admitted[299];
        assert!((2_900..=3_000).contains(&last.as_millis()), "{last:?}");
        admitted.sort();
        assert!(
            admitted
                .iter()
                .map(|(_, number)| number)
                .eq(&(0..300).collect::<Vec<_>>())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_who_come_now_and_then_do_not_wait() {
        let turns = Turns::new(1_000, 100, Duration::from_secs(10));
        let began = Instant::now();
        for _ in 0..20 {
            for _ in 0..5 {
                turns.wait().await.unwrap();
            }
            assert!(began.elapsed().as_millis().is_multiple_of(200));
            tokio::time::advance(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_for_too_long_is_refused_and_may_come_later() {
        let turns = Turns::new(1_000, 10, Duration::from_secs(1));
        let waits: Vec<_> = (0..100).map(|_| turns.wait()).collect();
        let admitted = join_all(waits).await;
        let refused = admitted
            .iter()
            .filter(|turn| matches!(turn, Err(NoTurn::Crowded)));
        assert!((85..=90).contains(&refused.count()), "{admitted:?}");
        assert!(turns.wait().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_server_that_ends() {
        let turns = Turns::new(1_000, 1, Duration::from_secs(100));
        let waits: Vec<_> = (0..50).map(|_| turns.wait()).collect();
        turns.close();
        let admitted = join_all(waits).await;
        assert!(matches!(admitted[49], Err(NoTurn::Closed)));
        assert!(matches!(turns.wait().await, Err(NoTurn::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_turns_there_are_at_a_time_and_the_next_is_theirs_who_came_first() {
        let turns = Turns::new(2, 0, Duration::from_secs(1));
        let (first, _second) = (turns.wait().await.unwrap(), turns.wait().await.unwrap());
        let began = Instant::now();
        let late = tokio::join!(
            async {
                let _turn = turns.wait().await.unwrap();
                began.elapsed().as_millis()
            },
            async {
                // Behind the one before, who keeps its turn until then.
                let turn = turns.wait().await;
                (began.elapsed().as_millis(), turn.is_ok())
            },
            async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(first);
            }
        );
        assert_eq!(late.0, 300);
        assert_eq!(late.1, (300, true));
        // Two are taken by those who keep them: whoever comes now waits in vain.
        let _third = turns.wait().await.unwrap();
        assert!(matches!(turns.wait().await, Err(NoTurn::Crowded)));
        assert_eq!(began.elapsed().as_millis(), 1_300);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let turns = Turns::new(1, 0, Duration::ZERO);
        for _ in 0..1_000 {
            turns.wait().await.unwrap();
        }
    }
}
