/* Backups that make themselves: days and weeks of a simulated machine, with servers that stand still, repositories that are away, and clocks that jump. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/proof.h"
#include "backup/scan.h"
#include "backup/scheduler.h"
#include "base/memory.h"
#include "engine/follower.h"

#define SECOND_US UINT64_C(1000000)
#define MINUTE_US UINT64_C(60000000)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
#define DRILLS    "/drills"

struct keeper {
	struct world *world;
	struct pd_backup_jobs *jobs;
	struct pd_backup_scheduler *scheduler;
	struct pd_backup_schedule_status status;
	char said[8192]; /* since it was looked at last */
	uint64_t limits_us[PD_PROFILE_COUNT];
	char scratch[100]; /* where drills are made, but for ".restoring" */
};

static void name_scratch(struct keeper *keeper)
{
	struct pd_follower *follower;
	struct pd_follower_place place;
	char cluster[2 * PD_CLUSTER_ID_SIZE + 1];

	assert_int_equal(pd_engine_follow(keeper->world->host.engine, 1, &follower, NULL), 0);
	place = pd_follower_place(follower);
	pd_scan_format_hex(place.cluster_id, PD_CLUSTER_ID_SIZE, cluster);
	pd_engine_unfollow(follower);
	(void)snprintf(keeper->scratch, sizeof keeper->scratch, DRILLS "/perdure-drill-%s", cluster);
}

/* Start it, or change what runs. `address` NULL: the usual one. */
static void order(struct keeper *keeper, const char *address, const char *const schedules[PD_AGENDA_COUNT],
		  struct pd_retention_rules rules)
{
	struct pd_repository_place place = vault_place(keeper->world->host.os);
	struct pd_backup_scheduler_options options = { .os = keeper->world->host.os,
						       .engine = keeper->world->host.engine,
						       .jobs = keeper->jobs,
						       .place = &place,
						       .rules = rules,
						       .drill_directory = DRILLS,
						       .levels = PD_LEVELS_PLAIN };
	struct pd_cron crons[PD_AGENDA_COUNT];
	struct pd_error err = { 0 };

	memcpy(options.limits_us, keeper->limits_us, sizeof options.limits_us);
	if (address != NULL)
		place.store.address = address;
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++)
		if (schedules[i] != NULL) {
			assert_int_equal(pd_cron_parse(schedules[i], &crons[i], &err), 0);
			options.schedules[i] = &crons[i];
		}
	if (keeper->scheduler != NULL)
		assert_int_equal(pd_backup_scheduler_change(keeper->scheduler, &options, &err), 0);
	else
		assert_int_equal(pd_backup_scheduler_new(&options, &keeper->scheduler, &err), 0);
}

static void start(struct keeper *keeper, const char *const schedules[PD_AGENDA_COUNT],
		  struct pd_retention_rules rules)
{
	keeper->jobs = pd_backup_jobs_new(keeper->world->host.engine);
	assert_non_null(keeper->jobs);
	order(keeper, NULL, schedules, rules);
	keeper->said[0] = '\0';
	name_scratch(keeper);
}

static void stop(struct keeper *keeper)
{
	pd_backup_scheduler_free(keeper->scheduler);
	keeper->scheduler = NULL;
	pd_backup_jobs_free(keeper->jobs);
}

static void listen(struct keeper *keeper)
{
	struct pd_backup_tidings tidings;

	while (pd_backup_scheduler_hear(keeper->scheduler, &tidings)) {
		size_t used = strlen(keeper->said);

		(void)snprintf(keeper->said + used, sizeof keeper->said - used, "%s\n", tidings.text);
	}
}

static bool is_busy(const struct keeper *keeper)
{
	struct pd_backup_status status;

	pd_backup_job_status(keeper->jobs, &status);
	return status.stage != PD_BACKUP_NONE && status.stage != PD_BACKUP_OVER;
}

