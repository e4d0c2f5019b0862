/* A repository of backups: an object store that says of itself that it is one, and of which cluster. README.md has every byte.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_BACKUP_REPOSITORY_H
#define PD_BACKUP_REPOSITORY_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/key.h"
#include "backup/place.h"
#include "base/buffer.h"
#include "base/compress.h"
#include "base/error.h"
#include "log/log.h"
#include "os/os.h"
#include "provider/object_store.h"

#define PD_REPOSITORY_FORMAT_VERSION 2
#define PD_REPOSITORY_ID_SIZE        16
#define PD_REPOSITORY_ID_TEXT        (2 * PD_REPOSITORY_ID_SIZE + 1)
/* Of a file: so that, with all that comes around it, it goes to a service in one request (8 MiB are a part: provider/s3.h). */
#define PD_PIECE_SIZE          ((size_t)8 * 1024 * 1024 - 4096)
#define PD_BACKUP_MANIFEST_MAX ((size_t)256 * 1024 * 1024)

/* Folders of pieces: of files of data directories; of what backups of some actors have. Each kind of backup names its own only: who knows of
 * none of the other kind removes none of its pieces. */
#define PD_PIECES_OF_FILES  "data/"
#define PD_PIECES_OF_ACTORS "lines/"

struct pd_repository {
	struct pd_os *os;
	struct pd_repository_place place;
	struct pd_object_store *store;
	uint8_t id[PD_REPOSITORY_ID_SIZE];
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	struct pd_key_record record; /* what it says of its key */
	struct pd_backup_key key;
	struct pd_buffer object;          /* one, on its way in or out, */
	struct pd_buffer packed;          /* and what is in it, compressed or not any more */
	struct pd_compressor *compressor; /* NULL until it is needed */
	const char *pieces;               /* the folder of those that are put, got and looked for */
	/* A bit for each folder of pieces: what is seen in it stays so, power cut or not. */
	uint8_t settled[256 / 8];
};

/* Open what is there. PD_NOT_FOUND: there is no such directory, or it is no repository; PD_INVALID: the address is none, or the
 * place has not the key that it takes; PD_PERMISSION: it is another one; PD_CORRUPT, PD_NEWER_FORMAT, PD_NO_MEMORY, what the store has. */
PD_MUST_CHECK int pd_repository_open(struct pd_os *os, const struct pd_repository_place *place,
				     struct pd_repository **ret_repository, struct pd_error *err);
/* The same to write backups of this cluster; what is not there is made: a directory, whose parent is there (but not of a place that `is_there`),
 * and the repository in it if it is empty. PD_CONFLICT: it is another cluster's. PD_INVALID: something else is in it. */
PD_MUST_CHECK int pd_repository_open_for(struct pd_os *os, const struct pd_repository_place *place,
					 const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
					 struct pd_repository **ret_repository, struct pd_error *err);
/* Only to list what is in it: nothing of it is read, no key taken, and it need not be a repository yet. PD_NOT_FOUND: there is no such directory. As above else. */
PD_MUST_CHECK int pd_repository_open_names(struct pd_os *os, const struct pd_repository_place *place,
					   struct pd_repository **ret_repository, struct pd_error *err);
/* The same once more, for another thread. PD_NO_MEMORY, what the store has. */
PD_MUST_CHECK int pd_repository_open_again(const struct pd_repository *repository,
					   struct pd_repository **ret_again, struct pd_error *err);
void pd_repository_free(struct pd_repository *repository); /* NULL is fine */
/* For messages. */
const char *pd_repository_address(const struct pd_repository *repository);

/* The first `size` bytes of an object, PD_OBJECT_SIZE_UNKNOWN: all, into repository->object. As pd_object_get(); PD_TOO_LARGE: there are more than
 * `most`. */
PD_MUST_CHECK int pd_repository_read(struct pd_repository *repository, const char *name, uint64_t size,
				     size_t most, struct pd_error *err);

/* Called for each object whose name begins so, in order; an error ends it. */
typedef int pd_repository_visit(void *context, const struct pd_object_entry *entry, struct pd_error *err);
PD_MUST_CHECK int pd_repository_each(struct pd_repository *repository, const char *prefix,
				     pd_repository_visit *visit, void *context, struct pd_error *err);

/* Who follows long work: called every now and then. false: stop, which ends in PD_CANCELLED. total 0: not known yet. */
struct pd_backup_watch {
	bool (*go_on)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *context;
	/* Called every now and then by each thread that has a part in it, with what it keeps from call to call, 0 at first. It lets time go by where
	 * others would have to wait. NULL: nobody would. */
	void (*pace)(void *context, uint64_t *resumed_ns);
};
PD_MUST_CHECK int pd_backup_step(const struct pd_backup_watch *watch, uint64_t done_bytes,
				 uint64_t total_bytes, struct pd_error *err);

#endif
