/* What the files that make a backup share. */
#ifndef PD_BACKUP_MAKE_PRIVATE_H
#define PD_BACKUP_MAKE_PRIVATE_H

#include <stdatomic.h>

#include "backup/carrier.h"
#include "backup/catalog.h"
#include "backup/lease.h"
#include "backup/make.h"
#include "backup/parent.h"
#include "log/copy.h"

/* A file that an earlier backup has. */
struct kept {
	const struct pd_backup_file *file; /* NULL: it has not */
	bool is_missing;                   /* some piece of it, by now */
	uint64_t stored;
};

/* The hash of the state, which is found out in a task. */
struct hashing {
	const struct pd_backup_source *source;
	const struct pd_backup_watch *watch; /* its `pace` only */
	uint64_t resumed_ns;
	struct pd_os_task *task; /* NULL: there is none, or it was joined */
	struct pd_census census;
	int result;
	struct pd_error err;
	atomic_bool cancelled;
};

struct pd_making {
	const struct pd_backup_source *source;
	const struct pd_backup_order *order;
	struct pd_repository *repository;
	struct pd_backup_lease lease;
	struct pd_backup_manifest manifest;
	struct pd_catalog catalog;
	struct pd_backup_lineage lineage; /* what it goes on from */
	bool lacks_full;                  /* nothing to go on from */
	struct pd_backup_manifest
		earlier;   /* log that this directory lacks by now, and those before it have */
	struct kept *kept; /* as many as the checkpoint has files, or `earlier` */
	struct pd_carrier *carrier;
	struct pd_log_look *look;
	struct pd_buffer piece;   /* of a file that comes bit by bit */
	struct pd_buffer segment; /* of the log */
	struct hashing hashing;
	uint64_t done_bytes, total_bytes;
	uint64_t resumed_ns; /* for the watch's `pace` */
	char notice[PD_BACKUP_NOTICE_SIZE];
};

/* Whoever follows it is told, and the repository stays ours: called every now and then. `context` is the struct. */
PD_MUST_CHECK int pd_make_step(void *context, struct pd_error *err);
/* The next piece of the file that was added last. */
PD_MUST_CHECK int pd_make_send(struct pd_making *making, struct pd_slice content, struct pd_error *err);

/* ---- make_actors.c ---- */
/* All that a backup of some actors has. PD_NOT_FOUND: there are none; PD_CORRUPT: one of them is damaged: the text names it. */
PD_MUST_CHECK int pd_make_send_actors(struct pd_making *making, struct pd_error *err);

#endif
