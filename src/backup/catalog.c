/* What follows from all manifests together. A chain leads from a backup over its parents to one that has all by itself. Each names what it goes on from, so two histories that have
 * parted are never mixed. */
#include "backup/catalog.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"

#define CHAIN_MAX 1000000u /* a ring, which nobody has made, ends */

void pd_catalog_done(struct pd_catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++)
		pd_backup_manifest_done(&catalog->items[i]);
	pd_free(catalog->items);
	*catalog = (struct pd_catalog){ 0 };
}

const struct pd_backup_manifest *pd_catalog_find(const struct pd_catalog *catalog, const char *id)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (strcmp(catalog->items[i].id, id) == 0)
			return &catalog->items[i];
	return NULL;
}

const struct pd_backup_manifest *pd_catalog_newest(const struct pd_catalog *catalog)
{
	return catalog->count > 0 ? &catalog->items[catalog->count - 1] : NULL;
}

int pd_catalog_choose(const struct pd_catalog *catalog, const char *id,
		      const struct pd_backup_manifest **ret_manifest, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = id != NULL ? pd_catalog_find(catalog, id)
							       : pd_catalog_newest(catalog);

	if (manifest == NULL && id != NULL && pd_backup_is_of_actors(id))
		return pd_error_set(
			err, PD_INVALID,
			"backup %s is of some actors only, as they were at one moment: 'perdure backup "
			"restore %s --all --into-server DIR' puts them into a server. A directory, another "
			"moment or a drill take a full, incremental or differential backup, or one of log",
			id, id);
	if ((id == NULL || manifest == NULL) && catalog->damaged > 0)
		return pd_error_set(err, PD_CORRUPT, "%.350s%s", catalog->first.text,
				    manifest != NULL
					    ? ". It may be the newest: say the id of the one that is "
					      "meant, 'perdure backup ls' lists them"
					    : "");
	if (manifest == NULL)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no backup%s%s in the repository: 'perdure backup ls' lists them",
			id != NULL ? " " : "", id != NULL ? id : "");
	*ret_manifest = manifest;
	return 0;
}

/* ---- chains ---- */

static const struct pd_backup_manifest *parent_of(const struct pd_catalog *catalog,
						  const struct pd_backup_manifest *manifest)
{
	return manifest->parent[0] != '\0' ? pd_catalog_find(catalog, manifest->parent) : NULL;
}

/* A directory can be made of it alone. */
static bool has_state(const struct pd_backup_manifest *manifest)
{
	return manifest->kind != PD_BACKUP_LOG;
}

int pd_catalog_reach(const struct pd_catalog *catalog, const struct pd_backup_manifest *last,
		     struct pd_backup_reach *ret_reach, struct pd_error *err)
{
	const struct pd_backup_manifest *at = last;

	*ret_reach = (struct pd_backup_reach){ .to = last->end };
	for (unsigned i = 0; at != NULL && i < CHAIN_MAX; at = parent_of(catalog, at), i++)
		if (has_state(at)) {
			ret_reach->oldest = at;
			ret_reach->from = at->base;
		}
	if (ret_reach->oldest != NULL)
		return 0;
	return pd_error_set(
		err, PD_NOT_FOUND,
		"backup %s is of log alone, and none of those that it goes on from is there with a "
		"state: it is of no use by itself",
		last->id);
}

static bool is_before(const struct pd_backup_manifest *manifest, const struct pd_backup_wish *wish)
{
	if (wish->lsn > 0)
		return manifest->base.lsn <= wish->lsn;
	return wish->time_us == 0 || manifest->base.time_us <= wish->time_us;
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of files to restore");
}

