/* `perdure backup restore`: a data directory made of a backup, and of what an archive and a dead server's log have behind it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/catalog.h"
#include "backup/restore.h"
#include "base/memory.h"
#include "cli/backup_private.h"
#include "engine/engine.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	PD_BACKUP_OPTIONS_OF_ARCHIVE,
	{ "log", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(log), 0, 0,
	  "The data directory of the server that is dead: what can be read of its\nlog is the newest that "
	  "there is. It stays as it is." },
	{ "data", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(data), 0, 0,
	  "The directory that is to be made. Needed, unless some actors are named; it must not be there "
	  "yet." },
	{ "at", "MOMENT", PD_OPTION_TEXT, PD_BACKUP_AT(at), 0, 0,
	  "As it was then: a time such as 2026-01-15T14:30:00Z, so long ago\n(-10m), an LSN, or a bookmark "
	  "(default: the newest that there is)." },
	PD_BACKUP_OPTIONS_OF_ACTORS,
	{ "dry-run", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(dry_run), 0, 0,
	  "Only say what would be taken from where: by lists, nothing is read." },
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
		"Without an ID it is the backup that was made last of those that reach back to the moment. "
		"With --at it may be any moment that the "
		"backups "
		"reach\n('perdure backup points'). What was written after that is not in it: bookmarks of "
		"that are answered "
		"with \"lost\".\n\n"
		"With --archive and --log the log goes on where the backups end: with what is archived, then "
		"with "
		"what\nthe disk of the dead server still has. Each piece is proved to be of the same history "
		"before it is used.\nAre records missing in between, or is one of them of another history, "
		"then it "
		"says so, and nothing is\nmade.\n\n"
		"With --actor, --all, --tenant or --match some actors are restored, and no directory: into a "
		"server that\nruns (--into-server), each in one transaction after its hash was compared, or "
		"into files (--directory).\nFor that everything is restored on trial in a scratch directory, "
		"which goes again. Of a backup of some\nactors only, whose ID must be said, they are taken "
		"as "
		"they are, of its moment: --all are all that it has.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS + PD_BACKUP_ARCHIVE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup restore --at -10m --repository /backup/perdure --data /var/lib/again\n"
		 "  perdure backup restore --repository /backup/perdure --archive /mnt/archive --log "
		 "/var/lib/perdure \\\n"
		 "      --data /var/lib/again\n"
		 "  perdure backup restore 20261121T014500Z-full --repository /backup/perdure --data "
		 "/var/lib/again\n"
		 "  perdure server --data /var/lib/again\n"
		 "  perdure backup restore --actor user:42 --replace --at -1d --repository /backup/perdure "
		 "\\\n"
		 "      --into-server /var/lib/perdure\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell(struct pd_backup_work *work, const char *id, const struct pd_backup_restored *restored)
{
	struct pd_output *output = &work->output;
	const char *where = work->given.data != NULL ? work->given.data : "on trial";
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, restored->position.epoch, restored->position.lsn, bookmark);
	if (!work->given.json) {
		pd_output_text(output, "%s: %s, as of ", where, id);
		pd_output_time(output, restored->time_us);
		pd_output_text(output, " (%s), %s in %.1f s%s\n", bookmark,
			       pd_size_text((double)restored->bytes).bytes,
			       (double)(restored->fetch_us + restored->recover_us) / 1e6,
			       restored->compared ? ", the same state" : "");
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_string_field(output, "id", id);
	if (work->given.data != NULL)
		pd_output_string_field(output, "data", work->given.data);
	pd_output_string_field(output, "at", bookmark);
	pd_output_time_field(output, "at_time", restored->time_us);
	pd_output_number_field(output, "lsn", restored->position.lsn);
	pd_output_string_field(output, "source", restored->source);
	pd_output_number_field(output, "epoch", restored->epoch);
	pd_output_number_field(output, "bytes", restored->bytes);
	pd_output_string_field(output, "hash", restored->state);
	pd_output_bool_field(output, "compared", restored->compared);
	pd_output_real_field(output, "fetch_s", (double)restored->fetch_us / 1e6);
	pd_output_real_field(output, "recover_s", (double)restored->recover_us / 1e6);
	pd_backup_line_end(work);
}

/* What it would come to. */
static void tell_plan(struct pd_backup_work *work, const struct pd_backup_moment *end, uint64_t bytes)
{
	struct pd_output *output = &work->output;

	if (!work->given.json) {
		pd_output_text(output, "as far as lists tell, that is all up to LSN %" PRIu64 ", ", end->lsn);
		pd_output_time(output, end->time_us);
		pd_output_text(output, ", %s to fetch%s\n", pd_size_text((double)bytes).bytes,
			       work->given.at != NULL ? ", cut off at the moment" : "");
		return;
	}
	pd_backup_line_begin(work, "plan");
	pd_output_number_field(output, "last_lsn", end->lsn);
	pd_output_time_field(output, "last_time", end->time_us);
	pd_output_number_field(output, "bytes", bytes);
	pd_backup_line_end(work);
}

static struct pd_backup_wish wish_of(const struct pd_backup_work *work, const struct pd_moment_name *at)
{
	uint64_t now_us = pd_os_real_us(work->os);
	struct pd_backup_wish wish = { 0 };

