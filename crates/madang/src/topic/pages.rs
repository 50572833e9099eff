//! Pages of a topic's log, read once for all who are behind in the same place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{Log, LogError, Page};

/// A reader's first page begins at a multiple of this, and what it has had is left out: places that
/// differ a little are in the same page, and from there on in the same row of pages.
const ALIGNED: u64 = 128;
/// Pages kept while someone is behind.
const KEPT: usize = 4;

type SharedPage = Shared<BoxFuture<'static, Result<Arc<Page>, LogError>>>;

/// The pages that were read last. It lives as long as someone is behind.
pub(crate) struct Pages {
    log: Arc<dyn Log>,
    /// With the event that each begins behind, oldest first. Held for a look, never across an await.
    kept: Mutex<VecDeque<(u64, SharedPage)>>,
}

impl Pages {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            kept: Mutex::default(),
        }
    }

    /// The page with the event behind `after`, or with what tells that it is kept no more: the one
    /// that begins behind `begin`, or one that follows it.
    async fn find(
        self: Arc<Self>,
        mut begin: u64,
        after: u64,
        until: u64,
    ) -> Result<Arc<Page>, LogError> {
        loop {
            let page = self.page(begin, until).await;
            if page.is_err() {
                // Whoever asks next asks the log.
                self.kept().retain(|(kept, _)| *kept != begin);
            }
            let page = page?;
            match page.last() {
                last if last > after => return Ok(page),
                // It is shorter, since its events are long.
                last if last > begin => begin = last,
                _ => return Err(LogError(format!("no event after {begin}"))),
            }
        }
    }

    fn page(&self, after: u64, until: u64) -> SharedPage {
        let mut kept = self.kept();
        if let Some((_, page)) = kept.iter().find(|(kept, _)| *kept == after) {
            return page.clone();
        }
        let page = self.log.page(after, until);
        let page = page.map(|page| page.map(Arc::new)).boxed().shared();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((after, page.clone()));
        page
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(u64, SharedPage)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that is behind.
pub(crate) struct Behind {
    pages: Arc<Pages>,
    /// Where the page ended that was taken last: the next one begins there.
    row: Option<u64>,
    /// The page being read.
    page: Option<BoxFuture<'static, Result<Arc<Page>, LogError>>>,
}

impl Behind {
    pub(crate) fn new(pages: Arc<Pages>) -> Self {
        Self {
            pages,
            row: None,
            page: None,
        }
    }

    /// Begins to read what comes behind event `after`.
    pub(crate) fn begin(&mut self, after: u64, until: u64) {
        let in_row = self.row == Some(after);
        let begin = if in_row {
            after
        } else {
            after - after % ALIGNED
        };
        self.page = Some(self.pages.clone().find(begin, after, until).boxed());
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.page.is_some()
    }

    /// The page that was begun.
    pub(crate) fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<Page>, LogError>> {
        let Some(page) = &mut self.page else {
            return Poll::Pending;
        };
        let page = ready!(page.as_mut().poll(cx));
        self.page = None;
        self.row = page.as_ref().ok().map(|page| page.last());
        Poll::Ready(page)
    }
}
