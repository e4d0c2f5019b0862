/* The log: the ordered sequence of records, the only source of truth. One contract, several backends.
 *
 * A log is opened for reading, read to its end, and then begun: only that starts a new epoch and allows writing.
 *
 *   open -> reader: next … next, PD_END -> begin -> { reserve, submit, sync, reap }* -> close
 *
 * Threads: one at a time. No function calls back.
 *
 * What is durable: records up to durable_lsn. `written` ones have been handed to the kernel: they survive the
 * process, not the power. Both only grow. A failed write or sync fences the log for good: every later call but
 * close says PD_FENCED, and what was above durable_lsn has an unknown outcome until the log is opened again. */
#ifndef PD_LOG_LOG_H
#define PD_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/slice.h"
#include "log/group.h"
#include "log/position.h"
#include "log/record.h"

struct pd_log;
struct pd_log_reader;
struct pd_os;

#define PD_CLUSTER_ID_SIZE           16
#define PD_LOG_SEGMENT_BYTES_DEFAULT (64u * 1024 * 1024)
#define PD_LOG_SEGMENT_BYTES_MIN     (64u * 1024)
#define PD_LOG_FORMAT_VERSION        1
#define PD_LOG_TRIM_MAX              8

enum pd_log_sync {
	PD_LOG_WRITE, /* reach the kernel */
	PD_LOG_SYNC,  /* reach stable storage */
};

struct pd_log_marks {
	uint64_t tail_lsn;    /* last submitted; 0: none ever */
	uint64_t written_lsn; /* handed to the kernel */
	uint64_t durable_lsn; /* on stable storage */
};

/* Counters since open. */
struct pd_log_stats {
	uint64_t groups, records, bytes_written, payload_bytes, syncs, direct_writes, buffered_writes,
		segments_begun;
	/* Times until a write has landed: of one that is synced itself, or that goes into the page cache; and of a sync by
	 * itself. Then what a group holds. */
	struct pd_histogram write_time, sync_time, group_records;
};

struct pd_log_options {
	struct pd_os *os;
	const char *directory; /* holds nothing but this log; created by begin if missing */
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	uint32_t segment_bytes; /* 0: the default; a multiple of 4096, at least PD_LOG_SEGMENT_BYTES_MIN */
	/* Groups in flight: 0 lets the log measure the disk and choose, 1 is synchronous. */
	unsigned queue_depth;
	bool refuse_direct;      /* never use direct I/O */
	unsigned spare_segments; /* trimmed segments kept for reuse; default 2 */
	uint64_t trimmed_lsn;    /* for the verifier: what is below may have been trimmed */
	uint64_t epoch_least;    /* a begin takes an epoch as high as this, or the next, if that is higher */
};

/* Damage or loss found while reading: LSNs first..last are not readable. last below first: no record is concerned. */
struct pd_log_damage {
	uint64_t first_lsn, last_lsn; /* last 0: up to an unknown one */
	uint32_t segment;
	uint64_t offset;        /* in the segment, bytes */
	const uint64_t *actors; /* those that the segment's index names for these LSNs */
	size_t actor_count;
	bool actors_known; /* false: nothing tells which actors; any may be concerned */
	char text[200];    /* what is wrong there */
};

/* Is any record concerned? */
static inline bool pd_log_damage_loses(const struct pd_log_damage *damage)
{
	return damage->last_lsn == 0 || damage->last_lsn >= damage->first_lsn;
}

/* How the log ended, known once the reader has said PD_END. */
struct pd_log_end {
	uint64_t epoch, last_lsn, last_time_us;
	uint64_t torn_bytes; /* of an unfinished write above the durable mark, cut */
	uint64_t damage_count;
	bool clean; /* the last epoch was closed */
};

