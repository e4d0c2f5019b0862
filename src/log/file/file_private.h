/* The file backend: segments in a directory. Shared by its reader, its writer and its space keeper.
 *
 *   0000000001.seg   sealed: head, groups, footer
 *   0000000002.seg   open: head, groups, zeros (or what an earlier life of the file left)
 *   0000000003.new   being filled with zeros, the next segment
 *   0000000001.old   trimmed, kept for reuse
 */
#ifndef PD_LOG_FILE_PRIVATE_H
#define PD_LOG_FILE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/group_private.h"
#include "log/log.h"
#include "os/os.h"

/* A segment that is there. */
struct pd_segment {
	uint32_t number;
	bool headed;       /* its first group's header holds: first_lsn and first_frame in `head` are right */
	bool head_damaged; /* not all of its first group is as it was written; else without `headed`: never begun */
	/* Without a head, the first group tells where the segment begins. If that group is not the beginning of its epoch,
	 * then at least one record of it came before, and this is the epoch; else 0. */
	uint64_t headless_epoch;
	bool unused;      /* without a head, and no group in it */
	uint64_t size;    /* bytes of the file */
	uint64_t epoch;   /* of its first group; 0: none was seen */
	uint64_t time_us; /* of its first group: no record of an earlier segment has a later one */
	struct pd_segment_head head;
};

/* A segment being made ready on another thread. */
struct pd_spare {
	struct pd_os_task *task;
	struct pd_os *os;
	char *path;
	uint32_t size;
	bool refuse_direct;
	bool ready;
	int result;
	struct pd_error err;
};

/* Memory that direct I/O takes. */
struct pd_aligned {
	uint8_t *data;
	size_t size;
};

/* A group on its way to the disk. */
struct pd_flight {
	struct pd_log_group *group;
	uint64_t last_lsn;
	uint64_t started_ns;
	bool lone; /* nothing else was in flight when it took off */
	bool done;
};

/* A sync on another thread. */
struct pd_background_sync {
	struct pd_os_task *task; /* NULL: none */
	struct pd_os *os;
	struct pd_os_file *file;
	uint64_t covers_lsn; /* written when it began */
	uint64_t took_ns;
	int result;
	struct pd_error err;
};

struct pd_log_file {
	struct pd_log log; /* first */
	struct pd_log_options options;
	struct pd_os *os;
	char *directory;
	char *segment_path; /* of the segment being begun: that takes no memory */

	struct pd_segment *segments; /* by number */
	size_t segment_count, segment_capacity;

	/* What a reader found at the end, for begin. */
	bool read_to_end;
	struct pd_log_end end;
	uint32_t end_crc;
	uint32_t soft_segment; /* its groups in these sectors may be only in the page cache; 0: none */
	uint64_t soft_from, soft_end;

	/* The segment being written. */
	struct pd_os_file *synced; /* direct and synced: one write is one durable group; NULL where refused */
	struct pd_os_file *buffered; /* through the page cache, for groups that need not be synced at once */
	struct pd_location location;
	uint32_t unit;   /* sectors that a write is a multiple of */
	uint64_t sector; /* the next to write */
	uint32_t previous_crc;
	bool unsynced;                  /* something went through `buffered` since the last sync */
	struct pd_buffer index;         /* of this segment, the footer's payload in the making */
	struct pd_aligned head_buffer;  /* for heads and footers … */
	struct pd_aligned piece_buffer; /* … and for frames, which a footer may come between */

	struct pd_log_group *finished, *finished_last;

	struct pd_background_sync background;
	uint64_t sync_ns; /* what a synced write takes that has the disk to itself; 0: not measured */

	/* Several writes in flight, for disks on which a sync takes long; NULL: one at a time. */
	struct pd_os_queue *queue;
	struct pd_flight *flights; /* a ring of `depth` */
	unsigned depth, flight_head, flight_count;
	unsigned since_lone;  /* flights since one was alone */
	bool flying;          /* groups go through the queue */
	bool queue_refused;   /* there is none to be had */
	uint32_t device_unit; /* sectors that any write must be a multiple of */

