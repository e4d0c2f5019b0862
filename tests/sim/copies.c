/* Copies of what the world has, in other places: an archive of its log, and backups. What was said of them is noted; and whatever happens, all of
 * that can be had again. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/fetch.h"
#include "backup/catalog.h"
#include "backup/expire.h"
#include "backup/job.h"
#include "backup/restore.h"
#include "backup/verify.h"
#include "engine/manifest.h"
#include "provider/place.h"

#define ARCHIVE   "archive"
#define AGAIN     "/again" /* what is made of them */
#define TICKS_MAX 80u
#define STEPS_MAX 400u
#define RECORDS   2000u

static const struct pd_repository_place vault = PD_REPOSITORY_IN("/vault");

/* For good: a power cut must not bring it back. */
static int remove_again(struct world *world, struct pd_error *err)
{
	int result = pd_os_remove_tree(world->os, AGAIN, err);

	return result == 0 ? pd_os_sync_directory(world->os, "/", err) : result;
}

/* It did not work: may that be? */
static bool may_fail(struct world *world, const char *what, const char *why)
{
	return world_dead(world) || world->sick || world->machine.disk_bytes > 0 ||
	       world_fail(world, "%s: %s", what, why);
}

/* ---- the archive ---- */

void copies_let_go(struct world *world)
{
	pd_archive_free(world->copies.archive);
	world->copies.archive = NULL;
}

bool copies_begin(struct world *world)
{
	struct pd_error err = { 0 };

	world->copies.archiving = true;
	return (pd_os_mkdir(world->os, ARCHIVE, &err) == 0 &&
		pd_os_sync_directory(world->os, ".", &err) == 0) ||
	       world_fail(world, "no directory for an archive: %s", err.text);
}

bool copies_open(struct world *world)
{
	const struct pd_object_place place = { .address = ARCHIVE };
	struct pd_archive_options options = { .os = world->os,
					      .engine = world->engine,
					      .place = &place,
					      .interval_ms = PD_ARCHIVE_INTERVAL_MS_DEFAULT };
	struct pd_error err = { 0 };
	int result;

	if (!world->copies.archiving)
		return true;
	result = pd_archive_new(&options, &world->copies.archive, &err);
	return result == 0 || may_fail(world, "no archive", err.text);
}

static struct pd_archive_status look_at_archive(struct world *world)
{
	struct pd_archive_status status;

	pd_archive_status(world->copies.archive, &status);
	if (status.archived_lsn > world->copies.archived_lsn)
		world->copies.archived_lsn = status.archived_lsn;
	return status;
}

/* 1: all that is there is archived. 0: not yet. -1: failed. */
static int is_archived(struct world *world)
{
	struct pd_archive_status status = look_at_archive(world);

	if (status.state == PD_ARCHIVE_REFUSED || status.gaps > 0) {
		(void)world_fail(world, "not all is archived: %s%s", status.failure, status.gap);
		return -1;
	}
	return status.state == PD_ARCHIVE_FOLLOWING && !status.working &&
	       status.archived_lsn == status.durable_lsn && status.durable_lsn == world->newest_lsn;
}

bool copies_archive(struct world *world)
{
	int archived = 0;

	for (unsigned i = 0; world->copies.archive != NULL && archived == 0 && i < TICKS_MAX; i++) {
		pd_archive_tick(world->copies.archive);
		archived = is_archived(world);
		if (world_dead(world))
			break;
		if (!work_step(world))
			return false;
		pd_sim_advance_us(world->os, 250000);
	}
	if (archived < 0)
		return false;
	return archived == 1 ||
	       may_fail(world, "what is there is never archived",
			world->copies.archive != NULL ? look_at_archive(world).failure : "no archive");
}

/* ---- what it is good for ---- */

static int fetch(struct world *world, uint64_t to_lsn, struct pd_error *err)
{
	const struct pd_object_place place = { .address = ARCHIVE };
	struct pd_archive_fetch fetch = { .os = world->os, .directory = AGAIN "/log/0000", .to_lsn = to_lsn };
	struct pd_archive_fetched fetched;
	struct pd_manifest manifest;
	int result = pd_manifest_read(world->os, world->options.data_directory, &manifest, err);

	if (result == 0)
		result = pd_object_place_open(world->os, &place, "archive", &fetch.store, err);
	if (result != 0)
		return result;
	memcpy(fetch.log.cluster_id, manifest.cluster_id, sizeof fetch.log.cluster_id);
	result = pd_os_mkdir(world->os, AGAIN, err);
	if (result == 0)
		result = pd_os_mkdir(world->os, AGAIN "/log", err);
	if (result == 0)
		result = pd_archive_fetch(&fetch, &fetched, err);
	pd_object_store_free(fetch.store);
	return result == 0 ? pd_archive_fetch_finish(&fetch, &fetched, AGAIN, err) : result;
}

