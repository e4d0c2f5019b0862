/* Writing an object: under a name of our own, synced; then a hard link gives it its name, which no other object can have then, and its folder
 * is synced. Nothing of it can be seen before, and nothing of it lost after. What is put `later` waits after the writing, for others.
 *
 * How it fails: before the link there is nothing but a leftover, which this process removes, or the next sweep. After it the
 * object is there, but a power cut may take its name. So PD_EXISTS, too, is said only when names are synced: it is what a second
 * try of the same put is told. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "provider/local/local_private.h"

enum {
	PUBLISH_WAIT_US = 10 * 1000,
	PUBLISH_TRIES = 3000, /* half a minute */
};

/* ---- folders ---- */

/* The next slash of the path where a folder's name ends, the root's first; NULL: there is no more. */
static char *folder_end(const struct pd_local_store *store, char *path, char *from)
{
	return strchr(from == NULL ? path + strlen(store->root) : from + 1, '/');
}

/* One folder on the way to an object. */
static int make_folder(struct pd_local_store *store, const char *folder, const char *name,
		       struct pd_error *err)
{
	struct pd_os_file_info info;
	int rc = pd_os_mkdir(store->os, folder, err);

	if (rc != PD_EXISTS)
		return rc;
	rc = pd_os_info(store->os, folder, &info, err);
	if (rc == 0 && !info.is_directory)
		rc = pd_error_set(err, PD_INVALID,
				  "object '%s' cannot be put: its name goes on from that of another object, "
				  "'%s'; use another name",
				  name, folder);
	return rc;
}

static int make_folders(struct pd_local_store *store, char *path, const char *name, struct pd_error *err)
{
	char *slash = folder_end(store, path, NULL);
	int rc = 0;

	/* The first one ends the root. */
	while (rc == 0 && (slash = folder_end(store, path, slash)) != NULL) {
		*slash = '\0';
		rc = make_folder(store, path, name, err);
		*slash = '/';
	}
	return rc;
}

/* ---- names that stay ---- */

/* Folders that are to be synced, each once. */
struct folders {
	char *paths[PD_LOCAL_PENDING_MAX * PD_OBJECT_PARTS_MAX];
	size_t count;
};

static bool is_settled(const struct pd_local_store *store, const char *folder)
{
	for (size_t i = 0; i < store->settled_count; i++)
		if (strcmp(store->settled[i], folder) == 0)
			return true;
	return false;
}

void pd_local_forget_settled(struct pd_local_store *store)
{
	while (store->settled_count > 0)
		pd_free(store->settled[--store->settled_count]);
}

/* Or not, and it is synced again. */
static void settle(struct pd_local_store *store, const char *folder)
{
	char **grown, *copy;

	if (is_settled(store, folder))
		return;
	if (store->settled_count == PD_LOCAL_SETTLED_MAX)
		pd_local_forget_settled(store);
	grown = pd_grow(store->settled, store->settled_count, &store->settled_capacity, sizeof *grown, 16);
	if (grown == NULL)
		return;
	store->settled = grown;
	copy = pd_strdup(folder);
	if (copy != NULL)
		store->settled[store->settled_count++] = copy;
}

static void folders_done(struct folders *folders)
{
	while (folders->count > 0)
		pd_free(folders->paths[--folders->count]);
}