	/* Space. */
	struct pd_spare **spares; /* ready or in the making, used from the front */
	size_t spare_count;
	uint64_t retry_space_ns;     /* after a full disk, not before this time … */
	struct pd_error space_error; /* … and this is why */
	uint32_t last_number;        /* the highest segment number given */
	struct pd_error trim_error;  /* code 0, or why no more segments are let go in this process */
	bool prepared;               /* leftovers are gone, the first spare is on its way */
	uint32_t spares_begun;       /* names them */
};

/* ---- file.c ---- */
/* pd_log_file_open(); `known` (NULL is fine) was opened on the same log before: what it has of sealed segments is not read again. */
PD_MUST_CHECK int pd_file_open_known(const struct pd_log_options *options, const struct pd_log_file *known,
				     struct pd_log **ret_log, struct pd_error *err);
/* "0000000012.seg" -> 12; 0: not a segment's name. */
uint32_t pd_file_segment_number(const char *name);
char *pd_file_path(const struct pd_log_file *file, uint32_t number, const char *suffix); /* NULL: no memory */
/* Of a segment; good until the next call. */
const char *pd_file_segment_path(struct pd_log_file *file, uint32_t number);
/* Room in the list for so many more segments. */
PD_MUST_CHECK int pd_file_more_segments(struct pd_log_file *file, size_t count, struct pd_error *err);
/* Fence the log for good. Returns PD_FENCED. */
int pd_file_fence(struct pd_log_file *file, const struct pd_error *cause);

/* ---- file_space.c ---- */
int pd_file_space_prepare(struct pd_log_file *file, size_t count, bool wait, struct pd_error *err);
/* Turn the first spare, which must be ready, into segment `number`. */
int pd_file_space_take(struct pd_log_file *file, uint32_t number, struct pd_error *err);
void pd_file_space_done(struct pd_log_file *file);
int pd_file_reserve(struct pd_log *log, uint64_t bytes, struct pd_error *err);
int pd_file_trim(struct pd_log *log, uint64_t lsn, struct pd_error *err);
uint64_t pd_file_bytes_since(const struct pd_log *log, uint64_t lsn);
/* Where the log begins, as its segments say; 0: none says it. */
uint64_t pd_file_first_lsn(const struct pd_log_file *file);
/* The oldest segment is another one: the log says where it begins, and when. */
void pd_file_note_first(struct pd_log_file *file);
PD_MUST_CHECK int pd_file_add_segment(struct pd_log_file *file, const struct pd_segment *segment,
				      struct pd_error *err);

/* ---- file_begin.c ---- */
int pd_file_prepare(struct pd_log *log, struct pd_error *err);
/* Segments at the end that hold nothing. */
PD_MUST_CHECK int pd_file_remove_unused(struct pd_log_file *file, struct pd_error *err);
/* Make sure that what was read is on stable storage. A process that was killed leaves groups in the page cache; after
 * a failed sync they may be there, look clean, and never reach the disk: so they are written again. */
PD_MUST_CHECK int pd_file_harden(struct pd_log_file *file, struct pd_error *err);

/* ---- file_write.c ---- */
#define PD_INDEX_SHARE 16 /* one group's actors may take this part of a segment in its index */
/* The largest payload of one group: small segments take small groups. */
size_t pd_file_piece_max(const struct pd_log_file *file);
int pd_file_begin(struct pd_log *log, uint64_t time_us, struct pd_error *err);
int pd_file_submit(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync);
int pd_file_reap(struct pd_log *log, bool wait, struct pd_log_group **ret_groups);
/* Have the memory that writing `bytes` of records takes, in writes of multiples of `unit` sectors; with `rolls`, in this segment and so
 * many more. */
PD_MUST_CHECK int pd_file_write_memory(struct pd_log_file *file, uint64_t bytes, uint32_t unit, size_t rolls,
				       struct pd_error *err);
