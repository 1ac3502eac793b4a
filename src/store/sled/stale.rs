//! Deliveries that came too late to be believed, and that a person may let in: whole, sealed, few, and not for long.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::keys::{self, Tree};
use super::read;
use super::sealed;
use super::store::SledStore;
use super::tx::Tx;
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::time::Time;
use crate::failpoint::Step;
use crate::secrets::{Keyring, Sealed};
use crate::store::codec;
use crate::store::verbs::{Changed, Rejected, StoreError};

use super::intake;

/// How many are kept; the oldest makes room.
const KEPT: u64 = 100;
/// After that only the line in the list is left.
const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// Of a body: sealed and written twice as base64 it still is a value of the store.
const PIECE_BYTES: usize = 8 * 1024;

/// How many pieces a body lies in.
fn pieces(event: &Event) -> u16 {
    u16::try_from((event.body_bytes as usize).div_ceil(PIECE_BYTES)).unwrap_or(u16::MAX)
}

/// Keeps a refused delivery with all that is needed to let it in.
pub fn keep(
    rejected: Rejected,
    mut event: Event,
    body: &Bytes,
    keyring: &Keyring,
) -> Result<impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + use<>, StoreError> {
    sealed::close(&mut event, keyring)?;
    let record = codec::encode(&event)?;
    let seal = |piece: &[u8]| Ok::<_, StoreError>(Sealed::seal(keyring, &STANDARD.encode(piece))?.to_text().into_bytes());
    let sealed: Vec<Vec<u8>> = body.chunks(PIECE_BYTES).map(seal).collect::<Result<_, _>>()?;
    let id = event.id;
    Ok(move |tx: &mut Tx<'_>| {
        let next = tx.number(Tree::Meta, keys::HELD_NEXT)?;
        let slot = keys::held(next.unsigned_abs() % KEPT);
        if let Some(oldest) = tx.read::<Rejected>(Tree::Meta, &slot)? {
            forget(tx, &oldest)?;
        }
        tx.write(Tree::Meta, slot, &rejected)?;
        tx.write_raw(Tree::Meta, keys::HELD_NEXT.to_vec(), (next + 1).to_be_bytes().to_vec());
        tx.write_raw(Tree::Meta, keys::held_event(id), record);
        for (n, piece) in (0..).zip(sealed) {
            tx.write_raw(Tree::Meta, keys::held_piece(id, n), piece);
        }
        tx.count(&rejected.workspace, &format!("rejected.{}", rejected.code), 1)
    })
}

/// Removes what a delivery would be let in with.
fn forget(tx: &mut Tx<'_>, rejected: &Rejected) -> Result<(), StoreError> {
    let Some(id) = rejected.held.filter(|_| rejected.let_in.is_none()) else { return Ok(()) };
    let Some(event) = tx.read::<Event>(Tree::Meta, &keys::held_event(id))? else { return Ok(()) };
    for n in 0..pieces(&event) {
        tx.remove(Tree::Meta, keys::held_piece(id, n));
    }
    tx.remove(Tree::Meta, keys::held_event(id));
    Ok(())
}

/// A delivery as it is to be let in.
pub struct Opened {
    /// Where it stands in the list.
    slot: Vec<u8>,
    /// What it is let in with, as long as it was not.
    whole: Option<(Event, Bytes)>,
}

/// Reads a delivery that is kept whole.
pub fn open(store: &SledStore, id: EventId) -> Result<Option<Opened>, StoreError> {
    let trees = store.trees()?;
    let rows: Vec<(Vec<u8>, Rejected)> = read::under(store, Tree::Meta, keys::HELD, keys::HELD.len() + 8)?;
    let Some((slot, _)) = rows.into_iter().find(|(_, rejected)| rejected.held == Some(id)) else { return Ok(None) };
    let get = |key: &[u8]| trees.get(Tree::Meta, key).map_err(|error| StoreError::Broken(error.to_string()));
    let Some(bytes) = get(&keys::held_event(id))? else { return Ok(Some(Opened { slot, whole: None })) };
    let event = sealed::open(codec::decode::<Event>(&bytes)?, &trees.keys)?;
    let mut body = Vec::with_capacity(event.body_bytes as usize);
    for n in 0..pieces(&event) {
        let damaged = || StoreError::Record(format!("the body of the refused delivery {id} is not whole"));
        let piece = sealed::text(&get(&keys::held_piece(id, n))?.ok_or_else(damaged)?, &trees.keys)?;
        body.extend(STANDARD.decode(piece).map_err(|_| damaged())?);
    }
    Ok(Some(Opened { slot, whole: Some((event, body.into())) }))
}

/// Stores it as the event it would have been: the same step that takes any other.
pub fn let_in(tx: &mut Tx<'_>, now: Time, id: EventId, opened: Option<Opened>, keyring: &Keyring) -> Result<Changed, StoreError> {
    let Some(Opened { slot, whole }) = opened else { return Ok(Changed::NotFound) };
    // Another may lie there by now.
    let Some(mut rejected) = tx.read::<Rejected>(Tree::Meta, &slot)?.filter(|rejected| rejected.held == Some(id)) else { return Ok(Changed::NotFound) };
    if rejected.let_in.is_some() {
        return Ok(Changed::Denied("it was let in before".to_owned()));
    }
    let Some((mut event, body)) = whole else { return Ok(Changed::NotFound) };
    forget(tx, &rejected)?;
    rejected.let_in = Some(now);
    tx.write(Tree::Meta, slot, &rejected)?;
    event.let_in = Some(now);
    intake::accept(now, event, body, tx.epoch, keyring)?(tx)?;
    Ok(Changed::Ok)
}

/// The lines of the list whose delivery can be, or was, let in.
pub fn list(store: &SledStore) -> Result<Vec<Rejected>, StoreError> {
    Ok(read::under(store, Tree::Meta, keys::HELD, keys::HELD.len() + 8)?.into_iter().map(|(_, rejected)| rejected).collect())
}

impl SledStore {
    /// Drops the bodies whose time is over; gives their number.
    pub(super) async fn prune_held(&self, now: Time) -> Result<usize, StoreError> {
        let over = move |rejected: &Rejected| rejected.held.is_some() && rejected.let_in.is_none() && now.since(rejected.at) >= KEPT_FOR;
        let rows: Vec<(Vec<u8>, Rejected)> = read::under(self, Tree::Meta, keys::HELD, keys::HELD.len() + 8)?;
        let slots: Vec<Vec<u8>> = rows.into_iter().filter(|(_, rejected)| over(rejected)).map(|(slot, _)| slot).collect();
        let dropped = slots.len();
        for slot in slots {
            self.committer
                .run(Step::Prune, move |tx| {
                    // A person may have let it in since it was read.
                    let Some(mut rejected) = tx.read::<Rejected>(Tree::Meta, &slot)?.filter(over) else { return Ok(()) };
                    forget(tx, &rejected)?;
                    rejected.held = None;
                    tx.write(Tree::Meta, slot, &rejected)
                })
                .await?;
        }
        Ok(dropped)
    }
}