/* As the loop of a server does it, but that time passes quickly while nothing is at work. */
static void pass(struct keeper *keeper, uint64_t us)
{
	struct pd_os *os = keeper->world->host.os;
	uint64_t end = pd_os_monotonic_ns(os) / 1000 + us, now;

	while ((now = pd_os_monotonic_ns(os) / 1000) < end) {
		uint64_t due;

		pd_backup_jobs_tick(keeper->jobs);
		if (now >= pd_backup_scheduler_deadline_us(keeper->scheduler))
			pd_backup_scheduler_tick(keeper->scheduler);
		listen(keeper);
		due = pd_backup_scheduler_deadline_us(keeper->scheduler);
		if (is_busy(keeper))
			world_idle(keeper->world, 1);
		else
			pd_sim_advance_us(os, due > now ? due - now : 1000);
	}
	pd_backup_scheduler_status(keeper->scheduler, &keeper->status);
}

static void expect_said(struct keeper *keeper, const char *text)
{
	if (strstr(keeper->said, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, keeper->said);
}

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	vault_fill(world, 10);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static void make_directory(struct world *world)
{
	assert_int_equal(pd_os_mkdir(world->host.os, REPOSITORY, NULL), 0);
}

static size_t backups_in(struct world *world)
{
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_repository *repository;
	struct pd_os_names ids;
	size_t count;

	assert_int_equal(pd_repository_open(world->host.os, &place, &repository, NULL), 0);
	assert_int_equal(pd_backup_list(repository, &ids, NULL), 0);
	count = ids.count;
	pd_os_names_done(&ids);
	pd_repository_free(repository);
	return count;
}

static const char *const weekly[PD_AGENDA_COUNT] = { [PD_AGENDA_FULL] = "0 3 * * 0",
						     [PD_AGENDA_DIFFERENTIAL] = "0 3 * * *",
						     [PD_AGENDA_INCREMENTAL] = "0 */6 * * *",
						     [PD_AGENDA_EXPIRE] = "30 3 * * *" };
static const char *const hourly[PD_AGENDA_COUNT] = { [PD_AGENDA_INCREMENTAL] = "0 * * * *" };

static uint64_t made(const struct keeper *keeper)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++)
		count += keeper->status.kinds[i].made;
	return count;
}

/* Two weeks: all that is due is made, once; what is old goes; the newest is restored. */
static void test_weeks(void **state)
{
	struct keeper keeper = { .world = begin(1) };
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };

	(void)state;
	vault_make_key(keeper.world->host.os);
	make_directory(keeper.world);
	start(&keeper, weekly, (struct pd_retention_rules){ .keep = 2, .periods = { 3 } });
	pass(&keeper, MINUTE_US);
	/* There was none at all. */
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 1);
	expect_said(&keeper, "-full: LSN ");
	expect_said(&keeper, "keep a copy of it");
	for (unsigned i = 0; i < 14 * 4; i++) {
		vault_fill(keeper.world, 2);
		pass(&keeper, 6 * HOUR_US);
		keeper.said[0] = '\0';
	}
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 3);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_DIFFERENTIAL].made, 12);
	/* Four a day; none of them is at three. */
	assert_in_range(keeper.status.kinds[PD_BACKUP_INCREMENTAL].made, 55, 57);
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++) {
		assert_int_equal(keeper.status.kinds[i].failed, 0);
		assert_int_equal(keeper.status.kinds[i].skipped, 0);
	}
	assert_false(keeper.status.failing);
	assert_true(keeper.status.expired > 50);
	/* Since the last time at which something expired there were some. */
	assert_in_range(backups_in(keeper.world), 4, 9);
	stop(&keeper);
	host_close(&keeper.world->host);
	if (vault_restore_at(keeper.world->host.os, NULL, 0, &restored, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(restored.position.lsn >= keeper.status.kinds[PD_BACKUP_INCREMENTAL].newest.end.lsn);
	end(keeper.world);
}

/* What was missed while no server ran is made up for once, and a restart makes nothing. */
static void test_standing_still(void **state)
{
	struct keeper keeper = { .world = begin(2) };

	(void)state;
	make_directory(keeper.world);
	start(&keeper, weekly, (struct pd_retention_rules){ .keep = 100 });
	pass(&keeper, 30 * HOUR_US);
	stop(&keeper);
	start(&keeper, weekly, (struct pd_retention_rules){ .keep = 100 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), 0);
	assert_true(keeper.status.kinds[PD_BACKUP_FULL].newest.end.lsn > 0);
	assert_true(keeper.status.kinds[PD_BACKUP_FULL].well_us > 0);
	stop(&keeper);
	pd_sim_advance_us(keeper.world->host.os, 30 * DAY_US);
	start(&keeper, weekly, (struct pd_retention_rules){ .keep = 100 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 1);
	assert_int_equal(made(&keeper), 1);
	stop(&keeper);
	end(keeper.world);
}

/* Nothing to go on from: a full one, whatever was due. */
static void test_full_instead(void **state)
{
	struct keeper keeper = { .world = begin(3) };

	(void)state;
	make_directory(keeper.world);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	expect_said(&keeper, "a full one is made instead of incremental");
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 1);
	assert_int_equal(keeper.status.working, PD_AGENDA_NOTHING);
	vault_fill(keeper.world, 3);
	pass(&keeper, HOUR_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_INCREMENTAL].made, 1);
	stop(&keeper);
	end(keeper.world);
}

