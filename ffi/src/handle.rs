//! The handle table. What C holds as a pointer is a number: kind, generation and index of a slot. It is
//! looked up and never followed, so a handle that is stale, foreign, of another kind or freed twice is
//! `BAD_HANDLE` and nothing worse.

use crate::boundary::null;
use libvision::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use std::sync::Arc;

const _: () = assert!(usize::BITS == 64, "a handle needs 64 bits");

// Bits 63..56 say that this is a handle, and of which kind; 55..28 are the generation, 27..0 the index.
// No user space has addresses that start like this, so following one by mistake faults at once.
const MARK: usize = 0x50;
const FIELD_BITS: u32 = 28;
const FIELD_MAX: usize = (1 << FIELD_BITS) - 1;

/// What a handle stands for. The numbers are part of handles, which no caller may keep across processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model = 1,
    Engine = 2,
    Pending = 3,
    Result = 4,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Model, Kind::Engine, Kind::Pending, Kind::Result];

    fn type_name(self) -> &'static str {
        match self {
            Kind::Model => "vision_model_t",
            Kind::Engine => "vision_engine_t",
            Kind::Pending => "vision_pending_t",
            Kind::Result => "vision_result_t",
        }
    }
}

/// A type that C knows by name only. The table owns the object; a call that uses it holds it too.
pub(crate) trait Handle: Sized + 'static {
    type Object: Send + Sync + 'static;
    const KIND: Kind;
    fn table() -> &'static Table<Self::Object>;
}

/// The objects of one kind that C holds.
pub(crate) struct Table<T> {
    slots: RwLock<Slots<T>>,
}

struct Slots<T> {
    slots: Vec<Slot<T>>,
    vacant: Vec<usize>,
}

struct Slot<T> {
    generation: usize,
    object: Option<Arc<T>>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: RwLock::new(Slots { slots: Vec::new(), vacant: Vec::new() }) }
    }

    fn insert(&self, object: T) -> Result<(usize, usize)> {
        let mut guard = self.slots.write();
        let Slots { slots, vacant } = &mut *guard;
        let index = match vacant.pop() {
            Some(index) => index,
            None if slots.len() > FIELD_MAX => {
                return Err(Error::new(ErrorKind::OutOfMemory, "too many live handles; free some"));
            }
            None => {
                slots.push(Slot { generation: 1, object: None });
                slots.len() - 1
            }
        };
        slots[index].object = Some(Arc::new(object));
        Ok((slots[index].generation, index))
    }

    fn get(&self, generation: usize, index: usize) -> Option<Arc<T>> {
        let guard = self.slots.read();
        let slot = guard.slots.get(index).filter(|slot| slot.generation == generation)?;
        slot.object.clone()
    }

    fn remove(&self, generation: usize, index: usize) -> Option<Arc<T>> {
        let mut guard = self.slots.write();
        let slot = guard.slots.get_mut(index).filter(|slot| slot.generation == generation)?;
        let object = slot.object.take()?;
        slot.generation += 1;
        // A slot that has used up its generations stays empty: no number may ever mean two objects.
        if slot.generation <= FIELD_MAX {
            guard.vacant.push(index);
        }
        Some(object)
    }
}

/// Puts an object into its table.
pub(crate) fn insert<H: Handle>(object: H::Object) -> Result<*mut H> {
    let (generation, index) = H::table().insert(object)?;
    let value = (MARK | H::KIND as usize) << (2 * FIELD_BITS) | generation << FIELD_BITS | index;
    Ok(std::ptr::without_provenance_mut(value))
}

/// The object behind a handle; NULL is `INVALID_ARGUMENT`. `name` is the argument's.
pub(crate) fn get<H: Handle>(handle: *const H, name: &str) -> Result<Arc<H::Object>> {
    let (generation, index) = unpack(handle, name)?.ok_or_else(|| null(name))?;
    H::table().get(generation, index).ok_or_else(|| freed::<H>(name))
}