/* The contract. Call the wrappers below. */
struct pd_log_ops {
	int abi; /* PD_LOG_ABI */
	const char *name;
	int (*prepare)(struct pd_log *log, struct pd_error *err);
	int (*begin)(struct pd_log *log, uint64_t time_us, struct pd_error *err);
	int (*reserve)(struct pd_log *log, uint64_t bytes, struct pd_error *err);
	int (*submit)(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync);
	int (*sync)(struct pd_log *log);
	int (*sync_begin)(struct pd_log *log);
	int (*reap)(struct pd_log *log, bool wait, struct pd_log_group **ret_groups);
	bool (*can_submit)(const struct pd_log *log);
	int (*descriptor)(const struct pd_log *log);
	int (*trim)(struct pd_log *log, uint64_t lsn, struct pd_error *err);
	uint64_t (*bytes_since)(const struct pd_log *log, uint64_t lsn);
	int (*close)(struct pd_log *log, struct pd_error *err);
	int (*reader_new)(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
			  struct pd_error *err);
	int (*reader_next)(struct pd_log_reader *reader, struct pd_record *ret_record,
			   struct pd_log_damage *ret_damage, struct pd_error *err);
	void (*reader_end)(const struct pd_log_reader *reader, struct pd_log_end *ret_end);
	void (*reader_free)(struct pd_log_reader *reader);
	/* May be NULL: there are no segments. */
	int (*open_index)(const struct pd_log *log, uint32_t *ret_segment, struct pd_buffer *index);
	bool (*next_epoch)(const struct pd_log *log, size_t *at, struct pd_log_position *ret_begin);
};
#define PD_LOG_ABI 3

/* First member of every backend. */
struct pd_log {
	const struct pd_log_ops *ops;
	struct pd_log_marks marks;
	struct pd_log_stats stats;
	uint64_t epoch;     /* the running one; 0 before begin */
	uint64_t first_lsn; /* known from open on: what is below is gone; 0: nothing was ever written */
	uint64_t
		first_time_us; /* hybrid logical: about when the oldest record that is there was written; 0: not known */
	size_t group_bytes_max; /* submit a group before it grows beyond this; a larger record is cut into frames */
	int fenced;             /* 0, or the code of what fenced it */
	char fence_text[300];
	bool begun;
	bool trim_ended;     /* a sync has failed in it: no more before the next opening */
	uint64_t size_bytes; /* of what there is to read, when it was opened */
	char way[120];       /* how it is written, in words; "" before begin */
};

struct pd_log_reader {
	struct pd_log *log;
	uint64_t
		durable_lsn; /* what has been read so far tells that everything up to it is on stable storage */
	bool give_memory;
	uint64_t stop_lsn; /* nothing behind it is wanted; 0: all is */
};

/* Segments in a directory. Opens nothing for writing before begin. PD_NEWER_FORMAT, PD_CORRUPT (another log's
 * files), PD_IO. A directory that is not there is an empty log. */
PD_MUST_CHECK int pd_log_file_open(const struct pd_log_options *options, struct pd_log **ret_log,
				   struct pd_error *err);
/* Everything in memory: for tests, and for state that may be lost with the process. Written is durable. */
PD_MUST_CHECK int pd_log_memory_open(const struct pd_log_options *options, struct pd_log **ret_log,
				     struct pd_error *err);

/* ---- reading ---- */
/* From the first record whose LSN is >= from_lsn, and with damage only of what is there or behind. The log must outlive it.
 * On a log that another process writes, it reads what was durable when it got there.
 *
 * Where from_lsn is below log->first_lsn, what is missing is reported as damage. Where it is beyond the end there is nothing
 * but PD_END: its last_lsn is below from_lsn. Wherever it is, the end is the same, and a begin may follow. */
PD_MUST_CHECK int pd_log_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
				    struct pd_error *err);
/* 0 and a record (valid until the next call); PD_END; PD_CORRUPT with *ret_damage filled: call again to go on
 * behind the damage; any other error ends the reading (an unreadable disk is never taken for the end of the log). */
PD_MUST_CHECK int pd_log_reader_next(struct pd_log_reader *reader, struct pd_record *ret_record,
				     struct pd_log_damage *ret_damage, struct pd_error *err);
/* Before the first next: have the reader give its memory away, so that records can be pointed into for good. Each block
 * that a record names as its `memory` is then the caller's, to be freed with pd_free(), but not before the reader has
 * said another block, PD_END or an error that ends the reading. Records without a block are to be copied. */
void pd_log_reader_give_memory(struct pd_log_reader *reader);
/* Before the first next: nothing behind this LSN is wanted. PD_END comes as soon as all up to it has been told, which is not the
 * log's end: do not ask for that, nor begin. A few records more may come. No more is loaded than that takes. */