/* A disk that is not mounted: nothing is made in its place; it is tried again, less and less often; writes go on. */
static void test_away(void **state)
{
	struct keeper keeper = { .world = begin(4) };
	unsigned said = 0;

	(void)state;
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US / 2);
	assert_true(keeper.status.failing);
	assert_false(keeper.status.known);
	expect_said(&keeper, "there is no directory '" REPOSITORY);
	assert_non_null(strstr(keeper.status.failure, "mount it"));
	vault_fill(keeper.world, 10);
	keeper.said[0] = '\0';
	pass(&keeper, 6 * HOUR_US);
	for (const char *at = keeper.said; (at = strstr(at, "tried again")) != NULL; at++)
		said++;
	assert_in_range(said, 8, 20);
	assert_false(vault_is_there(keeper.world->host.os, REPOSITORY));
	keeper.said[0] = '\0';
	make_directory(keeper.world);
	pass(&keeper, HOUR_US + MINUTE_US);
	expect_said(&keeper, "can be read again");
	assert_false(keeper.status.failing);
	assert_string_equal(keeper.status.failure, "");
	assert_int_equal(made(&keeper), 1);
	/* It goes while the server runs. */
	assert_int_equal(pd_os_rename(keeper.world->host.os, REPOSITORY, "/elsewhere", NULL), 0);
	keeper.said[0] = '\0';
	vault_fill(keeper.world, 3);
	pass(&keeper, HOUR_US);
	assert_true(keeper.status.failing);
	assert_int_equal(made(&keeper), 1);
	assert_false(vault_is_there(keeper.world->host.os, REPOSITORY));
	assert_int_equal(pd_os_rename(keeper.world->host.os, "/elsewhere", REPOSITORY, NULL), 0);
	pass(&keeper, 3 * HOUR_US);
	assert_false(keeper.status.failing);
	assert_true(made(&keeper) > 1);
	stop(&keeper);
	end(keeper.world);
}

static void test_clock(void **state)
{
	struct keeper keeper = { .world = begin(5) };
	uint64_t before;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, 2 * HOUR_US + MINUTE_US);
	before = made(&keeper);
	pd_sim_jump_real_us(keeper.world->host.os, (int64_t)(100 * DAY_US));
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), before + 1);
	pd_sim_jump_real_us(keeper.world->host.os, -(int64_t)(200 * DAY_US));
	vault_fill(keeper.world, 2);
	pass(&keeper, 3 * HOUR_US);
	expect_said(&keeper, "the clock has gone back");
	assert_in_range(made(&keeper), before + 3, before + 4);
	stop(&keeper);
	end(keeper.world);
}

