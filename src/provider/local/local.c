#include "provider/local.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "provider/local/local_private.h"

int pd_local_path(char **ret_path, struct pd_error *err, const char *format, ...)
{
	char text[4096];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (size < 0 || (size_t)size >= sizeof text)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"'%.100s…' is longer than a path can be; use a directory with a shorter one", text);
	*ret_path = pd_strdup(text);
	return *ret_path != NULL ? 0
				 : pd_error_set(err, PD_NO_MEMORY, "no memory for the path '%.200s'", text);
}

int pd_local_object_path(const struct pd_local_store *store, const char *name, char **ret_path,
			 struct pd_error *err)
{
	return pd_local_path(ret_path, err, "%s/%s", store->root, name);
}

/* ---- reading ---- */

static int no_such_object(const struct pd_local_store *store, const char *name, struct pd_error *err)
{
	return pd_error_set(err, PD_NOT_FOUND, "there is no object '%s' in '%s'", name, store->root);
}

/* Whether an object's file stands where a folder of the name would have to be. */
static bool is_below_a_file(const struct pd_local_store *store, const char *path)
{
	char *folder = pd_strdup(path);
	struct pd_os_file_info info;
	bool found = false;
	char *slash;

	while (!found && folder != NULL && (slash = strrchr(folder, '/')) != NULL &&
	       (size_t)(slash - folder) > strlen(store->root)) {
		*slash = '\0';
		found = pd_os_info(store->os, folder, &info, NULL) == 0 && !info.is_directory;
	}
	pd_free(folder);
	return found;
}

/* A directory, a pipe, or what would be below a file are no objects. */
static int local_head(struct pd_object_store *base, const char *name, uint64_t *ret_size,
		      struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	struct pd_os_file_info info;
	char *path;
	int rc = pd_local_object_path(store, name, &path, err);

	if (rc != 0)
		return rc;
	rc = pd_os_info(store->os, path, &info, err);
	if (rc == PD_IO && is_below_a_file(store, path))
		rc = PD_NOT_FOUND;
	pd_free(path);
	if (rc == PD_NOT_FOUND || (rc == 0 && (info.is_directory || info.is_special)))
		return no_such_object(store, name, err);
	if (rc == 0)
		*ret_size = info.size;
	return rc;
}

static int local_get(struct pd_object_store *base, const char *name, uint64_t offset, uint64_t size,
		     const struct pd_object_sink *sink, struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	struct pd_os_file *file = NULL;
	uint64_t there;
	char *path;
	int rc = local_head(base, name, &there, err);

	if (rc != 0)
		return rc;
	if (offset >= there || size == 0)
		return 0;
	rc = pd_local_object_path(store, name, &path, err);
	if (rc != 0)
		return rc;
	rc = pd_os_open(store->os, path, PD_OS_READ, &file, err);
	if (rc == PD_NOT_FOUND)
		rc = no_such_object(store, name, err);
	else if (rc == 0)
		rc = pd_local_copy_out(store, file, path, offset,
				       size < there - offset ? size : there - offset, sink, err);
	pd_os_close(file);
	pd_free(path);
	return rc;
}

/* ---- deleting ---- */

/* What is not there any more may have been unlinked by somebody who died before the sync, so that is done in any case. */
static int local_delete(struct pd_object_store *base, const char *name, struct pd_error *err)
{
	struct pd_local_store *store = (struct pd_local_store *)base;
	struct pd_os_file_info info;
	uint64_t size;
	char *path;
	int rc = local_head(base, name, &size, err);
	bool there = rc == 0;

	if (rc != 0 && rc != PD_NOT_FOUND)
		return rc;
	rc = pd_local_object_path(store, name, &path, err);
	if (rc != 0)
		return rc;
	if (there)
		rc = pd_os_unlink(store->os, path, err);
	if (rc == PD_NOT_FOUND)
		rc = 0; /* somebody was faster */
	*strrchr(path, '/') = '\0';
	if (rc == 0 && (there || (pd_os_info(store->os, path, &info, NULL) == 0 && info.is_directory)))
		rc = pd_os_sync_directory(store->os, path, err);
	pd_free(path);
	return rc;
}

/* ---- life ---- */

static void local_free(struct pd_object_store *base)
{
	struct pd_local_store *store = (struct pd_local_store *)base;

	pd_local_drop_pending(store);
	pd_local_forget_settled(store);
	pd_free(store->settled);
	pd_free(store->piece);
	pd_local_incoming_close(store);
	pd_free(store->root);
	pd_object_store_done(base);
	pd_free(store);
}

static const struct pd_object_store_ops local_ops = {
	.abi = PD_OBJECT_STORE_ABI,
	.kind = "local",
	.free = local_free,
	.put = pd_local_put,
	.flush = pd_local_flush,
	.get = local_get,
	.head = local_head,
	.list = pd_local_list,
	.delete = local_delete,
	.sweep = pd_local_sweep,
	.settle = pd_local_settle,
};

int pd_object_store_local_new(struct pd_os *os, const char *path, struct pd_object_store **ret_store,
			      struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_local_store *store;
	int rc = pd_os_info(os, path, &info, err);

	if (rc == PD_NOT_FOUND)
		return pd_error_set(
			err, rc,
			"there is no directory '%s' for objects; create it, or mount what belongs there",
			path);
	if (rc != 0)
		return rc;
	if (!info.is_directory)
		return pd_error_set(err, PD_INVALID, "'%s' is no directory; objects are kept in one", path);
	store = pd_calloc(1, sizeof *store);
	if (store == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot open the object store '%s': out of memory",
				    path);
	rc = pd_object_store_init(&store->base, &local_ops, path, err);
	if (rc != 0) {
		pd_free(store);
		return rc;
	}
	store->os = os;
	store->root = pd_strdup(path);
	if (store->root == NULL) {
		local_free(&store->base);
		return pd_error_set(err, PD_NO_MEMORY, "cannot open the object store '%s': out of memory",
				    path);
	}
	*ret_store = &store->base;
	return 0;
}