/* Open what was made, and look at its state. */
static int replay(struct world *world, struct pd_hash128 *ret_hash, struct pd_error *err)
{
	struct pd_engine_options options = world->options;
	struct pd_recovery recovery = { 0 };
	struct pd_engine *engine;
	int result;

	options.os = world->os;
	options.data_directory = AGAIN;
	result = pd_engine_open(&options, &engine, err);
	if (result != 0)
		return result;
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(engine, RECORDS, &recovery, err);
	if (result == 0 && recovery.damage_count > 0)
		result = pd_error_set(err, PD_CORRUPT, "it is damaged");
	if (result == 0)
		result = pd_engine_state_hash(engine, NULL, pd_slice(NULL, 0), ret_hash, err);
	(void)pd_engine_close(engine, NULL);
	return result;
}

static bool rebuild(struct world *world, uint64_t to_lsn, struct pd_hash128 *ret_hash)
{
	struct pd_error err = { 0 };
	int result = fetch(world, to_lsn, &err);

	if (result == 0)
		result = replay(world, ret_hash, &err);
	if (result == 0)
		result = remove_again(world, &err);
	return result == 0 ||
	       world_fail(world, "LSN %" PRIu64 " was said to be archived, and cannot be had again: %s",
			  to_lsn, err.text);
}

/* All of the log is archived, and gives this very state. */
static bool compare_archive(struct world *world)
{
	struct pd_hash128 hash, rebuilt;
	struct pd_error err = { 0 };

	if (pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &hash, &err) != 0)
		return world_fail(world, "no state hash: %s", err.text);
	if (!rebuild(world, world->newest_lsn, &rebuilt))
		return false;
	return (hash.low == rebuilt.low && hash.high == rebuilt.high) ||
	       world_fail(world, "what is archived makes another state than this");
}

/* ---- backups ---- */

static void note_backup(struct world *world, const struct pd_backup_status *status)
{
	_Static_assert(sizeof world->copies.backup == sizeof status->made.id, "an id fits");
	if (status->stage != PD_BACKUP_OVER || status->result != 0)
		return;
	memcpy(world->copies.backup, status->made.id, sizeof world->copies.backup);
	memcpy(world->copies.state, status->made.state, sizeof world->copies.state);
	world->copies.backup_lsn = status->made.end.lsn;
}

/* false: failed. */
static bool run_job(struct world *world, struct pd_backup_jobs *jobs, struct pd_backup_status *status)
{
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		pd_backup_jobs_tick(jobs);
		pd_backup_job_status(jobs, status);
		note_backup(world, status);
		if (status->stage == PD_BACKUP_OVER || world_dead(world))
			return true;
		if (!work_step(world))
			return false;
		pd_sim_advance_us(world->os, 1000);
	}
	return may_fail(world, "a backup", "it never ends");
}

bool copies_back_up(struct world *world, unsigned kind)
{
	struct pd_backup_jobs *jobs = pd_backup_jobs_new(world->engine);
	struct pd_backup_status status = { 0 };
	struct pd_error err = { 0 };
	bool good;
	int result;

	world->copies.backing_up = true;
	/* On a disk that failed there may be none to go on from. */
	if (world->copies.backup[0] == '\0')
		kind = PD_BACKUP_FULL;
	if (jobs == NULL)
		return may_fail(world, "no backup", "out of memory");
	result = pd_backup_job_start(jobs, (enum pd_backup_kind)kind, &vault, false, &err);
	good = result == 0 ? run_job(world, jobs, &status) : may_fail(world, "no backup", err.text);
	if (good && status.stage == PD_BACKUP_OVER && status.result != 0 && status.result != PD_END)
		good = may_fail(world, "no backup", status.err.text);
	pd_backup_jobs_free(jobs);
	return good;
}