/* What others order counts, and what they end is not begun again at once. */
static void test_others(void **state)
{
	struct keeper keeper = { .world = begin(6) };
	struct pd_repository_place place = vault_place(keeper.world->host.os);
	struct pd_backup_proof proof = { { 1, 5 }, 1000 };
	struct pd_repository *repository;
	struct pd_error err = { 0 };
	uint64_t before;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, HOUR_US);
	before = made(&keeper);
	vault_fill(keeper.world, 2);
	assert_int_equal(pd_backup_job_start(keeper.jobs, PD_BACKUP_LOG, &place, false, &err), 0);
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].made, 1);
	assert_int_equal(made(&keeper), before + 1);
	/* One of some actors is none of them. */
	vault_fill(keeper.world, 2);
	assert_int_equal(pd_backup_job_start_actors(keeper.jobs, &place, NULL, NULL, &err), 0);
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), before + 1);
	assert_int_equal(keeper.status.backups, before + 1);
	/* To the next hour, and then to where it is at work. */
	while (keeper.status.working == PD_AGENDA_NOTHING)
		pass(&keeper, 1000);
	pd_backup_job_cancel(keeper.jobs);
	pass(&keeper, 10 * MINUTE_US);
	expect_said(&keeper, "the incremental backup was cancelled");
	assert_int_equal(made(&keeper), before + 1);
	assert_false(keeper.status.failing);
	pass(&keeper, HOUR_US);
	assert_int_equal(made(&keeper), before + 2);
	/* What a drill has proved is heard of. */
	assert_int_equal(keeper.status.proof.position.lsn, 0);
	assert_int_equal(pd_repository_open(keeper.world->host.os, &place, &repository, &err), 0);
	assert_int_equal(pd_backup_proof_put(repository, &proof, &err), 0);
	pd_repository_free(repository);
	pass(&keeper, 11 * MINUTE_US);
	assert_int_equal(keeper.status.proof.position.lsn, 5);
	stop(&keeper);
	end(keeper.world);
}

/* One is ordered in the moment in which ours has ended and nobody has looked yet: what became of ours is known all the same, and the next ones are made.
 * Should several have been, it is not: ours is made once more. */
static void test_overtaken(void **state)
{
	static const struct pd_retention_rules rules = { 0 };

	(void)state;
	for (unsigned others = 1; others <= 2; others++) {
		struct keeper keeper = { .world = begin(14 + others) };
		struct pd_repository_place place = vault_place(keeper.world->host.os);
		uint64_t before;

		place.store.address = "/elsewhere";
		make_directory(keeper.world);
		start(&keeper, hourly, rules);
		pass(&keeper, MINUTE_US);
		vault_fill(keeper.world, 2);
		while (keeper.status.working == PD_AGENDA_NOTHING)
			pass(&keeper, 1000);
		for (unsigned n = 0; n <= others; n++) {
			while (is_busy(&keeper)) {
				pd_backup_jobs_tick(keeper.jobs);
				world_idle(keeper.world, 1);
			}
			if (n < others)
				assert_int_equal(
					pd_backup_job_start(keeper.jobs, PD_BACKUP_FULL, &place, false, NULL),
					0);
		}
		pass(&keeper, MINUTE_US);
		assert_int_equal(keeper.status.working, PD_AGENDA_NOTHING);
		before = keeper.status.kinds[PD_BACKUP_INCREMENTAL].made;
		assert_true(others == 2 || before == 1);
		vault_fill(keeper.world, 2);
		pass(&keeper, HOUR_US);
		assert_int_equal(keeper.status.kinds[PD_BACKUP_INCREMENTAL].made, before + 1);
		assert_false(keeper.status.failing);
		stop(&keeper);
		end(keeper.world);
	}
}

/* Another cluster's repository is none of ours. */
static void test_strangers(void **state)
{
	uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1, 2, 3 };
	struct keeper keeper = { .world = begin(7) };
	struct pd_repository_place place = vault_place(keeper.world->host.os);
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	(void)state;
	assert_int_equal(pd_repository_open_for(keeper.world->host.os, &place, cluster, &repository, &err),
			 0);
	pd_repository_free(repository);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, HOUR_US);
	expect_said(&keeper, "has backups of another cluster");
	assert_true(keeper.status.failing);
	assert_int_equal(made(&keeper), 0);
	stop(&keeper);
	end(keeper.world);
}

/* ---- drills ---- */

static const char *const proving[PD_AGENDA_COUNT] = {
	[PD_AGENDA_FULL] = "0 3 * * *", [PD_AGENDA_LOG] = "0 * * * *", [PD_AGENDA_DRILL] = "30 4 * * *"
};

static size_t things_in(struct world *world, const char *path)
{
	struct pd_os_names names;
	size_t count;

	assert_int_equal(pd_os_list(world->host.os, path, &names, NULL), 0);
	count = names.count;
	pd_os_names_done(&names);
	return count;
}

