/* What is measured: a store that is given rows in groups. One contract, a driver each for Perdure's engine, RocksDB and
 * LMDB. A driver ends the process with words when anything fails: half a measurement is none.
 *
 *     open -> { put, remove, put_expiring }* -> commit -> …   the group is on stable storage when commit returns
 *             get, scan_actor, scan_all                        between groups
 *             checkpoint_begin -> checkpoint_running*          puts may go on meanwhile
 *     close, or end the process without it, as a crash would */
#ifndef BENCH_PEERS_SUBJECT_H
#define BENCH_PEERS_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "peers/dataset.h"

struct subject;

struct subject_config {
	const char *directory; /* the parent is there; it itself, too, unless it is to be created */
	const struct bench_dataset *dataset;
	uint64_t budget_bytes; /* of memory */
	uint64_t compaction_bytes_per_s;
	uint64_t retention_bytes; /* of log beyond what recovery needs */
	bool all_in_memory;       /* nothing leaves memory, but for the log */
};

struct subject_figures {
	uint64_t level0_files, running_compactions, pending_compaction_bytes;
	uint64_t memory_bytes;                       /* as the store itself counts */
	uint64_t told_to_wait;                       /* puts that were */
	uint64_t recovered_records, recovered_bytes; /* by the last open */
};

struct subject_ops {
	const char *name;
	struct subject *(*open)(const struct subject_config *config);
	void (*close)(struct subject *subject);
	void (*put)(struct subject *subject, const struct bench_row *row);
	void (*remove)(struct subject *subject, const struct bench_row *row);
	/* NULL: it knows no expiry. */
	void (*put_expiring)(struct subject *subject, const struct bench_row *row, unsigned after_ms);
	void (*commit)(struct subject *subject);
	/* Instead of commit, while more groups come: hand this one over, and go on. NULL: there is no such thing. */
	void (*submit)(struct subject *subject);
	/* Is the oldest of those handed over on stable storage, and so forgotten? With `wait` it is when this returns. */
	bool (*landed)(struct subject *subject, bool wait);
	/* From here on commit need not make anything durable, until it is called with false: to get through loading what
	 * would take hours. NULL: not needed. */
	void (*relax)(struct subject *subject, bool relaxed);
	/* The value, valid until the next call; NULL: there is none. */
	const uint8_t *(*get)(struct subject *subject, const struct bench_row *row);
	/* Read every key and value in order. How many there were; UINT64_MAX: it does not count. */
	uint64_t (*scan_actor)(struct subject *subject, uint64_t actor);
	uint64_t (*scan_all)(struct subject *subject);
	/* All keys of an actor, as a client walks over them. NULL: there is no such thing. */
	uint64_t (*scan_keys)(struct subject *subject, uint64_t actor);
	/* Start a checkpoint, to `path` where the store asks for one. false: it has none. */
	bool (*checkpoint_begin)(struct subject *subject, const char *path);
	bool (*checkpoint_running)(struct subject *subject);
	/* Of the last one that is over: what its own thread took, and what it read. NULL: nobody knows, and nothing is read ahead of
	 * checkpoints. */
	void (*checkpoint_cost)(struct subject *subject, uint64_t *ret_work_us, uint64_t *ret_read_bytes);
	/* Let work in the background go on for some milliseconds. */
	void (*idle)(struct subject *subject);
	void (*figures)(struct subject *subject, struct subject_figures *ret_figures);
};

extern const struct subject_ops bench_subject_perdure, bench_subject_rocksdb;
#ifdef BENCH_HAS_LMDB
extern const struct subject_ops bench_subject_lmdb;
#endif
#define BENCH_IDLE_MS    10
#define BENCH_FLIGHT_MAX 8 /* groups handed over and not landed */

/* Say it on standard error, and end the process. */
_Noreturn void bench_die(const char *who, const char *what, const char *why);
uint64_t bench_now_ns(void);
void bench_sleep_ms(unsigned ms);

#endif
