#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct pd_repository_place vault_place(struct pd_os *os)
{
	return (struct pd_repository_place){ .store = { .address = REPOSITORY },
					     .key_file = vault_is_there(os, KEY) ? KEY : NULL };
}

void vault_make_key(struct pd_os *os)
{
	uint8_t key[32];
	struct pd_os_file *file;

	pd_os_random(os, key, sizeof key);
	assert_int_equal(pd_os_open(os, KEY, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_write(file, key, sizeof key, 0, NULL), 0);
	pd_os_close(file);
}

void vault_fill(struct world *world, unsigned acts)
{
	for (unsigned i = 0; i < acts; i++)
		world_act(world);
	world_settle(world);
}

struct pd_hash128 vault_hash(struct world *world)
{
	return host_hash(&world->host, "");
}

int vault_back_up(struct world *world, struct pd_backup_made *ret_made, struct pd_error *err)
{
	struct pd_backup_order order = { .repository = vault_place(world->host.os),
					 .levels = PD_LEVELS_PLAIN };

	return pd_backup_make_of_directory(world->host.os, "data", &order, ret_made, err);
}

/* `result` of its start. */
static int await(struct world *world, struct pd_backup_jobs *jobs, int result,
		 struct pd_backup_made *ret_made, struct pd_error *err)
{
	struct pd_backup_status status = { 0 };

	for (unsigned i = 0; result == 0 && i < 1000; i++) {
		world_idle(world, 1);
		pd_backup_jobs_tick(jobs);
		pd_backup_job_status(jobs, &status);
		if (status.stage == PD_BACKUP_OVER)
			break;
	}
	if (result == 0) {
		assert_int_equal(status.stage, PD_BACKUP_OVER);
		*ret_made = status.made;
		*err = status.err;
		result = status.result;
	}
	pd_backup_jobs_free(jobs);
	return result;
}

int vault_back_up_live(struct world *world, enum pd_backup_kind kind, struct pd_backup_made *ret_made,
		       struct pd_error *err)
{
	struct pd_backup_jobs *jobs = pd_backup_jobs_new(world->host.engine);
	struct pd_repository_place place = vault_place(world->host.os);

	assert_non_null(jobs);
	return await(world, jobs, pd_backup_job_start(jobs, kind, &place, false, err), ret_made, err);
}

int vault_back_up_actors(struct world *world, const char *match, struct pd_backup_made *ret_made,
			 struct pd_error *err)
{
	struct pd_backup_order order = { .repository = vault_place(world->host.os),
					 .kind = PD_BACKUP_ACTORS,
					 .match = match,
					 .levels = PD_LEVELS_PLAIN };

	return pd_backup_make_of_directory(world->host.os, "data", &order, ret_made, err);
}

int vault_back_up_actors_live(struct world *world, const char *tenant, const char *match,
			      struct pd_backup_made *ret_made, struct pd_error *err)
{
	struct pd_backup_jobs *jobs = pd_backup_jobs_new(world->host.engine);
	struct pd_repository_place place = vault_place(world->host.os);

	assert_non_null(jobs);
	return await(world, jobs, pd_backup_job_start_actors(jobs, &place, tenant, match, err), ret_made,
		     err);
}

static int check_each(struct pd_backup_actors *actors, struct pd_error *err)
{
	const struct pd_backup_actor *actor;
	int result = 0;

	while (result == 0 && (actor = pd_backup_actors_next(actors)) != NULL)
		result = pd_backup_actors_check(actors, actor, err);
	return result;
}

int vault_check_actors(struct pd_os *os, const char *id, struct pd_error *err)
{
	struct pd_repository_place place = vault_place(os);
	struct pd_repository *repository = NULL;
	struct pd_backup_actors *actors = NULL;
	struct pd_backup_manifest manifest;
	struct pd_backup_verdict verdict;
	struct pd_backup_seen seen;
	int result = pd_repository_open(os, &place, &repository, err);

	pd_backup_manifest_init(&manifest);
	pd_backup_seen_init(&seen);
	if (result == 0)
		result = pd_backup_manifest_get(repository, id, &manifest, err);
	if (result == 0)
		result = pd_backup_verify(repository, &manifest, &seen, NULL, &verdict, err);
	if (result == 0 && verdict.damaged > 0)
		result = pd_error_set(err, PD_CORRUPT, "%s", verdict.first.text);
	if (result == 0)
		result = pd_backup_actors_open(repository, &manifest, NULL, &actors, err);
	if (result == 0)
		result = check_each(actors, err);
	pd_backup_actors_close(actors);
	pd_backup_seen_done(&seen);
	pd_backup_manifest_done(&manifest);
	pd_repository_free(repository);
	return result;
}

int vault_restore(struct pd_os *os, const char *id, struct pd_backup_restored *ret_restored,
		  struct pd_error *err)
{
	struct pd_backup_restoring order = { .target = TARGET,
					     .levels = PD_LEVELS_PLAIN,
					     .segment_bytes = 64 * 1024 };
	struct pd_repository_place place = vault_place(os);
	struct pd_repository *repository = NULL;
	struct pd_backup_manifest manifest;
	struct pd_backup_verdict verdict;
	struct pd_backup_seen seen;
	int result = pd_repository_open(os, &place, &repository, err);

	pd_backup_manifest_init(&manifest);
	pd_backup_seen_init(&seen);
	if (result == 0)
		result = pd_backup_manifest_get(repository, id, &manifest, err);
	if (result == 0)
		result = pd_backup_verify(repository, &manifest, &seen, NULL, &verdict, err);
	if (result == 0 && verdict.damaged > 0)
		result = pd_error_set(err, PD_CORRUPT, "%s", verdict.first.text);
	if (result == 0)
		result = pd_backup_restore(repository, &manifest, &order, ret_restored, err);
	pd_backup_seen_done(&seen);
	pd_backup_manifest_done(&manifest);
	pd_repository_free(repository);
	return result;
}

void vault_expect(struct world *world, struct pd_hash128 hash)
{
	struct host *host = &world->host;
	const char *before = host->options.data_directory;

	assert_null(host->engine);
	host->options.data_directory = TARGET;
	host_open(host);
	assert_false(host->recovery.rebuilt);
	assert_same_hash(host_hash(host, ""), hash);
	host_durable(host, "set {again}k v");
	host_close(host);
	host->options.data_directory = before;
}

bool vault_is_there(struct pd_os *os, const char *path)
{
	struct pd_os_file_info info;

	return pd_os_info(os, path, &info, NULL) == 0;
}

int vault_restore_at(struct pd_os *os, const char *id, uint64_t lsn, struct pd_backup_restored *ret_restored,
		     struct pd_error *err)
{
	struct pd_moment_name at = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	struct pd_backup_restoring order = { .target = TARGET,
					     .levels = PD_LEVELS_PLAIN,
					     .segment_bytes = 64 * 1024,
					     .at = lsn > 0 ? &at : NULL };
	struct pd_backup_wish wish = { .lsn = lsn };
	struct pd_repository_place place = vault_place(os);
	struct pd_repository *repository = NULL;
	const struct pd_backup_manifest *last;
	struct pd_backup_manifest plan;
	struct pd_catalog catalog = { 0 };
	int result = pd_repository_open(os, &place, &repository, err);

	pd_backup_manifest_init(&plan);
	if (result == 0)
		result = pd_catalog_load(repository, NULL, &catalog, err);
	if (result == 0)
		result = pd_catalog_choose(&catalog, id, &last, err);
	if (result == 0)
		result = pd_catalog_plan(&catalog, last, &wish, &plan, err);
	if (result == 0)
		result = pd_backup_restore(repository, &plan, &order, ret_restored, err);
	pd_backup_manifest_done(&plan);
	pd_catalog_done(&catalog);
	pd_repository_free(repository);
	return result;
}
