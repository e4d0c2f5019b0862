/* What the files share that look at parts of the log: file_look.c finds records, look_index.c has the segments' indexes, file_copy.c
 * copies segments. */
#ifndef PD_LOG_LOOK_PRIVATE_H
#define PD_LOG_LOOK_PRIVATE_H

#include "log/file/file_private.h"
#include "log/look.h"

#define PD_LOOK_JUDGE 1 /* what is there is not as it should be: let a reader see */

/* A group as the index has it. */
struct pd_look_extent {
	uint64_t first_lsn, sector;
	uint32_t sectors, records;
	size_t actors; /* where in the bytes they are listed */
};

/* What is known of the groups of a segment. */
struct pd_look_index {
	uint32_t segment;
	bool whole;             /* to where the segment ends: nothing is added any more */
	struct pd_buffer bytes; /* as a footer has them: docs/format/log.md */
	struct pd_look_extent *extents;
	size_t count, capacity;
	size_t taken;                 /* of the bytes, into extents */
	uint64_t end_lsn, end_sector; /* of what the extents have */
	uint64_t used;                /* when it was asked for last */
};

struct pd_log_look {
	struct pd_log *log; /* opened, and never begun */
	struct pd_log_file *file;
	size_t *segments; /* those with a head, as indexes into the file's */
	size_t count;
	struct pd_aligned tail;  /* a footer … */
	struct pd_aligned group; /* … and a group: */
	uint32_t group_segment;  /* where it is from, found to be whole; 0: nowhere */
	uint64_t group_sector;
	struct pd_group_header group_header;
	uint32_t open_segment; /* whose index is known without a footer; 0: none */
	struct pd_slice open_index;
	struct pd_log_look_memory *memory; /* own, or lent */
	bool memory_lent;
};

/* ---- look_index.c ---- */
/* Bytes that follow those that it has. PD_LOOK_JUDGE: they make no sense; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_look_index_add(struct pd_look_index *index, struct pd_slice bytes, uint64_t sectors_max);
/* The first extent that has this LSN or a later one; `count`: none. */
size_t pd_look_index_find(const struct pd_look_index *index, uint64_t lsn);
/* May the group have records that are wished for? */
bool pd_look_index_wants(const struct pd_look_index *index, const struct pd_look_extent *extent,
			 const struct pd_log_look_wish *wish);
bool pd_look_wish_has(const struct pd_log_look_wish *wish, uint64_t actor);
/* NULL: it is not there. Good until the next that is added. */
struct pd_look_index *pd_look_memory_get(struct pd_log_look_memory *memory, uint32_t segment);
/* An empty one of a segment that has none. NULL: out of memory. */
struct pd_look_index *pd_look_memory_add(struct pd_log_look_memory *memory, uint32_t segment,
					 uint64_t first_lsn);
void pd_look_memory_forget(struct pd_log_look_memory *memory, uint32_t segment);
/* Let go what is too much, but for what was asked for last. */
void pd_look_memory_bound(struct pd_log_look_memory *memory);

#endif
