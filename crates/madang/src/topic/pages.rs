//! Pages of a topic's log, read once for all who are behind in the same place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{Log, LogError, Page};

/// Readers begin at multiples of this, and leave out what they have had: places that differ a little
/// are in the same page.
pub(crate) const ALIGNED: u64 = 128;
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

    /// The page with the event behind `after`, or with what tells that it is kept no more.
    async fn find(self: Arc<Self>, after: u64, until: u64) -> Result<Arc<Page>, LogError> {
        let mut begin = after - after % ALIGNED;
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
    /// The page being read.
    pub(crate) page: Option<BoxFuture<'static, Result<Arc<Page>, LogError>>>,
}

impl Behind {
    pub(crate) fn new(pages: Arc<Pages>) -> Self {
        Self { pages, page: None }
    }

    /// Begins to read what comes behind event `after`.
    pub(crate) fn begin(&mut self, after: u64, until: u64) {
        self.page = Some(self.pages.clone().find(after, until).boxed());
    }
}
