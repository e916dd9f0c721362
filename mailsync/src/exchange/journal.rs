//! Commits of all links, gathered: what comes while one commit is being synced goes into the next, all of it at once.

use crate::store::SqliteStore;
use crate::store::sms::{Result, Tables};
use mailsync_proto::sync::store::StoreError;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Works on one commit.
const TOGETHER: usize = 256;
/// Works that wait; who comes then waits, too.
const WAITING: usize = 1_024;

type Work = Box<dyn FnOnce(&Tables<'_>) -> Result<()> + Send>;
type Said = std::result::Result<(), String>;

/// The writer of the exchange's tables.
#[derive(Debug)]
pub(super) struct Journal {
    sender: mpsc::Sender<(Work, oneshot::Sender<Said>)>,
}

impl Journal {
    /// Starts the writer; it ends with the last sender.
    pub(super) fn start(store: Arc<SqliteStore>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || write(&store, receiver));
        Journal { sender }
    }

    /// Runs a work in a transaction, perhaps with others'; comes back when it is committed and synced.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let gone = || StoreError::Failed("the writer of short messages is gone".into());
        let place = Arc::new(Mutex::new(None));
        let result = Arc::clone(&place);
        let work: Work = Box::new(move |tables| {
            let value = work(tables)?;
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        });
        let (sender, said) = oneshot::channel();
        self.sender.send((work, sender)).await.map_err(|_| gone())?;
        said.await.map_err(|_| gone())?.map_err(StoreError::Failed)?;
        place.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(gone)
    }
}

fn write(store: &SqliteStore, mut receiver: mpsc::Receiver<(Work, oneshot::Sender<Said>)>) {
    while let Some(first) = receiver.blocking_recv() {
        let mut works = vec![first];
        while works.len() < TOGETHER
            && let Ok(more) = receiver.try_recv()
        {
            works.push(more);
        }
        let (works, waiting): (Vec<_>, Vec<_>) = works.into_iter().unzip();
        let done = store.sms(|tables| works.into_iter().try_for_each(|work| work(tables)));
        let said = done.map_err(|error| error.to_string());
        if let Err(error) = &said {
            tracing::error!(error, works = waiting.len(), "exchange: cannot store");
        }
        for waiter in waiting {
            // Who no longer waits has lost its link.
            let _ = waiter.send(said.clone());
        }
    }
}
