/* Listing a directory as a store: in the order of whole names, which is not that of a directory's entries. A folder's objects begin with
 * its name and a slash, so that is where the folder stands among its neighbours: "a-b" comes before "a/b", since '-' comes
 * before '/'. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "provider/local/local_private.h"
#include "provider/object_name.h"

/* A list being made: folders are walked one inside the other, PD_OBJECT_PARTS_MAX deep. */
struct walk {
	struct pd_local_store *store;
	const char *prefix, *after;
	size_t limit;
	struct pd_object_page *page;
	char name[PD_OBJECT_NAME_MAX + 2]; /* of the folder that is walked, with its slash; "": the root */
	size_t size;
	size_t depth;
};

struct item {
	char *name; /* a folder's has its slash */
	uint64_t size;
	bool is_folder;
};

static int compare_items(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

/* Whether the list may have something that begins with this entry of the folder: it may begin with the prefix, and not all of it
 * is behind us already. Spares looking at what is not asked for. */
static bool may_have(struct walk *walk, const char *entry)
{
	size_t size = strlen(entry), whole = walk->size + size;
	size_t shorter;

	if (whole > PD_OBJECT_NAME_MAX)
		return false;
	memcpy(walk->name + walk->size, entry, size);
	walk->name[whole] = '/';
	walk->name[whole + 1] = '\0';
	shorter = strlen(walk->prefix) < whole + 1 ? strlen(walk->prefix) : whole + 1;
	if (strncmp(walk->name, walk->prefix, shorter) != 0)
		return false;
	return strcmp(walk->name, walk->after) >= 0 || strncmp(walk->name, walk->after, whole + 1) == 0;
}

/* What an entry is. PD_NOT_FOUND: nothing of ours. */
static int look(struct walk *walk, const char *entry, struct item *ret_item, struct pd_error *err)
{
	struct pd_os_file_info info;
	char *path;
	int rc;

	walk->name[walk->size] = '\0';
	rc = pd_local_path(&path, err, "%s/%s%s", walk->store->root, walk->name, entry);
	if (rc != 0)
		return rc;
	rc = pd_os_info(walk->store->os, path, &info, err);
	pd_free(path);
	if (rc != 0 || info.is_special)
		return rc != 0 ? rc : PD_NOT_FOUND;
	ret_item->name = pd_asprintf(info.is_directory ? "%s/" : "%s", entry);
	if (ret_item->name == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory to list '%s'", walk->store->root);
	ret_item->size = info.size;
	ret_item->is_folder = info.is_directory;
	return 0;
}

static void items_done(struct item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pd_free(items[i].name);
	pd_free(items);
}

/* The folder's entries that the list may need, in its order. */
static int read_folder(struct walk *walk, struct item **ret_items, size_t *ret_count, struct pd_error *err)
{
	struct pd_os_names names = { 0 };
	struct item *items = NULL;
	size_t count = 0;
	char *path;
	int rc;

	walk->name[walk->size] = '\0';
	rc = pd_local_path(&path, err, "%s/%s", walk->store->root, walk->name);
	if (rc != 0)
		return rc;
	rc = pd_os_list(walk->store->os, path, &names, err);
	pd_free(path);
	if (rc == 0 && names.count > 0) {
		items = pd_calloc(names.count, sizeof *items);
		if (items == NULL)
			rc = pd_error_set(err, PD_NO_MEMORY, "no memory to list '%s'", walk->store->root);
	}
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		if (!pd_object_name_valid(names.names[i]) || !may_have(walk, names.names[i]))
			continue;
		rc = look(walk, names.names[i], &items[count], err);
		count += rc == 0;
		if (rc == PD_NOT_FOUND)
			rc = 0; /* gone meanwhile, or a dangling link, or a pipe */
	}
	pd_os_names_done(&names);
	if (rc != 0) {
		items_done(items, count);
		return rc;
	}
	if (count > 0)
		qsort(items, count, sizeof *items, compare_items);
	*ret_items = items;
	*ret_count = count;
	return 0;
}

static int walk_folder(struct walk *walk, struct pd_error *err);

static int walk_item(struct walk *walk, const struct item *item, struct pd_error *err)
{
	size_t before = walk->size, size = strlen(item->name);
	int rc;

	memcpy(walk->name + before, item->name, size + 1);
	if (!item->is_folder) {
		rc = pd_object_page_add(walk->page, walk->prefix, walk->after, walk->name, item->size);
		return rc == 0 ? 0 : pd_error_set(err, rc, "no memory to list '%s'", walk->store->root);
	}
	/* What is deeper has no object's name. */
	if (walk->depth + 1 >= PD_OBJECT_PARTS_MAX)
		return 0;
	walk->size = before + size;
	walk->depth++;
	rc = walk_folder(walk, err);
	walk->depth--;
	walk->size = before;
	return rc == PD_NOT_FOUND ? 0 : rc; /* gone meanwhile */
}

/* One more than the limit tells that there is more. */
static int walk_folder(struct walk *walk, struct pd_error *err)
{
	struct item *items = NULL;
	size_t count = 0;
	int rc = pd_object_store_go_on(&walk->store->base, err);

	if (rc == 0)
		rc = read_folder(walk, &items, &count, err);
	for (size_t i = 0; i < count && rc == 0 && walk->page->count <= walk->limit; i++)
		rc = walk_item(walk, &items[i], err);
	items_done(items, count);
	return rc;
}

int pd_local_list(struct pd_object_store *base, const char *prefix, const char *after, size_t limit,
		  struct pd_object_page *page, struct pd_error *err)
{
	struct walk walk = { .store = (struct pd_local_store *)base,
			     .prefix = prefix,
			     .after = after,
			     .limit = limit,
			     .page = page };

	return walk_folder(&walk, err);
}

/* ---- what is seen stays ---- */

/* A process that died between giving or taking a name and syncing its folder has left what a power cut can undo. */
static int settle_folder(struct walk *walk, struct pd_error *err)
{
	struct item *items = NULL;
	size_t count = 0;
	char *path;
	int rc = pd_object_store_go_on(&walk->store->base, err);

	if (rc == 0)
		rc = read_folder(walk, &items, &count, err);
	for (size_t i = 0; i < count && rc == 0; i++) {
		size_t before = walk->size, size = strlen(items[i].name);

		if (!items[i].is_folder || walk->depth + 1 >= PD_OBJECT_PARTS_MAX)
			continue;
		memcpy(walk->name + before, items[i].name, size + 1);
		walk->size = before + size;
		walk->depth++;
		rc = settle_folder(walk, err);
		walk->depth--;
		walk->size = before;
		if (rc == PD_NOT_FOUND)
			rc = 0; /* gone meanwhile */
	}
	items_done(items, count);
	if (rc != 0)
		return rc;
	walk->name[walk->size > 0 ? walk->size - 1 : 0] = '\0'; /* its slash */
	rc = pd_local_path(&path, err, walk->size > 0 ? "%s/%s" : "%s%s", walk->store->root, walk->name);
	if (rc != 0)
		return rc;
	rc = pd_os_sync_directory(walk->store->os, path, err);
	pd_free(path);
	return rc;
}

int pd_local_settle(struct pd_object_store *base, const char *prefix, struct pd_error *err)
{
	struct walk walk = { .store = (struct pd_local_store *)base, .prefix = prefix, .after = "" };
	int rc = settle_folder(&walk, err);

	return rc == 0 ? pd_local_sync_incoming(walk.store, err) : rc;
}
