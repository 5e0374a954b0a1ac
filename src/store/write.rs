//! How every write of a daemon is done: one transaction that proves the site's fence first.
//! Touches the lease through `check_fence` only; what is written is the aggregates' business.

use std::sync::Arc;

use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};

use tokio::sync::OnceCell;

use super::connect::{Lane, Store};
use super::error::{Doing, StoreError};
use super::lease::check_fence;
use crate::model::identity::Lineage;
use crate::model::ids::Fence;

/// The writing side of the store, for the daemon that holds `site`'s lease. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) store: Store,
    pub(crate) site: String,
    pub(crate) fence: Fence,
    /// Who the database is, once it was asked.
    pub(crate) lineage: Arc<OnceCell<Lineage>>,
}

impl Store {
    /// The writing side. Writes fail with [`StoreError::LeaseLost`] once `fence` is no longer the site's.
    pub fn writer(&self, site: impl Into<String>, fence: Fence) -> Writer {
        Writer { store: self.clone(), site: site.into(), fence, lineage: Arc::default() }
    }
}

impl Writer {
    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The fence that every write proves.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The same writer through the connections of another lane.
    #[must_use]
    pub fn on(&self, lane: Lane) -> Writer {
        Writer { store: self.store.on(lane), ..self.clone() }
    }

    /// Begins a transaction whose fence is proven and stays so until it ends.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        let mut transaction = Transaction { open: Some(self.store.conn().await?), weight: Weight::Light };
        AnsiTransactionManager::begin_transaction(transaction.conn())
            .await
            .doing("beginning a transaction")?;
        if let Err(error) = check_fence(transaction.conn(), &self.site, self.fence).await {
            if matches!(error, StoreError::LeaseLost { .. }) {
                transaction.roll_back().await?;
            }
            return Err(error);
        }
        Ok(transaction)
    }
}

/// An open transaction on a connection of its own.
///
/// Dropped without an end, its connection is thrown away at once, which rolls back and frees its locks. Given back to
/// the pool it would keep them until the server lost patience.
pub(crate) struct Transaction {
    open: Option<Object<AsyncPgConnection>>,
    weight: Weight,
}

/// How much is sent over a connection at once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Weight {
    /// As usual.
    #[default]
    Light,
    /// So much that the connection's buffers are not worth keeping.
    Heavy,
}

impl Transaction {
    /// The connection that the transaction is open on.
    pub(crate) fn conn(&mut self) -> &mut AsyncPgConnection {
        self.open.as_mut().expect("only `commit` and `roll_back` take it, and they take the transaction too")
    }

    /// What is sent in it: after a heavy one the connection is given up.
    pub(crate) fn carries(&mut self, weight: Weight) {
        self.weight = weight;
    }

    /// Makes everything written last.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        AnsiTransactionManager::commit_transaction(self.conn()).await.doing("committing")?;
        self.give_back();
        Ok(())
    }

    /// Undoes everything, and keeps the connection for others.
    pub(crate) async fn roll_back(mut self) -> Result<(), StoreError> {
        AnsiTransactionManager::rollback_transaction(self.conn()).await.doing("rolling back")?;
        self.give_back();
        Ok(())
    }

    fn give_back(&mut self) {
        match self.weight {
            Weight::Light => self.open = None,
            Weight::Heavy => drop(self.open.take().map(Object::take)),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // `give_back` has put the connection back into the pool; what is still here must not go there.
        drop(self.open.take().map(Object::take));
    }
}