/* Days of them: the newest backup is proven each day, and nothing is left of that. A restart proves nothing anew. */
static void test_drills(void **state)
{
	struct keeper keeper = { .world = begin(8) };

	(void)state;
	make_directory(keeper.world);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, DRILLS, NULL), 0);
	start(&keeper, proving, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	/* Never proven: at once, behind the backup that there was none of. */
	assert_int_equal(keeper.status.drill.passed, 1);
	expect_said(&keeper, "drill of 2");
	expect_said(&keeper, "its state is what was backed up");
	for (unsigned day = 1; day <= 5; day++) {
		vault_fill(keeper.world, 3);
		pass(&keeper, DAY_US);
		assert_int_equal(keeper.status.drill.passed, 1 + day);
		assert_int_equal(things_in(keeper.world, DRILLS), 0);
	}
	assert_int_equal(keeper.status.drill.failed, 0);
	assert_true(keeper.status.drill.newest.restored.compared);
	assert_int_equal(keeper.status.proof.position.lsn, keeper.status.drill.newest.restored.position.lsn);
	assert_true(keeper.status.proof.position.lsn > 0 && keeper.status.proof.proven_us > 0);
	stop(&keeper);
	start(&keeper, proving, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.drill.passed, 0);
	assert_true(keeper.status.proof.position.lsn > 0);
	stop(&keeper);
	end(keeper.world);
}

static void write_file(struct world *world, const char *path)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(world->host.os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_write(file, "what was in it", 14, 0, NULL), 0);
	pd_os_close(file);
}

/* All pieces are gone. */
static void lose_pieces(struct world *world)
{
	assert_int_equal(pd_os_rename(world->host.os, REPOSITORY "/data", "/lost", NULL), 0);
}

/* What fails is said with what to do, tried again later and later, and stops no backup; when it is well again, that is said, too. */
static void test_failing_drills(void **state)
{
	static const char *const once[PD_AGENDA_COUNT] = {
		[PD_AGENDA_FULL] = "@yearly", [PD_AGENDA_DRILL] = "@daily"
	};
	struct keeper keeper = { .world = begin(9) };
	unsigned said = 0;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, once, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), 1);
	expect_said(&keeper, "the drill failed: there is no directory '" DRILLS "' to restore in");
	assert_true(keeper.status.failing && keeper.status.drill.failing);
	assert_int_equal(keeper.status.proof.position.lsn, 0);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, DRILLS, NULL), 0);
	pass(&keeper, HOUR_US);
	assert_int_equal(keeper.status.drill.passed, 1);
	assert_false(keeper.status.failing || keeper.status.drill.failing);
	expect_said(&keeper, "nothing fails any more");
	lose_pieces(keeper.world);
	keeper.said[0] = '\0';
	pass(&keeper, 2 * DAY_US);
	expect_said(&keeper, "perdure backup verify --all");
	for (const char *at = keeper.said; (at = strstr(at, "tried again")) != NULL; at++)
		said++;
	assert_in_range(said, 6, 14);
	assert_true(keeper.status.drill.failing);
	assert_int_equal(keeper.status.drill.passed, 1);
	assert_true(keeper.status.proof.position.lsn > 0);
	assert_int_equal(things_in(keeper.world, DRILLS), 0);
	/* What still fails is told, not what failed last. */
	assert_int_equal(pd_os_rename(keeper.world->host.os, REPOSITORY, "/elsewhere", NULL), 0);
	pass(&keeper, HOUR_US / 2);
	assert_non_null(strstr(keeper.status.failure, "the repository cannot be read"));
	assert_int_equal(pd_os_rename(keeper.world->host.os, "/elsewhere", REPOSITORY, NULL), 0);
	pass(&keeper, HOUR_US);
	expect_said(&keeper, "can be read again");
	assert_non_null(strstr(keeper.status.failure, "the drill failed"));
	stop(&keeper);
	end(keeper.world);
}

/* Where there is no room for it, nothing is made, and it is said where there could be. */
static void test_no_room(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct keeper keeper = { .world = begin(11) };

	(void)state;
	make_directory(keeper.world);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, DRILLS, NULL), 0);
	options.disk_bytes = UINT64_C(400) << 20;
	pd_sim_set_options(keeper.world->host.os, &options);
	start(&keeper, proving, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), 1);
	assert_int_equal(keeper.status.drill.failed, 1);
	expect_said(&keeper, "there is room for ");
	expect_said(&keeper, "--backup-drill-directory");
	assert_int_equal(things_in(keeper.world, DRILLS), 0);
	stop(&keeper);
	end(keeper.world);
}

