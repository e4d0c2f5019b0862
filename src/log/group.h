/* A group: the records that go to the log in one write, as a buffer that is filled in place and sealed.
 *
 *   group     | header 64 B | record … record | originals: 8 B a sector | zeros to the end of the last sector |
 *   sector    | 504 B | stamp 8 B |
 *
 * Sealing overwrites the last 8 bytes of every 512 B sector with a stamp {segment, check} and keeps what was there
 * in the originals (which step over the stamps' own places), as NTFS does with its update sequence array. Opening
 * puts them back, so records stay contiguous in memory. A reader can so tell sector by sector what was written
 * when: the stamp of this segment, of an older one, zeros, or something that nobody ever wrote. */
#ifndef PD_LOG_GROUP_H
#define PD_LOG_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/record.h"

#define PD_SECTOR_SIZE       512u
#define PD_STAMP_SIZE        8u
#define PD_GROUP_HEADER_SIZE 64u
#define PD_GROUP_PAYLOAD_MAX (1024u * 1024) /* a longer record is cut into frames */

enum pd_group_kind {
	PD_GROUP_RECORDS = 1,
	PD_GROUP_SEGMENT = 2,     /* the first of a segment: which log, which segment, which format */
	PD_GROUP_FOOTER = 3,      /* the last of a sealed segment: index by actor */
	PD_GROUP_FRAME_BEGIN = 4, /* the first piece of one record that is larger than a group */
	PD_GROUP_FRAME_MIDDLE = 5,
	PD_GROUP_FRAME_COMMIT = 6, /* the last piece: the record counts from here on */
};

/* A group being filled. Belongs to the engine, which hands it to pd_log_submit() and gets it back from
 * pd_log_reap(). Fields are for reading. */
struct pd_log_group {
	uint8_t *data; /* aligned to 4096; header first */
	size_t size;   /* bytes in use, header included */
	size_t capacity;
	size_t record_start; /* where the record being built begins; 0: none */
	uint64_t first_lsn;
	uint64_t base_time_us;
	uint64_t last_time_us;
	uint32_t record_count;
	enum pd_level level; /* the strongest that a record in it asked for */
	bool sealed;
	/* Whose records are in it, for the segment's index; a run of one actor is listed once. */
	uint64_t *actors;
	size_t actor_count;
	size_t actor_capacity;
	size_t actors_before;      /* how many they were before the record being built */
	struct pd_log_group *next; /* for its owner's lists */
};

struct pd_log_group *pd_log_group_new(void); /* NULL: out of memory */
void pd_log_group_free(struct pd_log_group *group);
/* Make it empty; the next record gets `first_lsn`. Memory beyond 2 MiB is given back. */
void pd_log_group_reset(struct pd_log_group *group, uint64_t first_lsn);

static inline bool pd_log_group_empty(const struct pd_log_group *group)
{
	return group->record_count == 0;
}
static inline uint64_t pd_log_group_last_lsn(const struct pd_log_group *group)
{
	return group->first_lsn + group->record_count - 1;
}

/* ---- building a record in place: begin, effects, then commit or abort ----
 *
 * PD_NO_MEMORY and PD_TOO_LARGE leave the record as it was before the call; abort it then. */

/* `head->time_us` must be later than every record's before it in the log. */
PD_MUST_CHECK int pd_log_record_begin(struct pd_log_group *group, const struct pd_record_head *head);
/* The key and the value may each come in two parts. *ret_entry points at the effect, which is a memtable entry,
 * until the next call on this group. expires_us 0: never. */
PD_MUST_CHECK int pd_log_record_put(struct pd_log_group *group, uint8_t type, uint64_t expires_us,
				    struct pd_slice key, struct pd_slice value, const uint8_t **ret_entry);
PD_MUST_CHECK int pd_log_record_delete(struct pd_log_group *group, struct pd_slice key);
PD_MUST_CHECK int pd_log_record_delete_range(struct pd_log_group *group, struct pd_slice from,
					     struct pd_slice to);
PD_MUST_CHECK int pd_log_record_actor(struct pd_log_group *group, uint64_t tenant, uint64_t actor);
/* Change the level that stands in the record being built. */
void pd_log_record_set_level(struct pd_log_group *group, enum pd_level level);
/* Returns the record's LSN. */
uint64_t pd_log_record_commit(struct pd_log_group *group);
void pd_log_record_abort(struct pd_log_group *group);

#endif
