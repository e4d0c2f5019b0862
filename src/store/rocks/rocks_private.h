/* Levels in RocksDB: what their files share.
 *
 *     <directory>/            RocksDB's own, but for
 *     <directory>/ingest/     sorted files of the batch that is being written; nothing in it counts */
#ifndef PD_STORE_ROCKS_PRIVATE_H
#define PD_STORE_ROCKS_PRIVATE_H

#include "store/levels.h"
#include "store/rocks/shim.h"

struct rocks_levels {
	struct pd_levels base;
	struct pd_os *os;
	struct pd_rocks *rocks;
	char *directory, *ingest;
	uint64_t next_file;
	bool cancelled; /* atomic */
};

#define ROCKS_INGEST "ingest"

/* What is kept under the one key of the family of the position: three numbers of 64 bits, little-endian. */
#define ROCKS_POSITION_SIZE     24 /* epoch, LSN, flags */
#define ROCKS_POSITION_RANGES   1u /* flag: some file may hold range tombstones */
#define ROCKS_POSITION_FAMILIES 2u /* flag, always: derived keys are in the family `derived` */

/* rocks.c: take over the position that is stored. */
PD_MUST_CHECK int pd_rocks_read_applied(struct rocks_levels *levels, struct pd_error *err);

/* rocks_batch.c */
int pd_rocks_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err);
int pd_rocks_batch_put(struct pd_levels_batch *batch, struct pd_slice key, struct pd_slice value,
		       struct pd_error *err);
int pd_rocks_batch_delete(struct pd_levels_batch *batch, struct pd_slice key, struct pd_error *err);
int pd_rocks_batch_delete_range(struct pd_levels_batch *batch, struct pd_slice from, struct pd_slice to,
				struct pd_error *err);
int pd_rocks_batch_finish(struct pd_levels_batch *batch, struct pd_error *err);
int pd_rocks_batch_commit(struct pd_levels_batch *batch, struct pd_log_position applied,
			  struct pd_error *err);
void pd_rocks_batch_free(struct pd_levels_batch *batch);

/* rocks_upkeep.c */
int pd_rocks_levels_checkpoint(struct pd_levels *levels, const char *path, struct pd_error *err);
int pd_rocks_levels_check_file(struct pd_levels *levels, const char *directory, const char *name,
			       struct pd_error *err);
int pd_rocks_levels_files(struct pd_levels *levels, pd_levels_visit *visit, void *context,
			  struct pd_error *err);
int pd_rocks_levels_pace(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on, void *context,
			 struct pd_error *err);
int pd_rocks_levels_compact(struct pd_levels *levels, struct pd_slice from, struct pd_slice to,
			    struct pd_error *err);
int pd_rocks_levels_verify(struct pd_levels *levels, bool known, pd_levels_report *report,
			   pd_levels_progress *progress, void *context, struct pd_error *err);
void pd_rocks_levels_cancel(struct pd_levels *levels);
int pd_rocks_levels_resume(struct pd_levels *levels, struct pd_error *err);
void pd_rocks_levels_set_cache_bytes(struct pd_levels *levels, size_t bytes);
void pd_rocks_levels_set_compaction_rate(struct pd_levels *levels, uint64_t bytes_per_s);
void pd_rocks_levels_stats(const struct pd_levels *levels, struct pd_levels_stats *ret_stats);

#endif