/* Its server ends in the middle: so does it, and nothing is left. */
static void test_ended_drill(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct keeper keeper = { .world = begin(12) };

	(void)state;
	make_directory(keeper.world);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, DRILLS, NULL), 0);
	options.late_tasks = true;
	pd_sim_set_options(keeper.world->host.os, &options);
	start(&keeper, proving, (struct pd_retention_rules){ 0 });
	do
		pass(&keeper, 1000);
	while (!keeper.status.is_drilling);
	stop(&keeper);
	assert_int_equal(things_in(keeper.world, DRILLS), 0);
	start(&keeper, proving, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.drill.passed, 1);
	stop(&keeper);
	end(keeper.world);
}

/* What a drill that died has left goes at the start; what no drill has made stays. */
static void test_leftovers(void **state)
{
	struct keeper keeper = { .world = begin(10) };
	struct pd_os *os = keeper.world->host.os;
	char path[120];

	(void)state;
	make_directory(keeper.world);
	assert_int_equal(pd_os_mkdir(os, DRILLS, NULL), 0);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	(void)snprintf(path, sizeof path, "%s.restoring", keeper.scratch);
	stop(&keeper);
	for (unsigned is_ours = 0; is_ours < 2; is_ours++) {
		char name[160];

		(void)!pd_os_mkdir(os, path, NULL);
		(void)snprintf(name, sizeof name, "%s/data", path);
		(void)!pd_os_mkdir(os, name, NULL);
		(void)snprintf(name, sizeof name, "%s/data/%s", path, is_ours ? "file" : "restoring");
		write_file(keeper.world, name);
		(void)snprintf(name, sizeof name, "%s/restoring", path);
		if (is_ours)
			write_file(keeper.world, name);
		start(&keeper, hourly, (struct pd_retention_rules){ 0 });
		pass(&keeper, MINUTE_US);
		expect_said(&keeper, is_ours ? "had left is gone" : "no restore has made it");
		assert_int_equal(vault_is_there(os, path), !is_ours);
		stop(&keeper);
	}
	end(keeper.world);
}

/* ---- changes ---- */

#define ELSEWHERE "/elsewhere"

/* Schedules, rules and the repository change while it runs: as after a restart with them, and what was counted stays. */
static void test_changes(void **state)
{
	struct keeper keeper = { .world = begin(13) };
	struct pd_retention_rules rules = { .keep = 100 };
	uint64_t logs;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, hourly, rules);
	pass(&keeper, MINUTE_US);
	assert_int_equal(made(&keeper), 1);
	/* More often. */
	vault_fill(keeper.world, 2);
	order(&keeper, NULL, (const char *const[PD_AGENDA_COUNT]){ [PD_AGENDA_LOG] = "*/10 * * * * *" },
	      rules);
	pass(&keeper, MINUTE_US);
	expect_said(&keeper, "the changed settings count");
	logs = keeper.status.kinds[PD_BACKUP_LOG].made;
	assert_true(logs > 0);
	assert_int_equal(keeper.status.next, PD_AGENDA_LOG);
	/* There are too many. */
	order(&keeper, NULL,
	      (const char *const[PD_AGENDA_COUNT]){
		      [PD_AGENDA_FULL] = "* * * * *", [PD_AGENDA_EXPIRE] = "30 * * * * *" },
	      (struct pd_retention_rules){ .keep = 1 });
	vault_fill(keeper.world, 2);
	pass(&keeper, 3 * MINUTE_US);
	assert_true(keeper.status.expired > 0);
	/* Elsewhere: what is there counts, which is nothing. */
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, ELSEWHERE, NULL), 0);
	order(&keeper, ELSEWHERE, hourly, rules);
	pass(&keeper, 2 * MINUTE_US);
	assert_string_equal(keeper.status.address, ELSEWHERE);
	assert_in_range(keeper.status.backups, 1, 2);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].newest.end.lsn, 0);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].made, logs);
	assert_true(vault_is_there(keeper.world->host.os, ELSEWHERE "/repository"));
	stop(&keeper);
	end(keeper.world);
}