void pd_log_reader_stop_behind(struct pd_log_reader *reader, uint64_t lsn);
/* After PD_END, and before a begin: where the epochs begin whose beginning is there, as the heads of their segments tell, in order: so
 * they are known whatever has become of their first records. *at 0: the first. One that never came further than its head may be
 * among them, above the end's epoch. Where that head is gone, what is left of the segment tells, and lsn may be too high. false: no more. */
bool pd_log_next_epoch(const struct pd_log *log, size_t *at, struct pd_log_position *ret_begin);
/* After PD_END. */
void pd_log_reader_end(const struct pd_log_reader *reader, struct pd_log_end *ret_end);
void pd_log_reader_free(struct pd_log_reader *reader);

/* ---- writing ---- */
/* A begin will follow once the log has been read: make ready beside the reading what takes time. Optional. */
PD_MUST_CHECK int pd_log_prepare(struct pd_log *log, struct pd_error *err);
/* Start a new epoch behind what a reader has read to PD_END on this handle: creates a segment, writes
 * the epoch's record and syncs all of it. time_us: the hybrid logical time of that record.
 * Durable when: it returns 0. */
PD_MUST_CHECK int pd_log_begin(struct pd_log *log, uint64_t time_us, struct pd_error *err);
/* Make sure that `bytes` of records, all that are not yet submitted, find room: nothing after this can meet a full
 * disk. PD_NO_SPACE: try again later, nothing happened. */
PD_MUST_CHECK int pd_log_reserve(struct pd_log *log, uint64_t bytes, struct pd_error *err);
/* Hand over one non-empty group whose first LSN is the tail + 1. It stays the log's until pd_log_reap() returns it.
 * With space reserved this can only succeed or fence; also when it says PD_FENCED the group is the log's. Durable when: durable_lsn reaches its last LSN. */
PD_MUST_CHECK int pd_log_submit(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync);
/* Sync what was written before. Durable when: it returns 0. */
PD_MUST_CHECK int pd_log_sync(struct pd_log *log);
/* The same beside the caller: durable_lsn grows with a later pd_log_reap(). One that is running is left to run. */
PD_MUST_CHECK int pd_log_sync_begin(struct pd_log *log);
/* Take finished groups back, as a list in order, NULL for none; updates the marks. With `wait`, at least one if any
 * is in flight. */
PD_MUST_CHECK int pd_log_reap(struct pd_log *log, bool wait, struct pd_log_group **ret_groups);
/* false: as many groups are in flight as there may be; reap first. */
bool pd_log_can_submit(const struct pd_log *log);
/* Readable while there is something to reap; -1: writes finish inside pd_log_submit(). */
int pd_log_descriptor(const struct pd_log *log);
/* Drop whole segments that hold only records below `lsn`, oldest first, and each for good before the next: after a crash the
 * log has no hole, it only begins earlier. At most PD_LOG_TRIM_MAX files in one call, since each takes a sync of the directory:
 * call it again, with the same `lsn` too. log->first_lsn tells how far it came. A reader that asks for what is gone is told that it
 * is missing: ask from where the state ends.
 * Durable when: it returns 0. After an error some may have gone; after one of a sync, none will in this process. */
PD_MUST_CHECK int pd_log_trim(struct pd_log *log, uint64_t lsn, struct pd_error *err);
/* How much of the disk the records from `lsn` on take. Whole segments are counted exactly, inside of one it is an estimate.
 * Cheap. */
uint64_t pd_log_bytes_since(const struct pd_log *log, uint64_t lsn);
/* Append the index of the segment that is being written, of all that was submitted: what its footer will begin with. *ret_segment 0:
 * there is none. For whoever looks at the log beside its writing (log/look.h). PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_log_open_index(const struct pd_log *log, uint32_t *ret_segment, struct pd_buffer *index);
/* Sync and seal what is open, free everything, also on an error. NULL is fine. */
int pd_log_close(struct pd_log *log, struct pd_error *err);

/* The checksum state that stands for {cluster id, shard, segment}. */
uint32_t pd_location_crc(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard, uint32_t segment);

#endif
