/* `perdure backup restore`: a data directory made of a backup. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/catalog.h"
#include "backup/restore.h"
#include "cli/backup_private.h"
#include "engine/engine.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	{ "data", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(data), 0, 0,
	  "The directory that is to be made. Needed; it must not be there yet." },
	{ "at", "MOMENT", PD_OPTION_TEXT, PD_BACKUP_AT(at), 0, 0,
	  "As it was then: a time such as 2026-01-15T14:30:00Z, so long ago\n(-10m), an LSN, or a bookmark "
	  "(default: the end of the backup)." },
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options options = {
	.command = "perdure backup restore",
	.synopsis = "perdure backup restore [ID] --repository ADDRESS --data DIR [options]",
	.about =
		"Makes a data directory of a backup, in which a server can be started. It is made beside "
		"that "
		"place\n(DIR.restoring), recovered as a server does it, and its state compared with what was "
		"backed up;\nonly then it gets its name. Interrupted, nothing is there, and it can be run "
		"again.\n\n"
		"Without an ID it is the backup that was made last. With --at it may be any moment that the "
		"backups "
		"reach\n('perdure backup points'). What was written after that is not in it: bookmarks of "
		"that are answered "
		"with \"lost\".",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup restore --at -10m --repository /backup/perdure --data /var/lib/again\n"
		 "  perdure backup restore 20261121T014500Z-full --repository /backup/perdure --data "
		 "/var/lib/again\n"
		 "  perdure server --data /var/lib/again\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell(struct pd_backup_work *work, const char *id, const struct pd_backup_restored *restored)
{
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, restored->position.epoch, restored->position.lsn, bookmark);
	if (!work->given.json) {
		pd_output_text(output, "%s: %s, as of ", work->given.data, id);
		pd_output_time(output, restored->time_us);
		pd_output_text(output, " (%s), %.1f MiB in %.1f s%s\n", bookmark,
			       (double)restored->bytes / (1 << 20),
			       (double)(restored->fetch_us + restored->recover_us) / 1e6,
			       restored->compared ? ", the same state" : "");
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_string_field(output, "id", id);
	pd_output_string_field(output, "data", work->given.data);
	pd_output_string_field(output, "at", bookmark);
	pd_output_time_field(output, "at_time", restored->time_us);
	pd_output_number_field(output, "lsn", restored->position.lsn);
	pd_output_number_field(output, "epoch", restored->epoch);
	pd_output_number_field(output, "bytes", restored->bytes);
	pd_output_string_field(output, "hash", restored->state);
	pd_output_bool_field(output, "compared", restored->compared);
	pd_output_real_field(output, "fetch_s", (double)restored->fetch_us / 1e6);
	pd_output_real_field(output, "recover_s", (double)restored->recover_us / 1e6);
	pd_backup_line_end(work);
}

/* What it is to be made of. */
static int plan(struct pd_backup_work *work, const struct pd_catalog *catalog, const char *id,
		const struct pd_moment_name *at, struct pd_backup_manifest *ret_plan, struct pd_error *err)
{
	const struct pd_backup_manifest *last;
	struct pd_backup_wish wish = { 0 };
	int result = pd_catalog_choose(catalog, id, &last, err);

	pd_backup_manifest_init(ret_plan);
	if (result != 0)
		return result;
	if (at != NULL && (at->kind == PD_MOMENT_LSN || at->kind == PD_MOMENT_BOOKMARK))
		wish.lsn = at->lsn;
	if (at != NULL && at->kind == PD_MOMENT_TIME)
		wish.time_us = at->time_us;
	if (at != NULL && at->kind == PD_MOMENT_AGO)
		wish.time_us = pd_os_real_us(work->os) - at->time_us;
	return pd_catalog_plan(catalog, last, &wish, ret_plan, err);
}

static int restore(struct pd_backup_work *work, const char *id)
{
	struct pd_backup_restoring order = { .target = work->given.data,
					     .watch = { pd_backup_progress_watch, work } };
	struct pd_backup_restored restored;
	struct pd_backup_manifest manifest;
	struct pd_catalog catalog = { 0 };
	struct pd_moment_name at;
	struct pd_error err = { 0 };
	int result = 0, status = PD_EXIT_OK;

	pd_backup_manifest_init(&manifest);
	if (work->given.at != NULL) {
		result = pd_moment_parse(pd_slice_string(work->given.at), &at, &err);
		order.at = result == 0 && at.kind != PD_MOMENT_NOW ? &at : NULL;
	}
	if (result == 0)
		result = pd_catalog_load(work->repository, NULL, &catalog, &err);
	if (result == 0)
		result = plan(work, &catalog, id, order.at, &manifest, &err);
	if (result == 0) {
		pd_backup_progress_begin(work, "restoring");
		result = pd_backup_restore(work->repository, &manifest, &order, &restored, &err);
		pd_backup_progress_end(work);
	}
	if (result == 0)
		tell(work, manifest.id, &restored);
	else
		status = pd_backup_work_failed(work, result, &err);
	pd_backup_manifest_done(&manifest);
	pd_catalog_done(&catalog);
	return status;
}

int pd_backup_restore_run(int argc, char **argv)
{
	struct pd_backup_work work;
	const char *id;
	int status;

	if (!pd_backup_work_begin(&work, &options, argc, argv, &id, &status))
		return status;
	if (work.given.data == NULL || work.given.data[0] == '\0')
		status = pd_options_wrong(&options, "where to? Say --data DIR");
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = restore(&work, id);
	return pd_backup_work_end(&work, status);
}
