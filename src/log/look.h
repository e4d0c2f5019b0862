/* Looking at a log that lies in files, part by part and in any order: which segments there are, and the records of one of them,
 * everybody's or one actor's. For those who ask about the past.
 *
 * Where a segment has its footer, only the groups are read that it names for the actor. What it does not tell, or what is not as it
 * says, is gone over by a reader (log/log.h): so records and verdicts are the same.
 *
 * It takes no lock and changes nothing. Beside a log that is being written it may be asked for what was on stable storage before it
 * was opened, as long as that is not trimmed: who looks has to see to both.
 *
 * Threads: one at a time, whichever. */
#ifndef PD_LOG_LOOK_H
#define PD_LOG_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "log/log.h"

struct pd_log_look;

/* A segment. What is in it are the records from first_lsn to end_lsn - 1, which may be none. */
struct pd_log_look_segment {
	uint32_t number;
	uint64_t epoch; /* of all that is in it */
	uint64_t first_lsn;
	uint64_t end_lsn; /* UINT64_MAX: the last one, of which only reading tells */
	uint64_t time_us; /* no record before it has a later time, and its own first one has none either */
	uint64_t bytes;   /* of the file */
};

#define PD_LOOK_ALL_ACTORS UINT64_MAX
struct pd_log_look_wish {
	uint64_t from_lsn, to_lsn; /* both inclusive */
	uint64_t actor;            /* records with effects on it; PD_LOOK_ALL_ACTORS: all */
	const uint64_t *actors;    /* several instead of it, ascending */
	size_t actor_count;        /* 0: `actor` */
};

struct pd_log_look_item;

/* What was found in a segment, in the order of the log. It belongs to the caller. */
struct pd_log_look_finds {
	struct pd_log_look_item *items;
	size_t count, capacity;
	struct pd_buffer bytes;
};

/* Of the options it takes os, directory, cluster_id and shard. A directory that is not there is an empty log. PD_NEWER_FORMAT,
 * PD_CORRUPT (another log's files), PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_log_look_new(const struct pd_log_options *options, struct pd_log_look **ret_look,
				  struct pd_error *err);
void pd_log_look_free(struct pd_log_look *look); /* NULL is fine */
/* Beside a log that is being written: what pd_log_open_index() gave, so that the open segment, which has no footer yet, need not be read
 * whole. `index` outlives the look. */
void pd_log_look_set_open(struct pd_log_look *look, uint32_t segment, struct pd_slice index);
/* What looks at one and the same log learn of its segments, to be lent to one after the other, so that the next need not read it again. Not
 * to two at a time, nor to one that looks after the log has begun a life of another process. NULL: out of memory. */
struct pd_log_look_memory *pd_log_look_memory_new(size_t bytes_max);
void pd_log_look_memory_free(struct pd_log_look_memory *memory); /* NULL is fine */
/* Before anything is read. It outlives the look. */
void pd_log_look_set_memory(struct pd_log_look *look, struct pd_log_look_memory *memory);
/* The first record that is there whole; 0: there is none. */
uint64_t pd_log_look_first_lsn(const struct pd_log_look *look);
size_t pd_log_look_count(const struct pd_log_look *look);
void pd_log_look_segment(const struct pd_log_look *look, size_t number,
			 struct pd_log_look_segment *ret_segment);
/* The segment that this LSN is in; of those before the first it is the first, of those behind the last the last. There is one. */
size_t pd_log_look_find(const struct pd_log_look *look, uint64_t lsn);

void pd_log_look_finds_init(struct pd_log_look_finds *finds);
void pd_log_look_finds_done(struct pd_log_look_finds *finds);

/* Find what is wished for in segment `number` of the list. Damage that takes records of it, or of nobody knows whom, is found as
 * well. PD_NO_MEMORY, PD_TOO_LARGE, PD_IO, PD_NEWER_FORMAT. */
PD_MUST_CHECK int pd_log_look_read(struct pd_log_look *look, size_t number,
				   const struct pd_log_look_wish *wish, struct pd_log_look_finds *finds,
				   struct pd_error *err);
/* The nth of what was found: 0 and a record; PD_CORRUPT and damage (whose actors are not listed). Valid until `finds` is used for
 * something else. */
PD_MUST_CHECK int pd_log_look_get(const struct pd_log_look_finds *finds, size_t n,
				  struct pd_record *ret_record, struct pd_log_damage *ret_damage,
				  struct pd_error *err);

/* The last record of the segment, up to to_lsn, that is not later than this. PD_END: none is. What cannot be read counts as not
 * there. */
PD_MUST_CHECK int pd_log_look_last_by(struct pd_log_look *look, size_t number, uint64_t time_us,
				      uint64_t to_lsn, uint64_t *ret_lsn, uint64_t *ret_time_us,
				      struct pd_error *err);
/* How the log ends: goes over the last segments. Nobody writes to it meanwhile. */
PD_MUST_CHECK int pd_log_look_end(struct pd_log_look *look, struct pd_log_end *ret_end, struct pd_error *err);

#endif