/* Sync, seal and close the open segment. */
int pd_file_finish(struct pd_log_file *file, struct pd_error *err);
/* Sectors still free in the open segment, the footer's own set aside. */
uint64_t pd_file_room(const struct pd_log_file *file, size_t index_growth);

/* ---- file_sync.c: syncing what went through the page cache ---- */
int pd_file_sync(struct pd_log *log);
int pd_file_sync_begin(struct pd_log *log);
/* Sync now; a background sync that is running is waited for first. */
PD_MUST_CHECK int pd_file_sync_buffered(struct pd_log_file *file, struct pd_error *err);
/* Wait for the background sync, if one is running. */
PD_MUST_CHECK int pd_file_sync_join(struct pd_log_file *file, struct pd_error *err);
/* Collect the background sync, if it has finished. */
PD_MUST_CHECK int pd_file_sync_look(struct pd_log_file *file, struct pd_error *err);

/* ---- file_queue.c: several writes in flight ---- */
/* Decide for the next group whether it flies: as the options say, else by what syncs take on this disk by now. */
PD_MUST_CHECK int pd_file_queue_choose(struct pd_log_file *file, enum pd_log_sync sync, struct pd_error *err);
/* May another group be submitted now? */
bool pd_file_queue_takes(const struct pd_log_file *file);
/* A synced write that had the disk to itself took `ns`. */
void pd_file_note_sync_time(struct pd_log_file *file, uint64_t ns);
/* Let groups end where writes in flight do not touch each other. */
void pd_file_queue_unit(struct pd_log_file *file);
/* Start writing a sealed group. */
PD_MUST_CHECK int pd_file_queue_write(struct pd_log_file *file, struct pd_log_group *group, size_t size,
				      uint64_t offset, struct pd_error *err);
/* Collect what has landed; marks move up to the first group that has not. */
PD_MUST_CHECK int pd_file_queue_reap(struct pd_log_file *file, bool wait, struct pd_error *err);
/* Wait until nothing is in flight. */
PD_MUST_CHECK int pd_file_queue_drain(struct pd_log_file *file, struct pd_error *err);
void pd_file_queue_done(struct pd_log_file *file);
/* The group submitted last of those in flight. */
static inline const struct pd_log_group *pd_file_newest_flight(const struct pd_log_file *file)
{
	return file->flights[(file->flight_head + file->flight_count - 1) % file->depth].group;
}
void pd_file_finished(struct pd_log_file *file, struct pd_log_group *group);

/* ---- file_index.c: the index in a footer ----
 *
 * For each group, in order: varint its sectors, varint its records, varint 1 + its actors, then each actor as a
 * varint; 0 where there were too many actors to list. */
int pd_index_add(struct pd_buffer *index, uint32_t sectors, uint32_t records, const uint64_t *actors,
		 size_t actor_count);
size_t pd_index_growth(size_t actor_count); /* bytes that one pd_index_add() can take at most */
#define PD_INDEX_ALL_ACTORS SIZE_MAX        /* an actor_count: too many to list */
/* Of all its groups. With the footer's first_lsn it tells where the segment begins, whatever has become of its head. */
uint64_t pd_index_records(struct pd_slice index);
/* Append to `actors` (u64 each) whoever has records in LSNs first..last, as a segment's index tells: 1. 0: it does not
 * tell. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_index_actors(struct pd_slice index, uint64_t segment_first_lsn, uint64_t first_lsn,
				  uint64_t last_lsn, struct pd_buffer *actors);

/* ---- file_read.c ---- */
int pd_file_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
		       struct pd_error *err);
int pd_file_reader_next(struct pd_log_reader *reader, struct pd_record *ret_record,
			struct pd_log_damage *ret_damage, struct pd_error *err);
void pd_file_reader_end(const struct pd_log_reader *reader, struct pd_log_end *ret_end);
void pd_file_reader_free(struct pd_log_reader *reader);

#endif
