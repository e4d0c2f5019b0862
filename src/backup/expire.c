#include "backup/expire.h"

#include <string.h>

#include "backup/lease.h"
#include "backup/piece.h"
#include "backup/scan.h"
#include "backup/verify.h"
#include "base/memory.h"
#include "base/plant.h"

struct expiring {
	struct pd_repository *repository;
	const struct pd_backup_watch *watch;
	struct pd_backup_lease lease;
	struct pd_catalog catalog, actors; /* of directories, of some actors */
	struct pd_backup_seen named;       /* pieces that are */
	unsigned *why, *why_actors;        /* each of the catalog's stays; 0: it goes */
	const char *pieces;                /* the folder that is gone over */
	bool dry_run;
	struct pd_expired *expired;
	size_t ids_capacity;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while backups expire");
}

static int step(void *context, struct pd_error *err)
{
	struct expiring *expiring = context;
	int result = pd_backup_step(expiring->watch, expiring->expired->bytes, 0, err);

	return result == 0 ? pd_backup_lease_keep(&expiring->lease, err) : result;
}

static int note_id(struct expiring *expiring, const char *id, struct pd_error *err)
{
	struct pd_os_names *ids = &expiring->expired->ids;
	char **names = pd_grow(ids->names, ids->count, &expiring->ids_capacity, sizeof *names, 16);

	if (names == NULL)
		return no_memory(err);
	ids->names = names;
	names[ids->count] = pd_strdup(id);
	if (names[ids->count] == NULL)
		return no_memory(err);
	ids->count++;
	expiring->expired->backups++;
	return 0;
}

/* Of a catalog, which there is room for. */
static void note_kept_of(struct pd_expired *expired, const struct pd_catalog *catalog, const unsigned *why)
{
	for (size_t i = 0; i < catalog->count; i++) {
		struct pd_expire_kept *kept = &expired->kept[expired->kept_count];

		if (why[i] == 0)
			continue;
		memcpy(kept->id, catalog->items[i].id, sizeof kept->id);
		kept->why = why[i];
		expired->kept_count++;
	}
}

static int note_kept(struct expiring *expiring, struct pd_error *err)
{
	struct pd_expired *expired = expiring->expired;

	expired->kept = pd_calloc(expiring->catalog.count + expiring->actors.count + 1,
				  sizeof *expired->kept);
	if (expired->kept == NULL)
		return no_memory(err);
	note_kept_of(expired, &expiring->catalog, expiring->why);
	note_kept_of(expired, &expiring->actors, expiring->why_actors);
	return 0;
}

/* The later ones first: none is ever there without what it goes on from. */
static int remove_manifests(struct expiring *expiring, const struct pd_catalog *catalog, const unsigned *why,
			    struct pd_error *err)
{
	int result = 0;

	for (size_t i = catalog->count; i-- > 0 && result == 0;) {
		const char *id = catalog->items[i].id;
		char *name;

		if (why[i] != 0)
			continue;
		name = pd_asprintf("%s%s", pd_backup_prefix(catalog->items[i].kind), id);
		result = name == NULL ? no_memory(err) : step(expiring, err);
		if (result == 0 && !expiring->dry_run)
			result = pd_object_delete(expiring->repository->store, name, err);
		if (result == 0)
			result = note_id(expiring, id, err);
		pd_free(name);
	}
	return result;
}

static int name_pieces(struct expiring *expiring, const struct pd_catalog *catalog, const unsigned *why,
		       struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; i < catalog->count && result == 0; i++) {
		const struct pd_backup_manifest *manifest = &catalog->items[i];
		size_t count = manifest->piece_count - pd_plant(PD_PLANT_EXPIRE_FORGETS_PIECE);

		for (size_t n = 0; n < count && why[i] != 0 && result == 0; n++)
			result = pd_backup_seen_add(&expiring->named, &manifest->pieces[n], err);
	}
	return result;
}

/* "data/ab/ab12…": what has another name is nobody's to remove. */
static bool read_name(const char *folder, const char *name, struct pd_piece *piece)
{
	const char *digits = strrchr(name, '/');
	char again[PD_PIECE_NAME_SIZE];

	if (digits == NULL || !pd_scan_hex(pd_slice_string(digits + 1), piece->digest, sizeof piece->digest))
		return false;
	pd_piece_name_in(folder, piece, again);
	return strcmp(again, name) == 0;
}