	if (at != NULL && (at->kind == PD_MOMENT_LSN || at->kind == PD_MOMENT_BOOKMARK))
		wish.lsn = at->lsn;
	if (at != NULL && at->kind == PD_MOMENT_TIME)
		wish.time_us = at->time_us;
	if (at != NULL && at->kind == PD_MOMENT_AGO)
		wish.time_us = at->time_us < now_us ? now_us - at->time_us : 1;
	return wish;
}

/* What it is to be made of: the backups' part. */
static int plan(struct pd_backup_work *work, const struct pd_catalog *catalog, const char *id,
		const struct pd_backup_wish *wish, struct pd_backup_manifest *ret_plan, struct pd_error *err)
{
	bool goes_on = work->given.archive != NULL || work->given.log != NULL;
	const struct pd_backup_manifest *last;
	struct pd_backup_wish reached = *wish;
	int result = pd_catalog_choose_for(catalog, id, wish, &last, err);

	pd_backup_manifest_init(ret_plan);
	if (result != 0)
		return result;
	if (goes_on && reached.lsn > last->end.lsn)
		reached.lsn = last->end.lsn;
	return pd_catalog_plan(catalog, last, &reached, ret_plan, err);
}

/* Of backups and sources, which are open. */
static int make(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
		struct pd_backup_restoring *order, struct pd_error *err)
{
	struct pd_backup_restored restored;
	struct pd_backup_moment end;
	int result;

	order->told = work->given.dry_run ? pd_backup_tell_gone_on : NULL;
	if (work->given.json || work->given.dry_run || order->source_count > 0)
		pd_backup_tell_backup(work, manifest);
	/* What lists tell to be missing is told before anything is fetched. */
	result = pd_backup_restore_plan(work->os, manifest, order, &end, &order->further_bytes, err);
	if (result != 0 || work->given.dry_run) {
		if (result == 0)
			tell_plan(work, &end, pd_backup_manifest_bytes(manifest) + order->further_bytes);
		return result;
	}
	order->told = pd_backup_tell_gone_on;
	pd_backup_progress_begin(work, "restoring");
	result = pd_backup_restore(work->repository, manifest, order, &restored, err);
	pd_backup_progress_end(work);
	if (result == 0)
		tell(work, manifest->id, &restored);
	return result;
}

/* What was made on trial has the actors that are wanted; then it goes. */
static int take_actors(struct pd_backup_work *work, const char *scratch)
{
	struct pd_error err = { 0 };
	int status;

	(void)fflush(work->output.file);
	status = pd_backup_take_actors(work, scratch);
	if (pd_os_remove_tree(work->os, scratch, &err) == 0)
		return status;
	(void)fprintf(stderr, "%s: %s is left, and can be removed: %s\n", work->options->command, scratch,
		      err.text);
	return PD_EXIT_FAILURE;
}

static int restore(struct pd_backup_work *work, const char *id)
{
	struct pd_backup_restoring order = {
		.target = work->given.data, .watch = { .go_on = pd_backup_progress_watch, .context = work }
	};
	struct pd_backup_sources sources = { .count = 0 };
	struct pd_backup_manifest manifest;
	struct pd_catalog catalog = { 0 };
	struct pd_moment_name at;
	struct pd_error err = { 0 };
	int result = 0, status = PD_EXIT_OK;
	char *scratch = NULL;

	pd_backup_manifest_init(&manifest);
	if (pd_backup_wants_actors(&work->given)) {
		result = pd_backup_scratch_path(work, &scratch, &err);
		order.target = scratch;
	}
	if (result == 0 && work->given.at != NULL) {
		result = pd_moment_parse(pd_slice_string(work->given.at), &at, &err);
		if (result == 0 && at.kind == PD_MOMENT_SNAPSHOT)
			result = pd_error_set(
				&err, PD_INVALID,
				"a snapshot is of one actor: name a moment of everybody's, a time or an LSN");
		order.at = result == 0 && at.kind != PD_MOMENT_NOW ? &at : NULL;
	}
	order.wish = wish_of(work, order.at);
	if (result == 0)
		result = pd_catalog_load(work->repository, NULL, &catalog, &err);
	if (result == 0)
		result = plan(work, &catalog, id, &order.wish, &manifest, &err);
	if (result == 0)
		result = pd_backup_sources_open(work, &manifest, &sources, &err);
	order.sources = sources.items;
	order.source_count = sources.count;
	if (result == 0)
		result = make(work, &manifest, &order, &err);
	if (result != 0)
		status = pd_backup_work_failed(work, result, &err);
	else if (scratch != NULL && !work->given.dry_run)
		status = take_actors(work, scratch);
	pd_free(scratch);
	pd_backup_sources_close(&sources);
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
	if (!pd_backup_check_actors(&work, &status))
		return pd_backup_work_end(&work, status);
	if (id != NULL && pd_backup_is_of_actors(id)) {
		work.given.select.dry_run = work.given.dry_run;
		status = pd_backup_work_open(&work);
		if (status == PD_EXIT_OK)
			status = pd_backup_restore_selected(&work, id);
		return pd_backup_work_end(&work, status);
	}
	if (!work.given.dry_run && !pd_backup_wants_actors(&work.given) &&
	    (work.given.data == NULL || work.given.data[0] == '\0'))
		status = pd_options_wrong(&options, "where to? Say --data DIR");
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = restore(&work, id);
	return pd_backup_work_end(&work, status);
}
