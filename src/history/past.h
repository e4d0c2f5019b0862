/* The state of one actor at a moment: made of the newest checkpoint before it, opened for reading, and of the actor's records from
 * there on. What others have or did costs nothing.
 *
 * What has expired by the moment's time is not told; the hash has it all the same, as state has it until it is removed.
 *
 * Threads: as its history. What is read is valid until pd_past_forget() or the end. */
#ifndef PD_HISTORY_PAST_H
#define PD_HISTORY_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "history/source.h"
#include "store/store.h"

struct pd_past;

struct pd_past_cursor {
	struct pd_past *past;
	struct pd_store_cursor cursor;
};

/* An actor that was not there then has nothing. PD_NOT_FOUND: no checkpoint reaches back so far; PD_IO: or the one that does cannot be read; PD_CORRUPT: records of the actor's
 * that cannot be read, or the checkpoint's files; PD_TOO_LARGE: more changed since the checkpoint than there is memory for;
 * PD_NO_MEMORY, PD_IO, what the history's progress says. */
PD_MUST_CHECK int pd_past_open(struct pd_history *history, uint64_t actor, const struct pd_moment *moment,
			       struct pd_past **ret_past, struct pd_error *err);
/* The same of a store that somebody has open at that moment and nobody changes, without a history: pasts of one store one at a time, and closed before it is. `progress`
 * (NULL is fine) is called while a hash is made. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_past_of_store(struct pd_store *store, uint64_t actor, const struct pd_moment *moment,
				   pd_history_progress *progress, void *context, struct pd_past **ret_past,
				   struct pd_error *err);
void pd_past_close(struct pd_past *past); /* NULL is fine; before the history is closed */
struct pd_moment pd_past_moment(const struct pd_past *past);
/* Keys, with those that had expired and were not removed yet. */
uint64_t pd_past_key_count(const struct pd_past *past);
/* May anything in it expire? */
bool pd_past_has_expiring(const struct pd_past *past);

/* Keys as the store has them. 1: found, 0: not there. */
PD_MUST_CHECK int pd_past_get(struct pd_past *past, struct pd_slice key, struct pd_entry *ret_entry,
			      struct pd_error *err);
/* The same with what had expired by then and was not removed yet. */
PD_MUST_CHECK int pd_past_get_kept(struct pd_past *past, struct pd_slice key, struct pd_entry *ret_entry,
				   struct pd_error *err);
/* Go to the first key in [from, to); `to` size 0: to the end. */
void pd_past_seek(struct pd_past *past, struct pd_slice from, struct pd_slice to,
		  struct pd_past_cursor *ret_cursor);
/* 1: the entry, valid until the next call on this cursor; 0: the end. */
PD_MUST_CHECK int pd_past_next(struct pd_past_cursor *cursor, struct pd_entry *ret_entry,
			       struct pd_error *err);
/* The same with what had expired by then and was not removed yet: all that state had. */
PD_MUST_CHECK int pd_past_next_kept(struct pd_past_cursor *cursor, struct pd_entry *ret_entry,
				    struct pd_error *err);
/* The first `max` bytes, or all there are, of a string that was told, large or not: into `into`, emptied first. */
PD_MUST_CHECK int pd_past_string(struct pd_past *past, const struct pd_entry *entry, uint64_t max,
				 struct pd_buffer *into, struct pd_error *err);
/* A hash of all bytes of a string that was told. */
PD_MUST_CHECK int pd_past_string_hash(struct pd_past *past, const struct pd_entry *entry,
				      struct pd_hash128 *ret_hash, struct pd_error *err);
/* Give the memory of what was read back: all entries and cursors are void. */
void pd_past_forget(struct pd_past *past);
/* What pd_engine_state_hash() gave at that moment. *ret_own (may be NULL): what it would have been without relations to others. */
PD_MUST_CHECK int pd_past_hash(struct pd_past *past, struct pd_hash128 *ret_hash, struct pd_hash128 *ret_own,
			       struct pd_error *err);

/* One entry as it was, without all of the rest: found by walking back from the moment. */
struct pd_past_value {
	bool there;
	struct pd_entry entry; /* its slices are in `bytes` */
	struct pd_buffer bytes;
};
/* *ret_value is to be given back with pd_past_value_done(), after an error, too. Errors as above. */
PD_MUST_CHECK int pd_past_peek(struct pd_history *history, uint64_t actor, const struct pd_moment *moment,
			       struct pd_slice key, struct pd_past_value *ret_value, struct pd_error *err);
void pd_past_value_done(struct pd_past_value *value);

/* ---- names, as they were: names.c ---- */
PD_MUST_CHECK int pd_past_tenant(struct pd_history *history, struct pd_slice tenant,
				 const struct pd_moment *moment, uint64_t *ret_tenant, struct pd_error *err);
/* The actor of that name in that tenant, and the LSN that gave it the name. PD_NOT_THEN: there was none. Errors as above. */
PD_MUST_CHECK int pd_past_actor(struct pd_history *history, struct pd_slice tenant, struct pd_slice name,
				const struct pd_moment *moment, uint64_t *ret_actor, uint64_t *ret_lsn,
				struct pd_error *err);
/* The actor of that name that was dropped last, and the last moment at which it was there. PD_NOT_FOUND: as far back as one can go
 * there is none. */
PD_MUST_CHECK int pd_past_dropped(struct pd_history *history, struct pd_slice tenant, struct pd_slice name,
				  uint64_t *ret_actor, struct pd_moment *ret_moment, struct pd_error *err);

#endif