bool copies_expire(struct world *world)
{
	const struct pd_retention_rules rules = { .keep = 1 };
	struct pd_repository *repository;
	struct pd_expired expired;
	struct pd_error err = { 0 };
	int result = pd_repository_open(world->os, &vault, &repository, &err);

	if (result != 0)
		return may_fail(world, "no repository", err.text);
	result = pd_backup_expire(repository, &rules, false, NULL, &expired, &err);
	pd_expired_done(&expired);
	pd_repository_free(repository);
	return result == 0 || may_fail(world, "backups do not expire", err.text);
}

/* ---- what they are good for ---- */

static int restore(struct world *world, struct pd_repository *repository, const struct pd_catalog *catalog,
		   const struct pd_backup_manifest *manifest, struct pd_error *err)
{
	const struct pd_backup_restoring order = { .target = AGAIN,
						   .levels = world->options.levels,
						   .segment_bytes = world->options.segment_bytes };
	const struct pd_backup_wish wish = { 0 };
	struct pd_backup_restored restored;
	struct pd_backup_manifest plan;
	struct pd_backup_verdict verdict;
	struct pd_backup_seen seen;
	int result;

	pd_backup_seen_init(&seen);
	result = pd_backup_verify(repository, manifest, &seen, NULL, &verdict, err);
	pd_backup_seen_done(&seen);
	if (result == 0 && verdict.damaged > 0)
		result = pd_error_set(err, PD_CORRUPT, "%s", verdict.first.text);
	if (result != 0)
		return result;
	result = pd_catalog_plan(catalog, manifest, &wish, &plan, err);
	if (result == 0)
		result = pd_backup_restore(repository, &plan, &order, &restored, err);
	pd_backup_manifest_done(&plan);
	if (result == 0 && strcmp(manifest->id, world->copies.backup) == 0 &&
	    world->copies.state[0] != '\0' && strcmp(restored.state, world->copies.state) != 0)
		result = pd_error_set(err, PD_CORRUPT, "its state is another than was backed up");
	if (result == 0 && restored.epoch <= world->epoch)
		result = pd_error_set(err, PD_CONFLICT, "it goes on in an epoch that the source has had");
	return result == 0 ? remove_again(world, err) : result;
}

/* Every backup that is listed can be restored, and there is the one that was acknowledged last, or one that has more: of which the end could not be told. */
static bool check_backups(struct world *world)
{
	struct pd_repository *repository;
	struct pd_catalog catalog = { 0 };
	struct pd_error err = { 0 };
	uint64_t newest_lsn = 0;
	int result = pd_repository_open(world->os, &vault, &repository, &err);

	if (result == PD_NOT_FOUND && world->copies.backup[0] == '\0')
		return true;
	if (result != 0)
		return world_fail(world, "no repository: %s", err.text);
	result = pd_catalog_load(repository, NULL, &catalog, &err);
	if (result == 0 && catalog.damaged > 0)
		result = pd_error_set(&err, PD_CORRUPT, "%s", catalog.first.text);
	for (size_t i = 0; i < catalog.count; i++)
		newest_lsn = catalog.items[i].end.lsn > newest_lsn ? catalog.items[i].end.lsn : newest_lsn;
	if (result == 0 && newest_lsn < world->copies.backup_lsn)
		result = pd_error_set(&err, PD_NOT_FOUND, "backup %s was made, and is not listed",
				      world->copies.backup);
	for (size_t i = 0; result == 0 && i < catalog.count; i++) {
		result = restore(world, repository, &catalog, &catalog.items[i], &err);
		if (result != 0)
			(void)world_fail(world, "backup %s cannot be restored: %s", catalog.items[i].id,
					 err.text);
	}
	pd_catalog_done(&catalog);
	pd_repository_free(repository);
	return result == 0 || world_fail(world, "%s", err.text);
}

bool copies_check(struct world *world)
{
	const struct copies *copies = &world->copies;
	struct pd_hash128 hash;

	if (copies->archived_lsn > 0 && !rebuild(world, copies->archived_lsn, &hash))
		return false;
	return !copies->backing_up || check_backups(world);
}

bool copies_go_on(struct world *world)
{
	struct copies *copies = &world->copies;

	if (copies->archiving && (!copies_archive(world) || !compare_archive(world)))
		return false;
	return !copies->backing_up || (copies_back_up(world, PD_BACKUP_INCREMENTAL) && copies_expire(world));
}

uint64_t copies_promised(const struct world *world)
{
	return pd_hash64(pd_slice_string(world->copies.backup), world->copies.archived_lsn);
}
