#include "beyond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "provider/place.h"

static const struct pd_object_place archive_place = { .address = ARCHIVE };

/* ---- a life ---- */

struct world *beyond_begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world->hashing = true;
	assert_int_equal(pd_os_mkdir(world->host.os, ARCHIVE, NULL), 0);
	assert_int_equal(pd_os_sync_directory(world->host.os, "/", NULL), 0);
	world_open(world);
	vault_fill(world, 15);
	return world;
}

void beyond_end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

struct pd_archive *beyond_follow(struct world *world)
{
	struct pd_archive_options options = { .os = world->host.os,
					      .engine = world->host.engine,
					      .place = &archive_place,
					      .interval_ms = 1000 };
	struct pd_archive *archive;
	struct pd_error err = { 0 };

	if (pd_archive_new(&options, &archive, &err) != 0)
		fail_msg("%s", err.text);
	return archive;
}

/* Until all that there is is in it. */
void beyond_settle(struct world *world, struct pd_archive *archive)
{
	struct pd_archive_status status = { 0 };

	world_settle(world);
	for (unsigned i = 0; i < 200; i++) {
		world_idle(world, 6);
		pd_archive_tick(archive);
		pd_archive_status(archive, &status);
		if (status.state == PD_ARCHIVE_FOLLOWING && !status.working &&
		    status.archived_lsn == host_lsn(&world->host))
			return;
	}
	fail_msg("%s: LSN %u of %u", pd_archive_state_name(status.state), (unsigned)status.archived_lsn,
		 (unsigned)host_lsn(&world->host));
}

/* What is there is archived, and it is followed no more. */
void beyond_archive_all(struct world *world)
{
	struct pd_archive *archive = beyond_follow(world);

	beyond_settle(world, archive);
	pd_archive_free(archive);
}

void beyond_back_up(struct world *world, enum pd_backup_kind kind)
{
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	if (vault_back_up_live(world, kind, &made, &err) != 0)
		fail_msg("%s: %s", pd_backup_kind_name(kind), err.text);
}

/* Some segments more. */
void beyond_bulk(struct world *world, unsigned count)
{
	static char command[3100];

	for (unsigned i = 0; i < count; i++) {
		int used = snprintf(command, sizeof command, "set {a%u}bulk%u ", i % WORLD_ACTORS, i % 7);

		memset(command + used, 'a' + (int)world_random(world, 26), 3000);
		command[used + 3000] = '\0';
		host_durable(&world->host, command);
		world->last_lsn = host_lsn(&world->host);
	}
}

/* ---- restoring ---- */

static void told(void *context, const struct pd_gone_on *gone)
{
	struct ask *ask = context;

	ask->given[strcmp(gone->source->ops->kind, "log") == 0] += gone->last_lsn + 1 - gone->first_lsn;
}

static int open_sources(struct world *world, const struct ask *ask, const struct pd_backup_manifest *plan,
			struct pd_further *sources[2], size_t *ret_count, struct pd_error *err)
{
	int result = 0;

	*ret_count = 0;
	if ((ask->from & FROM_ARCHIVE) != 0)
		result = pd_further_archive_new(world->host.os, &archive_place, plan->cluster_id, plan->shard,
						&sources[0], err);
	*ret_count = result == 0 && (ask->from & FROM_ARCHIVE) != 0;
	if (result == 0 && (ask->from & FROM_LOG) != 0)
		result = pd_further_log_new(world->host.os, ask->data != NULL ? ask->data : "data",
					    plan->cluster_id, plan->shard, &sources[*ret_count], err);
	*ret_count += result == 0 && (ask->from & FROM_LOG) != 0;
	return result;
}

