#include "lib/checkpoint_disk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/levels_model.h"
#include "lib/log_book.h"

static const struct plan_options options = {
	.keys = 60, .points = 40, .ranges = 1, .deletes_percent = 10, .value_max = 900
};

static struct plan plan_of(unsigned batch)
{
	return (struct plan){ .seed = batch, .options = options };
}

static int try_open_levels(struct checkpoint_disk *disk, bool create, struct pd_error *err)
{
	struct pd_levels_options levels = { .os = disk->os,
					    .directory = disk->live,
					    .create = create,
					    .cache_bytes = 1024 * 1024,
					    .compaction_trigger = 24 };

	return pd_levels_open(disk->kind, &levels, &disk->levels, err);
}

static void open_shelf(struct checkpoint_disk *disk)
{
	struct pd_checkpoints_options shelf = {
		.os = disk->os, .directory = disk->root, .cluster_id = "a cluster's name", .shard = 3
	};

	check(pd_checkpoints_open(&shelf, &disk->shelf, why));
}

static void init(struct checkpoint_disk *disk)
{
	disk->live = pd_asprintf("%s/" PD_CHECKPOINT_LIVE, disk->root);
	check(try_open_levels(disk, true, why));
	check(pd_os_sync_directory(disk->os, disk->root, why));
	open_shelf(disk);
}

void cd_init_sim(struct checkpoint_disk *disk, uint64_t seed)
{
	*disk = (struct checkpoint_disk){ .sim = PD_SIM_OPTIONS_DEFAULT,
					  .simulated = true,
					  .kind = PD_LEVELS_PLAIN,
					  .root = pd_strdup("/store") };
	disk->sim.seed = seed;
	disk->sim.direct_alignment = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 512 : 4096;
	check(pd_os_sim_new(&disk->sim, &disk->os, why));
	check(pd_os_mkdir(disk->os, disk->root, why));
	check(pd_os_sync_directory(disk->os, "/", why));
	init(disk);
}

void cd_init_real(struct checkpoint_disk *disk, enum pd_levels_kind kind)
{
	const char *directory = getenv("TMPDIR");

	*disk = (struct checkpoint_disk){ .kind = kind,
					  .root = pd_asprintf("%s/perdure-checkpoint-XXXXXX",
							      directory != NULL ? directory : "/tmp") };
	assert_non_null(mkdtemp(disk->root));
	check(pd_os_real_new(&disk->os, why));
	init(disk);
}

void cd_done(struct checkpoint_disk *disk)
{
	(void)pd_levels_close(disk->levels, NULL);
	pd_checkpoints_free(disk->shelf);
	if (!disk->simulated)
		check(pd_os_remove_tree(disk->os, disk->root, why));
	pd_os_free(disk->os);
	pd_free(disk->root);
	pd_free(disk->live);
}

void cd_close(struct checkpoint_disk *disk)
{
	struct pd_levels *levels = disk->levels;

	disk->levels = NULL;
	check(pd_levels_close(levels, why));
	pd_checkpoints_free(disk->shelf);
	disk->shelf = NULL;
}

void cd_open(struct checkpoint_disk *disk)
{
	struct pd_error err;
	int result = try_open_levels(disk, false, &err);

	if (result != 0) {
		if (result != PD_NOT_FOUND)
			fail_msg("%s", err.text);
		disk->levels = NULL;
	}
	disk->batches = disk->levels == NULL ? 0 : (unsigned)(disk->levels->applied.lsn / 10);
	open_shelf(disk);
}

void cd_die(struct checkpoint_disk *disk, bool power)
{
	if (!pd_sim_crashed(disk->os)) {
		pd_sim_crash_at(disk->os, 1);
		(void)!pd_os_mkdir(disk->os, "/crash", NULL);
	}
	(void)pd_levels_close(disk->levels, NULL);
	disk->levels = NULL;
	pd_checkpoints_free(disk->shelf);
	disk->shelf = NULL;
	if (power)
		pd_sim_power_cut(disk->os);
	else
		pd_sim_process_crash(disk->os);
}

