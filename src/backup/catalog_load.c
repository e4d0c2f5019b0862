/* Loading a catalog: manifest by manifest, several at a time where the store is a service, which answers late. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backup/catalog.h"
#include "base/memory.h"

#define AT_ONCE     8u
#define PATIENCE_US 1000u /* between two looks at those who load */

struct loaded {
	struct pd_backup_manifest manifest;
	int result;
	struct pd_error why;
};

struct loading {
	const struct pd_os_names *ids;
	struct loaded *loaded; /* as many */
	_Atomic size_t next;   /* that nobody loads yet */
	atomic_bool stopped;
};

struct loader {
	struct loading *loading;
	struct pd_repository *repository;
	struct pd_os_task *task;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of backups");
}

static void load_one(struct loading *loading, struct pd_repository *repository, size_t n)
{
	struct loaded *loaded = &loading->loaded[n];

	pd_backup_manifest_init(&loaded->manifest);
	loaded->result = pd_backup_manifest_get(repository, loading->ids->names[n], &loaded->manifest,
						&loaded->why);
}

/* ---- one after the other ---- */

static int load_here(struct loading *loading, struct pd_repository *repository,
		     const struct pd_catalog_watch *watch, struct pd_error *err)
{
	int result = 0;

	for (size_t n = 0; n < loading->ids->count && result == 0; n++) {
		if (watch != NULL)
			result = watch->step(watch->context, err);
		if (result == 0)
			load_one(loading, repository, n);
	}
	return result;
}

/* ---- several at a time ---- */

static void run(void *argument)
{
	const struct loader *loader = argument;
	struct loading *loading = loader->loading;

	while (!atomic_load(&loading->stopped)) {
		size_t n = atomic_fetch_add(&loading->next, 1);

		if (n >= loading->ids->count)
			return;
		load_one(loading, loader->repository, n);
	}
}

static bool go_on(void *context, uint64_t done_bytes)
{
	const struct loading *loading = context;

	(void)done_bytes;
	return !atomic_load(&loading->stopped);
}

static int start(struct loading *loading, struct loader *loader, const struct pd_repository *repository,
		 struct pd_error *err)
{
	int result = pd_repository_open_again(repository, &loader->repository, err);

	if (result != 0)
		return result;
	loader->loading = loading;
	pd_object_store_watch(loader->repository->store, &(struct pd_object_watch){ go_on, loading });
	return pd_os_task_start(repository->os, run, loader, &loader->task, err);
}

static bool all_finished(struct loader loaders[AT_ONCE])
{
	bool finished = true;

	for (unsigned i = 0; i < AT_ONCE; i++)
		finished = finished && (loaders[i].task == NULL || pd_os_task_finished(loaders[i].task));
	return finished;
}

static int load_beside(struct loading *loading, const struct pd_repository *repository,
		       const struct pd_catalog_watch *watch, struct pd_error *err)
{
	struct loader loaders[AT_ONCE] = { 0 };
	int result = 0;

	for (unsigned i = 0; i < AT_ONCE && i < loading->ids->count && result == 0; i++)
		result = start(loading, &loaders[i], repository, err);
	while (result == 0 && !all_finished(loaders)) {
		if (watch != NULL)
			result = watch->step(watch->context, err);
		pd_os_sleep_us(repository->os, PATIENCE_US);
	}
	atomic_store(&loading->stopped, result != 0);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		pd_os_task_join(loaders[i].task);
		pd_repository_free(loaders[i].repository);
	}
	return result;
}

/* ---- all of it ---- */

/* Leases count up, whatever clocks say. */
static int by_lease(const void *a, const void *b)
{
	const struct pd_backup_manifest *one = a, *other = b;

	if (one->lease != other->lease)
		return one->lease < other->lease ? -1 : 1;
	return strcmp(one->id, other->id);
}

/* Into the catalog, which has room for it. */
static int add(struct pd_catalog *catalog, struct loaded *loaded, struct pd_error *err)
{
	if (loaded->result == 0) {
		catalog->items[catalog->count++] = loaded->manifest;
		pd_backup_manifest_init(&loaded->manifest);
		return 0;
	}
	if (loaded->result == PD_NOT_FOUND) /* it has expired meanwhile, or is none */
		return 0;
	if (loaded->result != PD_CORRUPT)
		return pd_error_set(err, loaded->result, "%s", loaded->why.text);
	if (catalog->damaged++ == 0)
		catalog->first = loaded->why;
	return 0;
}

static int load(struct loading *loading, struct pd_repository *repository,
		const struct pd_catalog_watch *watch, struct pd_catalog *ret_catalog, struct pd_error *err)
{
	size_t count = loading->ids->count;
	bool beside = pd_repository_place_is_remote(&repository->place) && count > 1;
	int result;

	loading->loaded = pd_calloc(count + 1, sizeof *loading->loaded);
	ret_catalog->items = pd_calloc(count + 1, sizeof *ret_catalog->items);
	if (loading->loaded == NULL || ret_catalog->items == NULL)
		return no_memory(err);
	ret_catalog->capacity = count + 1;
	result = beside ? load_beside(loading, repository, watch, err)
			: load_here(loading, repository, watch, err);
	for (size_t n = 0; n < count && result == 0; n++)
		result = add(ret_catalog, &loading->loaded[n], err);
	return result;
}

/* `ids` are given back here. */
static int load_listed(struct pd_repository *repository, struct pd_os_names *ids,
		       const struct pd_catalog_watch *watch, struct pd_catalog *ret_catalog,
		       struct pd_error *err)
{
	struct loading loading = { .ids = ids };
	int result;

	atomic_init(&loading.next, 0);
	atomic_init(&loading.stopped, false);
	result = load(&loading, repository, watch, ret_catalog, err);
	for (size_t n = 0; loading.loaded != NULL && n < ids->count; n++)
		pd_backup_manifest_done(&loading.loaded[n].manifest);
	pd_free(loading.loaded);
	pd_os_names_done(ids);
	if (result != 0)
		pd_catalog_done(ret_catalog);
	else if (ret_catalog->count > 1)
		qsort(ret_catalog->items, ret_catalog->count, sizeof *ret_catalog->items, by_lease);
	return result;
}

int pd_catalog_load(struct pd_repository *repository, const struct pd_catalog_watch *watch,
		    struct pd_catalog *ret_catalog, struct pd_error *err)
{
	struct pd_os_names ids;
	int result = pd_backup_list(repository, &ids, err);

	*ret_catalog = (struct pd_catalog){ 0 };
	return result == 0 ? load_listed(repository, &ids, watch, ret_catalog, err) : result;
}

int pd_catalog_load_actors(struct pd_repository *repository, const struct pd_catalog_watch *watch,
			   struct pd_catalog *ret_catalog, struct pd_error *err)
{
	struct pd_os_names ids;
	int result = pd_backup_list_actors(repository, &ids, err);

	*ret_catalog = (struct pd_catalog){ 0 };
	return result == 0 ? load_listed(repository, &ids, watch, ret_catalog, err) : result;
}