/* What is at work ends first: a drill at once, and a backup in its own time, into the place for which it was ordered. */
static void test_changes_at_work(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct keeper keeper = { .world = begin(15) };
	struct pd_retention_rules rules = { .keep = 100 };
	uint64_t before;

	(void)state;
	make_directory(keeper.world);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, DRILLS, NULL), 0);
	assert_int_equal(pd_os_mkdir(keeper.world->host.os, ELSEWHERE, NULL), 0);
	options.late_tasks = true;
	pd_sim_set_options(keeper.world->host.os, &options);
	start(&keeper, proving, rules);
	do
		pass(&keeper, 1000);
	while (keeper.status.working == PD_AGENDA_NOTHING);
	order(&keeper, ELSEWHERE, proving, rules);
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 2);
	assert_int_equal(backups_in(keeper.world), 1);
	assert_int_equal(keeper.status.backups, 1);
	/* The drill of what is there has come to its end by now: the next one does not. */
	assert_int_equal(keeper.status.drill.passed, 1);
	do
		pass(&keeper, 1000000);
	while (!keeper.status.is_drilling);
	order(&keeper, NULL, hourly, rules);
	pass(&keeper, MINUTE_US);
	assert_int_equal(keeper.status.drill.passed + keeper.status.drill.failed, 1);
	assert_false(keeper.status.is_drilling || keeper.status.failing);
	assert_int_equal(things_in(keeper.world, DRILLS), 0);
	assert_string_equal(keeper.status.address, REPOSITORY);
	/* None at all. */
	before = made(&keeper);
	pd_backup_scheduler_end(keeper.scheduler);
	pass(&keeper, HOUR_US);
	assert_true(pd_backup_scheduler_has_ended(keeper.scheduler));
	assert_int_equal(made(&keeper), before);
	stop(&keeper);
	end(keeper.world);
}

/* The disk is not mounted, and the place where it belongs is there: nothing is made on the disk below. It comes back; or somebody says that there is to be a new one. */
static void test_unmounted(void **state)
{
	struct keeper keeper = { .world = begin(16) };
	struct pd_repository_place place = vault_place(keeper.world->host.os);
	struct pd_os *os = keeper.world->host.os;
	struct pd_error err = { 0 };
	uint64_t before;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	before = made(&keeper);
	assert_int_equal(before, 1);
	assert_int_equal(pd_os_rename(os, REPOSITORY, "/mounted", NULL), 0);
	make_directory(keeper.world);
	vault_fill(keeper.world, 3);
	pass(&keeper, 2 * HOUR_US);
	assert_int_equal(made(&keeper), before);
	assert_true(keeper.status.failing);
	expect_said(&keeper, "is its disk mounted?");
	assert_int_equal(things_in(keeper.world, REPOSITORY), 0);
	/* A server that starts meanwhile knows it, too. */
	stop(&keeper);
	start(&keeper, hourly, (struct pd_retention_rules){ 0 });
	pass(&keeper, HOUR_US);
	expect_said(&keeper, "is its disk mounted?");
	assert_int_equal(things_in(keeper.world, REPOSITORY), 0);
	assert_int_equal(pd_os_rmdir(os, REPOSITORY, NULL), 0);
	assert_int_equal(pd_os_rename(os, "/mounted", REPOSITORY, NULL), 0);
	pass(&keeper, 3 * HOUR_US);
	assert_false(keeper.status.failing);
	assert_true(made(&keeper) > 0);
	/* A new disk. */
	assert_int_equal(pd_os_rename(os, REPOSITORY, "/mounted", NULL), 0);
	make_directory(keeper.world);
	place.may_be_new = true;
	assert_int_equal(pd_backup_job_start(keeper.jobs, PD_BACKUP_FULL, &place, false, &err), 0);
	pass(&keeper, MINUTE_US);
	assert_int_equal(backups_in(keeper.world), 1);
	stop(&keeper);
	end(keeper.world);
}

/* ---- by how long writes wait ---- */

static const char *const yearly[PD_AGENDA_COUNT] = { [PD_AGENDA_FULL] = "@yearly" };