static int folders_add(struct folders *folders, const char *path, struct pd_error *err)
{
	for (size_t i = 0; i < folders->count; i++)
		if (strcmp(folders->paths[i], path) == 0)
			return 0;
	PD_ASSERT(folders->count < sizeof folders->paths / sizeof folders->paths[0]);
	folders->paths[folders->count] = pd_strdup(path);
	if (folders->paths[folders->count] == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for the path '%.200s'", path);
	folders->count++;
	return 0;
}

/* The folder of the object, and those above it as far as it is not known that their names stay. */
static int folders_of(struct pd_local_store *store, char *path, struct folders *folders, struct pd_error *err)
{
	char *last = strrchr(path, '/'), *slash = NULL;
	bool known;
	int rc = 0;

	*last = '\0';
	known = is_settled(store, path);
	*last = '/';
	while (rc == 0 && (slash = folder_end(store, path, slash)) != NULL) {
		if (known && slash != last)
			continue;
		*slash = '\0';
		rc = folders_add(folders, path, err);
		*slash = '/';
	}
	return rc;
}

/* The names of these objects and of all folders above them are on stable storage. Who has made the folders does not matter:
 * whoever did may have died before syncing. */
static int sync_names(struct pd_local_store *store, char *const *paths, size_t count, struct pd_error *err)
{
	struct folders folders = { .count = 0 };
	int rc = 0;

	if (pd_plant(PD_PLANT_OBJECT_NAME_UNSYNCED))
		return 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = folders_of(store, paths[i], &folders, err);
	for (size_t i = 0; i < folders.count && rc == 0; i++)
		rc = pd_os_sync_directory(store->os, folders.paths[i], err);
	if (rc != 0)
		pd_local_forget_settled(store);
	for (size_t i = 0; i < count && rc == 0; i++) {
		char *last = strrchr(paths[i], '/');

		*last = '\0';
		settle(store, paths[i]);
		*last = '/';
	}
	folders_done(&folders);
	return rc;
}

/* A name that was given by renaming is stable when it has left the old folder for good, too. */
int pd_local_sync_incoming(struct pd_local_store *store, struct pd_error *err)
{
	char *incoming;
	int rc = pd_local_path(&incoming, err, "%s/" PD_LOCAL_INCOMING, store->root);

	if (rc != 0)
		return rc;
	rc = pd_os_sync_directory(store->os, incoming, err);
	pd_free(incoming);
	return rc == PD_NOT_FOUND ? 0 : rc; /* whoever has put that object did not rename it */
}

/* ---- content ---- */

/* What is put later is much, and nobody reads it soon. */
static int write_new(struct pd_local_store *store, struct pd_local_pending *new, bool later,
		     const struct pd_object_source *source, struct pd_error *err)
{
	int rc = pd_os_open(store->os, new->new_path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE,
			    &new->file, err);

	return rc == 0 ? pd_local_copy_in(store, new->file, new->new_path, source, later, &new->size, err)
		       : rc;
}

static int sync_content(struct pd_os_file *file, struct pd_error *err)
{
	return pd_plant(PD_PLANT_OBJECT_UNSYNCED) ? 0 : pd_os_datasync(file, err);
}

/* ---- its name ---- */

static int exists(const struct pd_local_store *store, const char *name, struct pd_error *err)
{
	return pd_error_set(err, PD_EXISTS, "there is an object '%s' in '%s' already", name, store->root);
}

static int is_folder(const char *name, struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID,
			    "object '%s' cannot be put: the names of others go on from it; use another name",
			    name);
}

static bool is_directory(struct pd_local_store *store, const char *path)
{
	struct pd_os_file_info info;

	return pd_os_info(store->os, path, &info, NULL) == 0 && info.is_directory;
}

/* Over NFS the reply to a link that was made may get lost, and the kernel's next try says that there is something. */
static bool is_same_file(struct pd_local_store *store, const char *a, const char *b)
{
	struct pd_os_file_info a_info, b_info;

	return pd_os_info(store->os, a, &a_info, NULL) == 0 && pd_os_info(store->os, b, &b_info, NULL) == 0 &&
	       a_info.id == b_info.id;
}

/* Looking and renaming is two steps: a lock makes them one among all processes that do so. */
static int publish_by_rename(struct pd_local_store *store, const char *new_path, const char *path,
			     struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_lock *lock = NULL;
	char *lock_path;
	int rc = pd_local_path(&lock_path, err, "%s/publish.lock", store->incoming);

	if (rc != 0)
		return rc;
	rc = pd_os_lock(store->os, lock_path, &lock, err);
	for (unsigned i = 0; i < PUBLISH_TRIES && rc == PD_BUSY; i++) {
		rc = pd_object_store_go_on(&store->base, err);
		if (rc != 0)
			break;
		pd_os_sleep_us(store->os, PUBLISH_WAIT_US);
		rc = pd_os_lock(store->os, lock_path, &lock, err);
	}
	pd_free(lock_path);
	if (rc != 0)
		return rc;
	rc = pd_os_info(store->os, path, &info, err);
	if (rc == 0)
		rc = PD_EXISTS;
	else if (rc == PD_NOT_FOUND)
		rc = pd_os_rename(store->os, new_path, path, err);
	pd_os_unlock(lock);
	return rc;
}

static int publish(struct pd_local_store *store, const char *new_path, const char *path, struct pd_error *err)
{
	const char *name = path + strlen(store->root) + 1;
	int rc = PD_NOT_SUPPORTED;

	if (!store->no_links)
		rc = pd_os_link(store->os, new_path, path, err);
	/* Both are how file systems without hard links answer (EPERM, EOPNOTSUPP). If it was a permission after all,
	 * renaming is refused, too. */
	if (rc == PD_PERMISSION || rc == PD_NOT_SUPPORTED) {
		rc = publish_by_rename(store, new_path, path, err);
		store->no_links = store->no_links || rc == 0;
	}
	if (rc == PD_EXISTS && is_directory(store, path))
		return is_folder(name, err);
	if (rc == PD_EXISTS && is_same_file(store, new_path, path))
		rc = 0;
	if (rc == PD_NOT_FOUND)
		rc = pd_error_set(
			err, PD_AGAIN,
			"object '%s' was not put: its folder or what was written of it has been removed "
			"from '%s' meanwhile; put it again",
			name, store->root);
	return rc == PD_EXISTS ? exists(store, name, err) : rc;
}

/* ---- many of them ---- */