static int remove_piece(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct expiring *expiring = context;
	struct pd_piece piece;
	int result = step(expiring, err);

	if (result != 0 || !read_name(expiring->pieces, entry->name, &piece) ||
	    pd_backup_seen_has(&expiring->named, &piece))
		return result;
	if (!expiring->dry_run)
		result = pd_object_delete(expiring->repository->store, entry->name, err);
	if (result == 0) {
		expiring->expired->pieces++;
		expiring->expired->bytes += entry->size;
	}
	return result;
}

/* When the newest backup was made, or now, if that is earlier: a clock that has jumped ahead lets nothing go by itself. */
static uint64_t reference_us(const struct expiring *expiring, const struct pd_catalog *catalog)
{
	uint64_t newest_us = 0, now_us = pd_os_real_us(expiring->repository->os);

	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i].ended_us > newest_us)
			newest_us = catalog->items[i].ended_us;
	return newest_us < now_us ? newest_us : now_us;
}

static int remove_pieces(struct expiring *expiring, struct pd_error *err)
{
	int result;

	expiring->pieces = PD_PIECES_OF_FILES;
	result = pd_repository_each(expiring->repository, expiring->pieces, remove_piece, expiring, err);
	if (result != 0)
		return result;
	expiring->pieces = PD_PIECES_OF_ACTORS;
	return pd_repository_each(expiring->repository, expiring->pieces, remove_piece, expiring, err);
}

static int load(struct expiring *expiring, struct pd_error *err)
{
	const struct pd_catalog_watch watch = { step, expiring };
	const struct pd_error *first;
	int result = pd_catalog_load(expiring->repository, &watch, &expiring->catalog, err);

	if (result == 0)
		result = pd_catalog_load_actors(expiring->repository, &watch, &expiring->actors, err);
	if (result != 0 || (expiring->catalog.damaged == 0 && expiring->actors.damaged == 0))
		return result;
	first = expiring->catalog.damaged > 0 ? &expiring->catalog.first : &expiring->actors.first;
	return pd_error_set(err, PD_CORRUPT,
			    "%.350s. As long as it is there, nothing is removed, for it may name anything",
			    first->text);
}

static int expire(struct expiring *expiring, const struct pd_retention_rules *rules, struct pd_error *err)
{
	int result = load(expiring, err);

	if (result != 0)
		return result;
	expiring->why = pd_retention_judge(&expiring->catalog, rules,
					   reference_us(expiring, &expiring->catalog));
	expiring->why_actors = pd_retention_judge_actors(&expiring->actors, rules,
							 reference_us(expiring, &expiring->actors));
	if (expiring->why == NULL || expiring->why_actors == NULL)
		return no_memory(err);
	result = note_kept(expiring, err);
	if (result == 0)
		result = name_pieces(expiring, &expiring->catalog, expiring->why, err);
	if (result == 0)
		result = name_pieces(expiring, &expiring->actors, expiring->why_actors, err);
	if (result == 0 && pd_plant(PD_PLANT_EXPIRE_PIECES_FIRST))
		result = remove_pieces(expiring, err);
	if (result == 0)
		result = remove_manifests(expiring, &expiring->catalog, expiring->why, err);
	if (result == 0)
		result = remove_manifests(expiring, &expiring->actors, expiring->why_actors, err);
	if (result == 0)
		result = pd_backup_lease_prove(&expiring->lease, err);
	return result == 0 ? remove_pieces(expiring, err) : result;
}

int pd_backup_expire(struct pd_repository *repository, const struct pd_retention_rules *rules, bool dry_run,
		     const struct pd_backup_watch *watch, struct pd_expired *ret_expired,
		     struct pd_error *err)
{
	struct expiring expiring = {
		.repository = repository, .watch = watch, .dry_run = dry_run, .expired = ret_expired
	};
	int result;

	*ret_expired = (struct pd_expired){ 0 };
	pd_backup_seen_init(&expiring.named);
	result = pd_backup_lease_take(&expiring.lease, repository, watch, err);
	if (result == 0)
		result = expire(&expiring, rules, err);
	pd_backup_lease_end(&expiring.lease);
	pd_backup_seen_done(&expiring.named);
	pd_catalog_done(&expiring.catalog);
	pd_catalog_done(&expiring.actors);
	pd_free(expiring.why);
	pd_free(expiring.why_actors);
	return result;
}

void pd_expired_done(struct pd_expired *expired)
{
	pd_os_names_done(&expired->ids);
	pd_free(expired->kept);
	expired->kept = NULL;
	expired->kept_count = 0;
}
