/* `perdure archive export` and `check-export`: the archive as lines of JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/archive_private.h"
#include "cli/export.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "provider/place.h"
#include "server/server.h"

#define OPTION(name, argument, kind, field, help)                                              \
	{                                                                                      \
		name, argument, kind, offsetof(struct pd_cli_archive_given, field), 0, 0, help \
	}

static const struct pd_option export_table[] = {
	PD_CLI_ARCHIVE_OPTIONS,
	OPTION("to", "ADDRESS", PD_OPTION_TEXT, to,
	       "Where the files go: a directory that is there, or s3://BUCKET/PREFIX at the same service."),
	OPTION("open", NULL, PD_OPTION_SWITCH, open,
	       "What is archived of the log's open segment, too. Each time makes files of its own."),
	OPTION("every", "TIME", PD_OPTION_INTERVAL_MS, every_ms,
	       "Go on until it is ended: look for more that often. What fails is said, and tried again."),
	OPTION("scratch", "DIR", PD_OPTION_TEXT, scratch,
	       "Where there is room for some segments of the log (default: TMPDIR, or /tmp)."),
};

static const struct pd_options export_options = {
	.command = "perdure archive export",
	.synopsis = "perdure archive export --archive ADDRESS --to ADDRESS [options]",
	.about = "Writes what is archived of a log as lines of JSON (JSONL, gzip) with a checksum beside "
		 "each file, for\n"
		 "whatever else is to read it: archive/tenant_NAME/2026-11-21/segment_000001.jsonl.gz and\n"
		 "segment_000001.checksum, by tenant and by the day of the commit (UTC). A line is a "
		 "transaction. Killed\n"
		 "anywhere, the next one goes on, without a gap and with nothing twice; nothing is replaced. "
		 "Whole segments\n"
		 "of the log are exported, when the server has archived them.\n"
		 "\n"
		 "It is derived: restores and forks take the archive itself. One at a time exports to a "
		 "place.",
	.table = export_table,
	.count = sizeof export_table / sizeof *export_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure archive export --archive /mnt/archive --to /mnt/jsonl\n"
		 "  perdure archive export --archive s3://logs/perdure --to s3://logs/jsonl --every 1m\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
};

static const struct pd_option check_table[] = {
	OPTION("s3-endpoint", "URL", PD_OPTION_TEXT, s3_endpoint,
	       "Where it is in S3, the service (default: PERDURE_S3_ENDPOINT, else AWS)."),
	OPTION("s3-region", "REGION", PD_OPTION_TEXT, s3_region,
	       "Its region (default: PERDURE_S3_REGION, else as AWS's own tools have it)."),
	OPTION("s3-style", "STYLE", PD_OPTION_TEXT, s3_style,
	       "Where the bucket is named: auto, path or virtual (default auto)."),
	OPTION("s3-ca-file", "FILE", PD_OPTION_TEXT, s3_ca_file, "Who vouches for the service, as PEM."),
	OPTION("to", "ADDRESS", PD_OPTION_TEXT, to,
	       "Where the files went: a directory, or s3://BUCKET/PREFIX."),
	OPTION("o", "FORMAT", PD_OPTION_FORMAT, json, "text (default) or json."),
};

static const struct pd_options check_options = {
	.command = "perdure archive check-export",
	.synopsis = "perdure archive check-export --to ADDRESS [options]",
	.about = "Reads all that 'perdure archive export' has written and checks it: each file against its "
		 "checksum and\n"
		 "its plan, each line's LSN, and that every LSN from the first to the last is there. What is "
		 "damaged or\n"
		 "missing is named.",
	.table = check_table,
	.count = sizeof check_table / sizeof *check_table,
	.environment_count = 4, /* S3 */
	.after = "Examples:\n"
		 "  perdure archive check-export --to /mnt/jsonl && echo sound\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
};

static int open_target(struct pd_os *os, const struct pd_cli_archive_given *given,
		       struct pd_object_store **ret_target, struct pd_error *err)
{
	const struct pd_object_place place = { .address = given->to,
					       .s3_endpoint = given->s3_endpoint,
					       .s3_region = given->s3_region,
					       .s3_style = given->s3_style,
					       .s3_ca_file = given->s3_ca_file };

