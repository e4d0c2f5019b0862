/* A directory as an object store:
 *
 *   ROOT/a/b                            object "a/b"
 *   ROOT/.perdure-incoming/ID.lock      held by a process that puts, as long as it has the store open
 *                          ID-N.new     what it is writing just now, its Nth
 *                          publish.lock where there are no hard links: whoever is giving an object its name
 *
 * A part of an object's name never begins with a dot, so that nothing of the second kind is taken for an object. */
#ifndef PD_PROVIDER_LOCAL_PRIVATE_H
#define PD_PROVIDER_LOCAL_PRIVATE_H

#include "os/os.h"
#include "provider/object_store_private.h"

#define PD_LOCAL_INCOMING ".perdure-incoming"
/* Of a read or a write, and all the memory that a put or a get takes. */
#define PD_LOCAL_PIECE ((size_t)256 * 1024)
/* The same past the page cache, of a large object: what is written or read once is not to take memory from what is read often, and to copy it
 * there costs more than all else. */
#define PD_LOCAL_DIRECT_PIECE ((size_t)1024 * 1024)
/* Objects that wait to be flushed, at most: each has a file open, and bytes that the disk may not have yet. */
#define PD_LOCAL_PENDING_MAX 16u
/* Folders of which it is known that their names stay. */
#define PD_LOCAL_SETTLED_MAX 1024u

/* An object that has no name yet. */
struct pd_local_pending {
	struct pd_os_file *file; /* what was written of it: */
	uint64_t size;
	char *new_path, *path;
};

struct pd_local_store {
	struct pd_object_store base;
	struct pd_os *os;
	char *root;
	/* From the first put on. */
	char *incoming;  /* the folder */
	uint64_t id;     /* in it */
	uint64_t writes; /* each has another name: a file that would not go may be an object's */
	char *lock_path;
	struct pd_os_lock *lock;
	/* Folders whose names, and those of all above them, were synced. */
	char **settled;
	size_t settled_count, settled_capacity;
	struct pd_local_pending pending[PD_LOCAL_PENDING_MAX];
	size_t pending_count;
	bool no_links;  /* the file system has none */
	bool no_direct; /* nor direct I/O */
	uint8_t *piece; /* PD_LOCAL_DIRECT_PIECE; NULL until it is needed */
};

/* The contract's operations that have files of their own. */
int pd_local_put(struct pd_object_store *base, const char *name, const struct pd_object_source *source,
		 const struct pd_object_put_options *options, struct pd_error *err);
int pd_local_flush(struct pd_object_store *base, struct pd_error *err);
int pd_local_list(struct pd_object_store *base, const char *prefix, const char *after, size_t limit,
		  struct pd_object_page *page, struct pd_error *err);
int pd_local_settle(struct pd_object_store *base, const char *prefix, struct pd_error *err);
int pd_local_sweep(struct pd_object_store *base, uint64_t older_than_s, uint64_t *ret_count,
		   struct pd_error *err);

/* The content of a file that was just made, unsynced; of a file. */
PD_MUST_CHECK int pd_local_copy_in(struct pd_local_store *store, struct pd_os_file *file, const char *path,
				   const struct pd_object_source *source, bool large, uint64_t *ret_size,
				   struct pd_error *err);
PD_MUST_CHECK int pd_local_copy_out(struct pd_local_store *store, struct pd_os_file *file, const char *path,
				    uint64_t offset, uint64_t size, const struct pd_object_sink *sink,
				    struct pd_error *err);

/* A place of this process's own to write objects in; sweeps first. Once is enough. */
PD_MUST_CHECK int pd_local_incoming_open(struct pd_local_store *store, struct pd_error *err);
void pd_local_incoming_close(struct pd_local_store *store);

/* Objects that were not flushed are gone, and what is known of folders is forgotten. */
void pd_local_drop_pending(struct pd_local_store *store);
void pd_local_forget_settled(struct pd_local_store *store);

/* Names that were given by renaming have left the folder where objects are written. */
PD_MUST_CHECK int pd_local_sync_incoming(struct pd_local_store *store, struct pd_error *err);

/* printf for paths: PD_NO_MEMORY. */
PD_MUST_CHECK int pd_local_path(char **ret_path, struct pd_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The path of an object. */
PD_MUST_CHECK int pd_local_object_path(const struct pd_local_store *store, const char *name, char **ret_path,
				       struct pd_error *err);

#endif