/* Weeks: no write waits for longer than its profile says, and where nothing is written nothing is made. */
static void test_limits(void **state)
{
	struct keeper keeper = { .world = begin(15), .limits_us = { 60 * SECOND_US, 0, 0 } };
	uint64_t before, oldest = 0;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, yearly, (struct pd_retention_rules){ 0 });
	pass(&keeper, MINUTE_US);
	for (unsigned i = 0; i < 200; i++) {
		if (i % 3 == 0)
			vault_fill(keeper.world, 1);
		pass(&keeper, 20 * SECOND_US);
		if (keeper.status.waiting_us[PD_PROFILE_CRITICAL] > oldest)
			oldest = keeper.status.waiting_us[PD_PROFILE_CRITICAL];
	}
	/* A look comes a second after the last. */
	assert_true(oldest > 0 && oldest <= 62 * SECOND_US);
	before = made(&keeper);
	assert_in_range(before, 30, 70);
	pass(&keeper, 2 * MINUTE_US);
	before = made(&keeper);
	pass(&keeper, 14 * DAY_US);
	assert_in_range(made(&keeper), before, before + 1);
	assert_int_equal(keeper.status.waiting_us[PD_PROFILE_CRITICAL], 0);
	/* A restart: what was written behind the newest backup may be anybody's. */
	vault_fill(keeper.world, 2);
	stop(&keeper);
	world_restart(keeper.world);
	pd_sim_advance_us(keeper.world->host.os, HOUR_US);
	start(&keeper, yearly, (struct pd_retention_rules){ 0 });
	pass(&keeper, 5 * SECOND_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].made, 1);
	assert_int_equal(keeper.status.waiting_us[PD_PROFILE_CRITICAL], 0);
	/* What an archive has needs no backup. */
	vault_fill(keeper.world, 2);
	pass(&keeper, 30 * SECOND_US);
	assert_true(keeper.status.waiting_us[PD_PROFILE_CRITICAL] > 0);
	pd_backup_scheduler_archived(keeper.scheduler, keeper.world->last_lsn + 100);
	pass(&keeper, HOUR_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].made, 1);
	stop(&keeper);
	end(keeper.world);
}

/* A directory that was put back to an earlier moment, at its second start: what was written to it since is in no backup, whatever LSNs those of the life before
 * go up to. */
static void test_another_life(void **state)
{
	struct keeper keeper = { .world = begin(21), .limits_us = { 60 * SECOND_US, 0, 0 } };
	struct host *host = &keeper.world->host;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	uint64_t lsn;

	(void)state;
	make_directory(keeper.world);
	start(&keeper, yearly, (struct pd_retention_rules){ 0 });
	pass(&keeper, HOUR_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_FULL].made, 1);
	lsn = keeper.status.kinds[PD_BACKUP_FULL].newest.end.lsn;
	vault_fill(keeper.world, 60);
	pass(&keeper, HOUR_US);
	assert_true(keeper.status.kinds[PD_BACKUP_LOG].newest.end.lsn > lsn + 20);
	stop(&keeper);
	host_close(host);
	if (vault_restore_at(host->os, NULL, lsn, &restored, &err) != 0)
		fail_msg("%s", err.text);
	host->options.data_directory = TARGET;
	for (unsigned i = 0; i < 2; i++) {
		host_open(host);
		host_durable(host, "set {again}k v");
		host_close(host);
	}
	host_open(host);
	start(&keeper, yearly, (struct pd_retention_rules){ 0 });
	pass(&keeper, 5 * SECOND_US);
	assert_int_equal(keeper.status.kinds[PD_BACKUP_LOG].made, 1);
	assert_int_equal(keeper.status.waiting_us[PD_PROFILE_CRITICAL], 0);
	stop(&keeper);
	end(keeper.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weeks),          cmocka_unit_test(test_standing_still),
		cmocka_unit_test(test_full_instead),   cmocka_unit_test(test_away),
		cmocka_unit_test(test_clock),          cmocka_unit_test(test_others),
		cmocka_unit_test(test_strangers),      cmocka_unit_test(test_drills),
		cmocka_unit_test(test_failing_drills), cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_no_room),        cmocka_unit_test(test_ended_drill),
		cmocka_unit_test(test_changes),        cmocka_unit_test(test_changes_at_work),
		cmocka_unit_test(test_limits),         cmocka_unit_test(test_unmounted),
		cmocka_unit_test(test_overtaken),      cmocka_unit_test(test_another_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