	return pd_object_place_open(os, &place, "export", ret_target, err);
}

/* ---- export ---- */

struct work {
	const struct pd_cli_archive_given *given;
	struct pd_cli_archive archive;
	struct pd_export order;
	struct pd_output output;
	struct pd_progress progress;
	char *scratch, *lock_path;
	struct pd_os_lock *lock;
};

static bool show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct work *work = context;

	if (total_bytes > 0)
		pd_progress_show(&work->progress, done_bytes, total_bytes);
	return true;
}

/* A directory of this log's own, so that what a killed one has left goes with the next. */
static int take_scratch(struct work *work, struct pd_error *err)
{
	const char *parent = work->given->scratch, *tmpdir = getenv("TMPDIR");
	char name[PD_ARCHIVE_NAME_SIZE];

	if (parent == NULL || parent[0] == '\0')
		parent = tmpdir != NULL && tmpdir[0] != '\0' ? tmpdir : "/tmp";
	pd_archive_prefix(&work->archive.log, name);
	work->scratch = pd_asprintf("%s/perdure-export-%.32s", parent, name);
	work->lock_path = work->scratch == NULL ? NULL : pd_asprintf("%s.lock", work->scratch);
	if (work->lock_path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	work->order.scratch = work->scratch;
	return pd_os_lock(work->archive.os, work->lock_path, &work->lock, err);
}

static void tell(struct work *work, const struct pd_exported *done)
{
	struct pd_output *output = &work->output;

	if (work->given->json) {
		pd_output_open(output, NULL, '{');
		pd_output_number_field(output, "last_lsn", done->last_lsn);
		pd_output_number_field(output, "stretches", done->stretches);
		pd_output_number_field(output, "files", done->files);
		pd_output_number_field(output, "lines", done->lines);
		pd_output_number_field(output, "bytes", done->bytes);
		if (done->gap_first_lsn > 0) {
			pd_output_number_field(output, "gap_first_lsn", done->gap_first_lsn);
			pd_output_number_field(output, "gap_last_lsn", done->gap_last_lsn);
		}
		pd_output_close(output, '}');
		pd_output_end(output);
	} else {
		pd_output_text(
			output, "up to LSN %" PRIu64 ": %" PRIu64 " files, %" PRIu64 " lines, %s more\n",
			done->last_lsn, done->files, done->lines, pd_size_text((double)done->bytes).bytes);
		if (done->gap_first_lsn > 0)
			pd_output_text(output, "GAP: LSN %" PRIu64 " to %" PRIu64 " were never archived\n",
				       done->gap_first_lsn, done->gap_last_lsn);
	}
	(void)fflush(output->file);
}

static int export_once(struct work *work, bool quiet)
{
	struct pd_exported done;
	struct pd_error err = { 0 };
	int result;

	pd_progress_init(&work->progress, work->archive.os, "exporting");
	result = pd_export_run(&work->order, &done, &err);
	pd_progress_done(&work->progress);
	if (result == 0 && (!quiet || done.stretches > 0))
		tell(work, &done);
	if (result != 0)
		return pd_cli_archive_failed(&export_options, &err);
	return done.gap_first_lsn > 0 ? PD_EXIT_DAMAGED : PD_EXIT_OK;
}

static int run_export(struct work *work)
{
	struct pd_error err = { 0 };
	int result = open_target(work->archive.os, work->given, &work->order.target, &err), status;

	if (result == 0)
		result = take_scratch(work, &err);
	if (result != 0)
		return pd_cli_archive_failed(&export_options, &err);
	status = export_once(work, false);
	while (work->given->every_ms > 0) {
		pd_os_sleep_us(work->archive.os, work->given->every_ms * 1000);
		status = export_once(work, true);
	}
	return status;
}

int pd_cli_archive_export_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct work work = { .given = &given, .output = { .file = stdout } };
	int status;

	if (!pd_options_take(&export_options, argc, argv, &given, &status))
		return status;
	if (given.to == NULL)
		return pd_options_wrong(&export_options, "where to? Say --to ADDRESS");
	status = pd_cli_archive_open(&work.archive, &export_options, &given);
	if (status == PD_EXIT_OK) {
		work.order.os = work.archive.os;
		work.order.archive = work.archive.store;
		work.order.log = work.archive.log;
		work.order.open_too = given.open;
		work.order.go_on = show;
		work.order.context = &work;
		status = run_export(&work);
	}
	if (!pd_output_finish(&work.output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	if (work.lock != NULL)
		pd_os_unlock(work.lock);
	pd_object_store_free(work.order.target);
	pd_free(work.scratch);
	pd_free(work.lock_path);
	pd_cli_archive_close(&work.archive);
	return status;
}

/* ---- check-export ---- */

struct check {
	struct pd_output output;
	bool json;
};

static void tell_damage(void *context, const char *text)
{
	struct check *check = context;

	if (!check->json) {
		pd_output_text(&check->output, "DAMAGE %s\n", text);
		return;
	}
	pd_output_string_field(&check->output, NULL, text);
}

/* Nothing is not sound: most likely it is the wrong place. */
static int check_some(const struct pd_export_check *order, struct pd_export_verdict *ret_verdict,
		      struct pd_error *err)
{
	int result = pd_export_check(order, ret_verdict, err);

	if (result != 0 || ret_verdict->stretches > 0 || ret_verdict->damaged > 0)
		return result;
	return pd_error_set(
		err, PD_NOT_FOUND,
		"nothing was exported there: name the place that 'perdure archive export' has written to");
}

static int check_all(struct pd_object_store *target, bool json)
{
	struct check check = { .output = { .file = stdout }, .json = json };
	const struct pd_export_check order = { .target = target, .damage = tell_damage, .context = &check };
	struct pd_output *output = &check.output;
	struct pd_export_verdict verdict;
	struct pd_error err = { 0 };
	int status = PD_EXIT_OK;

	if (json) {
		pd_output_open(output, NULL, '{');
		pd_output_open(output, "damage", '[');
	}
	if (check_some(&order, &verdict, &err) != 0)
		status = pd_cli_archive_failed(&check_options, &err);
	else if (verdict.damaged > 0)
		status = PD_EXIT_DAMAGED;
	if (json) {
		pd_output_close(output, ']');
		pd_output_number_field(output, "first_lsn", verdict.first_lsn);
		pd_output_number_field(output, "last_lsn", verdict.last_lsn);
		pd_output_number_field(output, "stretches", verdict.stretches);
		pd_output_number_field(output, "files", verdict.files);
		pd_output_number_field(output, "lines", verdict.lines);
		pd_output_number_field(output, "bytes", verdict.bytes);
		pd_output_bool_field(output, "sound", status == PD_EXIT_OK);
		pd_output_close(output, '}');
		pd_output_end(output);
	} else if (err.code == 0) {
		pd_output_text(output,
			       "LSN %" PRIu64 " to %" PRIu64 ", %" PRIu64 " files, %" PRIu64
			       " lines, %s: %" PRIu64 " damaged places\n",
			       verdict.first_lsn, verdict.last_lsn, verdict.files, verdict.lines,
			       pd_size_text((double)verdict.bytes).bytes, verdict.damaged);
	}
	return pd_output_finish(output) || status != PD_EXIT_OK ? status : PD_EXIT_FAILURE;
}

int pd_cli_archive_check_export_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct pd_object_store *target = NULL;
	struct pd_os *os = NULL;
	struct pd_error err = { 0 };
	int status, result;

	if (!pd_options_take(&check_options, argc, argv, &given, &status))
		return status;
	if (given.to == NULL)
		return pd_options_wrong(&check_options, "where is it? Say --to ADDRESS");
	result = pd_os_real_new(&os, &err);
	if (result == 0)
		result = open_target(os, &given, &target, &err);
	status = result == 0 ? check_all(target, given.json) : pd_cli_archive_failed(&check_options, &err);
	pd_object_store_free(target);
	if (os != NULL)
		pd_os_free(os);
	return status;
}