static void pending_done(struct pd_local_store *store, struct pd_local_pending *pending)
{
	pd_os_close(pending->file);
	/* If it stays, the next sweep takes it: what the call answers does not depend on it. */
	(void)!pd_os_unlink(store->os, pending->new_path, NULL);
	pd_free(pending->new_path);
	pd_free(pending->path);
}

void pd_local_drop_pending(struct pd_local_store *store)
{
	while (store->pending_count > 0)
		pending_done(store, &store->pending[--store->pending_count]);
}

/* Each step for all of them before the next: so the first sync has the disk's journal written for all. *ret_others: somebody else has put one
 * of them. */
static int publish_pending(struct pd_local_store *store, bool *ret_others, struct pd_error *err)
{
	char *paths[PD_LOCAL_PENDING_MAX];
	int rc = 0;

	*ret_others = false;
	for (size_t i = 0; i < store->pending_count && rc == 0; i++) {
		rc = sync_content(store->pending[i].file, err);
		pd_os_hint(store->pending[i].file, PD_OS_HINT_FORGET, 0, store->pending[i].size);
	}
	for (size_t i = 0; i < store->pending_count && rc == 0; i++) {
		rc = publish(store, store->pending[i].new_path, store->pending[i].path, err);
		*ret_others = *ret_others || rc == PD_EXISTS;
		if (rc == PD_EXISTS)
			rc = 0;
		paths[i] = store->pending[i].path;
	}
	return rc == 0 ? sync_names(store, paths, store->pending_count, err) : rc;
}

int pd_local_flush(struct pd_object_store *base, struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	bool others;
	int rc;

	if (store->pending_count == 0)
		return 0;
	rc = publish_pending(store, &others, err);
	if (rc == PD_AGAIN)
		pd_local_forget_settled(store);
	pd_local_drop_pending(store);
	if (rc == 0 && (others || store->no_links))
		rc = pd_local_sync_incoming(store, err);
	return rc;
}

static bool is_pending(const struct pd_local_store *store, const char *path)
{
	for (size_t i = 0; i < store->pending_count; i++)
		if (strcmp(store->pending[i].path, path) == 0)
			return true;
	return false;
}

/* All that is in it is the store's from here on. The disk is not to be idle until the sync. */
static int put_later(struct pd_local_store *store, const struct pd_local_pending *pending,
		     struct pd_error *err)
{
	pd_os_hint(pending->file, PD_OS_HINT_WRITE_OUT, 0, pending->size);
	store->pending[store->pending_count++] = *pending;
	return store->pending_count == PD_LOCAL_PENDING_MAX ? pd_local_flush(&store->base, err) : 0;
}

/* ---- all of it ---- */

/* *path becomes NULL when it is kept. */
static int put_new(struct pd_local_store *store, char **path, const char *name, bool later,
		   const struct pd_object_source *source, struct pd_error *err)
{
	struct pd_local_pending new = { .path = *path };
	int rc = pd_local_path(&new.new_path, err, "%s/%016" PRIx64 "-%" PRIu64 ".new", store->incoming,
			       store->id, store->writes++);

	if (rc != 0)
		return rc;
	/* Folders first: they show whether the name can be had at all. */
	rc = make_folders(store, *path, name, err);
	if (rc == 0)
		rc = write_new(store, &new, later, source, err);
	if (rc == 0 && later) {
		*path = NULL;
		return put_later(store, &new, err);
	}
	if (rc == 0)
		rc = sync_content(new.file, err);
	if (rc == 0)
		rc = publish(store, new.new_path, *path, err);
	new.path = NULL;
	pending_done(store, &new);
	return rc;
}

int pd_local_put(struct pd_object_store *base, const char *name, const struct pd_object_source *source,
		 const struct pd_object_put_options *options, struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	uint64_t size;
	char *path;
	int rc; /* what the content must be is the wrapper's business, and nothing is retained */

	rc = pd_local_object_path(store, name, &path, err);
	if (rc != 0)
		return rc;
	if (options->later && is_pending(store, path)) {
		pd_free(path);
		return exists(store, name, err);
	}
	/* A look spares the work of writing it in vain; the link decides. */
	rc = base->ops->head(base, name, &size, err);
	if (rc == 0)
		rc = exists(store, name, err);
	else if (rc == PD_NOT_FOUND)
		rc = is_directory(store, path) ? is_folder(name, err) : pd_local_incoming_open(store, err);
	if (rc == 0)
		rc = put_new(store, &path, name, options->later, source, err);
	if (path == NULL)
		return rc;
	if (rc == PD_AGAIN)
		pd_local_forget_settled(store);
	if (rc == 0 || rc == PD_EXISTS) {
		int synced = sync_names(store, &path, 1, err);

		/* Of an object of somebody else's nobody knows how it got its name. */
		if (synced == 0 && (rc == PD_EXISTS || store->no_links))
			synced = pd_local_sync_incoming(store, err);
		rc = synced != 0 ? synced : rc;
	}
	pd_free(path);
	return rc;
}
