/* `perdure backup drill`: would it work today? How long would it take, and what would be lost? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/drill.h"
#include "base/memory.h"
#include "cli/backup_private.h"
#include "engine/engine.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	PD_BACKUP_OPTIONS_OF_ARCHIVE,
	{ "scratch", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(scratch), 0, 0,
	  "Where to restore on trial (default: the directory that the\nrepository is in; needed where that "
	  "is none)." },
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options options = {
	.command = "perdure backup drill",
	.synopsis = "perdure backup drill [ID] --repository ADDRESS [options]",
	.about = "Restores the backup that was made last, or another, into a scratch directory, as after the "
		 "loss of "
		 "everything\nbut the repository (and the archive, if it is named); replays its log, "
		 "compares the "
		 "state with what\nwas backed up, and removes "
		 "it again.\nSays how long it took (RTO), how old what is recovered is (RPO), and keeps in "
		 "the repository up to "
		 "which\nmoment recovery was proven.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS + PD_BACKUP_ARCHIVE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup drill --repository /backup/perdure\n"
		 "  perdure backup drill --repository /backup/perdure --archive /mnt/archive\n"
		 "  perdure backup drill --repository /backup/perdure -o json | tail -1 | jq .rto_s\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell(struct pd_backup_work *work, const struct pd_backup_drilled *drilled)
{
	const struct pd_backup_restored *restored = &drilled->restored;
	double rto_s = (double)drilled->rto_us / 1e6, rpo_s = (double)drilled->rpo_us / 1e6;
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, restored->position.epoch, restored->position.lsn, bookmark);
	if (!work->given.json) {
		pd_output_text(
			output,
			"%s: recovered in %.1f s (%.1f s to fetch, %.1f s to recover) up to LSN %" PRIu64
			", ",
			drilled->id, rto_s, (double)restored->fetch_us / 1e6,
			(double)restored->recover_us / 1e6, restored->position.lsn);
		pd_output_time(output, restored->time_us);
		pd_output_text(output, ", which is %.0f s ago; its state is %s\n", rpo_s,
			       restored->compared ? "what was backed up" : "not known to the backup");
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_string_field(output, "id", drilled->id);
	pd_output_string_field(output, "at", bookmark);
	pd_output_time_field(output, "at_time", restored->time_us);
	pd_output_number_field(output, "lsn", restored->position.lsn);
	pd_output_string_field(output, "source", restored->source);
	pd_output_real_field(output, "rto_s", rto_s);
	pd_output_real_field(output, "rpo_s", rpo_s);
	pd_output_real_field(output, "fetch_s", (double)restored->fetch_us / 1e6);
	pd_output_real_field(output, "recover_s", (double)restored->recover_us / 1e6);
	pd_output_number_field(output, "bytes", restored->bytes);
	pd_output_string_field(output, "hash", restored->state);
	pd_output_bool_field(output, "compared", restored->compared);
	pd_backup_line_end(work);
}

static void tell_plan(void *context, const struct pd_backup_manifest *plan)
{
	struct pd_backup_work *work = context;

	pd_backup_progress_end(work);
	if (work->given.archive != NULL && work->given.archive[0] != '\0')
		pd_backup_tell_backup(work, plan);
	pd_backup_progress_begin(work, "recovering on trial");
}

static int drill(struct pd_backup_work *work, const char *id, struct pd_error *err)
{
	struct pd_object_place archive = work->place.store; /* in S3: the same service */
	struct pd_backup_drill order = { .id = id,
					 .watch = { .go_on = pd_backup_progress_watch, .context = work },
					 .planned = tell_plan,
					 .told = pd_backup_tell_gone_on };
	struct pd_backup_drilled drilled;
	char *path;
	int result = pd_backup_scratch_path(work, &path, err);

	if (result != 0)
		return result;
	archive.address = work->given.archive;
	if (archive.address != NULL && archive.address[0] != '\0')
		order.archive = &archive;
	order.target = path;
	pd_backup_progress_begin(work, "recovering on trial");
	result = pd_backup_drill(work->repository, &order, &drilled, err);
	pd_backup_progress_end(work);
	if (result == 0)
		tell(work, &drilled);
	pd_free(path);
	return result;
}

int pd_backup_drill_run(int argc, char **argv)
{
	struct pd_backup_work work;
	struct pd_error err = { 0 };
	const char *id;
	int status, result;

	if (!pd_backup_work_begin(&work, &options, argc, argv, &id, &status))
		return status;
	status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK) {
		result = drill(&work, id, &err);
		status = result == 0 ? PD_EXIT_OK : pd_backup_work_failed(&work, result, &err);
	}
	return pd_backup_work_end(&work, status);
}