static int copy_file(struct pd_backup_manifest *plan, const struct pd_backup_manifest *from,
		     const struct pd_backup_file *file, struct pd_error *err)
{
	struct pd_backup_file *copy;

	if (pd_backup_add_file(plan, file->part, pd_slice_string(file->name), &copy) != 0)
		return no_memory(err);
	copy->size = file->size;
	copy->stored = file->stored;
	memcpy(copy->hash, file->hash, sizeof copy->hash);
	copy->epoch = file->epoch;
	copy->first_lsn = file->first_lsn;
	copy->last_lsn = file->last_lsn;
	copy->sealed = file->sealed;
	for (size_t i = 0; i < file->piece_count; i++)
		if (pd_backup_add_piece(plan, &from->pieces[file->first_piece + i]) != 0)
			return no_memory(err);
	return 0;
}

/* Segments have their numbers from the log, so their names sort as the log goes. */
struct part {
	const struct pd_backup_manifest *from;
	const struct pd_backup_file *file;
};

static int by_name(const void *a, const void *b)
{
	const struct part *one = a, *other = b;
	int order = strcmp(one->file->name, other->file->name);

	if (order != 0)
		return order;
	if (one->file->last_lsn != other->file->last_lsn) /* the longer one first */
		return one->file->last_lsn > other->file->last_lsn ? -1 : 1;
	return one->file->size > other->file->size ? -1 : one->file->size < other->file->size;
}

/* What was the last of a backup's log may go on in the next one's: of those with one name the longest counts. */
static int add_log(struct pd_backup_manifest *plan, struct part *parts, size_t count,
		   const struct pd_backup_wish *wish, struct pd_error *err)
{
	const struct pd_backup_file *last = NULL;
	int result = 0;

	if (count > 0)
		qsort(parts, count, sizeof *parts, by_name);
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct pd_backup_file *file = parts[i].file;

		if (last != NULL && strcmp(last->name, file->name) == 0)
			continue;
		if (wish->lsn > 0 && file->first_lsn > wish->lsn)
			break;
		if (last != NULL && (file->first_lsn != last->last_lsn + 1 || file->epoch < last->epoch))
			return pd_error_set(err, PD_CORRUPT,
					    "the log between LSN %" PRIu64 " and LSN %" PRIu64
					    " is in none of the backups: restore to a moment before or after",
					    last->last_lsn, file->first_lsn);
		last = file;
		result = copy_file(plan, parts[i].from, file, err);
	}
	if (result == 0 && (last == NULL || last->last_lsn < (wish->lsn > 0 ? wish->lsn : plan->end.lsn)))
		return pd_error_set(err, PD_NOT_FOUND, "the log in the backups ends before that moment");
	return result;
}

/* Log that is older than the checkpoint is of no use; but the record that this ends with may begin in the segment before the one that has its end. */
static bool counts(const struct pd_backup_manifest *plan, const struct pd_backup_file *file)
{
	return file->part == PD_BACKUP_LOG_FILE &&
	       file->last_lsn + !pd_plant(PD_PLANT_PLAN_CUTS_RECORD) >= plan->base.lsn;
}

/* Of the backups from `last` back, without `until`. */
static int collect_log(const struct pd_catalog *catalog, const struct pd_backup_manifest *until,
		       const struct pd_backup_manifest *last, const struct pd_backup_wish *wish,
		       struct pd_backup_manifest *plan, struct pd_error *err)
{
	const struct pd_backup_manifest *at = last;
	struct part *parts = NULL;
	size_t count = 0, capacity = 0;
	int result = 0;

	for (unsigned n = 0; result == 0 && at != NULL && at != until && n < CHAIN_MAX; n++) {
		for (size_t i = 0; i < at->file_count && result == 0; i++) {
			struct part *grown;

			if (!counts(plan, &at->files[i]))
				continue;
			grown = pd_grow(parts, count, &capacity, sizeof *parts, 64);
			if (grown == NULL) {
				result = no_memory(err);
				break;
			}
			parts = grown;
			parts[count++] = (struct part){ at, &at->files[i] };
		}
		at = parent_of(catalog, at);
	}
	if (result == 0)
		result = add_log(plan, parts, count, wish, err);
	pd_free(parts);
	return result;
}

