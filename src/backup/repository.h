/* A repository of backups: an object store that says of itself that it is one, and of which cluster. README.md has every byte.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_BACKUP_REPOSITORY_H
#define PD_BACKUP_REPOSITORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "log/log.h"
#include "os/os.h"
#include "provider/object_store.h"

#define PD_REPOSITORY_FORMAT_VERSION 1
#define PD_REPOSITORY_ID_SIZE        16
#define PD_REPOSITORY_ID_TEXT        (2 * PD_REPOSITORY_ID_SIZE + 1)

struct pd_repository {
	struct pd_os *os;
	struct pd_object_store *store;
	uint8_t id[PD_REPOSITORY_ID_SIZE];
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	struct pd_buffer object; /* one, on its way in or out */
	uint8_t settled
		[256 /
		 8]; /* a bit for each folder of pieces: what is seen in it stays so, power cut or not */
};

/* Open what is there. `path`: a directory. PD_NOT_FOUND: there is no such directory, or it is no repository; PD_CORRUPT, PD_NEWER_FORMAT,
 * PD_NO_MEMORY, what the store has. */
PD_MUST_CHECK int pd_repository_open(struct pd_os *os, const char *path,
				     struct pd_repository **ret_repository, struct pd_error *err);
/* The same to write backups of this cluster; what is not there is made: the directory, whose parent is there, and the repository in it
 * if it is empty. PD_CONFLICT: it is another cluster's. PD_INVALID: something else is in it. */
PD_MUST_CHECK int pd_repository_open_for(struct pd_os *os, const char *path,
					 const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
					 struct pd_repository **ret_repository, struct pd_error *err);
void pd_repository_free(struct pd_repository *repository); /* NULL is fine */
/* For messages. */
const char *pd_repository_address(const struct pd_repository *repository);

/* Called for each object whose name begins so, in order; an error ends it. */
typedef int pd_repository_visit(void *context, const struct pd_object_entry *entry, struct pd_error *err);
PD_MUST_CHECK int pd_repository_each(struct pd_repository *repository, const char *prefix,
				     pd_repository_visit *visit, void *context, struct pd_error *err);

/* Who follows long work: called every now and then. false: stop, which ends in PD_CANCELLED. total 0: not known yet. */
struct pd_backup_watch {
	bool (*go_on)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *context;
};
PD_MUST_CHECK int pd_backup_step(const struct pd_backup_watch *watch, uint64_t done_bytes,
				 uint64_t total_bytes, struct pd_error *err);

#endif
