/* What the files share that look at parts of the log: file_look.c finds records, look_source.c and look_index.c have the segments'
 * indexes, file_copy.c copies segments. */
#ifndef PD_LOG_LOOK_PRIVATE_H
#define PD_LOG_LOOK_PRIVATE_H

#include "base/assert.h"
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

/* A segment that is looked at. */
struct pd_look_source {
	const struct pd_log_look *look;
	struct pd_os_file *handle; /* NULL: nothing was read yet */
	const struct pd_segment *segment;
	struct pd_location location;
	uint64_t sectors;
};

static inline const struct pd_segment *pd_look_segment_at(const struct pd_log_look *look, size_t number)
{
	PD_ASSERT(number < look->count);
	return &look->file->segments[look->segments[number]];
}

/* ---- look_source.c ---- */
/* Read `count` sectors. PD_LOOK_JUDGE: there are not so many any more. */
PD_MUST_CHECK int pd_look_read_sectors(struct pd_look_source *source, uint64_t sector, uint64_t count,
				       struct pd_aligned *memory, struct pd_error *err);
/* The group of this extent into look->group, header and all, found to be whole, if it is not the one that was read last. */
PD_MUST_CHECK int pd_look_read_group(struct pd_log_look *look, struct pd_look_source *source,
				     const struct pd_look_extent *extent, struct pd_group_header *ret_header,
				     struct pd_error *err);
/* The index of the segment, which reaches to that LSN. PD_LOOK_JUDGE: there is none that can be relied on. The source's handle is to be
 * closed, after an error, too. */
PD_MUST_CHECK int pd_look_find_index(struct pd_log_look *look, size_t number, uint64_t to_lsn,
				     struct pd_look_source *source, struct pd_look_index **ret_index,
				     struct pd_error *err);

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