static int collect(const struct pd_catalog *catalog, const struct pd_backup_manifest *base,
		   const struct pd_backup_manifest *last, const struct pd_backup_wish *wish,
		   struct pd_backup_manifest *plan, struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; i < base->file_count && result == 0; i++)
		if (base->files[i].part == PD_BACKUP_FILE)
			result = copy_file(plan, base, &base->files[i], err);
	return result == 0 ? collect_log(catalog, parent_of(catalog, base), last, wish, plan, err) : result;
}

int pd_catalog_log(const struct pd_catalog *catalog, const struct pd_backup_manifest *from,
		   const struct pd_backup_manifest *to, struct pd_backup_manifest *ret_log,
		   struct pd_error *err)
{
	const struct pd_backup_wish all = { 0 };

	pd_backup_manifest_init(ret_log);
	ret_log->base = from->end;
	ret_log->end = to->end;
	return from == to ? 0 : collect_log(catalog, from, to, &all, ret_log, err);
}

const struct pd_backup_manifest *pd_catalog_full_before(const struct pd_catalog *catalog,
							const struct pd_backup_manifest *last)
{
	const struct pd_backup_manifest *at = last;

	for (unsigned n = 0; at != NULL && at->kind != PD_BACKUP_FULL && n < CHAIN_MAX; n++)
		at = parent_of(catalog, at);
	return at != NULL && at->kind == PD_BACKUP_FULL ? at : NULL;
}

const struct pd_backup_manifest *pd_catalog_state_before(const struct pd_catalog *catalog,
							 const struct pd_backup_manifest *last)
{
	const struct pd_backup_manifest *at = last;

	for (unsigned n = 0; at != NULL && !has_state(at) && n < CHAIN_MAX; n++)
		at = parent_of(catalog, at);
	return at != NULL && has_state(at) ? at : NULL;
}

/* The newest state on the way to `last` that is not after the moment. NULL: there is none. */
static const struct pd_backup_manifest *base_for(const struct pd_catalog *catalog,
						 const struct pd_backup_manifest *last,
						 const struct pd_backup_wish *wish)
{
	const struct pd_backup_manifest *base = last;

	for (unsigned i = 0; base != NULL && i < CHAIN_MAX && !(has_state(base) && is_before(base, wish));
	     i++)
		base = parent_of(catalog, base);
	return base;
}

int pd_catalog_choose_for(const struct pd_catalog *catalog, const char *id, const struct pd_backup_wish *wish,
			  const struct pd_backup_manifest **ret_manifest, struct pd_error *err)
{
	int result = pd_catalog_choose(catalog, id, ret_manifest, err);

	if (result != 0 || id != NULL)
		return result;
	for (size_t i = catalog->count; i-- > 0;)
		if (base_for(catalog, &catalog->items[i], wish) != NULL) {
			*ret_manifest = &catalog->items[i];
			break;
		}
	return 0;
}

int pd_catalog_plan(const struct pd_catalog *catalog, const struct pd_backup_manifest *last,
		    const struct pd_backup_wish *wish, struct pd_backup_manifest *ret_plan,
		    struct pd_error *err)
{
	const struct pd_backup_manifest *base = base_for(catalog, last, wish);

	pd_backup_manifest_init(ret_plan);
	if (base == NULL)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"no backup that leads to %s has a state of that moment or before: 'perdure "
			"backup points' says how far back one can go",
			last->id);
	memcpy(ret_plan->id, last->id, sizeof ret_plan->id);
	memcpy(ret_plan->repository_id, last->repository_id, sizeof ret_plan->repository_id);
	memcpy(ret_plan->cluster_id, last->cluster_id, sizeof ret_plan->cluster_id);
	ret_plan->shard = last->shard;
	ret_plan->base = base->base;
	ret_plan->end = last->end;
	ret_plan->begun_us = last->begun_us;
	ret_plan->keys = last->keys;
	if (last->has_state) { /* which counts where that is the moment */
		ret_plan->has_state = true;
		memcpy(ret_plan->state, last->state, sizeof ret_plan->state);
	}
	return collect(catalog, base, last, wish, ret_plan, err);
}
