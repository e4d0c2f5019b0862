/* Where objects are written before they get their names, and what becomes of those that never got one. A process that puts holds the
 * lock of its id; the kernel lets go of it however the process ends, also one of another machine. So whose lock can be taken is gone,
 * and what it was writing is left over. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "provider/local/local_private.h"

enum {
	ID_SIZE = 16, /* hexadecimal digits */
	ID_TRIES = 8,
};

/* "ID.lock" or "ID-N.new" of any id. */
static bool is_named(const char *name, const char *end)
{
	size_t size = strlen(name), end_size = strlen(end);

	return size >= ID_SIZE + end_size && strspn(name, "0123456789abcdef") == ID_SIZE &&
	       strcmp(name + size - end_size, end) == 0;
}

static bool has_lock_file(const struct pd_os_names *names, const char *id)
{
	for (size_t i = 0; i < names->count; i++)
		if (is_named(names->names[i], ".lock") && strncmp(names->names[i], id, ID_SIZE) == 0)
			return true;
	return false;
}

static int remove_name(struct pd_local_store *store, const char *incoming, const char *name,
		       struct pd_error *err)
{
	char *path;
	int rc = pd_local_path(&path, err, "%s/%s", incoming, name);

	if (rc != 0)
		return rc;
	rc = pd_os_unlink(store->os, path, err);
	pd_free(path);
	return rc == PD_NOT_FOUND ? 0 : rc;
}

/* All that was written under the id. */
static int remove_new(struct pd_local_store *store, const char *incoming, const struct pd_os_names *names,
		      const char *id, uint64_t *count, struct pd_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < names->count && rc == 0; i++) {
		if (!is_named(names->names[i], ".new") || strncmp(names->names[i], id, ID_SIZE) != 0)
			continue;
		rc = remove_name(store, incoming, names->names[i], err);
		*count += rc == 0;
	}
	return rc;
}

/* If the owner of this lock file is gone, remove all that it has left, and the lock file last: as long as it is there, the next sweep
 * looks again. */
static int sweep_owner(struct pd_local_store *store, const char *incoming, const struct pd_os_names *names,
		       const char *lock_name, uint64_t *count, struct pd_error *err)
{
	struct pd_os_lock *lock = NULL;
	char *path;
	int rc;

	/* Our own: what would not go before, unless some of it waits to be flushed. */
	if (store->lock != NULL && strcmp(strrchr(store->lock_path, '/') + 1, lock_name) == 0)
		return store->pending_count > 0 ? 0
						: remove_new(store, incoming, names, lock_name, count, err);
	rc = pd_local_path(&path, err, "%s/%s", incoming, lock_name);
	if (rc != 0)
		return rc;
	rc = pd_os_lock(store->os, path, &lock, err);
	pd_free(path);
	/* At work, or somebody else's, who will sweep it. */
	if (rc == PD_BUSY || rc == PD_PERMISSION)
		return 0;
	if (rc == 0)
		rc = remove_new(store, incoming, names, lock_name, count, err);
	if (rc == 0)
		rc = remove_name(store, incoming, lock_name, err);
	pd_os_unlock(lock);
	return rc;
}

/* A power cut may take a lock file and leave what was written. While it is being written the lock file is there, though it may be
 * younger than the list of names. */
static int sweep_orphan(struct pd_local_store *store, const char *incoming, const struct pd_os_names *names,
			const char *name, uint64_t *count, struct pd_error *err)
{
	struct pd_os_file_info info;
	char *path;
	int rc;

	if (has_lock_file(names, name))
		return 0;
	rc = pd_local_path(&path, err, "%s/%.*s.lock", incoming, ID_SIZE, name);
	if (rc != 0)
		return rc;
	rc = pd_os_info(store->os, path, &info, err);
	pd_free(path);
	if (rc != PD_NOT_FOUND)
		return rc;
	rc = remove_name(store, incoming, name, err);
	*count += rc == 0;
	return rc;
}

int pd_local_sweep(struct pd_object_store *base, uint64_t older_than_s, uint64_t *ret_count,
		   struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	struct pd_os_names names = { 0 };
	char *incoming = NULL;
	int rc = pd_local_path(&incoming, err, "%s/" PD_LOCAL_INCOMING, store->root);

	(void)older_than_s; /* the lock tells who is at work, however long */
	if (rc == 0)
		rc = pd_os_list(store->os, incoming, &names, err);
	if (rc == PD_NOT_FOUND)
		rc = 0; /* nobody has ever put anything */
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		if (is_named(names.names[i], ".lock"))
			rc = sweep_owner(store, incoming, &names, names.names[i], ret_count, err);
		else if (is_named(names.names[i], ".new"))
			rc = sweep_orphan(store, incoming, &names, names.names[i], ret_count, err);
	}
	pd_os_names_done(&names);
	pd_free(incoming);
	return rc;
}

/* A lock file can be swept between its creation and its locking: then the lock is of a file without a name, and protects
 * nothing. Once it is locked nobody sweeps it, so one look tells. */
static int take_id(struct pd_local_store *store, const char *incoming, bool *ret_taken, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_lock *lock = NULL;
	char *lock_path;
	uint64_t id;
	int rc;

	pd_os_random(store->os, &id, sizeof id);
	rc = pd_local_path(&lock_path, err, "%s/%016" PRIx64 ".lock", incoming, id);
	if (rc != 0)
		return rc;
	*ret_taken = false;
	rc = pd_os_lock(store->os, lock_path, &lock, err);
	if (rc == PD_BUSY) {
		rc = 0;
	} else if (rc == 0) {
		rc = pd_os_info(store->os, lock_path, &info, err);
		*ret_taken = rc == 0;
		if (rc == PD_NOT_FOUND)
			rc = 0;
	}
	if (*ret_taken) {
		store->lock = lock;
		store->lock_path = lock_path;
		store->id = id;
		return 0;
	}
	pd_os_unlock(lock);
	pd_free(lock_path);
	return rc;
}

int pd_local_incoming_open(struct pd_local_store *store, struct pd_error *err)
{
	char *incoming = NULL;
	uint64_t swept = 0;
	bool taken = false;
	int rc;

	if (store->lock != NULL)
		return 0;
	rc = pd_local_path(&incoming, err, "%s/" PD_LOCAL_INCOMING, store->root);
	if (rc == 0)
		rc = pd_os_mkdir(store->os, incoming, err);
	if (rc == PD_EXISTS)
		rc = 0;
	if (rc == 0)
		rc = pd_local_sweep(&store->base, 0, &swept, err);
	for (unsigned i = 0; i < ID_TRIES && rc == 0 && !taken; i++)
		rc = take_id(store, incoming, &taken, err);
	if (rc == 0 && !taken)
		rc = pd_error_set(err, PD_AGAIN,
				  "no place to write in '%s': other processes keep sweeping it; put again",
				  incoming);
	if (rc != 0) {
		pd_free(incoming);
		return rc;
	}
	store->incoming = incoming;
	return 0;
}

void pd_local_incoming_close(struct pd_local_store *store)
{
	if (store->lock != NULL)
		/* If it stays, the next sweep takes it. */
		(void)!pd_os_unlink(store->os, store->lock_path, NULL);
	pd_os_unlock(store->lock);
	store->lock = NULL;
	pd_free(store->lock_path);
	pd_free(store->incoming);
}
