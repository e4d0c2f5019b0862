/* What the files of this room share. */
#ifndef PD_HISTORY_HISTORY_PRIVATE_H
#define PD_HISTORY_HISTORY_PRIVATE_H

#include "history/source.h"
#include "log/look.h"
#include "os/os.h"
#include "store/checkpoint.h"

/* What is looked at together stands on the same checkpoint, or on two: they stay open as long as the history does. */
#define PD_HISTORY_BASES 2u

struct pd_history_base {
	const struct pd_checkpoint *checkpoint; /* NULL: none is open here */
	struct pd_levels *levels;
	unsigned users;
};

/* Where in what was gathered there is a record of the actor. */
struct pd_history_mention {
	uint64_t actor, lsn;
	uint32_t part, item;
};
struct pd_history_part {
	size_t segment; /* by its number in the list */
	struct pd_log_look_finds finds;
};
/* All records of these actors behind from_lsn. */
struct pd_history_gathered {
	uint64_t from_lsn;
	uint64_t *actors;
	size_t actor_count;
	struct pd_history_part *parts;
	size_t part_count;
	struct pd_history_mention *mentions; /* by actor and LSN */
	size_t mention_count, mention_capacity;
};

struct pd_history {
	struct pd_os *os;
	struct pd_log_look *look;
	struct pd_checkpoints *shelf;
	struct pd_history_base bases[PD_HISTORY_BASES];
	struct pd_history_gathered *gathered; /* NULL: nothing was */
	struct pd_moment newest;
	uint64_t now_us;
	size_t memory_max_bytes;
	pd_history_progress *progress;
	void *context;
	uint64_t done_bytes;
};

/* So much more has been read. What `progress` says, in words. */
PD_MUST_CHECK int pd_history_step(struct pd_history *history, uint64_t bytes, struct pd_error *err);
/* The epoch that this LSN was given in, as far as the log has it; 0: it does not. */
uint64_t pd_history_epoch_of(const struct pd_history *history, uint64_t lsn);
/* When the record of this LSN was made. PD_CORRUPT: it cannot be read. */
PD_MUST_CHECK int pd_history_time_of(struct pd_history *history, uint64_t lsn, uint64_t *ret_time_us,
				     struct pd_error *err);
/* A checkpoint's levels, to be read of until they are given back. *ret_lent false: there was no room for them, they are the caller's. */
PD_MUST_CHECK int pd_history_lend(struct pd_history *history, const struct pd_checkpoint *checkpoint,
				  struct pd_levels **ret_levels, bool *ret_lent, struct pd_error *err);
void pd_history_give_back(struct pd_history *history, const struct pd_levels *levels);
/* The newest checkpoint at or before `lsn` from which the log leads on; NULL: none. */
struct pd_checkpoint *pd_history_checkpoint(const struct pd_history *history, uint64_t lsn);
/* Where there is none: would one that could not be read have done? Its code then, and why; 0: no. */
PD_MUST_CHECK int pd_history_unread(const struct pd_history *history, uint64_t lsn, struct pd_error *err);

/* ---- gather.c ---- */
void pd_history_gathered_free(struct pd_history_gathered *gathered); /* NULL is fine */
/* Was all of the actor gathered from this LSN on? Then its mentions up to to_lsn. */
bool pd_history_gathered_find(const struct pd_history *history, uint64_t actor, uint64_t from_lsn,
			      uint64_t to_lsn, size_t *ret_first, size_t *ret_count);

#endif