static int carry_out(struct world *world, struct ask *ask, struct pd_repository *repository,
		     const struct pd_backup_manifest *plan, const struct pd_backup_wish *wish)
{
	struct pd_further *sources[2] = { NULL, NULL };
	struct pd_backup_restoring order = { .target = TARGET,
					     .levels = PD_LEVELS_PLAIN,
					     .segment_bytes = 64 * 1024,
					     .at = ask->at,
					     .wish = *wish,
					     .sources = sources,
					     .told = told,
					     .watch.context = ask };
	struct pd_backup_moment end;
	struct pd_error why = { 0 };
	int result = open_sources(world, ask, plan, sources, &order.source_count, &ask->err);

	ask->given[0] = ask->given[1] = 0;
	if (result == 0) {
		int planned = pd_backup_restore_plan(world->host.os, plan, &order, &end, &ask->planned_bytes,
						     &why);

		ask->planned_lsn = planned == 0 ? end.lsn : 0;
		ask->given[0] = ask->given[1] = 0;
		if (ask->only_plan) {
			ask->err = why;
			result = planned;
		} else {
			result = pd_backup_restore(repository, plan, &order, &ask->restored, &ask->err);
		}
	}
	pd_further_free(sources[0]);
	pd_further_free(sources[1]);
	return result;
}

int beyond_try(struct world *world, struct ask *ask)
{
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_backup_wish wish = { 0 }, reached;
	struct pd_repository *repository = NULL;
	const struct pd_backup_manifest *last;
	struct pd_backup_manifest plan;
	struct pd_catalog catalog = { 0 };
	int result = pd_repository_open(world->host.os, &place, &repository, &ask->err);

	ask->restored = (struct pd_backup_restored){ 0 };
	if (ask->at != NULL && ask->at->kind == PD_MOMENT_TIME)
		wish.time_us = ask->at->time_us;
	else if (ask->at != NULL)
		wish.lsn = ask->at->lsn;
	pd_backup_manifest_init(&plan);
	if (result == 0)
		result = pd_catalog_load(repository, NULL, &catalog, &ask->err);
	if (result == 0)
		result = pd_catalog_choose_for(&catalog, NULL, &wish, &last, &ask->err);
	if (result == 0) {
		reached = wish;
		if (reached.lsn > last->end.lsn)
			reached.lsn = last->end.lsn;
		result = pd_catalog_plan(&catalog, last, &reached, &plan, &ask->err);
	}
	if (result == 0)
		result = carry_out(world, ask, repository, &plan, &wish);
	pd_backup_manifest_done(&plan);
	pd_catalog_done(&catalog);
	pd_repository_free(repository);
	return result;
}

int beyond_restore(struct world *world, struct ask *ask)
{
	int result = beyond_try(world, ask);

	if (result != 0 || ask->only_plan)
		assert_false(vault_is_there(world->host.os, TARGET));
	assert_false(vault_is_there(world->host.os, TARGET ".restoring"));
	return result;
}

void beyond_must(struct world *world, struct ask *ask)
{
	if (beyond_restore(world, ask) != 0)
		fail_msg("%s", ask->err.text);
}

int beyond_restore_at(struct world *world, unsigned from, uint64_t lsn, struct ask *ask)
{
	struct pd_moment_name at = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	int result;

	*ask = (struct ask){ .from = from, .at = &at };
	result = beyond_restore(world, ask);
	ask->at = NULL;
	return result;
}

void beyond_remove_target(struct world *world)
{
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, NULL), 0);
}

/* The state of then, actor by actor. */
void beyond_expect_record(struct world *world, uint64_t lsn, const struct ask *ask)
{
	const struct world_record *record = &world->records[lsn];
	struct host *host = &world->host;
	const char *before = host->options.data_directory;

	assert_int_equal(ask->restored.position.lsn, lsn);
	assert_int_equal(ask->restored.position.epoch, record->epoch_number);
	host->options.data_directory = TARGET;
	host_open(host);
	assert_int_equal(host->recovery.damage_count, 0);
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_hash128 hash = { 0, 0 };

		(void)!pd_engine_state_hash(host->engine, host->session, pd_slice_string(world_actor(i)),
					    &hash, &host->err);
		assert_same_hash(hash, record->hashes[i]);
	}
	host_close(host);
	host->options.data_directory = before;
	beyond_remove_target(world);
}