/// Takes the object out of its table; `None` for NULL. From now on the handle is stale.
pub(crate) fn remove<H: Handle>(handle: *mut H, name: &str) -> Result<Option<Arc<H::Object>>> {
    match unpack(handle.cast_const(), name)? {
        None => Ok(None),
        Some((generation, index)) => {
            H::table().remove(generation, index).map(Some).ok_or_else(|| freed::<H>(name))
        }
    }
}

fn unpack<H: Handle>(handle: *const H, name: &str) -> Result<Option<(usize, usize)>> {
    let value = handle.addr();
    if value == 0 {
        return Ok(None);
    }
    let tag = value >> (2 * FIELD_BITS);
    if tag == MARK | H::KIND as usize {
        return Ok(Some((value >> FIELD_BITS & FIELD_MAX, value & FIELD_MAX)));
    }
    let expected = H::KIND.type_name();
    let found = match Kind::ALL.into_iter().find(|&kind| tag == MARK | kind as usize) {
        Some(kind) => kind.type_name(),
        None => "no handle of this library",
    };
    Err(Error::new(ErrorKind::BadHandle, format!("{name}: expected a {expected}, found {found}")))
}

fn freed<H: Handle>(name: &str) -> Error {
    let expected = H::KIND.type_name();
    Error::new(ErrorKind::BadHandle, format!("{name}: this {expected} was freed, or never made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word;
    struct Number;

    impl Handle for Word {
        type Object = String;
        const KIND: Kind = Kind::Model;
        fn table() -> &'static Table<String> {
            static TABLE: Table<String> = Table::new();
            &TABLE
        }
    }

    impl Handle for Number {
        type Object = u32;
        const KIND: Kind = Kind::Result;
        fn table() -> &'static Table<u32> {
            static TABLE: Table<u32> = Table::new();
            &TABLE
        }
    }

    #[test]
    fn a_handle_finds_its_object_until_it_is_freed_and_never_after() {
        let first = insert::<Word>("first".into()).unwrap();
        assert_eq!(*get(first.cast_const(), "word").unwrap(), "first");
        let held = get(first.cast_const(), "word").unwrap();
        assert!(remove(first, "word").unwrap().is_some());
        assert_eq!(*held, "first");
        for _ in 0..3 {
            let next = insert::<Word>("next".into()).unwrap();
            assert_ne!(next, first);
            assert_eq!(get(first.cast_const(), "word").unwrap_err().kind(), ErrorKind::BadHandle);
            assert_eq!(remove(first, "word").unwrap_err().kind(), ErrorKind::BadHandle);
            assert_eq!(*get(next.cast_const(), "word").unwrap(), "next");
            remove(next, "word").unwrap();
        }
    }

    #[test]
    fn null_is_an_argument_error_for_use_and_fine_for_free() {
        assert_eq!(get::<Word>(std::ptr::null(), "word").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(remove::<Word>(std::ptr::null_mut(), "word").unwrap().is_none());
    }

    #[test]
    fn other_kinds_addresses_and_any_altered_bit_are_refused() {
        let number = insert::<Number>(7).unwrap();
        let error = get(number.cast_const().cast::<Word>(), "model").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadHandle);
        assert_eq!(error.message(), "model: expected a vision_model_t, found vision_result_t");
        let local = 0u32;
        let error = get((&raw const local).cast::<Number>(), "result").unwrap_err();
        assert_eq!(error.message(), "result: expected a vision_result_t, found no handle of this library");
        for bit in 0..usize::BITS {
            let altered = std::ptr::without_provenance::<Number>(number.addr() ^ 1 << bit);
            assert_eq!(get(altered, "result").unwrap_err().kind(), ErrorKind::BadHandle, "bit {bit}");
        }
        remove(number, "result").unwrap();
    }

    #[test]
    fn a_slot_without_generations_left_is_not_used_again() {
        let table = Table::new();
        let (_, index) = table.insert('a').unwrap();
        table.slots.write().slots[index].generation = FIELD_MAX;
        assert_eq!(table.remove(FIELD_MAX, index).as_deref(), Some(&'a'));
        let (generation, next) = table.insert('b').unwrap();
        assert_ne!(next, index);
        assert_eq!(table.get(generation, next).as_deref(), Some(&'b'));
        assert!(table.get(FIELD_MAX + 1, index).is_none());
    }
}