void cd_commit(struct checkpoint_disk *disk, unsigned batches)
{
	while (batches-- > 0) {
		struct plan plan = plan_of(++disk->batches);
		struct pd_log_position applied = { .epoch = 2, .lsn = 10 * disk->batches };

		check(plan_commit(&plan, disk->levels, applied, why));
	}
}

int cd_try_create(struct checkpoint_disk *disk, struct pd_error *err)
{
	struct pd_checkpoint_plan plan;
	struct pd_checkpoint *checkpoint = NULL;
	uint64_t lsn = disk->levels->applied.lsn;
	int result = pd_checkpoints_plan(disk->shelf, disk->kind, disk->levels->applied, 1000 * lsn, &plan,
					 err);

	if (result != 0)
		return result;
	plan.ahead = disk->ahead;
	result = pd_checkpoint_create(&plan, disk->levels, &checkpoint, err);
	pd_checkpoints_settle(disk->shelf, &plan, checkpoint);
	return result;
}

struct pd_checkpoint *cd_create(struct checkpoint_disk *disk)
{
	check(cd_try_create(disk, why));
	return pd_checkpoints_find(disk->shelf, UINT64_MAX);
}

void cd_install(struct checkpoint_disk *disk, const struct pd_checkpoint *checkpoint)
{
	struct pd_levels *levels = disk->levels;

	disk->levels = NULL;
	check(pd_levels_close(levels, why));
	check(pd_checkpoint_install(disk->os, checkpoint, disk->live, why));
	check(try_open_levels(disk, false, why));
	disk->batches = (unsigned)(disk->levels->applied.lsn / 10);
	assert_int_equal(disk->levels->applied.lsn, checkpoint->position.lsn);
}

void cd_expect_state(struct checkpoint_disk *disk)
{
	struct levels_model model = { 0 };
	char problem[300] = "";

	assert_int_equal(disk->levels->applied.lsn, 10 * disk->batches);
	for (unsigned batch = 1; batch <= disk->batches; batch++) {
		struct plan plan = plan_of(batch);

		plan_apply(&plan, &model);
	}
	if (!levels_equal(disk->levels, &model, &options, problem))
		fail_msg("LSN %" PRIu64 ": %s", disk->levels->applied.lsn, problem);
	model_done(&model);
}

void cd_expect_shelf(struct checkpoint_disk *disk, const uint64_t *lsns)
{
	const struct pd_checkpoints *shelf = disk->shelf;
	size_t count = 0;

	if (shelf->wreck_count > 0)
		fail_msg("%s", shelf->wrecks[0].why.text);
	for (; lsns[count] != 0; count++) {
		const struct pd_checkpoint *checkpoint;

		assert_true(count < shelf->count);
		checkpoint = shelf->items[count];
		assert_int_equal(checkpoint->position.lsn, lsns[count]);
		assert_int_equal(checkpoint->position.epoch, 2);
		assert_int_equal(checkpoint->time_us, 1000 * lsns[count]);
		assert_int_equal(checkpoint->kind, disk->kind);
		assert_int_equal(checkpoint->holds, 0);
		check(pd_checkpoint_verify(disk->os, checkpoint, NULL, NULL, why));
	}
	assert_int_equal(shelf->count, count);
}

void cd_expect_tidy(struct checkpoint_disk *disk)
{
	struct pd_os_names names;

	check(pd_os_list(disk->os, disk->root, &names, why));
	for (size_t i = 0; i < names.count; i++)
		if (strchr(names.names[i], '.') != NULL &&
		    (disk->levels != NULL || strcmp(names.names[i], PD_CHECKPOINT_LIVE ".old") != 0))
			fail_msg("%s was left", names.names[i]);
	pd_os_names_done(&names);
}
